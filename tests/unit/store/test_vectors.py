import numpy as np
import pytest

from store.vectors import checked, checksum, pack, unpack


def test_what_comes_back_is_normalised_and_within_f16_of_what_was_kept() -> None:
    kept = np.array([[0.6, 0.8, 0.0], [1 / 3, 2 / 3, 2 / 3]], np.float32)
    back = unpack(pack(kept), dim=3)
    assert back.dtype == np.float32
    assert np.abs(np.linalg.norm(back, axis=1) - 1).max() < 1e-6
    assert np.abs(back - kept).max() < 5e-4


def test_nothing_comes_back_of_nothing() -> None:
    assert unpack([], dim=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("embedding", "complaint"),
    [
        ([1.0, 0.0], "shape"),
        ([[1.0, 0.0, 0.0]], "shape"),
        ([2.0, 0.0, 0.0], "not normalised"),
        ([0.0, 0.0, 0.0], "not normalised"),
        ([float("nan"), 0.0, 1.0], "not finite"),
        ([float("inf"), 0.0, 0.0], "not finite"),
        ([1.0021, 0.0, 0.0], "not normalised"),
    ],
)
def test_an_unusable_embedding_is_refused_by_its_id(embedding: list[float], complaint: str) -> None:
    good = np.array([1, 0, 0], np.float32)
    with pytest.raises(ValueError, match=f"'bad'.*{complaint}"):
        checked([good, np.array(embedding, np.float32)], ids=["good", "bad"], dim=3)


def test_a_norm_within_the_tolerance_is_taken() -> None:
    assert checked([np.array([1.0009, 0, 0], np.float32)], ids=["a"], dim=3).shape == (1, 3)


def test_a_checksum_belongs_to_the_bytes_and_to_the_id() -> None:
    assert len({checksum("a", b"12"), checksum("b", b"12"), checksum("a", b"13")}) == 3
