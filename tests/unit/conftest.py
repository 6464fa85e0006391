"""What several modules of these tests stand on."""

from collections.abc import Iterator

import pytest

from search.images.decoder import Decoder


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(workers=1)
    yield decoder
    decoder.close()
