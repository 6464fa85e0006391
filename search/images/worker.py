"""A decoder process: takes images from the socket on its stdin, one at a time, until that closes; limits itself.

Messages are a length, a JSON header, and the header's "blobs" after it: an intruder in this process can answer with
nothing but text and pixels.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from search.encoders.preprocess import to_pixels
from search.errors import BadImage
from search.images.open import MAX_PIXELS, open_image
from search.images.thumbnail import THUMB_PX, thumbnail, to_webp
from search.types import Preprocess

MAX_HEADER_BYTES = 65_536
_OPEN_FILES = 64
_LENGTH = struct.Struct(">I")

Message = tuple[dict[str, Any], list[bytearray]]


def send(link: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    told = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode("ascii")
    link.sendall(_LENGTH.pack(len(told)) + told)
    for blob in blobs:
        link.sendall(blob)


def receive(link: socket.socket, *, most_bytes: int, within_s: float | None = None) -> Message:
    """Raises: EOFError where the other end is gone, TimeoutError, ValueError for what is not a message."""
    until = None if within_s is None else time.monotonic() + within_s
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size, until))
    if length > MAX_HEADER_BYTES:
        raise ValueError("header too long")
    header = json.loads(bytes(_exactly(link, length, until)))
    lengths = header.pop("blobs", None) if isinstance(header, dict) else None
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ValueError("no lengths")
    if sum(lengths) > most_bytes:
        raise ValueError("too much")
    return header, [_exactly(link, n, until) for n in lengths]


def _exactly(link: socket.socket, length: int, until: float | None) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        if until is not None:
            link.settimeout(max(0.001, until - time.monotonic()))
        count = link.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


def _limit(niceness: int, memory_bytes: int) -> None:
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end we see
    with suppress(OSError):  # where memory runs out after all, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_AS: memory_bytes,
    }
    for kind, most in limits.items():
        with suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(kind, (most, most))


def _decode(data: bytes, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    spec = Preprocess(**{**wanted["preprocess"], "size": tuple(wanted["preprocess"]["size"])})
    opened = open_image(data, name=wanted["name"], short_px=2 * max(spec.size), long_px=THUMB_PX)
    header = {"width": opened.width, "height": opened.height, "format": opened.format, "taken_at": opened.taken_at}
    return header, [to_pixels(opened.image, spec).tobytes(), thumbnail(opened.image)]


def _reencode(data: bytes, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    opened = open_image(data, name=wanted["name"], short_px=wanted["px"], long_px=wanted["px"])
    return {}, [to_webp(opened.image, px=wanted["px"], quality=85)]


def _answer(link: socket.socket) -> None:
    wanted, (data,) = receive(link, most_bytes=2**31)
    # The default action ends the process, inside a library as well: a lost parent leaves no hanging worker.
    signal.setitimer(signal.ITIMER_REAL, wanted["deadline_s"] + 1)
    work = _decode if "preprocess" in wanted else _reencode
    try:
        header, blobs = work(bytes(data), wanted)
    except BadImage as error:
        send(link, {"error": error.code, "message": str(error)})
    except MemoryError:
        send(link, {"error": "image_too_large", "message": f"{wanted['name']} needs too much memory: make it smaller."})
    else:
        send(link, header, blobs)
    signal.setitimer(signal.ITIMER_REAL, 0)


def main(niceness: int, memory_bytes: int) -> None:
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    _limit(niceness, memory_bytes)
    thumbnail(Image.new("RGB", (8, 8)))  # loads what the first picture would wait for
    for plugin in ("Jpeg", "Png", "Mpo", "Tiff", "Avif"):
        import_module(f"PIL.{plugin}ImagePlugin")
    with socket.socket(fileno=os.dup(0)) as link, suppress(EOFError, ConnectionError):
        send(link, {})  # ready
        while True:
            _answer(link)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
