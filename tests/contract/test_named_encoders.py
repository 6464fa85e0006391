"""A model by its name gives the embeddings and the fingerprint of the same model in a folder."""

import dataclasses
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from bench.random_model import write_random_model
from search.encoders.download import fetch_model, plan_model
from search.encoders.fingerprint import fingerprint_of_open_clip
from search.encoders.hub import Hub
from search.encoders.load import find_model, load_encoder
from search.encoders.names import parse_name
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import OpenClipEncoder, import_open_clip
from search.encoders.open_clip_table import entry_of
from search.errors import ModelError, ModelNotFound
from search.models import Models
from tests.contract.test_encoders import COSINE, TEXTS, cut_vit, least_cosine, pictures
from tests.hub_server import HubServer, serving


@dataclass(frozen=True)
class Made:
    source: Path  # in open_clip's form
    models_dir: Path  # with its export
    exported: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("named")
    source = write_random_model(cut_vit(), root / "source")
    load_encoder(str(source), models_dir=root / "models", bundled=root, offline=True)
    return Made(source, root / "models", root / "models" / fingerprint_of_open_clip(source))


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


def fetch(name: str, server: HubServer, root: Path, models_dir: Path) -> None:
    hub = Hub(endpoint=server.endpoint, cache_dir=root / "cache", pause_s=0.001)
    plan = plan_model(parse_name(name), models_dir=models_dir, hub=hub)
    fetch_model(plan, models_dir=models_dir, hub=hub, stop=threading.Event())


def published(made: Made, out: Path) -> Path:
    """The export as public ones are: of fixed length, its weights beside the graph, without our own note."""
    shutil.copytree(made.exported, out)
    (out / "encoder.json").unlink()
    for tower, given in (("textual", "text"), ("visual", "image")):
        path = out / tower / "model.onnx"
        model = onnx.load(path)
        dims = model.graph.input[0].type.tensor_type.shape.dim
        if given == "text":
            dims[1].ClearField("dim_param")
            dims[1].dim_value = 77
        path.unlink()
        (out / tower / "model.onnx.data").unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=1024)
    return out


def test_an_open_clip_repository_is_the_model_of_its_folder(made: Made, server: HubServer, tmp_path: Path) -> None:
    name = "hf-hub:owner/tiny"
    server.add_folder("owner/tiny", made.source)
    models = Models(made.models_dir, bundled=tmp_path, hub=Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache"))
    fetch(name, server, tmp_path, made.models_dir)
    assert models.state(name).state == "needs_export"  # as far as is known before the weights are hashed
    for thread in threading.enumerate():
        if thread.name == "hash":
            thread.join(60)
    assert models.state(name).state == "ready"
    ours = load_encoder(name, models_dir=made.models_dir, bundled=tmp_path, offline=True)
    assert isinstance(ours, OnnxEncoder)
    assert (ours.name, ours.fingerprint) == (name, fingerprint_of_open_clip(made.source))


def test_before_its_export_a_fetched_model_says_what_the_first_use_takes(
    made: Made, server: HubServer, tmp_path: Path
) -> None:
    server.add_folder("owner/tiny", made.source)
    fetch("hf-hub:owner/tiny", server, tmp_path, tmp_path / "models")
    models = Models(tmp_path / "models", bundled=tmp_path, hub=Hub(cache_dir=tmp_path / "cache"))
    state = models.state("hf-hub:owner/tiny")
    assert (state.state, state.missing_bytes) == ("needs_export", 0)
    assert state.note.startswith("The first use exports it: some minutes, ")


def test_a_published_export_equals_torch_on_the_weights_that_it_was_made_of(
    made: Made, server: HubServer, tmp_path: Path
) -> None:
    server.add_folder("immich-app/tiny", published(made, tmp_path / "export"))
    fetch("onnx:immich-app/tiny", server, tmp_path, tmp_path / "models")
    ours = load_encoder("onnx:immich-app/tiny", models_dir=tmp_path / "models", bundled=tmp_path, offline=True)
    theirs = OpenClipEncoder(made.source, name="tiny", fingerprint="")
    assert isinstance(ours, OnnxEncoder)
    assert least_cosine(ours.encode_texts(TEXTS), theirs.encode_texts(TEXTS)) >= COSINE
    pixels = pictures(ours.preprocess.size, 20)
    assert least_cosine(ours.encode_images(pixels), theirs.encode_images(pixels)) >= COSINE
    by_folder = load_encoder(str(tmp_path / "export"), models_dir=tmp_path / "models", bundled=tmp_path, offline=True)
    assert ours.fingerprint == by_folder.fingerprint


def test_a_name_of_open_clips_table_becomes_the_folder_that_its_factory_describes(
    server: HubServer, tmp_path: Path
) -> None:
    open_clip = import_open_clip()
    save_file({"w": np.zeros(200, np.float32)}, tmp_path / "w.safetensors")
    weights = (tmp_path / "w.safetensors").read_bytes()
    files = {"open_clip_model.safetensors": weights, "open_clip_pytorch_model.bin": b"pickle" * 500}
    server.add("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", files)
    name = "ViT-B-32/laion2b_s34b_b79k"
    fetch(name, server, tmp_path, tmp_path / "models")
    folder, is_exported = find_model(name, bundled=tmp_path, models_dir=tmp_path / "models")
    assert not is_exported
    config = json.loads((folder / "open_clip_config.json").read_text())
    assert config["model_cfg"] == open_clip.get_model_config("ViT-B-32")
    tag = open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k")
    usual = dataclasses.asdict(open_clip.transform.PreprocessCfg())
    expected = open_clip.transform.merge_preprocess_dict(usual, tag) | {"size": 224}
    assert config["preprocess_cfg"] == json.loads(json.dumps(expected))
    assert (folder / "open_clip_model.safetensors").read_bytes() == weights
    assert {asked.path for asked in server.asked if asked.path.endswith(".bin")} == set()


@pytest.mark.parametrize(
    ("architecture", "tag", "sentence"),
    [
        ("ViT-B-33", "openai", 'open_clip knows no architecture "ViT-B-33", and there is no folder "ViT-B-33/openai"'),
        ("ViT-B-32", "opena", 'open_clip has no weights "opena" for "ViT-B-32"; it has openai, laion400m_e31'),
    ],
)
def test_a_name_that_is_not_in_the_table_is_answered_with_what_is(architecture: str, tag: str, sentence: str) -> None:
    with pytest.raises(ModelNotFound) as refused:
        entry_of(architecture, tag)
    assert str(refused.value).startswith(sentence)


def test_without_open_clip_its_names_say_what_to_install_and_what_needs_nothing(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    hub = Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache")
    with pytest.raises(ModelError) as refused:
        plan_model(parse_name("ViT-B-32/openai"), models_dir=tmp_path / "models", hub=hub)
    assert str(refused.value) == (
        '"ViT-B-32/openai" is a name of open_clip\'s, which is not installed: install it with `make full`, or in a '
        "container use the image's target `full`; or name a published export as onnx:owner/name, which needs no torch."
    )


def test_weights_for_another_activation_are_told_with_the_name_that_fits() -> None:
    entry = entry_of("ViT-B-32", "openai")
    assert entry.repo == "timm/vit_base_patch32_clip_224.openai"
    assert entry.note == 'These weights were trained with QuickGELU: "ViT-B-32-quickgelu/openai" finds more.'
    fits = entry_of("ViT-B-32-quickgelu", "openai")
    assert (fits.note, fits.config["model_cfg"]["quick_gelu"]) == ("", True)
