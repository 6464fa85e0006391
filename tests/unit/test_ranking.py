"""How well a hit fits is said relative to the rest of the collection, and to what ordinary words find in it."""

import numpy as np
import pytest

from search.ranking import LEAST_BACKGROUND, WEAK_BELOW, fits, least_usual

VECTOR = np.array([1, 0], np.float32)


def background(*scores: float) -> np.ndarray:
    return np.array([(score, np.sqrt(1 - score**2)) for score in scores], np.float32)


def test_fit_is_the_share_of_the_background_beaten() -> None:
    assert fits([0.95, 0.25, 0.05], background(0.1, 0.2, 0.3, 0.4), VECTOR) == [1.0, 0.5, 0.0]


def test_without_a_background_everything_fits() -> None:
    assert fits([0.1], background()[:0].reshape(0, 2), VECTOR) == [1.0]


@pytest.mark.parametrize("lowest", [0.3, 0.0])
def test_the_yardstick_lies_between_what_ordinary_words_score_anywhere_and_their_usual_best(lowest: float) -> None:
    words = np.array([(1, 0), (1, 0), (0, 1)], np.float32)
    images = np.array([(lowest, 0)] * (LEAST_BACKGROUND - 1) + [(0.9, 0.3)], np.float32)
    anywhere = (2 * (lowest * (LEAST_BACKGROUND - 1) + 0.9) + 0.3) / (3 * LEAST_BACKGROUND)
    assert least_usual(words, images) == pytest.approx(anywhere + WEAK_BELOW * (0.9 - anywhere))


def test_a_tiny_collection_has_no_yardstick() -> None:
    words = np.array([(1, 0)], np.float32)
    assert least_usual(words, background(*[0.1] * (LEAST_BACKGROUND - 1))) == -1.0
