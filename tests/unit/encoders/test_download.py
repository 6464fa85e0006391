"""A named model becomes a folder here over a real connection: what comes, what is refused, what is kept."""

import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from search.encoders.download import Plan, fetch_model
from search.encoders.hub import Hub
from search.encoders.load import find_model
from search.encoders.pins import pinned_folder, read_pin
from search.errors import (
    DiskFull,
    HubUnreachable,
    ModelDamaged,
    ModelError,
    ModelNotDownloaded,
)
from tests.hub_server import Asked, HubServer
from tests.unit.encoders.fetched import IMAGE, NAME, REPO, TEXT, fetch, load, plan
from ui.licences import licences_of_model


def test_a_plan_says_what_would_come_and_fetches_nothing(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    commit = server.add_folder(REPO, export)
    found = plan(NAME, hub, tmp_path)
    wanted = ["config.json", "visual/preprocess_cfg.json", IMAGE, TEXT, "textual/tokenizer.json"]
    wanted += ["textual/tokenizer_config.json"]
    assert [entry.target for entry in found.pin.files] == wanted
    assert found.missing_bytes == sum((export / path).stat().st_size for path in wanted)
    assert (found.pin.commit, found.pin.where) == (commit, server.endpoint.removeprefix("http://"))
    assert server.asked == [Asked("GET", f"/api/models/{REPO}")]
    assert not (tmp_path / "models").exists()


def test_its_licence_texts_and_its_card_come_with_a_model_unless_they_are_huge(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    for name, text in (("README.md", "---\nlicense: mit\n---\n"), ("LICENSE", "MIT"), ("NOTICE", "x" * (2**20 + 1))):
        (export / name).write_text(text)
    server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENSE",
        "README.md",
        "config.json",
        "textual",
        "visual",
    ]
    assert (folder / "LICENSE").read_text() == "MIT"
    texts, licences = licences_of_model(NAME, models_dir=tmp_path / "models", root=tmp_path)
    assert (sorted(texts), licences) == (["LICENSE", "README.md"], {"model": "mit"})


def test_a_fetched_export_gives_the_embeddings_of_its_folder(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    told = fetch(NAME, hub, tmp_path)
    total = told[0][1]
    assert (told[0], told[-1]) == ((0, total), (total, total))
    ours, theirs = load(NAME, tmp_path), load(str(export), tmp_path)
    assert ours.name == NAME
    np.testing.assert_array_equal(ours.encode_texts(["a red boat"]), theirs.encode_texts(["a red boat"]))
    pixels = np.full((2, 4, 4, 3), 9, dtype=np.uint8)
    np.testing.assert_array_equal(ours.encode_images(pixels), theirs.encode_images(pixels))


def test_only_named_files_come_each_once_and_weights_are_not_copied(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    storage = [asked.path[1:] for asked in server.contents_asked() if "/resolve/" not in asked.path]
    large = [export / TEXT, export / "textual" / "tokenizer.json"]
    assert sorted(storage) == sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in large)
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pin = read_pin(NAME, models_dir=tmp_path / "models")
    assert pin is not None
    assert names == {entry.target for entry in pin.files}
    assert (folder / TEXT).resolve().is_relative_to(tmp_path / "cache")


def test_the_cache_is_the_librarys_own(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    commit = server.add_folder(REPO, export)
    ours = hf_hub_download(REPO, TEXT, revision=commit, endpoint=server.endpoint, cache_dir=tmp_path / "cache")
    server.asked.clear()
    fetch(NAME, hub, tmp_path)
    content = (export / TEXT).read_bytes()
    assert not [a for a in server.contents_asked() if a.path.endswith((TEXT, hashlib.sha256(content).hexdigest()))]
    again = hf_hub_download(REPO, IMAGE, revision=commit, cache_dir=tmp_path / "cache", local_files_only=True)
    assert Path(again).read_bytes() == (export / IMAGE).read_bytes()
    assert Path(ours).read_bytes() == content


def test_a_cleared_cache_is_told_and_the_same_revision_fetched_again(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    first = server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    (tmp_path / "cache").rename(tmp_path / "gone")
    (export / "config.json").write_text("{}")
    server.add_folder(REPO, export)
    with pytest.raises(ModelNotDownloaded, match=f"`python app.py model fetch {NAME}`"):
        find_model(NAME, bundled=tmp_path, models_dir=tmp_path / "models")
    again = plan(NAME, hub, tmp_path)
    assert (again.pin.commit, again.missing_bytes) == (first, again.pin.total_bytes)
    fetch(NAME, hub, tmp_path)
    assert load(NAME, tmp_path).dim == 3


def test_without_a_network_what_is_in_the_cache_is_enough(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    (pinned_folder(NAME, models_dir=tmp_path / "models") / TEXT).unlink()
    offline = Hub(offline=True, endpoint=server.endpoint, cache_dir=tmp_path / "cache")
    server.asked.clear()
    fetch(NAME, offline, tmp_path)
    assert load(NAME, tmp_path).dim == 3
    assert server.asked == []


def test_offline_nothing_is_looked_up(server: HubServer, tmp_path: Path) -> None:
    offline = Hub(offline=True, endpoint=server.endpoint, cache_dir=tmp_path / "cache")
    for name in (NAME, "hf-hub:a/b", "ViT-B-32/openai"):
        with pytest.raises(HubUnreachable) as refused:
            plan(name, offline, tmp_path)
        assert str(refused.value) == (
            f'"{name}" is not here, and SIGHTLINE_OFFLINE forbids looking for it on a network: unset it, or name a '
            "folder, or use the bundled model."
        )
    assert server.asked == []


def test_a_model_whose_file_was_cut_is_not_whole(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    blob = (pinned_folder(NAME, models_dir=tmp_path / "models") / TEXT).resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(ModelNotDownloaded):
        load(NAME, tmp_path)


def test_a_model_larger_than_the_disk_is_refused_before_it_comes(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    found = plan(NAME, hub, tmp_path)
    with pytest.raises(DiskFull, match="set HF_HUB_CACHE to a folder on another disk"):
        fetch_model(
            Plan(found.pin, missing_bytes=10**18), models_dir=tmp_path / "models", hub=hub, stop=threading.Event()
        )
    assert server.contents_asked() == []


def test_a_config_that_is_too_large_is_not_read(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    (export / "config.json").write_bytes(b" " * (2**20 + 1))
    server.add_folder(REPO, export)
    with pytest.raises(ModelDamaged, match=r"config.json of .* has 1.0 MB, and at most 1 MB"):
        plan(NAME, hub, tmp_path)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (b"[]", "can't be read"),
        (b"{", "can't be read"),
        (b"[" * 100_000, "can't be read"),
        (b'{"model_cfg": {"text_cfg": 1, "vision_cfg": {}}}', "describes no two towers"),
        (b'{"model_cfg": {"text_cfg": {"hf_tokenizer_name": "../x"}, "vision_cfg": {}}}', "names a hf_tokenizer_name"),
        (b'{"model_cfg": {"text_cfg": {"hf_tokenizer_name": 3}, "vision_cfg": {}}}', "names a hf_tokenizer_name"),
    ],
)
def test_a_hostile_config_is_refused(server: HubServer, hub: Hub, tmp_path: Path, config: bytes, error: str) -> None:
    server.add("a/b", {"open_clip_config.json": config, "open_clip_model.safetensors": b"w" * 2_000})
    with pytest.raises(ModelDamaged, match=error):
        plan("hf-hub:a/b", hub, tmp_path)


def test_a_pickle_is_never_fetched(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    config = json.dumps({"model_cfg": {"text_cfg": {}, "vision_cfg": {}}}).encode()
    server.add("a/b", {"open_clip_config.json": config, "open_clip_pytorch_model.bin": b"p" * 2_000})
    with pytest.raises(ModelError, match="pickles, which can run any program, are never read"):
        plan("hf-hub:a/b", hub, tmp_path)


def test_a_tokenizer_comes_from_the_repository_that_the_config_names(
    server: HubServer, hub: Hub, tmp_path: Path
) -> None:
    text_cfg = {"hf_tokenizer_name": "words-base", "hf_model_name": "google/tower"}
    config = json.dumps({"model_cfg": {"text_cfg": text_cfg, "vision_cfg": {}}}).encode()
    server.add("a/b", {"open_clip_config.json": config, "open_clip_model.safetensors": b"w" * 2_000})
    server.add("words-base", {"tokenizer.json": b"{}", "tokenizer_config.json": b"{ }", "model.bin": b"x"})
    server.add("google/tower", {"config.json": b'{"model_type": "x"}', "model.safetensors": b"x"})
    fetch("hf-hub:a/b", hub, tmp_path)
    folder, is_exported = find_model("hf-hub:a/b", bundled=tmp_path, models_dir=tmp_path / "models")
    assert not is_exported
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
