"""Words reach the text tower by the teacher's way only where they may, and ship without loss."""

import numpy as np
import pytest
import torch

from pocket.ship import in_steps
from pocket.teacher import Teacher, lesson_words, taught_table
from pocket.tokens import UNKNOWN, encode, encode_words, full_ids, spellings, tokens_of, trained_ids
from pocket.words import load_vocabulary

HELD_OUT = sorted(word for words in load_vocabulary().held_out.values() for word in words)


def test_no_lesson_is_a_held_out_word_or_made_of_one() -> None:
    assert lesson_words(["pooch", "pooches", "falconry", "falcon", "hound", "hut", "it"]) == ["hound", "hut"]
    assert lesson_words(HELD_OUT) == []


def test_any_word_is_spelled_in_tokens_that_the_table_knows_or_as_unknown() -> None:
    ids = full_ids()
    (row,) = encode_words(["hound"])
    assert [int(ids[n]) for n in row] == [49_406, *tokens_of("hound"), 49_407]
    assert UNKNOWN in encode_words(["🐈"])[0]


def test_captions_and_words_are_spelled_alike() -> None:
    assert encode(["dog"]).tolist() == encode_words(["dog"]).tolist()


def test_a_held_out_word_has_the_teachers_vector_and_nothing_of_its_own() -> None:
    ids = full_ids()
    teacher = Teacher(np.random.default_rng(0).normal(size=(len(ids), 384)).astype(np.float32), (), np.empty((0, 0)))
    table = taught_table(teacher)
    single = [tokens[0] for word in HELD_OUT if len(tokens := tokens_of(word)) == 1 and tokens[0] in spellings()]
    rows = torch.from_numpy(np.searchsorted(ids, [token for token in single if token not in trained_ids()]))
    assert len(rows) > 100
    torch.testing.assert_close(table(rows), table.taught[rows] @ table.view)


@pytest.mark.parametrize("scale", [1e-4, 0.02, 0.4, 3.0])
def test_shipped_rows_are_whole_steps_and_hardly_changed(scale: float) -> None:
    rows = torch.randn(50, 128, generator=torch.Generator().manual_seed(0)) * scale
    kept = in_steps(rows)
    step = torch.exp2(torch.ceil(torch.log2(kept.abs().amax(-1, keepdim=True).clamp(min=2.0**-8) / 127)))
    assert torch.equal(kept / step, torch.round(kept / step))
    assert float((kept / step).abs().max()) <= 127
    assert float((kept - rows).abs().max()) <= max(2.0**-15, float(rows.abs().max()) / 127)
    assert torch.equal(kept.half().float(), kept)
