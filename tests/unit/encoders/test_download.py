"""A named model becomes a folder here over a real connection, whole and checked or with one sentence."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.encoders.download import Plan, fetch_model, plan_model
from search.encoders.fingerprint import write_whole
from search.encoders.hub import Hub, HubFile, host_of, missing_bytes
from search.encoders.hub_errors import Cancelled
from search.encoders.load import find_model, load_encoder
from search.encoders.names import parse_name
from search.encoders.pins import note_of, pinned_folder, pins, read_pin
from search.errors import (
    DiskFull,
    HubUnreachable,
    ModelDamaged,
    ModelError,
    ModelNotDownloaded,
    ModelNotFound,
    ModelRefused,
)
from search.models import Models
from search.types import Encoder
from tests.hub_server import Asked, HubServer, serving
from tests.unit.encoders.exports import write_export
from ui.licences import licences_of_model

NAME = "onnx:immich-app/small"
REPO = "immich-app/small"
TEXT, IMAGE = "textual/model.onnx", "visual/model.onnx"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", pause_s=0.001)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """As public ones are: 77 ids, files for other hardware, and some that nobody should fetch."""
    folder = write_export(tmp_path / "export", length=77, context_length=77)
    (folder / "textual" / "tokenizer_config.json").write_text("{}")
    (folder / "notes.md").write_text("a model")
    for path in ("visual/rknpu/model.rknn", "textual/fp16/model.onnx", "visual/model.armnn", "visual/run.py", "w.bin"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x" * 5_000)
    return folder


def plan(name: str, hub: Hub, tmp_path: Path) -> Plan:
    return plan_model(parse_name(name), models_dir=tmp_path / "models", hub=hub)


def fetch(name: str, hub: Hub, tmp_path: Path, *, stop: threading.Event | None = None) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    fetch_model(
        plan(name, hub, tmp_path),
        models_dir=tmp_path / "models",
        hub=hub,
        stop=stop or threading.Event(),
        progress=lambda done, total: told.append((done, total)),
    )
    return told


def load(name: str, tmp_path: Path) -> Encoder:
    return load_encoder(name, models_dir=tmp_path / "models", bundled=tmp_path, offline=True, threads=1)


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


def test_a_name_stays_at_its_first_commit(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    first = server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    before = load(NAME, tmp_path).fingerprint
    (export / "config.json").write_text((export / "config.json").read_text() + "\n")
    second = server.add_folder(REPO, export)
    server.asked.clear()
    assert plan(NAME, hub, tmp_path).pin.commit == first
    fetch(NAME, hub, tmp_path)
    assert server.asked == []
    assert load(NAME, tmp_path).fingerprint == before
    fetch(f"{NAME}@{second}", hub, tmp_path)
    assert load(f"{NAME}@{second}", tmp_path).fingerprint != before
    assert [pin.commit for pin in pins(tmp_path / "models")[0]] == [first, second]


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


def test_a_broken_transfer_goes_on_where_it_broke(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    weights = b"\1" * 3_000_000
    (export / "visual" / "model.onnx.data").write_bytes(weights)
    server.add_folder(REPO, export)
    server.breaks = {"visual/model.onnx.data": [1_200_000, 1_500_000]}
    told = fetch(NAME, hub, tmp_path)
    path = f"/{hashlib.sha256(weights).hexdigest()}"
    starts = [int(asked.range.removeprefix("bytes=").rstrip("-") or 0) for asked in server.asked if asked.path == path]
    assert starts[0] == 0
    assert 0 < starts[1] <= 1_200_000
    assert starts[1] < starts[2] <= starts[1] + 1_500_000
    assert len(starts) == 3
    assert told[-1][0] == told[-1][1]
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    assert (folder / "visual" / "model.onnx.data").read_bytes() == weights


def test_a_line_that_breaks_again_and_again_brings_a_model_all_the_same(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    """However little comes each time, it is kept."""
    weights = b"\1" * 2_000_000
    (export / "visual" / "model.onnx.data").write_bytes(weights)
    server.add_folder(REPO, export)
    server.breaks = {"visual/model.onnx.data": [200_000] * 12}
    told = fetch(NAME, hub, tmp_path)
    assert told[-1][0] == told[-1][1]
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    assert (folder / "visual" / "model.onnx.data").read_bytes() == weights


def test_an_answer_that_ends_too_early_and_calls_itself_whole_is_gone_on_with(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    weights = b"\1" * 900_000
    (export / "visual" / "model.onnx.data").write_bytes(weights)
    server.add_folder(REPO, export)
    server.cuts = {"visual/model.onnx.data": [300_000, 200_000]}
    fetch(NAME, hub, tmp_path)
    asked = [asked.range for asked in server.asked if asked.path == f"/{hashlib.sha256(weights).hexdigest()}"]
    assert asked == ["", "bytes=300000-", "bytes=500000-"]
    assert load(NAME, tmp_path).dim == 3


@pytest.mark.parametrize("statuses", [[], [0, 416]])
def test_a_file_that_is_shorter_than_said_is_not_kept(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, statuses: list[int]
) -> None:
    server.add_folder(REPO, export)
    server.served = {"config.json": b"{}"}
    server.statuses = {"config.json": statuses}
    with pytest.raises(ModelDamaged, match="2 bytes, another size than the hub said"):
        fetch(NAME, hub, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_a_server_that_knows_no_ranges_begins_again(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    weights = bytes(range(256)) * 8_000
    (export / "visual" / "model.onnx.data").write_bytes(weights)
    server.add_folder(REPO, export)
    server.ignores_ranges = True
    server.breaks = {"visual/model.onnx.data": [1_100_000]}
    told = fetch(NAME, hub, tmp_path)
    assert told[-1][0] == told[-1][1]
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    assert (folder / "visual" / "model.onnx.data").read_bytes() == weights


def test_a_busy_hub_is_asked_again(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    server.add_folder(REPO, export)
    server.statuses = {"config.json": [503, 429]}
    fetch(NAME, hub, tmp_path)
    assert load(NAME, tmp_path).dim == 3


def test_a_hub_that_stays_broken_is_given_up_in_one_sentence(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    server.statuses = {"config.json": [500] * 20}
    with pytest.raises(HubUnreachable) as refused:
        fetch(NAME, hub, tmp_path)
    where = server.endpoint.removeprefix("http://")
    assert str(refused.value) == (
        f'"{NAME}": "{REPO}" at {where} can\'t be had now (HTTP 500): try again later, or name a folder, or use the '
        "bundled model."
    )
    assert len(server.contents_asked()) == 6


def test_a_stopped_fetch_keeps_what_came(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    weights = b"\2" * 3_000_000
    (export / "visual" / "model.onnx.data").write_bytes(weights)
    server.add_folder(REPO, export)
    server.held = {"visual/model.onnx.data": 1_100_000}
    stop = threading.Event()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            fetch(NAME, hub, tmp_path, stop=stop)
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert server.holding.wait(20)
    stop.set()
    server.release.set()
    thread.join(20)
    assert [type(error) for error in ended] == [Cancelled]
    left = plan(NAME, hub, tmp_path)
    assert 0 < left.missing_bytes < 3_000_000
    server.asked.clear()
    fetch(NAME, hub, tmp_path)
    (asked,) = (asked for asked in server.asked if asked.path == f"/{hashlib.sha256(weights).hexdigest()}")
    assert asked.range == f"bytes={3_000_000 - left.missing_bytes}-"


@pytest.mark.parametrize("large", [True, False])
def test_a_wrong_hash_deletes_the_file_and_says_so(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, large: bool
) -> None:
    if large:
        (export / "visual" / "model.onnx.data").write_bytes(b"\3" * 50_000)
    path = "visual/model.onnx.data" if large else "config.json"
    server.add_folder(REPO, export)
    content = (export / path).read_bytes()
    server.served = {path: content[:-1] + b"\4"}
    with pytest.raises(ModelDamaged) as refused:
        fetch(NAME, hub, tmp_path)
    where = server.endpoint.removeprefix("http://")
    assert str(refused.value) == (
        f'The file {path} of "{NAME}" from {where} has another hash than the hub said; it was deleted: fetch the model '
        "again, and if that does not help, look at what stands between here and there."
    )
    with pytest.raises(ModelNotDownloaded):
        load(NAME, tmp_path)
    server.served = {}
    fetch(NAME, hub, tmp_path)
    assert load(NAME, tmp_path).dim == 3


def test_a_mirror_that_names_another_hash_later_brings_nothing_that_was_not_checked(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    server.etags = {TEXT: "e" * 64}
    fetch(NAME, hub, tmp_path)
    content = hashlib.sha256((export / TEXT).read_bytes()).hexdigest()
    folder = pinned_folder(NAME, models_dir=tmp_path / "models")
    assert (folder / TEXT).resolve().name == content
    assert [asked.method for asked in server.asked if asked.path == f"/{content}"] == ["GET"]


def test_a_hub_that_sends_elsewhere_than_to_a_network_is_not_followed(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    server.moved = {"config.json": "file:///etc/hostname"}
    with pytest.raises(HubUnreachable):
        fetch(NAME, hub, tmp_path)
    assert len(server.contents_asked()) == 1


def test_more_bytes_than_said_are_not_kept(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    server.add_folder(REPO, export)
    server.served = {"config.json": (export / "config.json").read_bytes() + b" " * 5_000_000}
    with pytest.raises(ModelDamaged, match="another size than the hub said"):
        fetch(NAME, hub, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_a_damaged_file_of_the_cache_is_found(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    commit = server.add_folder(REPO, export)
    path = Path(hf_hub_download(REPO, TEXT, revision=commit, endpoint=server.endpoint, cache_dir=tmp_path / "cache"))
    path.resolve().write_bytes(b"?" * path.stat().st_size)
    with pytest.raises(ModelDamaged, match="another hash"):
        fetch(NAME, hub, tmp_path)
    fetch(NAME, hub, tmp_path)
    assert load(NAME, tmp_path).dim == 3


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        (
            "onnx:nobody/nothing",
            ModelNotFound,
            '"onnx:nobody/nothing": "nobody/nothing" at {where} is not there, or is private: check the name, or set '
            "HF_TOKEN to a token that may read it.",
        ),
        (
            f"{NAME}@v2",
            ModelNotFound,
            f'"{NAME}@v2": "{REPO}" at {{where}} has no such revision, or has it no longer: name another as @revision.',
        ),
        (
            "hf-hub:immich-app/small",
            ModelError,
            '"hf-hub:immich-app/small" is no model of open_clip\'s form: its repository has no open_clip_config.json.',
        ),
    ],
)
def test_what_is_not_there_is_said_with_the_place_and_the_remedy(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, name: str, error: type[ModelError], sentence: str
) -> None:
    server.add_folder(REPO, export)
    with pytest.raises(error) as refused:
        plan(name, hub, tmp_path)
    assert str(refused.value) == sentence.format(where=server.endpoint.removeprefix("http://"))


def test_a_gated_model_says_where_to_ask(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    server.add(REPO, {p.relative_to(export).as_posix(): p.read_bytes() for p in export.rglob("*.*")}, is_gated=True)
    with pytest.raises(ModelRefused) as refused:
        fetch(NAME, hub, tmp_path)
    assert str(refused.value) == (
        f'"{NAME}": "{REPO}" at {server.endpoint.removeprefix("http://")} is only for people who accepted its '
        "conditions: accept them on its page, set HF_TOKEN to a token of yours, and fetch it again."
    )


def test_a_token_goes_to_the_hub_and_not_to_where_it_sends_us(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    tokens = {asked.path.startswith(("/api/", f"/{REPO}/")): asked.token for asked in server.asked}
    assert tokens == {True: "Bearer hf_secret", False: ""}


def test_a_full_disk_is_told_with_what_helps(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    commit = server.add_folder(REPO, export)
    (file,) = (entry.file for entry in plan(NAME, hub, tmp_path).pin.files if entry.target == TEXT)
    blobs = tmp_path / "cache" / "models--immich-app--small" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{file.digest}.incomplete").symlink_to("/dev/full")
    with pytest.raises(DiskFull) as refused:
        fetch(NAME, hub, tmp_path)
    assert str(refused.value) == (
        f'The disk of the hub\'s cache is full while "{NAME}" is fetched: free some, then fetch again, which goes on '
        "where it stopped; or set HF_HUB_CACHE to a folder on another disk."
    )
    assert file.commit == commit


def test_while_another_process_fetches_the_file_a_stop_is_heard(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    from filelock import FileLock

    server.add_folder(REPO, export)
    file = plan(NAME, hub, tmp_path).pin.files[0].file
    locks = tmp_path / "cache" / ".locks" / "models--immich-app--small"
    locks.mkdir(parents=True)
    stop = threading.Event()
    stop.set()
    with FileLock(locks / f"{file.digest}.lock"), pytest.raises(Cancelled):
        fetch(NAME, hub, tmp_path, stop=stop)
    assert server.contents_asked() == []


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    with serving() as gone:
        endpoint = gone.endpoint
    with pytest.raises(HubUnreachable) as refused:
        plan(NAME, Hub(endpoint=endpoint, cache_dir=tmp_path / "cache"), tmp_path)
    assert str(refused.value) == (
        f'"{NAME}": "{REPO}" at {endpoint.removeprefix("http://")} can\'t be reached: check the network (a proxy goes '
        "into HTTPS_PROXY, a mirror into HF_ENDPOINT), then fetch again, which goes on where it stopped; or name a "
        "folder, or use the bundled model."
    )


def test_what_answers_and_is_no_hub_is_said_to_be_none(server: HubServer, tmp_path: Path) -> None:
    server.blobs["api"] = ("page", b"<html>Please sign in</html>")
    portal = Hub(endpoint=f"{server.storage}/api?", cache_dir=tmp_path / "cache")
    with pytest.raises(HubUnreachable, match="does not answer as a hub of models does"):
        plan(NAME, portal, tmp_path)


@pytest.mark.parametrize(
    "siblings",
    [
        b'[{"rfilename": ["x"], "size": 1, "blobId": "%s"}]' % (b"b" * 40),
        b"[" * 100_000,
        b'[], "lastModified": 5',
        b"[null]",
    ],
    ids=["a list", "deep", "no date", "no file"],
)
def test_a_listing_of_another_shape_is_one_sentence(
    server: HubServer, hub: Hub, tmp_path: Path, siblings: bytes
) -> None:
    server.infos = {REPO: b'{"id": "a/b", "sha": "%s", "siblings": %s}' % (b"a" * 40, siblings)}
    with pytest.raises(ModelError, match=r"does not answer as a hub of models does|its repository has no config\.json"):
        plan(NAME, hub, tmp_path)


def test_a_password_in_the_hubs_address_is_told_nobody() -> None:
    assert host_of(Hub(endpoint="https://me:secret@models.example:8443/hub")) == "models.example:8443"


def test_a_file_whose_name_is_too_long_for_a_disk_is_missing_and_no_more(hub: Hub) -> None:
    assert missing_bytes(hub, HubFile("a/b", "a" * 40, f"visual/{'a' * 300}.weight", 9, "b" * 40)) == 9


def test_what_is_kept_of_a_model_is_refused_with_its_reason_and_leaves_nothing_behind(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    (tmp_path / "models").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelError) as refused:
        fetch(NAME, hub, tmp_path)
    assert (str(refused.value), refused.value.code) == (
        f'What is kept of "{NAME}" can\'t be written (File exists): make the data folder writable.',
        "model_error",
    )
    (tmp_path / "whole").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "whole", "{}")
    assert list(tmp_path.glob(".*")) == []


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


def spoilt(**changes: object) -> bytes:
    """A note of which one thing is another."""
    file = {"repo": "a/b", "commit": "0" * 40, "path": "x", "size_bytes": 1, "digest": "0" * 64}
    entry = {"file": {**file, **{name: changes[name] for name in changes.keys() & file.keys()}}, "target": "x"}
    if "target" in changes:
        entry["target"] = changes["target"]
    said = {"name": NAME, "where": "hub", "commit": "0" * 40, "files": [entry], "config": {}, "note": ""}
    return json.dumps(said | {name: value for name, value in changes.items() if name in said}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b'{"files": [{}]}',
        b"[" * 100_000,
        b'{"name": "' + b"x" * 5_000_000 + b'"}',
        b"\xff\xfe",
        b'"text"',
        spoilt(size_bytes="1"),
        spoilt(size_bytes=-1),
        spoilt(size_bytes=10**400),
        spoilt(size_bytes=True),
        spoilt(commit=7),
        spoilt(commit="main"),
        spoilt(digest="../../etc"),
        spoilt(repo="../a"),
        spoilt(target="../../settings.json"),
        spoilt(target="/etc/passwd"),
        spoilt(path="../../../x"),
        spoilt(name="other"),
        spoilt(note="\ud800"),
        spoilt(where=None),
        spoilt(config=[]),
        spoilt(files=7),
    ],
    ids=lambda content: content[:12].hex(),
)
def test_a_note_that_cannot_be_read_says_which_and_is_one_bad_row(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, content: bytes
) -> None:
    server.add_folder(REPO, export)
    server.add_folder("owner/other", export)
    fetch(NAME, hub, tmp_path)
    fetch("onnx:owner/other", hub, tmp_path)
    note = note_of(NAME, models_dir=tmp_path / "models")
    note.write_bytes(content)
    with pytest.raises(ModelDamaged, match=f"models/named/{note.name}"):
        load(NAME, tmp_path)
    models = Models(tmp_path / "models", bundled=tmp_path, hub=hub)
    good, bad = models.here()
    assert (good.name, good.state) == ("onnx:owner/other", "ready")
    assert (bad.name, bad.state, bad.note.startswith("The file") or bad.note.startswith("What is kept")) == (
        note.stem,
        "unknown",
        True,
    )
    assert [state.name for state in models.here(beside=[NAME])] == ["onnx:owner/other"]
    assert models.state(NAME).state == "unknown"


def test_a_model_whose_folder_somebody_removed_comes_again_at_its_commit(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    commit = server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    before = load(NAME, tmp_path).fingerprint
    (export / "config.json").write_text((export / "config.json").read_text() + " ")
    assert server.add_folder(REPO, export) != commit
    for folder in (pinned_folder(NAME, models_dir=tmp_path / "models"), tmp_path / "cache"):
        shutil.rmtree(folder)
    fetch(NAME, hub, tmp_path)
    pin = read_pin(NAME, models_dir=tmp_path / "models")
    assert pin is not None
    assert (pin.commit, load(NAME, tmp_path).fingerprint) == (commit, before)


def test_a_hub_that_drips_its_answer_is_given_up(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    server.add_folder(REPO, export)
    impatient = replace(hub, look_up_within_s=0.2)
    server.silent.add("/api/models/" + REPO)
    with pytest.raises(HubUnreachable, match=r"did not answer within 0\.2 seconds"):
        fetch(NAME, impatient, tmp_path)


def test_a_config_that_never_ends_is_given_up(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.add("a/b", {"open_clip_config.json": b"{}" * 100, "open_clip_model.safetensors": b"w" * 2_000})
    server.held = {"open_clip_config.json": 5}
    with pytest.raises(HubUnreachable, match=r"did not answer within 0\.2 seconds"):
        fetch("hf-hub:a/b", replace(hub, look_up_within_s=0.2), tmp_path)


def test_a_listing_without_end_is_no_hubs(server: HubServer, hub: Hub, tmp_path: Path) -> None:
    server.infos["a/b"] = b" " * (65 << 20)
    with pytest.raises(HubUnreachable, match="does not answer as a hub"):
        fetch("onnx:a/b", hub, tmp_path)
