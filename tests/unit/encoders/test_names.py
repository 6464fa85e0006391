"""A model's name is read into one value, and what is none is refused with the grammar."""

from pathlib import Path

import pytest

from search.encoders.names import ModelName, parse_name
from search.errors import ModelNotFound

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("pocket", ModelName("pocket", "bundled")),
        (
            "ViT-B-32/laion2b_s34b_b79k",
            ModelName("ViT-B-32/laion2b_s34b_b79k", "open_clip", architecture="ViT-B-32", tag="laion2b_s34b_b79k"),
        ),
        ("hf-hub:laion/CLIP", ModelName("hf-hub:laion/CLIP", "hf-hub", repo="laion/CLIP")),
        (
            f"hf-hub:laion/CLIP@{COMMIT}",
            ModelName(f"hf-hub:laion/CLIP@{COMMIT}", "hf-hub", repo="laion/CLIP", revision=COMMIT),
        ),
        (
            "onnx:immich-app/ViT-B-32__openai@refs/pr/3",
            ModelName(
                "onnx:immich-app/ViT-B-32__openai@refs/pr/3",
                "onnx",
                repo="immich-app/ViT-B-32__openai",
                revision="refs/pr/3",
            ),
        ),
        ("sagemaker:my-endpoint", ModelName("sagemaker:my-endpoint", "sagemaker", endpoint="my-endpoint")),
        ("./a/b", ModelName("./a/b", "folder", folder=Path("a/b"))),
        ("../b", ModelName("../b", "folder", folder=Path("../b"))),
        ("/models/b", ModelName("/models/b", "folder", folder=Path("/models/b"))),
        ("~/b", ModelName("~/b", "folder", folder=Path("~/b").expanduser())),
    ],
)
def test_each_form_of_the_grammar_is_read(text: str, read: ModelName) -> None:
    assert parse_name(text) == read


def test_what_is_there_as_a_folder_is_a_folder_and_says_what_it_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ViT-B-32/openai", "models", "onnx:a"):
        (tmp_path / name).mkdir(parents=True)
    assert parse_name("ViT-B-32/openai") == ModelName(
        "ViT-B-32/openai", "folder", folder=Path("ViT-B-32/openai"), hides=True
    )
    assert parse_name("models").hides is False
    assert parse_name("onnx:a").kind == "folder"
    assert parse_name("ViT-B-16/openai").kind == "open_clip"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "a/b/c",
        "onnx:",
        "onnx:immich-app",
        "onnx:a/b/c",
        "onnx:../../etc",
        "onnx:a/..",
        "onnx:a/b@",
        "onnx:a/b@../../main",
        "onnx:a/b@x/",
        "onnx:a/b@x?y=1",
        "onnx:a/b c",
        "onnx:a/b#c",
        "hf-hub:-a/b",
        "hf-hub:a--b/c",
        "hf-hub:a/b.git",
        "hf-hub:ä/b",
        "hf-hub:a/b\n",
        "hf-hub:a/" + "b" * 600,
        "ViT-B-32/..",
        "ViT-B-32/%2e%2e",
        "https://example.org/a",
        "a\0b",
        "x" * 5000,
        "y" * 400,
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ModelNotFound):
        parse_name(text)


def test_a_refusal_names_the_forms() -> None:
    with pytest.raises(ModelNotFound) as refused:
        parse_name("vit")
    assert str(refused.value) == (
        'There is no model "vit": a name is "pocket" (bundled), a folder (./model), architecture/pretrained '
        "(ViT-B-32/laion2b_s34b_b79k), hf-hub:owner/name, onnx:owner/name (needs no torch), or sagemaker:ENDPOINT."
    )


@pytest.mark.parametrize(
    "text", ["sagemaker:", "sagemaker:-x", "sagemaker:x-", "sagemaker:a b", "sagemaker:" + "x" * 64]
)
def test_what_can_be_no_endpoint_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ModelNotFound, match=r"names no endpoint: the form is sagemaker:ENDPOINT"):
        parse_name(text)
