"""Where a log in a file may lie: nothing on a network, however it is mounted, named or linked."""

from pathlib import Path

import pytest

from listener import errors
from listener.log.mounts import refuse_network

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/export /mnt/nfs nfs4 rw,vers=4.2 0 0
/dev/vdb /mnt/nfs/local xfs rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
me@server: /mnt/a\\011b\\134c\\043d fuse.sshfs rw 0 0
/dev/vdc /srv ext4 rw 0 0
server:/later /srv nfs rw 0 0
server:/earlier /opt nfs rw 0 0
/dev/vdd /opt ext4 rw 0 0
server:/data /var/data nfs rw 0 0
/dev/vde /var ext4 rw 0 0
"""


def mounts(folder: Path) -> Path:
    """A mount table as the kernel writes it."""
    path = folder / "mounts"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfs/data/signlog", "nfs4"),
        ("/mnt/nfs/localised", "nfs4"),
        ("/mnt/my share/data", "cifs"),
        ("/mnt/a\tb\\c#d/data", "fuse.sshfs"),
        ("/srv/data", "nfs"),
        ("/var/data/signlog", "nfs"),
        ("/mnt/nfs/local/../data", "nfs4"),
    ],
)
def test_a_network_file_system_is_refused(tmp_path: Path, folder: str, kind: str) -> None:
    """The mount nearest to the folder counts, the later of two on one place, and names are unescaped."""
    with pytest.raises(errors.ConfigurationError, match=rf"data: .* network file system \({kind}\); choose"):
        refuse_network(Path(folder), mounts(tmp_path))


@pytest.mark.parametrize(
    "folder", ["/", "/mnt", "/mnt/nfs/local", "/mnt/nfs/local/data", "/mnt/nfs2", "/mnt/my", "/opt/data", "/var"]
)
def test_a_local_file_system_is_fine(tmp_path: Path, folder: str) -> None:
    """Also below a network mount, and beside one whose name begins the same."""
    refuse_network(Path(folder), mounts(tmp_path))


def test_a_link_does_not_hide_the_network(tmp_path: Path) -> None:
    """Where the files really are counts."""
    (tmp_path / "data").symlink_to("/mnt/nfs/data")
    with pytest.raises(errors.ConfigurationError, match="network file system"):
        refuse_network(tmp_path / "data", mounts(tmp_path))


def test_no_mount_table_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """Other systems have no /proc."""
    refuse_network(tmp_path, tmp_path / "missing")
