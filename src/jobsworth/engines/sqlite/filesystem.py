"""Which file system a file is on. SQLite's locks and shared memory cannot be trusted on a network file system."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ...errors import NetworkFileSystem

NETWORK = frozenset(
    "nfs nfs3 nfs4 cifs smb smb2 smb3 smbfs afs afpfs ncpfs webdav davfs davfs2 glusterfs lustre gfs2 beegfs "
    "fuse.sshfs fuse.s3fs fuse.rclone fuse.glusterfs fuse.davfs2 fuse.gcsfuse sshfs".split()
)

_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes spaces, tabs, newlines and backslashes


def refuse_network(path: Path) -> None:
    """Raise NetworkFileSystem (E111) if `path` lies on one."""
    kind = type_of(path)
    if kind in NETWORK:
        raise NetworkFileSystem(
            f"{path} is on a network file system ({kind}); SQLite could lose or double jobs there",
            hint="put the file on a local disk, or use a server engine for several machines",
        )


def type_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The file system's type, such as "ext4"; None where the machine does not tell."""
    mounts = _from_proc(mountinfo) if mountinfo.exists() else _from_mount() if sys.platform == "darwin" else []
    folder = path.resolve()
    best: tuple[int, str] | None = None
    for point, kind in mounts:
        if folder.is_relative_to(point) and (best is None or len(str(point)) >= best[0]):
            best = (len(str(point)), kind)
    return best[1] if best else None


def _from_proc(mountinfo: Path) -> list[tuple[Path, str]]:
    """Lines of proc(5) mountinfo: `36 35 98:0 /root /mount/point opts - type source`; spaces are octal-escaped."""
    found = []
    for line in mountinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 4 and after:
            found.append((Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])), after.split()[0]))
    return found


def _from_mount() -> list[tuple[Path, str]]:
    """Lines of macOS's mount(8): `/dev/disk1s1 on / (apfs, local, journaled)`."""
    try:
        text = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in text.splitlines():
        where, _, options = line.rpartition(" (")
        _, _, point = where.partition(" on ")
        if point:
            found.append((Path(point), options.split(",")[0].rstrip(")").strip()))
    return found
