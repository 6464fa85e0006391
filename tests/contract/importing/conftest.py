"""Where parts are made, and where they are taken in."""

from pathlib import Path

import pytest

from settings import Settings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")
