"""The identity of an encoder: a hash over weights, model config, tokenizer and preprocessing; loads no model."""

import hashlib
import json
import math
import mmap
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.encoders.json_file import parse_json, read_json
from search.encoders.preprocess import preprocess_of
from search.errors import ModelDamaged
from search.types import Preprocess

_CHUNK_BYTES = 1 << 24
_KEPT = "fingerprints.json"
_KEPT_BYTES = 16 << 20
MOST_DIM = 1 << 16  # of an embedding
_MOST_SIDES = 32  # of a tensor
_FINGERPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ROOMS = {
    "visual": ("model.onnx", "preprocess_cfg.json"),
    "textual": ("model.onnx", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
}
_LONGEST_HEADER_BYTES = 100_000_000  # as in the safetensors library


def fingerprint_of_export(folder: Path) -> str:
    """What encoder.json says; the hash of the files where there is none, as in published exports."""
    noted = folder / "encoder.json"
    if noted.exists():
        try:
            return _FINGERPRINT.fullmatch(read_json(noted)["fingerprint"])[0]  # type: ignore[index]  # told below
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelDamaged("The model's encoder.json can't be read; export it again.") from error
    digest = hashlib.sha256()
    for path in exported_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def exported_files(folder: Path) -> list[Path]:
    """The files that make an exported folder what it is: those with a name of the layout, and weights beside a graph.

    What else lies there (a file manager's notes, a README) is none; variants for other hardware lie one folder deeper.
    """
    found = [folder / "config.json"]
    for room, names in _ROOMS.items():
        there = sorted(path for path in (folder / room).glob("*") if path.is_file())
        others = [path for path in there if path.name not in names and not path.name.startswith(".")]
        beside = _named_in(folder / room / "model.onnx", others)
        found += [path for path in there if path.name in names or path in beside]
    return [path for path in found if path.is_file()]


def _named_in(graph: Path, files: Sequence[Path]) -> list[Path]:
    """A graph whose weights lie in other files holds their names as they are."""
    if not files:
        return []
    try:
        with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [path for path in files if content.find(os.fsencode(path.name)) >= 0]
    except (OSError, ValueError):  # none is there, or an empty one
        return []


def fingerprint_of_open_clip(folder: Path, *, half: bool = False) -> str:
    """One for every runtime: float tensors count as the float32 numbers they hold (rounded to float16 for `half`)."""
    config = read_open_clip_config(folder)
    digest = hashlib.sha256()
    said = {"model": config["model_cfg"], "preprocess": asdict(open_clip_preprocess(config))}
    digest.update(json.dumps(said, sort_keys=True).encode())
    text_cfg = config["model_cfg"]["text_cfg"]
    # open_clip's own tokenizer is part of open_clip; another lies in the folder, as does a text tower's config
    for name, counts in (("tokenizer.json", "hf_tokenizer_name"), ("config.json", "hf_model_name")):
        if text_cfg.get(counts) and (folder / name).is_file():
            digest.update(_read_bytes(folder / name))
    _hash_safetensors(weights_of(folder), digest, half=half)
    return digest.hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelDamaged(f"The model's {path.name} can't be read ({error.strerror}).") from error


def read_open_clip_config(folder: Path) -> dict[str, Any]:
    """Raises: ModelDamaged."""
    try:
        config = dict(read_json(folder / "open_clip_config.json"))
        towers = (config["model_cfg"]["text_cfg"], config["model_cfg"]["vision_cfg"])
        open_clip_preprocess(config)
        if not 0 < int(config["model_cfg"]["embed_dim"]) <= MOST_DIM or not all(
            isinstance(tower, dict) for tower in towers
        ):
            raise ValueError("not a model_cfg")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ModelDamaged("The model's open_clip_config.json can't be read; fetch it again.") from error
    return config


def open_clip_preprocess(config: dict[str, Any]) -> Preprocess:
    """open_clip takes the size from the image tower, whatever preprocess_cfg says."""
    size = config["model_cfg"]["vision_cfg"].get("image_size", 224)
    return preprocess_of({**(config.get("preprocess_cfg") or {}), "size": size})


def open_clip_files(folder: Path) -> list[Path]:
    """The files that make an open_clip folder what it is. Raises: ModelDamaged where there are no weights."""
    names = ("open_clip_config.json", "tokenizer.json", "config.json")
    named = (*(folder / name for name in names), weights_of(folder))
    return [path for path in named if path.is_file()]


def weights_of(folder: Path) -> Path:
    """The safetensors file; pickled checkpoints are never read. Raises: ModelDamaged."""
    preferred = [folder / name for name in ("open_clip_model.safetensors", "model.safetensors")]
    for path in [*preferred, *sorted(folder.glob("*.safetensors"))]:
        if path.is_file() and not path.name.startswith("."):  # such as the ._ files of a Mac
            return path
    raise ModelDamaged("The model's folder holds no .safetensors file; pickled weights are not read.")


def kept_fingerprint(folder: Path, files: Sequence[Path], compute: Callable[[], str], *, models_dir: Path) -> str:
    """Computes, and remembers by path, size and time in `models_dir`, so that a big model is hashed once."""
    if (there := find_kept_fingerprint(folder, files, models_dir=models_dir)) is not None:
        return there
    found = compute()
    known = _read_kept(models_dir / _KEPT)
    known[str(folder.resolve())] = {"files": _state(files), "fingerprint": found}
    write_kept(models_dir / _KEPT, known)
    return found


def find_kept_fingerprint(folder: Path, files: Sequence[Path], *, models_dir: Path) -> str | None:
    """What was remembered of exactly these files."""
    entry = _read_kept(models_dir / _KEPT).get(str(folder.resolve()))
    if isinstance(entry, dict) and entry.get("files") == _state(files):
        return str(entry["fingerprint"])
    return None


def _state(files: Sequence[Path]) -> list[list[str | int]]:
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in a safetensors file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def read_tensors(path: Path) -> list[Tensor]:
    """By name. Raises: ModelDamaged. Format: https://huggingface.co/docs/safetensors, "Format"."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, _LONGEST_HEADER_BYTES):
                raise ValueError("the header ends behind the file")
            header = dict(parse_json(file.read(length)))
        header.pop("__metadata__", None)
        tensors = [_tensor(name, header[name], 8 + length) for name in sorted(header)]
        if any(tensor.end > size for tensor in tensors):
            raise ValueError("a tensor ends behind the file")
        return tensors
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"The model's {path.name} is damaged; fetch it again.") from error


def _tensor(name: str, entry: dict[str, Any], data: int) -> Tensor:
    first, last = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if (
        not all(isinstance(at, int) for at in (first, last, *shape))
        or not 0 <= first <= last
        or min(shape, default=0) < 0
    ):
        raise ValueError(f"{name} lies nowhere")
    if len(shape) > _MOST_SIDES or max(shape, default=0) > last or math.prod(shape) > 8 * (last - first):
        raise ValueError(f"{name} has more numbers than room")
    return Tensor(name, str(entry["dtype"]), shape, data + first, data + last)


def _hash_safetensors(path: Path, digest: Any, *, half: bool) -> None:
    tensors = read_tensors(path)
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        for tensor in tensors:
            digest.update(json.dumps([tensor.name, tensor.shape]).encode())
            for start in range(tensor.begin, tensor.end, _CHUNK_BYTES):
                raw = data[start : min(tensor.end, start + _CHUNK_BYTES)]
                digest.update(_as_float32(raw, tensor.dtype, half=half))
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"The model's {path.name} is damaged; fetch it again.") from error


def _as_float32(raw: np.ndarray[Any, np.dtype[np.uint8]], dtype: str, *, half: bool) -> Any:
    """The bytes of the float32 numbers that a chunk holds; the bytes themselves for anything but floats."""
    if dtype == "F16":
        return raw.view("<f2").astype("<f4")
    if dtype == "BF16":
        numbers = (raw.view("<u2").astype("<u4") << 16).view("<f4")
    elif dtype == "F32":
        numbers = raw.view("<f4")
    else:
        return raw
    return numbers.astype("<f2").astype("<f4") if half else numbers


def _read_kept(path: Path) -> dict[str, Any]:
    try:
        known = read_json(path, most_bytes=_KEPT_BYTES)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def write_kept(path: Path, known: dict[str, Any]) -> None:
    with suppress(OSError):  # a read-only data folder costs the hash at each start, no more
        write_whole(path, json.dumps(known, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Or not at all, and then nothing is left of it. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        partial = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
