"""Runs migrations on the connection that the caller brings; signlog does so at start, under the append lock."""

from alembic import context

from listener.log.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("signlog migrates its database at start: run 'signlog serve', or 'signlog check'")

context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
