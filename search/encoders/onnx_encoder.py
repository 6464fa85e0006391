"""Runs an exported encoder folder on ONNX Runtime, without torch; exports nothing and names no fingerprint."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.encoders.batcher import Batcher
from search.encoders.fingerprint import MOST_DIM
from search.encoders.json_file import read_json
from search.encoders.preprocess import normalise, read_preprocess
from search.encoders.tokenizer import Ids, Tokenizer, cut_is_lossless
from search.errors import ModelDamaged
from search.types import Embeddings

# More at once is hardly faster on a CPU, takes more memory (40 MB between 8 and 16 images of ViT-B-32), and holds a
# query up for longer.
_TEXTS_AT_ONCE = 32
_IMAGES_AT_ONCE = 8

# Up to this width a product is done before a second thread has woken, and the waking costs a busy machine most.
_ONE_THREAD_WIDTH = 256

INT8 = Path("textual", "int8", "model.onnx")  # where search/encoders/int8 keeps one that has proved itself


class OnnxEncoder:
    """An encoder in the layout of docs/architecture.md, "Exported encoders". Thread-safe."""

    def __init__(self, folder: Path, *, name: str, fingerprint: str, threads: int | None = None) -> None:
        """Loads both towers. Raises: ModelDamaged."""
        config = read_config(folder)
        text_cfg = config["text_cfg"]
        self.folder, self._text_threads = folder, _text_threads(text_cfg, threads)
        self.name, self.fingerprint = name, fingerprint
        self.preprocess = read_preprocess(folder / "visual" / "preprocess_cfg.json")
        self._tokenizer = Tokenizer(folder / "textual", text_cfg)
        int8 = folder / INT8
        self._text = _Tower(int8 if int8.is_file() else folder / "textual" / "model.onnx", self._text_threads)
        self._image = _Tower(folder / "visual" / "model.onnx", threads)
        length = self._text.shape[1] if len(self._text.shape) == 2 else None
        self._cut = not isinstance(length, int) and cut_is_lossless(text_cfg) and not self._tokenizer.pads_left
        self._length = length if isinstance(length, int) else self._tokenizer.context_length
        self.dim = int(config["embed_dim"])
        self._batcher = Batcher(self._encode_texts, most=_TEXTS_AT_ONCE)

    def with_text_tower(self, path: Path) -> "OnnxEncoder":
        """The same encoder with another network for its texts. Raises: ModelDamaged."""
        other = copy.copy(self)
        other._text = _Tower(path, self._text_threads)
        other._batcher = Batcher(other._encode_texts, most=_TEXTS_AT_ONCE)
        return other

    def ids(self, texts: Sequence[str]) -> Ids:
        """The token ids of the texts at full length, as open_clip's tokenizer gives them."""
        return self._tokenizer.padded(self._tokenizer.ids(texts))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return self._batcher.encode(texts)

    def _encode_texts(self, texts: Sequence[str]) -> Embeddings:
        ids = self._tokenizer.ids(texts)
        rows = np.empty((len(ids), self.dim), dtype=np.float32)
        # texts of like length run together, so that few of them are padded
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        step = self._text.at_once(_TEXTS_AT_ONCE)
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            batch = [ids[index] for index in chosen]
            length = len(batch[-1]) if self._cut else self._length
            rows[chosen] = self._text.run(self._tokenizer.padded(batch, length), self.dim)
        return rows

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        rows = np.empty((len(pixels), self.dim), dtype=np.float32)
        step = self._image.at_once(_IMAGES_AT_ONCE)
        for start in range(0, len(pixels), step):
            batch = normalise(pixels[start : start + step], self.preprocess)
            rows[start : start + len(batch)] = self._image.run(batch, self.dim)
        return rows


def read_config(folder: Path) -> dict[str, Any]:
    """open_clip's model config of an exported folder. Raises: ModelDamaged."""
    try:
        config = read_json(folder / "config.json")
        config = config.get("model_cfg", config)
        if 0 < int(config["embed_dim"]) <= MOST_DIM and isinstance(config["text_cfg"], Mapping):
            return dict(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ModelDamaged(
            "The model's config.json is missing or not open_clip's; export or fetch it again."
        ) from error
    raise ModelDamaged("The model's config.json names no embed_dim; export or fetch it again.")


def _text_threads(text_cfg: Mapping[str, Any], threads: int | None) -> int | None:
    width = text_cfg.get("width")  # a tower of transformers says none here
    return 1 if isinstance(width, int) and width <= _ONE_THREAD_WIDTH else threads


class _Tower:
    """One ONNX session with one input; its first output is the embedding."""

    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or _cores()
        options.inter_op_num_threads = 1
        # threads that spin while they wait take the cores from numpy and the other tower: 20–65 ms a query on two cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # plans a block for each shape of a batch: 70 MB for ViT-B-32, no time won
        options.log_severity_level = 4
        # onnxruntime's errors share no base of their own
        self._errors = (
            state.Fail,
            state.InvalidArgument,
            state.InvalidGraph,
            state.InvalidProtobuf,
            state.NoSuchFile,
            state.NotImplemented,
            state.RuntimeException,
        )
        self._file = f"{path.parent.name}/{path.name}"
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self._errors as error:
            raise ModelDamaged(f"The model's {self._file} is missing or damaged; export or fetch it again.") from error
        given = self._session.get_inputs()[0]
        self._input = given.name
        self.shape: list[int | str | None] = given.shape

    def at_once(self, most: int) -> int:
        """How many rows a run takes: published exports exist whose batch is fixed at one."""
        fixed = self.shape[0] if self.shape else None
        return fixed if isinstance(fixed, int) else most

    def run(self, batch: NDArray[Any], dim: int) -> Embeddings:
        try:
            (rows, *_) = self._session.run(None, {self._input: batch})
        except self._errors as error:
            raise ModelDamaged(f"The model's {self._file} does not run; export or fetch it again.") from error
        rows = np.asarray(rows, dtype=np.float32)
        if rows.shape != (len(batch), dim):
            raise ModelDamaged(f"The model's {self._file} gives {rows.shape}, not {len(batch)} rows of {dim}.")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (n, 1)
        if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
            raise ModelDamaged(f"The model's {self._file} gives embeddings without a finite length; export it again.")
        return np.asarray(rows / norms, dtype=np.float32)


def _cores() -> int:
    """Those that this process may use; only Linux tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
