"""What a migration must spell in another way on SQLite and on PostgreSQL: types, and guards."""

from typing import Final

import sqlalchemy as sa
from alembic import op

NUMBER: Final = sa.Integer().with_variant(sa.BigInteger(), "postgresql")  # four bytes there otherwise
WORDS: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # in the order of the letters' numbers

_FUNCTION: Final = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF {when} THEN
        RAISE EXCEPTION 'append-only: {why}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def named(name: str) -> str:
    """A table or function of ours as a guard names it: nobody can put another one of that name before it."""
    if not _on_postgres():
        return name
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(coalesce(current_schema(), 'pg_temp'))").scalar_one()
    return f"{schema}.{name}"


def same(one: str, other: str) -> str:
    """Whether two values are the same, NULL being a value."""
    return f"{one} {'IS NOT DISTINCT FROM' if _on_postgres() else 'IS'} {other}"


def differ(one: str, other: str) -> str:
    """Whether they are not."""
    return f"{one} {'IS DISTINCT FROM' if _on_postgres() else 'IS NOT'} {other}"


def only_grows(name: str, insert: str, why: str) -> None:
    """Refuse every change of a table's rows, and an insert of which `insert` says something about NEW."""
    refuse(name, "insert", insert, why)
    refuse(name, "update", None, why)
    refuse(name, "delete", None, why)
    refuse_truncate(name, why)


def refuse(name: str, act: str, when: str | None, why: str, guard: str = "refuse") -> None:
    """Refuse an act on a row if an expression over OLD and NEW is true, or always."""
    trigger = f"{name}_{guard}_{act}"
    if _on_postgres():
        op.execute(_FUNCTION.format(name=named(trigger), when=when or "true", why=why))
        op.execute(f"CREATE TRIGGER {trigger} BEFORE {act} ON {name} FOR EACH ROW EXECUTE FUNCTION {named(trigger)}()")
    else:
        op.execute(
            f"CREATE TRIGGER {trigger} BEFORE {act.upper()} ON {name} WHEN {when or '1'} "
            f"BEGIN SELECT RAISE(ABORT, 'append-only: {why}'); END"
        )


def refuse_truncate(name: str, why: str) -> None:
    """Refuse to empty a table at once, where that is no DELETE."""
    trigger = f"{name}_refuse_truncate"
    if _on_postgres():
        op.execute(_FUNCTION.format(name=named(trigger), when="true", why=why))
        op.execute(f"CREATE TRIGGER {trigger} BEFORE TRUNCATE ON {name} EXECUTE FUNCTION {named(trigger)}()")


def _on_postgres() -> bool:
    return op.get_context().dialect.name == "postgresql"
