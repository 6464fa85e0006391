"""From a model's name to an Encoder: reads the grammar, exports on first use, chooses the runtime."""

import importlib.util
import logging
from pathlib import Path

from search.encoders.fingerprint import (
    exported_files,
    fingerprint_of_export,
    fingerprint_of_open_clip,
    kept_fingerprint,
    open_clip_files,
)
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import OpenClipEncoder, has_gpu
from search.errors import ModelError, ModelNotFound
from search.types import Encoder

_log = logging.getLogger(__name__)


def load_encoder(
    name: str, *, models_dir: Path, bundled: Path, offline: bool = False, threads: int | None = None
) -> Encoder:
    """Loads `pocket`, an exported folder or a folder in open_clip's form; the first use of the last one takes minutes.

    Raises: ModelNotFound, ModelDamaged, ModelError where the export needs what is not installed.
    """
    folder, is_exported = find_model(name, bundled=bundled)
    if is_exported:
        return _exported(folder, name, models_dir=models_dir, threads=threads)
    return _open_clip(folder, name, models_dir=models_dir, offline=offline, threads=threads)


def find_model(name: str, *, bundled: Path) -> tuple[Path, bool]:
    """Its folder, and whether that is an exported encoder (else one in open_clip's form); loads nothing.

    Raises: ModelNotFound.
    """
    folder = bundled if name == "pocket" else Path(name)
    if (folder / "textual" / "model.onnx").is_file():
        return folder, True
    if name != "pocket" and (folder / "open_clip_config.json").is_file():
        return folder, False
    if name == "pocket":
        raise ModelNotFound("The bundled model is missing from this installation; fetch the repository again.")
    if name and folder.is_dir():
        raise ModelNotFound(
            f'"{name}" holds no model: an exported folder has textual/model.onnx and visual/model.onnx, '
            "a folder of open_clip has open_clip_config.json and open_clip_model.safetensors."
        )
    raise ModelNotFound(
        f'There is no model "{name}": name "pocket" (bundled) or a folder that holds an exported encoder '
        "or an open_clip model."
    )


def _exported(folder: Path, name: str, *, models_dir: Path, threads: int | None) -> Encoder:
    if (folder / "encoder.json").exists():
        fingerprint = fingerprint_of_export(folder)
    else:
        files = exported_files(folder)
        fingerprint = kept_fingerprint(folder, files, lambda: fingerprint_of_export(folder), models_dir=models_dir)
    return OnnxEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)


def _open_clip(folder: Path, name: str, *, models_dir: Path, offline: bool, threads: int | None) -> Encoder:
    files = open_clip_files(folder)
    fingerprint = kept_fingerprint(folder, files, lambda: fingerprint_of_open_clip(folder), models_dir=models_dir)
    if _has_torch() and has_gpu():
        return OpenClipEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)
    out = models_dir / fingerprint
    if not (out / "encoder.json").is_file():
        if not _has_torch():
            raise ModelError(
                f'"{name}" must be exported once, which needs torch and open_clip: install them with `make full`.'
            )
        from search.encoders.export import export_in_process

        _log.info("exporting model=%s", name)
        failure = export_in_process(folder, out, offline=offline)
        if failure is not None:
            _log.warning("torch serves, because the export of model=%s failed: %s", name, failure)
            return OpenClipEncoder(folder, name=name, fingerprint=fingerprint, threads=threads)
    return OnnxEncoder(out, name=name, fingerprint=fingerprint, threads=threads)


def _has_torch() -> bool:
    return all(importlib.util.find_spec(module) for module in ("torch", "open_clip", "safetensors"))
