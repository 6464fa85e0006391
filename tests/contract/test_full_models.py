"""Whole architectures with random weights, exported as on first use: `make test-models`; minutes and gigabytes each."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.random_model import write_random_model
from search.encoders.export import STAGES, export_in_process
from search.encoders.fingerprint import fingerprint_of_export, fingerprint_of_open_clip
from search.encoders.needs import export_needs
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import OpenClipEncoder, import_open_clip
from tests.contract.models import SMALL, Small

pytestmark = [pytest.mark.models, pytest.mark.timeout(3600)]
TEXTS = ["a red boat on the sea", "cat", "two green apples and a dog"]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Lines for the terminal, whatever pytest captures."""
    lines: list[str] = []
    yield lines
    with capsys.disabled():
        print("", *lines, sep="\n")


# XLM-RoBERTa's text tower is made of a config that is not in open_clip
WHOLE = [small for small in SMALL if not small.name.startswith("xlm")]


@pytest.mark.parametrize("small", WHOLE, ids=lambda small: small.name)
def test_a_whole_architecture_is_exported_within_its_needs(small: Small, tmp_path: Path, said: list[str]) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    if small.write_tokenizer is not None:
        small.write_tokenizer(source)
    write_random_model(import_open_clip().get_model_config(small.name), source)
    needs, stages = export_needs(source), list[str]()
    started = time.perf_counter()
    assert export_in_process(source, out, offline=True, progress=stages.append) is None
    took_s = time.perf_counter() - started
    disk_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    memory_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # the largest child so far
    said.append(
        f"{small.name}: {took_s:.0f} s, disk {disk_bytes / 1e6:,.0f} MB of {needs.disk_bytes / 1e6:,.0f} said, "
        f"memory {memory_bytes / 1e6:,.0f} MB of {needs.memory_bytes / 1e6:,.0f} said"
    )
    assert tuple(stages) == STAGES
    assert disk_bytes <= needs.disk_bytes
    fingerprint = fingerprint_of_open_clip(source)
    assert fingerprint_of_export(out) == fingerprint
    torch = OpenClipEncoder(source, name="whole", fingerprint=fingerprint)
    onnx = OnnxEncoder(out, name="whole", fingerprint=fingerprint)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *onnx.preprocess.size, 3), dtype=np.uint8)
    text = float(np.min(np.sum(onnx.encode_texts(TEXTS) * torch.encode_texts(TEXTS), axis=1)))
    image = float(np.min(np.sum(onnx.encode_images(pixels) * torch.encode_images(pixels), axis=1)))
    said.append(f"{small.name}: cosine with torch, text {text:.6f}, image {image:.6f}")
    assert min(text, image) >= 0.9999
