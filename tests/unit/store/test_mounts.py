"""No database is written on a network file system, whatever it is called in the list of mounts."""

from pathlib import Path

import pytest

from search.errors import StoreUnavailable
from store.library import LocalLibrary
from store.mounts import network_file_system, refuse_network
from tests.stored import DIM

ROOT = "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw,discard\n"
LOCAL = {
    "a disk": ROOT,
    "Docker's layers": "812 790 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w",
    "Podman's layers": "812 790 0:61 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0,group_id=0,allow_other",
    "an NTFS disk": "40 22 8:17 / /data rw,relatime - fuseblk /dev/sdb1 rw,user_id=0,group_id=0",
    "memory": "40 22 0:33 / /data rw,nosuid,nodev - tmpfs tmpfs rw,size=1048576k",
    "Docker Desktop": "629 601 0:47 /x /data rw,nosuid,nodev,relatime - fakeowner /run/host_mark/Users rw,fakeowner",
    "Docker Desktop, its older share": "124 45 0:100 / /data rw,relatime - fuse.grpcfuse grpcfuse rw",
    "a virtual machine's share": "123 45 0:99 / /data rw,relatime - virtiofs share rw",
    "gVisor": "16 15 0:18 / / rw - 9p none rw,trans=fd,rfdno=3,wfdno=3,aname=/,dfltuid=4294967294,directfs",
    "an encrypted folder": "61 22 0:52 / /data rw,nosuid,nodev - fuse.gocryptfs /home/me/.data rw,user_id=1000",
}
NETWORK = {
    "nfs": "121 61 0:39 / /data rw,relatime shared:69 - nfs 192.168.1.80:/vol rw,vers=3,rsize=131072,local_lock=none",
    "nfs4": "830 812 0:77 / /data rw,relatime - nfs4 127.0.0.1:/ rw,vers=4.1,port=20049,addr=127.0.0.1",  # EFS
    "cifs": "45 36 0:45 / /data rw,relatime shared:9 master:2 - cifs //server/share rw,vers=3.1.1,cache=strict",
    "9p": r"84 51 0:58 / /data rw,noatime - 9p drvfs rw,dirsync,aname=drvfs;path=C:\;symlinkroot=/mnt/,trans=fd",
    "ceph": "107 28 0:96 / /data rw,relatime - ceph 10.1.2.3:6789:/ rw,name=admin,acl",
    "glusterfs": "108 28 0:97 / /data rw,relatime - glusterfs gv0 rw",
    "lustre": "109 28 0:98 / /data rw,relatime - lustre 10.0.0.1@tcp:/fsx rw,flock",
    "fuse": "52 35 0:30 / /data rw,nosuid,nodev,noatime - fuse mountpoint-s3 rw,user_id=0,group_id=0,allow_other",
    "fuse.s3fs": "81 62 0:39 / /data rw,nosuid,nodev,relatime shared:31 - fuse.s3fs s3fs rw,user_id=0,group_id=0",
    "fuse.sshfs": "81 62 0:39 / /data rw,nosuid,nodev,relatime - fuse.sshfs me@host:/home/me rw,user_id=1000",
    "fuse.gcsfuse": "81 62 0:39 / /data rw,nosuid,nodev,relatime - fuse.gcsfuse my-bucket rw,user_id=0",
    "fuse.unheard-of": "81 62 0:39 / /data rw - fuse.unheard-of somewhere rw",
}


@pytest.mark.parametrize("called", LOCAL)
def test_a_disk_of_this_machine_is_no_network(called: str) -> None:
    assert network_file_system(f"{ROOT}{LOCAL[called]}\n", "/data/sightline") is None


@pytest.mark.parametrize("kind", NETWORK)
def test_a_network_file_system_is_known_by_its_type(kind: str) -> None:
    mounts = f"{ROOT}{NETWORK[kind]}\n"
    assert [network_file_system(mounts, folder) for folder in ("/data", "/data/not/yet/there")] == [kind, kind]
    assert [network_file_system(mounts, folder) for folder in ("/", "/database", "/srv/data")] == [None, None, None]


def test_the_innermost_mount_counts_and_of_two_on_one_point_the_last() -> None:
    mounts = (
        f"{ROOT}30 22 0:50 / /srv rw - autofs systemd-1 rw,fd=44,pgrp=1\n"
        "31 30 0:51 / /srv rw - nfs4 server:/ rw,vers=4.2\n32 31 8:17 / /srv/disk rw - xfs /dev/sdb1 rw\n"
    )
    found = {folder: network_file_system(mounts, folder) for folder in ("/srv", "/srv/a", "/srv/disk/a", "/srv/disks")}
    assert found == {"/srv": "nfs4", "/srv/a": "nfs4", "/srv/disk/a": None, "/srv/disks": "nfs4"}


def test_a_mount_point_is_written_with_octal_escapes() -> None:
    mounts = rf"{ROOT}44 22 0:62 / /mnt/my\040photos\134new rw - nfs4 server:/ rw,vers=4.2"
    assert network_file_system(mounts, r"/mnt/my photos\new/data") == "nfs4"
    assert network_file_system(mounts, r"/mnt/my\040photos\134new/data") is None


@pytest.mark.parametrize(
    "text", ["", "\n", "22 1 0:1 / / rw", "22 1 0:1 / / rw -", "22 1 0:1 / /data rw - nfs4", "-" * 9]
)
def test_a_line_that_is_none_is_passed_over(text: str) -> None:
    assert network_file_system(text, "/data") is None


def listed(tmp_path: Path, point: Path) -> Path:
    told = tmp_path / "mountinfo"
    told.write_text(f"{ROOT}44 22 0:62 / {point} rw - nfs4 server:/ rw,vers=4.2\n", encoding="utf-8")
    return told


def test_a_folder_is_refused_by_name_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "share")
    with pytest.raises(StoreUnavailable) as refused:
        refuse_network(tmp_path / "link", mounts=listed(tmp_path, tmp_path / "share"))
    assert str(refused.value) == (
        f"{tmp_path}/link is on nfs4, a network file system, where SQLite's write-ahead log can lose data unnoticed: "
        "use a folder on a disk of this machine; SIGHTLINE_COPY=s3://bucket/prefix keeps a copy of a data folder."
    )


def test_nothing_is_refused_where_no_list_of_mounts_is(tmp_path: Path) -> None:
    refuse_network(tmp_path, mounts=tmp_path / "none")


def test_a_writer_leaves_nothing_in_a_folder_on_a_network(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is on nfs4, a network file system"):
        LocalLibrary(tmp_path / "data", mounts=listed(tmp_path, tmp_path / "data"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", ["collections", "chroma"])
def test_no_part_with_a_database_may_lie_on_a_network(tmp_path: Path, part: str) -> None:
    with pytest.raises(StoreUnavailable, match=f"/data/{part} is on nfs4"):
        LocalLibrary(tmp_path / "data", mounts=listed(tmp_path, tmp_path / "data" / part))


def test_a_reader_is_refused_only_where_collections_are_in_the_folder(tmp_path: Path) -> None:
    """Their log is in memory that only this machine's processes share; a release in such a folder has none."""
    mounts = listed(tmp_path, tmp_path / "data")
    LocalLibrary(tmp_path / "data", write=False, mounts=mounts).close()
    writer = LocalLibrary(tmp_path / "data")
    writer.create("mine", model="fake", fingerprint="fake-1", dim=DIM)
    writer.close()
    with pytest.raises(StoreUnavailable, match="is on nfs4, a network file system"):
        LocalLibrary(tmp_path / "data", write=False, mounts=mounts)
