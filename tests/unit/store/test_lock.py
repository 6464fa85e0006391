import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from search.errors import StoreBusy
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


def test_a_lock_given_back_keeps_its_block_for_a_full_disk(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.close()
    assert (tmp_path / "lock").stat().st_size > 40
    assert (tmp_path / "lock").read_text().strip() == ""
