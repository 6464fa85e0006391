"""From a model's name to an Encoder, here or behind an endpoint: exports on first use, chooses the runtime."""

import importlib.util
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from search.encoders.fingerprint import (
    exported_files,
    find_kept_fingerprint,
    fingerprint_of_export,
    fingerprint_of_open_clip,
    kept_fingerprint,
    open_clip_files,
    read_open_clip_config,
    read_tensors,
    weights_of,
)
from search.encoders.names import GRAMMAR, ModelName, parse_name
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import OpenClipEncoder, has_gpu
from search.encoders.pins import is_complete, pinned_folder, read_pin
from search.errors import ModelDamaged, ModelError, ModelNotDownloaded, ModelNotFound
from search.types import Encoder

_log = logging.getLogger(__name__)


def load_encoder(
    name: str,
    *,
    models_dir: Path,
    bundled: Path,
    offline: bool = False,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda stage: None,
    warn: Callable[[str], None] = lambda sentence: None,
    export_turn: AbstractContextManager[object] | None = None,
) -> Encoder:
    """Loads any name of the grammar that is here, downloads nothing; an open_clip model's first use takes minutes.

    `progress` is told the stages of that export, `warn` what somebody should know of the model as it is loaded;
    `export_turn` is held while it lasts: two at once would take twice the memory.
    Raises: ModelNotFound, ModelNotDownloaded, ModelDamaged, ModelError where the export needs what is not installed,
    and what RemoteEncoder raises.
    """
    if endpoint := endpoint_of(name):
        from search.encoders.remote import RemoteEncoder

        return RemoteEncoder(name, endpoint)
    folder, is_exported = find_model(name, bundled=bundled, models_dir=models_dir)
    if is_exported:
        return _exported(folder, name, models_dir=models_dir, threads=threads)
    fingerprint = _open_clip_fingerprint(folder, models_dir=models_dir)
    if has_torch() and has_gpu():
        return OpenClipEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)
    out, failure = models_dir / fingerprint, None
    if not (out / "encoder.json").is_file():
        with export_turn or nullcontext():
            failure = _export(folder, out, name, offline=offline, progress=progress)
    if failure is not None:
        _log.warning("torch serves, because the export of model=%s failed: %s", name, failure)
        warn(f"Torch serves this model, slower than an export would, because its export failed: {failure}")
        return OpenClipEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)
    return OnnxEncoder(out, name=name, fingerprint=fingerprint, threads=threads)


def load_exported(name: str, folder: Path, *, fingerprint: str, threads: int | None = None) -> Encoder:
    """An exported folder by itself, under any name. Raises: ModelDamaged where it is not the one expected."""
    if fingerprint_of_export(folder) != fingerprint:
        raise ModelDamaged(f'The model "{name}" is not the one it should be: its fingerprint is another.')
    return OnnxEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)


def find_model(name: str, *, bundled: Path, models_dir: Path) -> tuple[Path, bool]:
    """Its folder, and whether that is an exported encoder (else one in open_clip's form); loads nothing.

    Raises: ModelNotFound, ModelNotDownloaded, ModelDamaged, ModelError for an endpoint, which has none.
    """
    parsed = parse_name(name)
    if parsed.endpoint:
        raise ModelError(f'"{name}" is an endpoint: its files are not on this machine.')
    folder = _downloaded(parsed, models_dir=models_dir) if parsed.is_remote else parsed.folder or bundled
    is_exported = _holds(folder, "textual/model.onnx")
    if is_exported or (parsed.kind != "bundled" and _holds(folder, "open_clip_config.json")):
        if parsed.hides:
            _log.warning('"%s" is a folder here, which is used; open_clip\'s weights of that name are not', name)
        return folder, is_exported
    raise _no_model(parsed, folder)


def endpoint_of(name: str) -> str:
    """ "" where it names none. Raises: ModelNotFound."""
    return parse_name(name).endpoint


def needs_export(folder: Path, *, models_dir: Path) -> bool | None:
    """Whether the first use of an open_clip folder begins with an export; None: only `hash_weights` can tell.

    Reads no weights. Raises: ModelDamaged.
    """
    if has_torch() and has_gpu():
        return False
    read_open_clip_config(folder)
    read_tensors(weights_of(folder))
    fingerprint = find_kept_fingerprint(folder, open_clip_files(folder), models_dir=models_dir)
    if fingerprint is None:
        return None if any(models_dir.glob("*/encoder.json")) else True
    return not (models_dir / fingerprint / "encoder.json").is_file()


def hash_weights(folder: Path, *, models_dir: Path) -> None:
    """Reads an open_clip folder's weights, gigabytes, so that its fingerprint is known. Raises: ModelDamaged."""
    _open_clip_fingerprint(folder, models_dir=models_dir)


def size_in_memory(name: str, *, models_dir: Path, bundled: Path) -> int:
    """About, in bytes, from its files; 0 where it is not here."""
    try:
        folder, is_exported = find_model(name, bundled=bundled, models_dir=models_dir)
        files = exported_files(folder) if is_exported else open_clip_files(folder)
        return sum(path.stat().st_size for path in files) * 5 // 4  # the weights, and what a run takes beside them
    except (ModelError, OSError):
        return 0


def known_fingerprint(name: str, *, models_dir: Path, bundled: Path) -> str | None:
    """As far as it was computed before; reads no weights."""
    try:
        folder, is_exported = find_model(name, bundled=bundled, models_dir=models_dir)
        if is_exported and (folder / "encoder.json").exists():
            return fingerprint_of_export(folder)
        files = exported_files(folder) if is_exported else open_clip_files(folder)
        return find_kept_fingerprint(folder, files, models_dir=models_dir)
    except (ModelError, OSError):
        return None


def _no_model(name: ModelName, folder: Path) -> ModelNotFound:
    if name.kind == "bundled":
        return ModelNotFound("The bundled model is missing from this installation; fetch the repository again.")
    if _holds(folder, "."):
        hidden = " It hides open_clip's weights of that name: move it, or work in another folder." if name.hides else ""
        return ModelNotFound(
            f'"{name.text}" holds no model: an exported folder has textual/model.onnx and visual/model.onnx, '
            f"a folder of open_clip has open_clip_config.json and open_clip_model.safetensors.{hidden}"
        )
    return ModelNotFound(f'There is no model "{name.text}": a name is {GRAMMAR}.')


def _holds(folder: Path, name: str) -> bool:
    try:
        return (folder / name).exists()
    except OSError:  # a name that no folder could have, or one that may not be looked into
        return False


def _downloaded(name: ModelName, *, models_dir: Path) -> Path:
    """Raises: ModelNotDownloaded, ModelDamaged."""
    pin = read_pin(name.text, models_dir=models_dir)
    if pin is not None and is_complete(pin, models_dir=models_dir):
        return pinned_folder(name.text, models_dir=models_dir)
    raise ModelNotDownloaded(
        f'The model "{name.text}" has not been downloaded: `python app.py model fetch {name.text}` says how large '
        "it is, asks, and fetches it; or name a folder, or use the bundled model.",
        name=name.text,
        missing_bytes=pin.total_bytes if pin else None,
    )


def _exported(folder: Path, name: str, *, models_dir: Path, threads: int | None) -> Encoder:
    if (folder / "encoder.json").exists():
        fingerprint = fingerprint_of_export(folder)
    else:
        files = exported_files(folder)
        fingerprint = kept_fingerprint(folder, files, lambda: fingerprint_of_export(folder), models_dir=models_dir)
    return OnnxEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)


def _export(folder: Path, out: Path, name: str, *, offline: bool, progress: Callable[[str], None]) -> str | None:
    """Why there is none, in one sentence. Raises: ModelError where torch is missing."""
    if not has_torch():
        raise ModelError(
            f'"{name}" must be exported once, which needs torch and open_clip: install them with `make full`, or in a '
            "container use the image's target `full`."
        )
    from search.encoders.export import export_in_process

    def tell(stage: str) -> None:
        _log.info("exporting model=%s stage=%r", name, stage)
        progress(stage)

    return export_in_process(folder, out, offline=offline, progress=tell)


def _open_clip_fingerprint(folder: Path, *, models_dir: Path) -> str:
    files = open_clip_files(folder)
    return kept_fingerprint(folder, files, lambda: fingerprint_of_open_clip(folder), models_dir=models_dir)


def has_torch() -> bool:
    """Whether models of open_clip's form can be exported and run here."""
    return all(importlib.util.find_spec(module) for module in ("torch", "open_clip", "safetensors"))
