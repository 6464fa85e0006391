"""What joining the parts refuses before anything is opened."""

from pathlib import Path

import pytest

from app import join
from search.errors import ModelNotFound
from settings import Settings


def test_a_model_setting_that_names_none_is_refused_at_once_by_its_variable(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with pytest.raises(ModelNotFound) as refused:
        join(Settings(data_dir=data_dir, model="/nope"), write=True)
    assert str(refused.value).startswith('SIGHTLINE_MODEL can\'t be used. There is no model "/nope": a name is')
    assert not data_dir.exists()
