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
    """FastAPI and SQLAlchemy as their tutorials show them: a session and a durable commit for each request."""
    import pysqlite3
    import sqlalchemy
    from fastapi import Body, Depends, FastAPI
    from fastapi import Response as FastAPIResponse
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    engine = sqlalchemy.create_engine(f"sqlite:///{tempfile.mkdtemp(dir='.bench')}/events.db", module=pysqlite3)

    @sqlalchemy.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    class Base(DeclarativeBase):
        pass

    class Event(Base):
        __tablename__ = "events"
        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[dict[str, Any]] = mapped_column(sqlalchemy.JSON)

    Base.metadata.create_all(engine)
    app = FastAPI()

    async def session() -> Any:
        with Session(engine) as found:
            yield found

    @app.post("/callbacks/onespan")
    async def callback(body: dict[str, Any] = Body(), session: Session = Depends(session)) -> FastAPIResponse:  # noqa: B008
        session.add(Event(body=body))
        session.commit()
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
