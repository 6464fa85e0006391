"""A small export on a hub, and how its name is planned, fetched and loaded here."""

import threading
from pathlib import Path

from search.encoders.download import Plan, fetch_model, plan_model
from search.encoders.hub import Hub
from search.encoders.load import load_encoder
from search.encoders.names import parse_name
from search.types import Encoder

NAME = "onnx:immich-app/small"
REPO = "immich-app/small"
TEXT, IMAGE = "textual/model.onnx", "visual/model.onnx"


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
