"""Whoever changes the log past its guards is found out, by the row that was changed; and who is not, and why."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from listener.audit import findings, scan
from listener.log import event, schema
from listener.log.event import DECISION, Draft, entry_of, leaf_hash
from tests.rig import add, callback
from tests.sealed import FULL, PATH, Sealed, flipped, spoil

COLUMNS = [column.name for column in schema.events.c]
# What each column is a part of: its own hash, then the leaf. A leaf is a part of the tree, and of what was signed.
KINDS = {
    **{name: {findings.LEAF} for name in COLUMNS},
    **{name: {findings.CONTENT} for name in ("headers", "body", "salt")},
    "content": {findings.CONTENT, findings.LEAF},
    "leaf": {findings.LEAF, findings.TREE, findings.HEADS},
    "position": {findings.POSITIONS, findings.LEAF, findings.TREE, findings.HEADS},
}


def value(sealed: Sealed, column: str) -> bytes | int:
    """What stands in a column of the full event, as its bytes or as a number."""
    found: Any = getattr(sealed.events()[FULL - 1], column)
    return found.encode() if isinstance(found, str) else found


def literal(column: str, changed: bytes | int) -> str:
    """As SQL has it; text stays text, whether it is UTF-8 or not."""
    if isinstance(changed, int):
        return str(changed)
    text = isinstance(schema.events.c[column].type, type(schema.events.c.kind.type))
    return f"CAST(x'{changed.hex()}' AS TEXT)" if text else f"x'{changed.hex()}'"


def test_a_log_that_nobody_changed(tmp_path: Path) -> None:
    """Nothing is wrong, and everything was looked at."""
    with Sealed(tmp_path) as sealed:
        report = sealed.verify()
        assert (report.ok, report.problems, report.notes) == (True, [], [])
        assert (report.events, report.heads, report.documents) == (12, 4, 1)
        assert sealed.wrong(outside=False, tree=False) == []


@pytest.mark.parametrize("bit", [5, 6, 7, 13])
@pytest.mark.parametrize("column", COLUMNS)
def test_one_flipped_bit(tmp_path: Path, column: str, bit: int) -> None:
    """In any column; some make text that is no UTF-8, which is none the less told and stops nothing."""
    with Sealed(tmp_path) as sealed:
        sealed.change(column, literal(column, flipped(value(sealed, column), bit)))
        found = dict(sealed.wrong())
        unreadable = findings.READING in found
        assert found.keys() == ({findings.READING} if unreadable else KINDS[column])
        if column == "position":
            assert found[findings.POSITIONS] == FULL
        else:
            assert {found[kind] for kind in found.keys() - {findings.TREE, findings.HEADS}} == {FULL}
        assert not unreadable or (
            bit == 7 and isinstance(schema.events.c[column].type, type(schema.events.c.kind.type))
        )


@pytest.mark.parametrize("column", [column.name for column in schema.events.c if column.nullable])
def test_a_value_that_is_gone(tmp_path: Path, column: str) -> None:
    """Null is another value than any; of body, headers or salt alone it is no erasure either."""
    with Sealed(tmp_path) as sealed:
        sealed.change(column, "NULL")
        kind = findings.BLANK if column in ("body", "headers", "salt") else findings.LEAF
        assert sealed.wrong() == [(kind, FULL)]


@pytest.mark.parametrize("column", ["spooled_at", "method", "peer", "client", "credential"])
def test_a_value_where_none_was(tmp_path: Path, column: str) -> None:
    """Nothing is another value than an empty one."""
    with Sealed(tmp_path) as sealed:
        sealed.change(column, "0" if column == "spooled_at" else "''", position=1)
        assert sealed.wrong() == [(findings.LEAF, 1)]


@pytest.mark.parametrize("position", [1, 6, 11])
def test_a_deleted_row(tmp_path: Path, position: int) -> None:
    """The gap is named; the tree and the heads behind it speak of another log."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position = ?", (position,))
        found = sealed.verify()
        gap = next(one for one in found.problems if one.kind == findings.POSITIONS)
        assert (gap.position, gap.said) == (position, f"missing: {position}")
        assert {one.kind for one in found.problems} == {findings.POSITIONS, findings.HEADS, findings.TREE}


def test_several_deleted_rows(tmp_path: Path) -> None:
    """One stretch is one finding, two are two."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position IN (3, 4, 5, 9)")
        gap = next(one for one in sealed.verify().problems if one.kind == findings.POSITIONS)
        assert (gap.position, gap.said, gap.more) == (3, "missing: 3 to 5", 1)


@pytest.mark.parametrize(("tree", "outside"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_truncated_tail(tmp_path: Path, tree: bool, outside: bool) -> None:
    """The heads that were signed over it say so, wherever they lie; and the tree."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position > 10")
        found = sealed.wrong(tree=tree, outside=outside)
        assert found == ([(findings.TREE, None)] if tree else []) + [(findings.HEADS, 12)]
        assert "was signed over 12 events, and there are 10" in sealed.said(findings.HEADS)


def test_a_tail_that_nobody_has_signed_for(tmp_path: Path) -> None:
    """The counter-example: what came after the last head can go without a trace, once the tree's file is gone too."""
    with Sealed(tmp_path) as sealed:
        add(sealed.database, callback("PACKAGE_CREATE"))
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position = 13")
        assert sealed.wrong() == []


def swap(connection: Connection, one: int, other: int) -> None:
    """Let two rows change places."""
    for old, new in ((one, -1), (other, one), (-1, other)):
        connection.exec_driver_sql("UPDATE events SET position = ? WHERE position = ?", (new, old))


def test_two_rows_that_changed_places(tmp_path: Path) -> None:
    """Each leaf commits to its position."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            swap(connection, 3, 4)
        assert dict(sealed.wrong()) == {findings.LEAF: 3, findings.TREE: None, findings.HEADS: 8}


def test_two_rows_that_changed_places_with_fresh_leaves(tmp_path: Path) -> None:
    """Then each row is right by itself; what was signed is not."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            swap(connection, 3, 4)
            log_id = connection.exec_driver_sql("SELECT id FROM log").scalar_one()
        rows = sealed.events()[2:4]
        for row in rows:
            leaf = leaf_hash(entry_of(row, log_id))
            sealed.change("leaf", f"x'{leaf.hex()}'", row.position)
        assert dict(sealed.wrong()) == {findings.TREE: None, findings.HEADS: 8}


def forge(draft: Draft) -> Draft:
    """Another history: one callback says something else."""
    return draft._replace(body=draft.body.replace(b"PACKAGE_CREATE", b"PACKAGE_REVOKE"))


def test_a_log_written_anew_is_found_out_by_the_head_outside(tmp_path: Path) -> None:
    """Every hash is fresh, and the heads are gone: only what nobody here could change knows better."""
    with Sealed(tmp_path) as sealed:
        sealed.rewrite(forge)
        assert sealed.wrong() == [(findings.HEADS, 12)]
        assert sealed.said(findings.HEADS) == "the head outside was signed over other events than the first 12"


def test_a_log_written_anew_is_not_found_out_without_it(tmp_path: Path) -> None:
    """The other half of the claim: with nothing outside, the forged log is as good as any."""
    with Sealed(tmp_path) as sealed:
        sealed.rewrite(forge)
        assert sealed.wrong(outside=False) == []


def test_a_log_written_anew_and_signed_anew_is_found_out_as_well(tmp_path: Path) -> None:
    """Whoever has the key, too, signs what he likes here; the head outside stays what it is."""
    with Sealed(tmp_path) as sealed:
        outside = Path(sealed.settings.checkpoint_copy or "")
        kept = outside.read_text()
        sealed.rewrite(forge)
        outside.unlink()
        sealed.sign()
        assert sealed.wrong() == []
        outside.write_text(kept)
        assert sealed.wrong() == [(findings.HEADS, 12)]


def test_a_document_that_was_exchanged(tmp_path: Path) -> None:
    """Of the same size, of another, gone, or a link to something else; and one that nobody touched."""
    with Sealed(tmp_path) as sealed:
        path = sealed.settings.documents_folder / PATH
        content = path.read_bytes()
        spoil(path)
        assert sealed.wrong() == [(findings.DOCUMENTS, 6)]
        assert sealed.said(findings.DOCUMENTS).endswith("is another document than the one that was stored")
        path.write_bytes(content + b"x")
        assert sealed.said(findings.DOCUMENTS).endswith("has 605 bytes, and 604 were stored")
        path.rename(tmp_path / "elsewhere")
        assert sealed.said(findings.DOCUMENTS).endswith("is gone")
        path.symlink_to(tmp_path / "elsewhere")
        assert "cannot be read" in sealed.said(findings.DOCUMENTS)
        path.unlink()
        path.write_bytes(content)
        assert sealed.wrong() == []


def test_a_folder_of_documents_that_is_a_link(tmp_path: Path) -> None:
    """What lies behind it is not what was stored, whatever it is."""
    with Sealed(tmp_path) as sealed:
        folder = (sealed.settings.documents_folder / PATH).parent
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        assert sealed.said(findings.DOCUMENTS).endswith("is no place for a document")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TRIGGER events_refuse_update", "the trigger events_refuse_update is gone"),
        ("DROP TRIGGER heads_refuse_delete", "the trigger heads_refuse_delete is gone"),
        ("DROP TABLE claims", "the table claims is gone"),
        ("ALTER TABLE live ADD COLUMN more INTEGER", "the table live is another one than the migrations make"),
        ("CREATE UNIQUE INDEX x ON events (leaf)", "there is a index x that no migration makes"),
        ("CREATE TRIGGER x AFTER INSERT ON events BEGIN SELECT 1; END", "there is a trigger x that no migration makes"),
        ("CREATE TABLE _litestream_seq (id INTEGER)", None),
        ("ANALYZE", None),
    ],
)
def test_guards_that_are_others(tmp_path: Path, statement: str, said: str | None) -> None:
    """Gone, changed, or one too many; tables that a backup tool makes for itself are no harm."""
    with Sealed(tmp_path) as sealed:
        with sealed.database.writing() as connection:
            connection.exec_driver_sql(statement)
        problems = sealed.verify().problems
        assert [(one.kind, one.said) for one in problems] == ([] if said is None else [(findings.GUARDS, said)])


def test_a_guard_that_does_nothing(tmp_path: Path) -> None:
    """It has the right name."""
    with Sealed(tmp_path) as sealed:
        with sealed.database.writing() as connection:
            connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
            connection.exec_driver_sql(
                "CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events WHEN 0 BEGIN SELECT RAISE(ABORT, ''); END"
            )
        assert sealed.wrong() == [(findings.GUARDS, None)]


# Blank rows


def blank(sealed: Sealed, position: int, decided: int) -> None:
    """Erase an event as the triggers permit it."""
    with sealed.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES (?, ?)", (position, decided))
        nothing = "body = NULL, headers = NULL, salt = NULL"
        connection.exec_driver_sql(f"UPDATE events SET {nothing} WHERE position = ?", (position,))


def decide(sealed: Sealed, body: bytes, kind: str = DECISION) -> int:
    """A decision; its position."""
    return add(sealed.database, Draft(kind, "signlog", "signlog", body, path="/erasures"))[0]


def test_a_blank_row_that_a_decision_names(tmp_path: Path) -> None:
    """It proves as much as before: its leaf commits to the hash of what is gone."""
    with Sealed(tmp_path) as sealed:
        blank(sealed, FULL, decide(sealed, b'{"action":"erased","positions":[4,5]}'))
        assert sealed.wrong() == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"action":"erased","positions":[4,6]}', DECISION),
        (b'{"action":"erased"}', DECISION),
        (b"unreadable", DECISION),
        (b'{"action":"skip","positions":[5]}', DECISION),
        (b'{"positions":[5]}', DECISION),
        (b'{"positions":["5"]}', DECISION),
        (b'{"action":"erased","positions":[4,5]}', event.CALLBACK),
    ],
)
def test_a_blank_row_that_no_decision_names(tmp_path: Path, body: bytes, kind: str) -> None:
    """Though the table of erasures points to one."""
    with Sealed(tmp_path) as sealed:
        blank(sealed, FULL, decide(sealed, body, kind))
        assert sealed.wrong() == [(findings.BLANK, FULL)]
        assert sealed.said(findings.BLANK).endswith("event 13, does not")


def test_a_blank_row_behind_the_decision_that_names_it(tmp_path: Path) -> None:
    """Nobody can decide about what is still to come."""
    with Sealed(tmp_path) as sealed:
        decided = decide(sealed, b'{"action":"erased","positions":[14]}')
        add(sealed.database, callback("PACKAGE_CREATE"))
        blank(sealed, 14, decided)
        assert sealed.wrong() == [(findings.BLANK, 14)]


@pytest.mark.parametrize(("path", "found"), [("/live", [(findings.BLANK, 13)]), ("/expected/onespan/p", [])])
def test_a_blank_decision(tmp_path: Path, path: str, found: list[tuple[str, int]]) -> None:
    """What was decided is never erased, whoever decides so; what somebody expected of a subject is."""
    with Sealed(tmp_path) as sealed:
        add(sealed.database, Draft(DECISION, "signlog", "signlog", b"{}", path=path))
        blank(sealed, 13, decide(sealed, b'{"action":"erased","positions":[13]}'))
        assert sealed.wrong() == found


def test_a_blank_row_that_points_nowhere(tmp_path: Path) -> None:
    """To an event that is not there; or the table says nothing of it at all."""
    with Sealed(tmp_path) as sealed:
        blank(sealed, FULL, 99)
        assert sealed.wrong() == [(findings.BLANK, FULL)]
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM erasures")
        assert sealed.said(findings.BLANK) == "it is blank, and nobody decided so"


def test_a_row_that_should_be_blank(tmp_path: Path) -> None:
    """It is named as erased, and is not: whoever named it could erase it any time."""
    with Sealed(tmp_path) as sealed:
        with sealed.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (?, ?)", (FULL, 1))
        assert sealed.wrong() == [(findings.ERASURES, FULL)]


@pytest.mark.parametrize("position", [-1, 0, 13])
def test_an_erasure_of_nothing(tmp_path: Path, position: int) -> None:
    """Nobody can have decided about an event that is not there."""
    with Sealed(tmp_path) as sealed:
        with sealed.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (?, 1)", (position,))
        assert sealed.wrong() == [(findings.ERASURES, position)]


# Heads


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE heads SET note = 'x' WHERE number = 2", "head 2 is none: no line of a signature"),
        ("UPDATE heads SET size = 9 WHERE number = 2", "head 2 speaks of 8 events, and its row of 9"),
        ("UPDATE heads SET note = replace(note, 'signlog', 'sygnlog') WHERE number = 2",
         "head 2 is not signed with the key that the log names for it"),
        ("DELETE FROM heads WHERE number = 2", "head 2 is missing"),
        ("DELETE FROM heads WHERE number = 1", "head 1 is missing"),
    ],
)  # fmt: skip
def test_a_head_that_was_changed(tmp_path: Path, change: str, said: str) -> None:
    """Each of them is read, though only the newest is compared when the next one is signed."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql(change)
        assert [(one.kind, one.said) for one in sealed.verify().problems] == [(findings.HEADS, said)]


def test_all_heads_that_were_changed(tmp_path: Path) -> None:
    """The first is named, the others counted."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("UPDATE heads SET note = replace(note, char(10) || '8' || char(10), '9')")
            connection.exec_driver_sql("UPDATE heads SET note = 'x' WHERE number <> 2")
        (found,) = sealed.verify().problems
        assert (found.position, found.said, found.more) == (2, "head 1 is none: no line of a signature", 2)


def test_a_head_of_somebody_else(tmp_path: Path) -> None:
    """Signed with a key that this log does not name; or no head at all."""
    (tmp_path / "other").mkdir()
    with Sealed(tmp_path) as sealed, Sealed(tmp_path / "other") as other:
        theirs = Path(other.settings.checkpoint_copy or "").read_text()
        for text, said in ((theirs, "was signed over other events than the first 12"), ("x", "is none: no line of a")):
            Path(sealed.settings.checkpoint_copy or "").write_text(text)
            assert sealed.said(findings.HEADS).startswith(f"the head outside {said}")


# What else there is to say


@pytest.mark.parametrize(("seconds", "said"), [(3, []), (60, ["our clock went back by 60 s"])])
def test_a_clock_that_went_back_is_noted(tmp_path: Path, seconds: int, said: list[str]) -> None:
    """Nothing is wrong with the log; somebody may want to know. A little is not worth a word."""
    with Sealed(tmp_path) as sealed:
        sealed.spool(sealed.events()[-1].recorded_at - seconds * 1_000_000)
        report = sealed.verify()
        assert (report.ok, [one.said for one in report.notes]) == (True, said)


def test_a_page_ends_where_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of pages, in rows or bytes, the same is found."""
    with Sealed(tmp_path) as sealed:
        sealed.change("kind", "'x'", 7)
        found, root = sealed.wrong(), sealed.verify().root
        for rows, size in ((1, 10**9), (5, 10**9), (500, 1), (500, 100)):
            monkeypatch.setattr(scan, "ROWS", rows)
            monkeypatch.setattr(scan, "BYTES", size)
            assert (sealed.wrong(), sealed.verify().root) == (found, root)
            most = max(len(page.rows) for page in scan.pages(sealed.database, 12))
            assert most == (rows if size > 1000 else most)
            assert size > 1 or most == 1
