import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from search.errors import StoreBusy, StoreUnavailable
from store.lock import Holder, Lock, read_holder

HOLD = """
import sys
from pathlib import Path
from store.lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.announce("http://127.0.0.1:7860")
print(lock.holder.token, flush=True)
sys.stdin.read()
"""


def test_another_process_reads_who_holds_it_and_is_refused_until_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        assert read_holder(tmp_path) == Holder(process.pid, "http://127.0.0.1:7860", token)
        with pytest.raises(StoreBusy, match=rf"Process {process.pid} at http://127.0.0.1:7860 "):
            Lock(tmp_path)
        process.kill()
        process.wait()
    assert read_holder(tmp_path) is None
    Lock(tmp_path).close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o644)
    lock = Lock(tmp_path)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
    lock.close()


def test_each_holder_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        lock = Lock(tmp_path)
        tokens.append(lock.holder.token)
        assert lock.holder.pid == os.getpid()
        lock.close()
    assert tokens[0] != tokens[1]
    assert min(map(len, tokens)) >= 40


def test_nobody_holds_a_folder_that_nobody_opened(tmp_path: Path) -> None:
    assert read_holder(tmp_path) is None


TAKE_WHERE_NOTHING_CAN_BE_WRITTEN = """
import resource, signal, sys
from pathlib import Path
from search.errors import StoreUnavailable
from store.lock import Lock, read_holder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Lock(Path(sys.argv[1]))
except StoreUnavailable as error:
    print(error, read_holder(Path(sys.argv[1])))
"""


def test_a_lock_that_can_not_be_written_is_one_sentence_and_is_not_held(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE_WHERE_NOTHING_CAN_BE_WRITTEN, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "The lock can't be written: File too large. None\n"


ON_A_DISK_WITHOUT_LOCKS = """
import errno, fcntl, sys
from pathlib import Path
from search.errors import SearchError
from store.lock import Lock, read_holder
from store.release_cache import turn
from ui.users_file import changing

def refuse(file, how):
    raise OSError(errno.ENOLCK, "No locks available")

fcntl.flock = refuse
folder = Path(sys.argv[1])
(folder / "lock").touch()
unpack, change_users = turn(folder), changing(folder / "users.json")
for use in (lambda: Lock(folder), lambda: read_holder(folder), unpack.__enter__, change_users.__enter__):
    try:
        use()
    except SearchError as error:
        print(error)
"""


def test_a_disk_without_locks_is_one_sentence_wherever_one_is_needed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_DISK_WITHOUT_LOCKS, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    data_folder = (
        f"The data folder {tmp_path} can't be locked: No locks available: set SIGHTLINE_DATA_DIR to one on a disk of "
        "this machine."
    )
    assert said.splitlines() == [
        data_folder,
        data_folder,
        f"A release can't be unpacked in {tmp_path}: No locks available: set SIGHTLINE_DATA_DIR to a folder on a disk "
        "of this machine that can be written, or name a release that is a folder already.",
        f"{tmp_path} can't be locked: No locks available: keep the users file on a disk of this machine.",
    ]


def test_a_data_folder_that_cant_be_written_is_named_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreUnavailable) as raised:
        Lock(tmp_path)
    assert str(raised.value) == (
        f"The data folder {tmp_path} can't be written: Is a directory: set SIGHTLINE_DATA_DIR to one that can."
    )


def test_a_lock_given_back_keeps_its_block_for_a_full_disk(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.close()
    assert (tmp_path / "lock").stat().st_size > 40
    assert (tmp_path / "lock").read_text().strip() == ""
