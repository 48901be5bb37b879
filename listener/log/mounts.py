"""On which kind of file system a folder lies: a log in a file wants a disk of this machine."""

import contextlib
import re
from pathlib import Path
from typing import Final

from listener import errors

_MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs"})


def refuse_network(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise ConfigurationError for one: SQLite's locks and shared memory work on one machine only.

    https://sqlite.org/wal.html
    """
    kind = _file_system(folder.resolve(), mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise errors.ConfigurationError(
            f"data: {folder} is on a network file system ({kind}); choose a folder on a local disk"
        )


def _file_system(folder: Path, mounts: Path) -> str:
    """The type of the file system that holds `folder`, or "" where the system does not tell."""
    best, kind = "", ""
    with contextlib.suppress(OSError), mounts.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            _, mounted_on, found, *_rest = line.split(" ")
            if len(mounted_on) >= len(best) and folder.is_relative_to(_unescaped(mounted_on)):
                best, kind = mounted_on, found
    return kind


def _unescaped(mounted_on: str) -> str:
    """A path of the mount table, where the kernel writes space, tab, newline, # and backslash in octal."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mounted_on)
