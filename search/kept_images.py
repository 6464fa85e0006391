"""The query pictures that people gave lately, by content hash, within a fixed memory; not the collection's images."""

import threading
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptImage:
    hash: str  # sha256 of data, hex
    data: bytes  # as given
    thumbnail: bytes  # WebP
    width: int  # px, upright
    height: int


class KeptImages:
    """Least recently used pictures go first when more than `most_bytes` are held. Thread-safe."""

    def __init__(self, *, most_bytes: int = 256 * 2**20) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._images: OrderedDict[str, KeptImage] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, image: KeptImage) -> None:
        with self._lock:
            if image.hash in self._images:
                self._images.move_to_end(image.hash)
                return
            self._images[image.hash] = image
            self._held_bytes += len(image.data) + len(image.thumbnail)
            while self._held_bytes > self._most_bytes and len(self._images) > 1:
                _, gone = self._images.popitem(last=False)
                self._held_bytes -= len(gone.data) + len(gone.thumbnail)

    def get(self, hash: str) -> KeptImage | None:
        with self._lock:
            image = self._images.get(hash)
            if image is not None:
                self._images.move_to_end(hash)
            return image
