"""The table of models that are offered."""

from search.choices import CHOICES, POCKET, ModelChoice, choices
from search.encoders.names import parse_name


def test_every_name_is_one_of_the_grammar_and_stands_once() -> None:
    assert [parse_name(choice.name).kind for choice in CHOICES] == ["onnx"] * 5 + ["open_clip"]
    assert len({choice.name for choice in CHOICES}) == len(CHOICES)


def test_figures_are_per_cent_and_sizes_follow_from_the_weights() -> None:
    for choice in CHOICES:
        for figure in (choice.recall_en, choice.recall_de, choice.sketch):
            assert figure is None or 10 < figure < 100
    assert CHOICES[0].about_bytes == 605_109_252
    assert POCKET.about_bytes is None


def test_the_servers_own_model_comes_first_and_nothing_twice() -> None:
    assert choices("pocket") == [POCKET, *CHOICES]
    own = ModelChoice("hf-hub:a/b", "hf-hub:a/b", "The model set for this server.")
    assert choices("hf-hub:a/b") == [own, POCKET, *CHOICES]
    assert choices(CHOICES[2].name) == [CHOICES[2], POCKET, *CHOICES[:2], *CHOICES[3:]]
