"""The tables of the log's database, as the migrations make them (a test compares the two)."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

REVISION: Final = "0004"  # the newest migration; a test compares it with Alembic's head

# PostgreSQL's INTEGER has four bytes, and its text another order than that of the letters' numbers.
_Number: Final = Integer().with_variant(BigInteger(), "postgresql")
_Words: Final = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()

log = Table(
    "log",
    metadata,
    Column("first_position", _Number, primary_key=True, autoincrement=False),
    Column("id", LargeBinary, nullable=False),
    Column("created_at", _Number, nullable=False),
    sqlite_strict=True,
)

events = Table(
    "events",
    metadata,
    Column("position", _Number, primary_key=True, autoincrement=False),
    Column("v", _Number, nullable=False),
    Column("recorded_at", _Number, nullable=False),
    Column("spooled_at", _Number),
    Column("kind", _Words, nullable=False),
    Column("source", _Words, nullable=False),
    Column("provider", _Words, nullable=False),
    Column("method", _Words),
    Column("path", _Words),
    Column("peer", _Words),
    Column("client", _Words),
    Column("headers", _Words),
    Column("credential", _Words),
    Column("body", LargeBinary),
    Column("salt", LargeBinary),
    Column("content", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    sqlite_strict=True,
)
# What is no callback is asked for by what it is about. Never a unique index:
# REPLACE deletes through it without firing a DELETE trigger.
_acts = text("kind <> 'callback'")
Index("events_acts", events.c.kind, events.c.path, sqlite_where=_acts, postgresql_where=_acts)

erasures = Table(
    "erasures",
    metadata,
    Column("position", _Number, primary_key=True, autoincrement=False),
    Column("decided", _Number, nullable=False),
    sqlite_strict=True,
)

heads = Table(
    "heads",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("size", _Number, nullable=False),
    Column("signed_at", _Number, nullable=False),
    Column("note", _Words, nullable=False),
    sqlite_strict=True,
)
Index("heads_size", heads.c.size, heads.c.number)

live = Table(
    "live",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("generation", _Number, nullable=False),
    sqlite_strict=True,
)

claims = Table(
    "claims",
    metadata,
    Column("source", _Words, primary_key=True),
    Column("subject", _Words, primary_key=True),
    Column("name", _Words, primary_key=True),
    Column("fence", _Number, nullable=False),
    Column("holder", _Words),
    Column("leased_until", _Number, nullable=False),
    sqlite_strict=True,
)

# Used where processes on several machines share the log; a file has locks of the kernel's.
leases = Table(
    "leases",
    metadata,
    Column("name", _Words, primary_key=True),
    Column("holder", _Words),
    Column("fence", _Number, nullable=False),
    Column("until", _Number, nullable=False),
    sqlite_strict=True,
)

sealed = Table(
    "sealed",
    metadata,
    Column("position", _Number, primary_key=True, autoincrement=False),
    sqlite_strict=True,
)
