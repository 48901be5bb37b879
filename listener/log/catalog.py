"""What a database says that it holds: every table, index and trigger, in the words of the database."""

from typing import Final

from sqlalchemy import Connection

from listener.log.database import is_postgres

Made = dict[tuple[str, str], str]  # by kind and name

_SQLITE: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)
# A trigger with the function that it calls and whether it is on; a table with its columns, its key, and what makes rows
# of it vanish: no write-ahead log, rows that some may not see, rules.
_POSTGRES: Final = """
WITH ours AS (
    SELECT oid, relname, relpersistence, relrowsecurity FROM pg_class
    WHERE relnamespace = to_regnamespace(current_schema()::text) AND relkind IN ('r', 'p')
), columns AS (
    SELECT attrelid AS oid, string_agg(
        concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
            CASE WHEN attcollation <> 0 THEN (SELECT collname FROM pg_collation WHERE oid = attcollation) END,
            CASE WHEN attnotnull THEN 'NOT NULL' END,
            (SELECT 'DEFAULT ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef
                WHERE adrelid = attrelid AND adnum = attnum)
        ), ', ' ORDER BY attnum) AS said
    FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped GROUP BY attrelid
), keys AS (
    SELECT conrelid AS oid, string_agg(pg_get_constraintdef(oid, true), ', ' ORDER BY conname) AS said
    FROM pg_constraint WHERE contype <> 'n' GROUP BY conrelid
)
SELECT 'table', relname, concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
    CASE WHEN relrowsecurity THEN 'ROW SECURITY' END, columns.said, keys.said)
FROM ours LEFT JOIN columns USING (oid) LEFT JOIN keys USING (oid)
UNION ALL
SELECT 'index', pg_class.relname, pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
FROM pg_index JOIN ours ON ours.oid = indrelid JOIN pg_class ON pg_class.oid = indexrelid
UNION ALL
SELECT 'trigger', tgname, concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), 'ENABLED', tgenabled,
    pg_get_functiondef(tgfoid))
FROM pg_trigger JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'rule', rulename, pg_get_ruledef(pg_rewrite.oid) FROM pg_rewrite JOIN ours ON ours.oid = ev_class
"""


def made(connection: Connection) -> Made:
    """The SQL of each table, index and trigger that there is; views or rules count, too."""
    if not is_postgres(connection):
        return {(kind, name): sql for kind, name, sql in connection.exec_driver_sql(_SQLITE)}
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    found = connection.exec_driver_sql(_POSTGRES)
    return {(kind, name): _anywhere(sql, schema) for kind, name, sql in found}


def _anywhere(sql: str, schema: str) -> str:
    """The same, in whatever schema it lies: temporary tables, too, are tables of a schema."""
    return sql.replace(f"{schema}.", "").replace("pg_temp.", "")
