"""Text of any letters in PostgreSQL, which takes every one but U+0000."""

from typing import Any, Final

from psycopg import Connection
from psycopg.adapt import Buffer, Dumper, Loader

# Two letters stand for U+0000 and for the sign itself, so that what was written is what is read. The sign is the letter
# behind U+0000: so the order of what is written is that of the letters.
_SIGN: Final = "\x01"
_WRITTEN: Final = {"\x00": f"{_SIGN}\x01", _SIGN: f"{_SIGN}\x02"}
_TEXT, _VARCHAR = 25, 1043  # https://www.postgresql.org/docs/current/datatype-oid.html; SELECT oid FROM pg_type


class _Dumper(Dumper):
    def dump(self, obj: Any) -> bytes:
        text: str = obj
        if "\x00" in text or _SIGN in text:
            text = text.replace(_SIGN, _WRITTEN[_SIGN]).replace("\x00", _WRITTEN["\x00"])
        return text.encode()


class _Loader(Loader):
    def load(self, data: Buffer) -> str:
        text = str(data, "utf-8")
        if _SIGN in text:
            text = text.replace(_WRITTEN["\x00"], "\x00").replace(_WRITTEN[_SIGN], _SIGN)
        return text


def keep_every_letter(connection: "Connection[Any]") -> None:
    """Let text be read as it was written, on this connection: a stranger's id may hold any letter."""
    connection.adapters.register_dumper(str, _Dumper)
    for oid in (_TEXT, _VARCHAR):
        connection.adapters.register_loader(oid, _Loader)
