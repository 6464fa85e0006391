"""Runs an open_clip model on torch: where there is a GPU, and where an export failed. The one door to open_clip."""

import copy
import functools
import importlib.util
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.encoders.device import Device, Numbers, choose_device, find_gpu, in_parts, moved
from search.encoders.fingerprint import open_clip_preprocess, read_open_clip_config, weights_of
from search.encoders.tokenizer import Tokenizer, foreign_options
from search.errors import ModelDamaged, ModelError
from search.types import Embeddings, Preprocess

_log = logging.getLogger(__name__)

_WORDS_KEPT = 100_000
_COSINE = 0.999  # between an embedding in half the bits and the one in float32
_TRIAL = ("a red boat on the sea", "cat", "two green apples and a very small elephant at night")
_TRANSFORMERS = "transformers==5.23.0"  # as in requirements-dev.txt


def import_open_clip() -> ModuleType:
    """Imports open_clip beside any build of torchvision."""
    _torchvision_operators()
    import open_clip

    return open_clip  # type: ignore[no-any-return]


@functools.cache  # torch drops the operators when the object goes
def _torchvision_operators() -> Any:
    """Declares the two operators that torchvision looks for, where it was built for another torch.

    open_clip needs torchvision's transforms only, but `import torchvision` fails with "operator torchvision::nms does
    not exist" where its compiled part can't be loaded, as with a CUDA build beside torch for the CPU.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    folders = (spec and spec.submodule_search_locations) or ()
    loader: Any = torch.ops
    try:
        for path in (path for folder in folders for path in Path(folder).glob("_C.*so")):
            loader.load_library(str(path))
        return None
    except OSError:
        library: Any = torch.library
        declared = library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return declared


def has_gpu() -> bool:
    return find_gpu() is not None


class OpenClipEncoder:
    """An open_clip folder on torch: on the GPU where there is one. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        fingerprint: str,
        threads: int | None = None,
        device: Device | None = None,
    ) -> None:
        """Raises: ModelDamaged; ModelError for a package or memory that it lacks."""
        config = read_open_clip_config(folder)
        model = load_open_clip(folder)
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        self._tokenize = _tokenizer(folder, config["model_cfg"]["text_cfg"], name)
        self.name, self.fingerprint = name, fingerprint
        self.preprocess = open_clip_preprocess(config)
        self.dim = int(config["model_cfg"]["embed_dim"])
        self._model, self._device = _placed(
            model, device or choose_device(find_gpu()), self.preprocess, self._tokenize(_TRIAL), folder
        )

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        rows, fitted = _texts(self._model, self._tokenize(texts), self._device)
        self._keep(fitted)
        return rows

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        if not len(pixels):
            return np.empty((0, self.dim), dtype=np.float32)
        rows, fitted = _images(self._model, pixels, self.preprocess, self._device)
        self._keep(fitted)
        return rows

    def _keep(self, fitted: int) -> None:
        """What did not fit once is not tried again."""
        if fitted < self._device.at_once:
            _log.warning("the GPU's memory holds batches of %d, not of %d", fitted, self._device.at_once)
            self._device = replace(self._device, at_once=fitted)


def run_texts(model: Any, ids: NDArray[np.integer[Any]]) -> Embeddings:
    """Token ids (n, context_length) to L2-normalised rows, on the CPU in float32."""
    return _texts(model, ids, Device())[0]


def run_images(model: Any, pixels: NDArray[np.uint8], spec: Preprocess) -> Embeddings:
    """Pixels (n, h, w, 3) to L2-normalised rows, on the CPU in float32."""
    return _images(model, pixels, spec, Device())[0]


def _texts(model: Any, ids: NDArray[np.integer[Any]], device: Device) -> tuple[Embeddings, int]:
    import torch

    def run(start: int, end: int) -> Any:
        return model.encode_text(torch.from_numpy(ids[start:end]).to(device.name))

    return _normalised(run, len(ids), device)


def _images(model: Any, pixels: NDArray[np.uint8], spec: Preprocess, device: Device) -> tuple[Embeddings, int]:
    import torch

    mean, std = (torch.tensor(three, device=device.name).reshape(3, 1, 1) * 255 for three in (spec.mean, spec.std))

    def run(start: int, end: int) -> Any:
        # bytes travel to the GPU, a quarter of what float32 would take, and are normalised there; torch.tensor copies,
        # where from_numpy warns of arrays that can't be written
        planes = torch.tensor(pixels[start:end], device=device.name).permute(0, 3, 1, 2)
        return model.encode_image(((planes - mean) / std).to(getattr(torch, device.dtype)))

    return _normalised(run, len(pixels), device)


def _normalised(run: Callable[[int, int], Any], count: int, device: Device) -> tuple[Embeddings, int]:
    import torch

    with torch.inference_mode():
        rows, fitted = in_parts(run, count, device.at_once)
        rows = torch.nn.functional.normalize(rows.float(), dim=-1)
        return np.asarray(rows.cpu().numpy(), dtype=np.float32), fitted


def _placed(
    model: Any, device: Device, spec: Preprocess, ids: NDArray[np.integer[Any]], folder: Path
) -> tuple[Any, Device]:
    """The model on its device, in half the bits where a trial says that its answers stay what they were."""
    import torch

    def trial(numbers: Numbers) -> Embeddings:
        pixels = np.random.default_rng(0).integers(0, 256, (len(ids), *spec.size, 3)).astype(np.uint8)
        pixels[1:] = pixels[1:] // 4 + pixels[1:, :1, :1] // 4 * 3  # noise on flat colours
        on = replace(device, dtype=numbers)
        return np.concatenate([_texts(model, ids, on)[0], _images(model, pixels, spec, on)[0]])

    model = moved(model, device.name)
    if device.dtype == "float32":
        return model, device
    expected = trial("float32")
    model = model.to(getattr(torch, device.dtype))
    least = float(np.min(np.sum(trial(device.dtype) * expected, axis=1)))
    if least >= _COSINE:
        return model, device
    _log.warning("float32 serves, because %s changes this model's embeddings (cosine %.5f)", device.dtype, least)
    moved(model, "cpu")  # out of the way of the whole one
    return moved(load_open_clip(folder), device.name), replace(device, dtype="float32")


def _tokenizer(
    folder: Path, text_cfg: dict[str, Any], name: str
) -> Callable[[Sequence[str]], NDArray[np.integer[Any]]]:
    """open_clip's; ours for a Hugging Face tokenizer where `transformers` is not installed."""
    if text_cfg.get("hf_tokenizer_name") and not has_transformers():
        if options := foreign_options(text_cfg):
            raise ModelError(
                f'The tokenizer of "{name}" needs {_TRANSFORMERS} for {", ".join(options)}: pip install it.'
            )
        ours = Tokenizer(folder, text_cfg)
        return lambda texts: ours.padded(ours.ids(texts))
    try:
        theirs = import_open_clip().get_tokenizer(f"local-dir:{folder}")
    except (ImportError, OSError, ValueError) as error:
        raise ModelError(f'The tokenizer of "{name}" can\'t be loaded: {error}'.splitlines()[0]) from error
    lock = threading.Lock()  # open_clip's tokenizer changes as it reads

    def tokenize(texts: Sequence[str]) -> NDArray[np.integer[Any]]:
        with lock:
            ids = theirs(list(texts)).numpy()
            kept = getattr(theirs, "cache", {})  # every word it ever met
            if len(kept) > _WORDS_KEPT:
                kept.clear()
            return np.asarray(ids)

    return tokenize


def has_transformers() -> bool:
    return importlib.util.find_spec("transformers") is not None


def load_open_clip(folder: Path) -> Any:
    """An open_clip model of a `local-dir:` folder in eval mode, from safetensors alone.

    Raises: ModelDamaged; ModelError where its text tower needs what is not installed.
    """
    weights, config = weights_of(folder), read_open_clip_config(folder)
    open_clip = import_open_clip()
    from safetensors import SafetensorError

    try:
        model = build_open_clip(config["model_cfg"], folder)
        open_clip.load_checkpoint(model, str(weights))
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise ModelDamaged(f"The model's weights or config don't fit open_clip: {error}".splitlines()[0]) from error
    return model.eval()


def build_open_clip(model_cfg: dict[str, Any], folder: Path) -> Any:
    """The model that open_clip's factory makes of a config, with random weights.

    The factory itself looks for weights in a folder, and may choose a pickle.
    """
    open_clip = import_open_clip()
    cfg = copy.deepcopy(model_cfg)
    is_custom = cfg.pop("custom_text", False) or cfg["text_cfg"].get("hf_model_name")
    if cfg["vision_cfg"].get("timm_model_name"):
        cfg["vision_cfg"]["timm_model_pretrained"] = False
    if cfg["text_cfg"].get("hf_model_name"):
        cfg["text_cfg"]["hf_model_name"] = _text_tower_config(cfg["text_cfg"]["hf_model_name"], folder)
        cfg["text_cfg"]["hf_model_pretrained"] = False
    if is_custom:
        return open_clip.CoCa(**cfg) if "multimodal_cfg" in cfg else open_clip.CustomTextCLIP(**cfg)
    return open_clip.CLIP(**cfg)


def _text_tower_config(name: str, folder: Path) -> str:
    """Where the config of a text tower of `transformers` lies: beside the model, or in the hub's cache."""
    if not has_transformers():
        raise ModelError(
            f'The text tower "{name}" needs an optional package: install it with `pip install {_TRANSFORMERS}`.'
        )
    if (folder / "config.json").is_file():
        return str(folder / "config.json")
    from transformers.utils.hub import cached_file

    try:
        return str(cached_file(name, "config.json", local_files_only=True))
    except OSError as error:
        raise ModelError(
            f'The text tower "{name}" needs its config.json: fetch it from the hub into the model\'s folder.'
        ) from error
