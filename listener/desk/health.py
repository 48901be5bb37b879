"""Does it work, and what needs a person? Each alarm says what to type."""

import contextlib
import shutil
from typing import Any, Final

from sqlalchemy import Connection, func, select

from listener import api, bookkeeping, declaration, errors, fingerprint, leases, times
from listener.agenda import Agenda, State
from listener.desk import away, documents, signatures
from listener.desk.anomalies import Anomalies
from listener.desk.reading import Reading, reading
from listener.log import event, reader, schema
from listener.log.append import now
from listener.log.database import Database
from listener.log.tree import Tree
from listener.quarantine import Quarantine
from listener.settings import Settings
from listener.signing import witness
from projections import artifacts, facts

_SECOND: Final = 1_000_000
DEAD_AFTER: Final = 20 * _SECOND  # without a heartbeat
LATE_AFTER: Final = 60 * _SECOND  # an event that nobody folded
TROUBLED_TOO_LONG: Final = 2 * 3600 * _SECOND
CLOCK_BACK: Final = 5 * _SECOND

_events = schema.events
_artifacts = artifacts.TABLE

_STATES: Final = (artifacts.WANTED, artifacts.HELD, artifacts.STORED, artifacts.FAILED, artifacts.ABANDONED)


def health(
    database: Database, settings: Settings, quarantine: Quarantine, storage: str | None = None
) -> dict[str, Any]:
    """Everything at a glance; `alarms` is empty when nobody need do anything.

    `storage`: why nothing can be put into object storage now.
    """
    alarms = _machine(database, settings)
    if storage is not None:
        alarms.append(f"no document can be stored: {storage}")
    _signing(database, settings, alarms)
    rounds = _rounds(settings, alarms)
    try:
        with reading(database) as at:
            found = _views(at, settings, alarms)
    except errors.ViewsError as error:
        alarms.append(str(error))
        found = _without_views(database, settings)
    with database.reading() as connection:
        workers = leases.workers(connection)._asdict()
        differing = declaration.notes(connection, settings)
    rows, genuine = quarantine.count()
    if genuine:
        alarms.append(
            f"refused callbacks that look genuine: {genuine}; 'signlog quarantine' says why. "
            "When that is mended: 'signlog quarantine accept --now-valid --reason …'"
        )
    for name, source in found["sources"].items():
        source["reconciled"] = times.written(rounds[name])
    waits = away.spooled(settings, alarms)
    notes = [*database.notes(), *differing, *found.pop("notes")]
    return {**found, **waits, "workers": workers, "quarantined": rows, "alarms": alarms, "notes": notes}


def _rounds(settings: Settings, alarms: list[str]) -> dict[str, int | None]:
    """When each source was last compared with its provider."""
    states = dict.fromkeys(settings.sources, State(None, None, None))
    with contextlib.closing(Agenda(settings.folder)) as agenda, contextlib.suppress(errors.AgendaDamaged):
        states = {name: agenda.state(name) for name in settings.sources}  # the worker makes a damaged one anew
    for name, state in states.items():
        if state.trouble is not None and (state.since or 0) < now() - TROUBLED_TOO_LONG:
            alarms.append(f"{name}: not compared with the provider since {times.written(state.since)}: {state.trouble}")
    return {name: state.finished_at for name, state in states.items()}


def _without_views(database: Database, settings: Settings) -> dict[str, Any]:
    """The same answer, while nothing was folded."""
    with database.reading() as connection:
        head, oldest = reader.head(connection), reader.read(connection, 0, 1)
        sources = {name: _source(connection, name, settings) for name in settings.sources}
    lag = max(0, now() - oldest[0].recorded_at) if oldest else 0
    progress = {"head": head, "projected": 0, "lag_events": head, "lag_seconds": lag / _SECOND}
    doubts = {"faults": 0, "missed": 0, "anomalies": 0, "heartbeat": None, "replay_pending": False}
    counts = {**dict.fromkeys(_STATES, 0), "signatures": dict.fromkeys(facts.FOUND, 0)}
    return {**progress, **counts, **doubts, "notes": [], "sources": sources}


def _machine(database: Database, settings: Settings) -> list[str]:
    alarms = database.alarms()
    folders = (settings.documents_folder, settings.folder)
    for folder in {folder.stat().st_dev: folder for folder in folders if folder.exists()}.values():
        free = shutil.disk_usage(folder).free
        if free < settings.disk_reserve:
            size = f"{free / 1024**2:.0f} MiB"
            alarms.append(f"only {size} are free in {folder}: less than disk_reserve, so downloads stopped; make room")
    with database.reading() as connection:
        newest = reader.back(connection, None, 1)
    if newest and newest[0].recorded_at > now() + CLOCK_BACK:
        alarms.append(f"the clock is behind the last event, {times.written(newest[0].recorded_at)}; set it right")
    return alarms


def _signing(database: Database, settings: Settings, alarms: list[str]) -> None:
    """What keeps heads from being signed: what can be seen now, or what the worker found last."""
    tree, outside = Tree(settings.folder), witness.outside(settings.copy_file)
    try:
        with database.reading() as log, tree.reading() as stored:
            unmet = witness.unmet(log, stored, outside)
        for one in unmet:
            alarms.append(
                f"the log is not what was signed: {one.why}; restore a backup that has everything, or go on without: "
                "'signlog restore --accept --reason …'"
            )
        if not unmet and (trouble := tree.trouble()) is not None:
            alarms.append(f"no head of the log is signed: {trouble}")
    except errors.TreeDamaged:  # the worker makes it anew
        return
    finally:
        tree.close()


def _views(at: Reading, settings: Settings, alarms: list[str]) -> dict[str, Any]:
    checkpoint, head = bookkeeping.checkpoint(at.views), reader.head(at.log)
    waiting = reader.read(at.log, checkpoint.position, 1)
    lag = max(0, now() - waiting[0].recorded_at) if waiting else 0
    beat = at.views.scalar(select(bookkeeping.heartbeat.c.at))
    counts, faults, pending, strange = _counts(at), _positions(at), _mixed(at), Anomalies.of(at)
    alarms += _progress(beat, lag, checkpoint.origin)
    alarms += documents.alarms(at, settings)
    if pending:
        alarms.append("other code than today's folded a part of the views; 'signlog replay' shows what that changes")
    if faults:
        alarms.append(
            f"events that could not be taken in: {len(faults)}; the first: 'signlog faults show {faults[0]}'. "
            "Mend the code and restart 'signlog serve'; or leave one out: 'signlog faults skip N --reason …'"
        )
    alarms += strange.alarms()
    return {
        "head": head,
        "projected": checkpoint.position,
        "lag_events": head - checkpoint.position,
        "lag_seconds": lag / _SECOND,
        **counts,
        "signatures": signatures.counts(at),
        "faults": len(faults),
        "missed": len(strange.missed),
        "anomalies": strange.subjects,
        "heartbeat": times.written(beat),
        "replay_pending": pending,
        "notes": [*_rebuilt(checkpoint.origin), *documents.notes(at, settings)],
        "sources": {name: _source(at.log, name, settings) for name in settings.sources},
    }


def _counts(at: Reading) -> dict[str, int]:
    found = at.views.execute(select(_artifacts.c.state, func.count()).group_by(_artifacts.c.state))
    counts: dict[str, int] = {row.state: row[1] for row in found}
    return {state: counts.get(state, 0) for state in _STATES}


def _positions(at: Reading) -> list[int]:
    """Of the events that could not be taken in."""
    position = bookkeeping.faults.c.position
    return list(at.views.scalars(select(position).distinct().order_by(position)))


def _progress(beat: int | None, lag: int, origin: str) -> list[str]:
    alarms = []
    if beat is None or now() - beat > DEAD_AFTER:
        alarms.append("the worker does not run; start it: 'signlog serve', or 'signlog serve --worker'")
    elif lag > LATE_AFTER:
        alarms.append(f"the views are {lag // _SECOND} s behind the log")
    if origin == bookkeeping.PARTED:
        alarms.append(
            "log and views had parted (a restored backup?): the views were folded anew; compare with a backup"
        )
    if origin == bookkeeping.DAMAGED:
        alarms.append("the views were damaged and were folded anew; look at the disk below them")
    return alarms


def _rebuilt(origin: str) -> list[str]:
    """What was no damage, and is none now; but views do not go by themselves."""
    gone = "the views were gone, and were folded anew; if nobody removed them, and no log was moved, look who did"
    return [gone] if origin == bookkeeping.LOST else []


def _mixed(at: Reading) -> bool:
    """Whether other code than today's folded a part of the live generation."""
    return bool(bookkeeping.folded_by(at.views) - {fingerprint.fingerprint()})


def _source(log: Connection, name: str, settings: Settings) -> dict[str, Any]:
    last = (
        select(_events.c.recorded_at)
        .where(_events.c.source == name, _events.c.kind == event.CALLBACK)
        .order_by(_events.c.position.desc())
        .limit(1)
    )
    configured = settings.sources[name]
    return {
        "provider": configured.provider,
        "last_callback": times.written(log.scalar(last)),
        "api_access": api.named(configured.provider).missing(configured.access) is None,
    }
