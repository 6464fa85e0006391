"""Query pictures are kept by hash within a fixed memory; the least recently used go first."""

from search.kept_images import KeptImage, KeptImages


def image(hash: str) -> KeptImage:
    return KeptImage(hash=hash, data=b"x" * 60, thumbnail=b"y" * 40, width=1, height=1)


def test_the_least_recently_used_goes_first() -> None:
    kept = KeptImages(most_bytes=200)
    kept.keep(image("a"))
    kept.keep(image("b"))
    assert kept.get("a") == image("a")
    kept.keep(image("c"))
    assert [kept.get(hash) is not None for hash in ("a", "b", "c")] == [True, False, True]


def test_one_larger_than_the_memory_is_kept_until_the_next() -> None:
    kept = KeptImages(most_bytes=50)
    kept.keep(image("a"))
    assert kept.get("a") == image("a")
    kept.keep(image("b"))
    assert kept.get("a") is None


def test_the_same_picture_is_held_once() -> None:
    kept = KeptImages(most_bytes=200)
    for hash in ("a", "b", "b", "b"):
        kept.keep(image(hash))
    assert kept.get("a") == image("a")
