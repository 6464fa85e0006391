"""What a hub and a network may do to a transfer: it comes whole and checked, or with one sentence."""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from search.encoders.hub import Hub, HubFile, host_of, missing_bytes
from search.encoders.hub_errors import Cancelled
from search.encoders.pins import pinned_folder
from search.errors import (
    DiskFull,
    HubUnreachable,
    ModelDamaged,
    ModelError,
    ModelNotDownloaded,
    ModelNotFound,
    ModelRefused,
)
from tests.hub_server import HubServer, serving
from tests.unit.encoders.fetched import NAME, REPO, TEXT, fetch, load, plan


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
    assert server.holding.wait(60)
    stop.set()
    server.release.set()
    thread.join(60)
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
