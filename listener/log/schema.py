"""The tables of the log's database, as the migrations make them (a test compares the two)."""

from typing import Final

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

REVISION: Final = "0002"  # the newest migration; a test compares it with Alembic's head

metadata = MetaData()

log = Table(
    "log",
    metadata,
    Column("first_position", Integer, primary_key=True),
    Column("id", LargeBinary, nullable=False),
    Column("created_at", Integer, nullable=False),
    sqlite_strict=True,
)

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("v", Integer, nullable=False),
    Column("recorded_at", Integer, nullable=False),
    Column("spooled_at", Integer),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("method", Text),
    Column("path", Text),
    Column("peer", Text),
    Column("client", Text),
    Column("headers", Text),
    Column("credential", Text),
    Column("body", LargeBinary),
    Column("salt", LargeBinary),
    Column("content", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    sqlite_strict=True,
)
# What is no callback is asked for by what it is about. Never a unique index:
# REPLACE deletes through it without firing a DELETE trigger.
Index("events_acts", events.c.kind, events.c.path, sqlite_where=text("kind <> 'callback'"))

erasures = Table(
    "erasures",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("decided", Integer, nullable=False),
    sqlite_strict=True,
)

heads = Table(
    "heads",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("signed_at", Integer, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_strict=True,
)
Index("heads_size", heads.c.size, heads.c.number)

live = Table(
    "live",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("generation", Integer, nullable=False),
    sqlite_strict=True,
)

claims = Table(
    "claims",
    metadata,
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("holder", Text),
    Column("leased_until", Integer, nullable=False),
    sqlite_strict=True,
)
