"""From a model's name to its folder here: what must be downloaded and, once somebody agreed, the download."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.encoders import model_files
from search.encoders.hub import (
    Hub,
    HubFile,
    check_disk,
    fetch,
    forbid_offline,
    host_of,
    look_up,
    missing_bytes,
    read_small,
)
from search.encoders.json_file import CONFIG_BYTES
from search.encoders.model_files import Needed
from search.encoders.names import ModelName
from search.encoders.open_clip_table import look_in_table
from search.encoders.pins import Pin, link, read_pin, write_pin


@dataclass(frozen=True, slots=True)
class Plan:
    """What a name stands for, and how much of it must still come."""

    pin: Pin
    missing_bytes: int


def plan_model(name: ModelName, *, models_dir: Path, hub: Hub) -> Plan:
    """Asks the hub where the name is not pinned yet; downloads configs at most.

    Raises: ModelNotFound, ModelRefused, HubUnreachable, ModelDamaged, ModelError, DiskFull.
    """
    return plan_of(read_pin(name.text, models_dir=models_dir) or _resolve(name, hub), hub=hub)


def plan_of(pin: Pin, *, hub: Hub) -> Plan:
    """Asks nobody."""
    return Plan(pin, sum(missing_bytes(hub, entry.file) for entry in pin.files))


def fetch_model(
    plan: Plan,
    *,
    models_dir: Path,
    hub: Hub,
    stop: threading.Event,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Pins the name, downloads, checks and links. `progress` is told the bytes that are here, and of how many.

    Raises: Cancelled where `stop` is set, and as `plan_model`.
    """
    pin = plan.pin
    write_pin(pin, models_dir=models_dir)
    check_disk(hub, plan.missing_bytes, model=pin.name)
    done = pin.total_bytes - plan.missing_bytes
    progress(done, pin.total_bytes)

    def arrived(count: int) -> None:
        nonlocal done
        done += count
        progress(done, pin.total_bytes)

    paths = {entry: fetch(hub, entry.file, model=pin.name, stop=stop, arrived=arrived) for entry in pin.files}
    link(pin, paths, models_dir=models_dir)


def _resolve(name: ModelName, hub: Hub) -> Pin:
    forbid_offline(hub, name.text)
    if name.kind == "open_clip":
        return _of_table(name, hub)
    listing = look_up(hub, name.repo, name.revision, model=name.text)
    if name.kind == "onnx":
        return _pin(name, hub, [*model_files.of_onnx(listing, model=name.text), *model_files.licences(listing)])
    config = model_files.named(listing, "open_clip_config.json", model=name.text)
    weights = model_files.weights_of_open_clip(listing, model=name.text)
    said = model_files.read_config(read_small(hub, config.file, CONFIG_BYTES, model=name.text), model=name.text)
    beside = _of_text_tower(said, hub, name.text, {name.repo: listing})
    return _pin(name, hub, [weights, config, *beside, *model_files.licences(listing)])


def _of_table(name: ModelName, hub: Hub) -> Pin:
    entry = look_in_table(name)
    listing = look_up(hub, entry.repo, model=name.text)
    weights = model_files.weights_of_open_clip(listing, named=entry.file, model=name.text)
    beside = _of_text_tower(entry.config, hub, name.text, {entry.repo: listing})
    files = [weights, *beside, *model_files.licences(listing)]
    return _pin(name, hub, files, config=entry.config, note=entry.note)


def _of_text_tower(config: dict[str, object], hub: Hub, model: str, listings: dict[str, list[HubFile]]) -> list[Needed]:
    """A Hugging Face tokenizer, and the config of a text tower from there: both may lie in other repositories."""
    found = []
    if repo := model_files.repo_in(config, "hf_tokenizer_name", model=model):
        found += model_files.of_tokenizer(listings.get(repo) or look_up(hub, repo, model=model), model=model)
    if repo := model_files.repo_in(config, "hf_model_name", model=model):
        listing = listings.get(repo) or look_up(hub, repo, model=model)
        tower = model_files.named(listing, "config.json", model=model)
        found.append(Needed(tower.file, "config.json"))
    return found


def _pin(
    name: ModelName, hub: Hub, files: list[Needed], *, config: dict[str, object] | None = None, note: str = ""
) -> Pin:
    commit = files[0].file.commit
    return Pin(name.text, host_of(hub), commit, tuple(files), config=config or {}, note=note)
