import os
import select
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.errors import Busy, ImageTooLarge, UnreadableImage, UnsupportedFormat, shown
from search.images.decoder import Decoded, Decoder
from search.types import Preprocess

SPEC = Preprocess(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


RED = encoded(Image.new("RGB", (800, 600), "red"))


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(workers=2, max_bytes=2**20)
    yield decoder
    decoder.close()


def decode(decoder: Decoder, data: bytes, *, deadline_s: float = 120.0, background: bool = False) -> Decoded:
    return decoder.decode(data, preprocess=SPEC, name="cat.png", deadline_s=deadline_s, background=background)


def slow_picture() -> bytes:
    """196 megapixels in 24 kB, a second or two of work."""
    rows = zlib.compress(bytes(14_000 * (14_000 // 8 + 1)))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 14_000, 14_000, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def ended(pid: int) -> bool:
    """Whether it ends within a minute."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(handle, "rb", buffering=0):
        return bool(select.select([handle], [], [], 60.0)[0])


def wait_until_at_work(pid: int) -> None:
    """Until it has computed for 50 ms: an idle worker does not compute at all."""

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = ticks()
    while ticks() < before + 5:
        os.sched_yield()


def test_a_picture_comes_back_as_pixels_and_thumbnail(decoder: Decoder) -> None:
    decoded = decode(decoder, RED)
    assert (decoded.width, decoded.height, decoded.format, decoded.taken_at) == (800, 600, "png", None)
    assert decoded.pixels.shape == (8, 8, 3)
    assert np.array_equal(decoded.pixels, np.broadcast_to(np.array([255, 0, 0], np.uint8), (8, 8, 3)))
    thumbnail = Image.open(BytesIO(decoded.thumbnail))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (384, 288))


def test_a_thumbnail_holds_nothing_but_pixels(decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    data = encoded(Image.new("RGB", (600, 400), "red"), "JPEG", exif=exif, icc_profile=b"profile", comment=b"secret")
    for made in (decode(decoder, data).thumbnail, decoder.reencode(data, px=500)):
        assert set(Image.open(BytesIO(made)).info) <= {"loop", "background", "timestamp", "duration"}


def test_reencoding_keeps_to_the_size_asked_for(decoder: Decoder) -> None:
    assert Image.open(BytesIO(decoder.reencode(RED, px=400))).size == (400, 300)
    assert Image.open(BytesIO(decoder.reencode(RED, px=4000))).size == (800, 600)


def test_errors_cross_the_border_with_type_and_sentence(decoder: Decoder) -> None:
    with pytest.raises(UnsupportedFormat, match=r"^cat\.png is a PDF, which can't be searched"):
        decode(decoder, b"%PDF-1.7")
    with pytest.raises(UnreadableImage, match=r"^cat\.png is empty"):
        decode(decoder, b"")
    with pytest.raises(ImageTooLarge, match=r"^cat\.png is a strip of 60,000 × 1 pixels"):
        decode(decoder, encoded(Image.new("RGB", (60_000, 1))))


def test_too_many_bytes_are_refused_before_a_process_starts(decoder: Decoder) -> None:
    with pytest.raises(ImageTooLarge) as caught:
        decode(decoder, bytes(2**21))
    assert str(caught.value) == "cat.png has 2 MB; the limit is 1 MB (SIGHTLINE_MAX_IMAGE_MB): make it smaller."
    assert decoder.pids == []


def test_a_picture_that_needs_too_much_memory_is_refused() -> None:
    with closing(Decoder(workers=1, memory_bytes=600 * 2**20)) as decoder:
        with pytest.raises(ImageTooLarge, match=r"^cat\.png needs more memory than a decoder may use"):
            decode(decoder, slow_picture())
        assert decode(decoder, RED).width == 800


def test_a_worker_that_is_killed_is_replaced_and_its_file_reported(decoder: Decoder) -> None:
    decode(decoder, RED, background=True)
    (victim,) = decoder.pids
    with ThreadPoolExecutor(2) as threads:
        doomed = threads.submit(decode, decoder, slow_picture(), background=True)
        wait_until_at_work(victim)
        neighbour = threads.submit(decode, decoder, RED, background=True)
        os.kill(victim, signal.SIGKILL)
        assert neighbour.result().width == 800
        with pytest.raises(UnreadableImage, match=r"^cat\.png could not be read: the decoder stopped on it\."):
            doomed.result()
    assert decode(decoder, RED, background=True).width == 800
    assert victim not in decoder.pids
    assert decoder.restarts == 1


def test_a_worker_that_hangs_is_replaced_and_its_file_reported(decoder: Decoder) -> None:
    decoder.start()
    (victim,) = decoder.pids
    os.kill(victim, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        neighbour = threads.submit(decode, decoder, RED, background=True)
        with pytest.raises(UnreadableImage) as caught:
            decode(decoder, RED, deadline_s=0.2)
        assert str(caught.value) == "cat.png took longer to read than the 0.2 s it may: save it smaller or again."
        assert neighbour.result().width == 800
    assert ended(victim)
    assert decode(decoder, RED).width == 800
    assert decoder.restarts == 1


def test_a_worker_that_died_idle_costs_no_picture(decoder: Decoder) -> None:
    decoder.start()
    (victim,) = decoder.pids
    os.kill(victim, signal.SIGKILL)
    assert ended(victim)
    assert decode(decoder, RED).width == 800


def test_queries_do_not_wait_for_a_folder(decoder: Decoder) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: decode(decoder, RED, background=True), range(8)))
        stopped = decoder.pids
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        queued = [threads.submit(decode, decoder, RED, background=True) for _ in range(6)]
        assert decode(decoder, RED).width == 800
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        assert [each.result().width for each in queued] == [800] * 6


def test_who_waits_too_long_for_a_worker_is_told_so() -> None:
    with closing(Decoder(workers=1)) as decoder, ThreadPoolExecutor(1) as threads:
        decoder.start()
        (pid,) = decoder.pids
        first = threads.submit(decode, decoder, slow_picture())
        wait_until_at_work(pid)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Busy, match="Too many pictures are being read at once"):
            decode(decoder, RED, deadline_s=0.2)
        os.kill(pid, signal.SIGKILL)
        assert type(first.exception()) is UnreadableImage


def test_many_callers_share_few_workers(decoder: Decoder) -> None:
    shades = [encoded(Image.new("RGB", (9, 9), (shade, 0, 0))) for shade in range(0, 200, 5)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda data: int(decode(decoder, data).pixels[0, 0, 0]), shades))
    assert found == list(range(0, 200, 5))
    assert len(decoder.pids) == 2


def test_workers_end_with_the_process_that_started_them_however_it_ends() -> None:
    script = "\n".join(
        [
            "import sys; from search.images.decoder import Decoder",
            "decoder = Decoder(workers=1); decoder.start(); print(*decoder.pids, flush=True); sys.stdin.read()",
        ]
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert ended(pid)


def test_closing_ends_the_workers(decoder: Decoder) -> None:
    decoder.start()
    pids = decoder.pids
    decoder.close()
    assert len(pids) == 1
    assert all(ended(pid) for pid in pids)
    with pytest.raises(Busy):
        decode(decoder, RED)


def test_a_worker_inherits_no_secrets(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    decoder.start()
    environment = Path(f"/proc/{decoder.pids[0]}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment
    assert b"secret" not in environment


def test_a_hostile_name_is_shown_in_one_short_line() -> None:
    assert shown("../../etc/pass\nwd\x1b[31m\udcff.png") == "pass\ufffdwd\ufffd[31m\ufffd.png"
    assert shown("C:\\photos\\cat.jpg") == "cat.jpg"
    assert shown("a" * 300) == "a" * 60 + "…" + "a" * 19
    assert shown("") == "The file"
