"""Which file names may be images; nothing is opened."""

# A file of another kind is no image in the wrong place; one of these that can't be used is listed with its reason.
_READ = "jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff avif heic heif hif"
_REFUSED = "svg psd jp2 jxl ico dng cr2 nef arw"
_SUFFIXES = frozenset(f"{_READ} {_REFUSED}".split())
_SKIPPED_FOLDERS = frozenset(("@eaDir", "__MACOSX", "$RECYCLE.BIN"))  # thumbnails and rubbish of other programs


def looks_like_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in _SUFFIXES


def is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED_FOLDERS
