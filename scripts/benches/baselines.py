"""What the door is compared with: `python -m scripts.benches.baselines NAME PORT`."""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def bare() -> Any:
    """A Starlette endpoint that reads the body, stores nothing and answers 200."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        return Response()

    return Starlette(routes=[Route("/callbacks/onespan", endpoint, methods=["POST"])])


def commit_per_request() -> Any:
    """FastAPI and SQLAlchemy as most people would write it: a durable commit for each request."""
    import pysqlite3
    import sqlalchemy
    from fastapi import FastAPI
    from fastapi import Request as FastAPIRequest
    from fastapi import Response as FastAPIResponse

    path = tempfile.mkdtemp() + "/events.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", module=pysqlite3)

    @sqlalchemy.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    metadata = sqlalchemy.MetaData()
    events = sqlalchemy.Table(
        "events",
        metadata,
        sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("headers", sqlalchemy.JSON),
        sqlalchemy.Column("body", sqlalchemy.LargeBinary),
    )
    metadata.create_all(engine)
    app = FastAPI()

    @app.post("/callbacks/onespan")
    async def callback(request: FastAPIRequest) -> FastAPIResponse:
        body = await request.body()
        with engine.begin() as connection:
            connection.execute(events.insert().values(headers=dict(request.headers), body=body))
        return FastAPIResponse()

    return app


BASELINES: dict[str, Callable[[], Any]] = {"bare": bare, "commit_per_request": commit_per_request}

if __name__ == "__main__":
    uvicorn.run(
        BASELINES[sys.argv[1]](),
        port=int(sys.argv[2]),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="warning",
    )
