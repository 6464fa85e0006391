"""Which file system a folder lies on, by Linux's list of mounts, and where no database may be written."""

import os
import re
from pathlib import Path

from search.errors import StoreUnavailable

MOUNTS = Path("/proc/self/mountinfo")  # proc_pid_mountinfo(5)

# EFS is nfs4; 9p is what WSL shows Windows' drives as. virtiofs and fakeowner, by which Docker Desktop and virtual
# machines share the host's own disk, are not here.
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "afs", "coda")
)
# FUSE is whatever its program makes of it, and most are remote: these keep files on a disk of this machine.
_LOCAL_FUSE = frozenset(
    ("fuse-overlayfs", "grpcfuse", "osxfs", "mergerfs", "shfs", "bindfs", "gocryptfs", "cryfs", "encfs", "securefs")
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_network(folder: Path, *, mounts: Path = MOUNTS) -> None:
    """Nothing is refused where there is no list of mounts, as on macOS. Raises: StoreUnavailable."""
    try:
        text = os.fsdecode(mounts.read_bytes())
    except OSError:
        return
    if found := network_file_system(text, os.path.realpath(folder)):
        raise StoreUnavailable(
            f"{folder} is on {found}, a network file system, where SQLite's write-ahead log can lose data unnoticed: "
            "use a folder on a disk of this machine; SIGHTLINE_COPY=s3://bucket/prefix keeps a copy of a data folder."
        )


def network_file_system(mounts: str, folder: str) -> str | None:
    """Its type, such as nfs4, where the folder, a resolved path that need not be there, lies on one."""
    longest, kind, options = "", "", ""
    for line in mounts.split("\n"):
        fields = line.split(" ")
        if "-" not in fields[6:-3]:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        # Of several on one point the last is seen, as with autofs.
        if len(point) >= len(longest) and f"{folder}/".startswith(f"{point.rstrip('/')}/"):
            at = fields.index("-", 6)
            longest, kind, options = point, fields[at + 1], fields[-1]
    return kind if _is_network(kind, options) else None


def _is_network(kind: str, options: str) -> bool:
    if kind == "9p":
        return "rfdno=" not in options  # gVisor's name for the disk of its own host
    program = kind.removeprefix("fuse.")
    return kind in _NETWORK or kind == "fuse" or (program != kind and program not in _LOCAL_FUSE)
