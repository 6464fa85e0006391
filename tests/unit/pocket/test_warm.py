"""The shipped table of tokens goes into the form that training has, and comes out of it as it was."""

import torch

from pocket.model import TEXT_WIDTH, TaughtTable
from pocket.warm import split_table


def test_tokens_with_a_rest_keep_their_vectors_exactly_and_strangers_get_the_teachers() -> None:
    taught = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    taught[0] = 0
    table = TaughtTable(taught, torch.tensor([False, True, True, True, True, False]))
    rows = torch.randn(6, TEXT_WIDTH, generator=torch.Generator().manual_seed(4))
    rows[[0, 5]] = 0  # no token, and a word that was never trained
    split_table(table, rows)
    torch.testing.assert_close(table(torch.arange(1, 5)), rows[1:5])
    torch.testing.assert_close(table(torch.tensor([5])), taught[5:] @ table.view)
    assert float(table(torch.tensor([5])).detach().abs().sum()) > 0
