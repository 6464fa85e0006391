"""Builds the bundled gallery as a collection folder: drawn, compressed, embedded. Its choice is gallery_scenes's.

python -m pocket.gallery
"""

import shutil
import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pocket.gallery_scenes import GALLERY_PX, GalleryScene, describe, gallery, metadata
from pocket.render import render
from search.encoders.load import load_encoder
from search.encoders.preprocess import to_pixels
from search.types import Encoder, Item, Record
from store.collection_folder import build_folder

HERE = Path(__file__).parent
FOLDER = HERE / "gallery"
_ADDED_AT = "2026-11-23T00:00:00+00:00"  # fixed, so that the same scenes and weights make the same bytes
_BATCH = 50


def picture(entry: GalleryScene) -> bytes:
    """Returns the scene as WebP: what ships as both image and thumbnail."""
    file = BytesIO()
    render(entry.scene, GALLERY_PX).save(file, "WEBP", quality=80, method=6)
    return file.getvalue()


def _items(entries: tuple[GalleryScene, ...], encoder: Encoder) -> list[Item]:
    files = [picture(entry) for entry in entries]
    pixels = np.stack([to_pixels(Image.open(BytesIO(data)).convert("RGB"), encoder.preprocess) for data in files])
    embeddings = encoder.encode_images(pixels)
    return [_item(entry, data, row) for entry, data, row in zip(entries, files, embeddings, strict=True)]


def _item(entry: GalleryScene, data: bytes, embedding: np.ndarray) -> Item:
    content_hash = sha256(data).hexdigest()
    record = Record(
        id=entry.id,
        uri=f"gallery/{content_hash[:2]}/{content_hash}.webp",
        content_hash=content_hash,
        size_bytes=len(data),
        width=GALLERY_PX,
        height=GALLERY_PX,
        added_at=_ADDED_AT,
        caption=describe(entry.scene),
        metadata=metadata(entry.scene),
    )
    return Item(record, embedding, data)


def build(folder: Path, encoder: Encoder) -> None:
    with build_folder(
        folder,
        name="gallery",
        model="pocket",
        fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        description="1,000 drawn scenes, made with the bundled model.",
        created_at=_ADDED_AT,
    ) as collection:
        collection.set_source("gallery", Path("thumbs"))
        entries = gallery()
        for n in range(0, len(entries), _BATCH):
            collection.put(_items(entries[n : n + _BATCH], encoder))


def main() -> None:
    encoder = load_encoder("pocket", models_dir=HERE, bundled=HERE / "encoder")
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".gallery-") as scratch:
        folder = Path(scratch) / "gallery"
        build(folder, encoder)
        shutil.rmtree(FOLDER, ignore_errors=True)
        folder.rename(FOLDER)
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    print(f"images={len(gallery())} files={len(files)} bytes={sum(path.stat().st_size for path in files)}")


if __name__ == "__main__":
    main()
