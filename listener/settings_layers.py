"""Where settings come from: the file, the environment above it, and files that hold secrets.

Every value is checked where it was written, so that a message names it as it was written: `door.port` in the file,
`SIGNLOG_DOOR__PORT` in the environment. No message shows a value: it might be a secret in the wrong place.
"""

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from listener import errors

PREFIX: Final = "SIGNLOG_"
FILE: Final = "signlog.toml"
MOST_BYTES: Final = 1024 * 1024  # of a file; a configuration has a few kilobytes
_FROM_FILE: Final = "_file"

Path_ = tuple[str, ...]
Layer = dict[Path_, Any]
_Struct = type[msgspec.Struct]


class Shape(NamedTuple):
    """Which keys there are: at the top, in sections, and in sections of which there may be many, by their name."""

    top: _Struct
    sections: Mapping[str, _Struct]
    named: Mapping[str, _Struct]
    secrets: frozenset[str]

    def struct(self, at: Path_) -> _Struct | None:
        """What a section holds, if there is one at this place."""
        if len(at) == 2:
            return self.named.get(at[0])
        return self.top if not at else self.sections.get(at[0]) if len(at) == 1 else None

    def hint(self, at: Path_) -> Any:
        """The type of a key, None if there is none at this place."""
        struct = self.struct(at[:-1])
        return typing.get_type_hints(struct, include_extras=True).get(at[-1]) if struct else None

    def example(self, at: Path_) -> Path_:
        """A key in a section."""
        inside = at if at[0] not in self.named or len(at) == 2 else (*at, "onespan")
        struct = self.struct(inside)
        return (*inside, struct.__struct_fields__[1] if struct else "")

    def is_section(self, at: Path_) -> bool:
        return self.struct(at) is not None or (len(at) == 1 and at[0] in self.named)
