"""An int8 text tower beside the float32 one: made, tried on a collection, kept only where it earns its place.

The image tower stays as it is: dynamic int8 has made convolutions twelve times slower, and what is stored of images
would change. Queries alone are encoded in int8, and never stored; so the encoder's fingerprint stays true, which says
how the collection was embedded.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from search.encoders.onnx_encoder import INT8, OnnxEncoder
from search.encoders.scratch import scratch_in
from search.errors import ModelError
from search.types import Embeddings

OVERLAP = 0.95  # of the first ten hits, on average
GAIN = 1.3  # times faster
_FIRST = 10
_LEAST_IMAGES = 100  # with fewer, ten hits are most of what there is
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured in one run, float32 and int8 in turns."""

    overlap: float
    float32_ms: float
    int8_ms: float
    texts: int
    images: int

    @property
    def gain(self) -> float:
        return self.float32_ms / self.int8_ms

    @property
    def is_kept(self) -> bool:
        return self.overlap >= OVERLAP and self.gain >= GAIN

    def __str__(self) -> str:
        return (
            f"int8 finds {self.overlap:.1%} of the same first {_FIRST} hits ({OVERLAP:.0%} wanted; {self.texts} texts, "
            f"{self.images:,} images) and a text takes {self.int8_ms:.1f} ms instead of {self.float32_ms:.1f}, "
            f"{self.gain:.2f} times as fast ({GAIN:g} wanted)"
        )


def try_int8(
    encoder: OnnxEncoder,
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    now: Callable[[], float] = time.perf_counter,
) -> Trial:
    """Quantises the text tower of the encoder's folder; keeps it, for later loads, where both figures are reached.

    One that was kept before and no longer reaches them is removed.

    Raises: ModelError where it can't be made or tried.
    """
    if len(embeddings) < _LEAST_IMAGES or not texts:
        raise ModelError(f"int8 can be tried on {_LEAST_IMAGES} images and more; there are {len(embeddings)}.")
    whole = encoder.folder / "textual" / "model.onnx"
    try:
        with scratch_in(whole.parent, kind="int8") as scratch:
            made = scratch / INT8.parent.name
            _quantise(whole, made / INT8.name, copies=scratch / "copies")
            towers = encoder.with_text_tower(whole), encoder.with_text_tower(made / INT8.name)
            trial = _tried(*towers, embeddings, list(texts), now)
            remove_int8(encoder.folder)
            if trial.is_kept:
                (made / "trial.json").write_text(json.dumps(asdict(trial), indent=1), encoding="utf-8")
                made.rename(encoder.folder / INT8.parent)
            return trial
    except OSError as error:
        raise _unwritable(error) from error


def remove_int8(folder: Path) -> bool:
    """Back to float32 from the next load on; whether there was one. Raises: ModelError."""
    there, place = (folder / INT8).exists(), (folder / INT8).parent
    try:
        if place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise _unwritable(error) from error
    return there


def _unwritable(error: OSError) -> ModelError:
    return ModelError(f"The model's folder can't be written: {error.strerror or error}.")


def _quantise(path: Path, out: Path, *, copies: Path) -> None:
    """Weights of MatMul alone; the token table is looked up, not multiplied.

    onnx takes weights that lie in a file of their own from no link, and a fetched model is links: so it reads copies.
    """
    try:
        from onnx.checker import ValidationError
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise ModelError(
            "int8 needs the package onnx: install it with `make full`, or in a container use the image's target `full`."
        ) from error
    copies.mkdir()
    out.parent.mkdir()
    for file in path.parent.iterdir():
        if file.is_file():
            shutil.copyfile(file, copies / file.name)
    try:
        quantize_dynamic(
            copies / path.name,
            out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
        )
    except (ValueError, RuntimeError, ValidationError) as error:
        reason = str(error).replace(f"{copies}/", "").splitlines()[0]
        raise ModelError(f"The text tower can't be quantised: {reason}") from error


def _tried(
    float32: OnnxEncoder, int8: OnnxEncoder, embeddings: Embeddings, texts: list[str], now: Callable[[], float]
) -> Trial:
    shared = [
        len(set(ours) & set(theirs)) / _FIRST
        for ours, theirs in zip(
            _first(float32.encode_texts(texts), embeddings), _first(int8.encode_texts(texts), embeddings), strict=True
        )
    ]
    times_ms: dict[str, list[float]] = {"float32": [], "int8": []}
    for text in texts[:20] * _ROUNDS:
        for name, encoder in (("float32", float32), ("int8", int8)):
            started = now()
            encoder.encode_texts([text])
            times_ms[name].append((now() - started) * 1e3)
    return Trial(
        overlap=float(np.mean(shared)),
        float32_ms=float(np.median(times_ms["float32"])),
        int8_ms=float(np.median(times_ms["int8"])),
        texts=len(texts),
        images=len(embeddings),
    )


def _first(queries: Embeddings, embeddings: Embeddings) -> list[list[int]]:
    scores = queries @ embeddings.T  # (texts, images)
    return np.argpartition(-scores, _FIRST - 1, axis=1)[:, :_FIRST].tolist()  # type: ignore[no-any-return]
