"""Runs an open_clip model on torch: where there is a GPU, and where an export failed. The one door to open_clip."""

import copy
import functools
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.encoders.fingerprint import open_clip_preprocess, read_open_clip_config, weights_of
from search.encoders.preprocess import normalise
from search.errors import ModelDamaged, ModelError
from search.types import Embeddings, Preprocess

_AT_ONCE = 64
_WORDS_KEPT = 100_000


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
    """Looks for a driver before it imports torch, which takes two seconds and is for nothing without one."""
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        return False
    import torch

    return torch.cuda.is_available()


class OpenClipEncoder:
    """An open_clip folder on torch: on the GPU where there is one. Thread-safe."""

    def __init__(self, folder: Path, *, name: str, fingerprint: str, threads: int | None = None) -> None:
        """Raises: ModelDamaged."""
        self._model = load_open_clip(folder)
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        config = read_open_clip_config(folder)
        try:
            self._tokenize = import_open_clip().get_tokenizer(f"local-dir:{folder}")
        except ImportError as error:
            raise ModelError(f'The tokenizer of "{name}" needs a package that is not installed: {error}.') from error
        self._name, self._fingerprint = name, fingerprint
        self._preprocess = open_clip_preprocess(config)
        self._dim = int(config["model_cfg"]["embed_dim"])
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        self._lock = threading.Lock()  # open_clip's tokenizer changes as it reads

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def preprocess(self) -> Preprocess:
        return self._preprocess

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        if not texts:
            return np.empty((0, self._dim), dtype=np.float32)
        with self._lock:
            ids = self._tokenize(list(texts)).numpy()
            kept = getattr(self._tokenize, "cache", {})  # every word it ever met
            if len(kept) > _WORDS_KEPT:
                kept.clear()
        return run_texts(self._model, ids, device=self._device)

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        if not len(pixels):
            return np.empty((0, self._dim), dtype=np.float32)
        return run_images(self._model, pixels, self._preprocess, device=self._device)


def run_texts(model: Any, ids: NDArray[np.integer[Any]], *, device: str = "cpu") -> Embeddings:
    """Token ids (n, context_length) to L2-normalised rows."""
    import torch

    with torch.inference_mode():
        parts = [
            model.encode_text(torch.from_numpy(ids[start : start + _AT_ONCE]).to(device), normalize=True)
            for start in range(0, len(ids), _AT_ONCE)
        ]
        return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float32)


def run_images(model: Any, pixels: NDArray[np.uint8], spec: Preprocess, *, device: str = "cpu") -> Embeddings:
    """Pixels (n, h, w, 3) to L2-normalised rows."""
    import torch

    with torch.inference_mode():
        parts = [
            model.encode_image(
                torch.from_numpy(normalise(pixels[start : start + _AT_ONCE], spec)).to(device), normalize=True
            )
            for start in range(0, len(pixels), _AT_ONCE)
        ]
        return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float32)


def load_open_clip(folder: Path) -> Any:
    """An open_clip model of a `local-dir:` folder in eval mode, from safetensors alone. Raises: ModelDamaged."""
    weights, config = weights_of(folder), read_open_clip_config(folder)
    open_clip = import_open_clip()
    from safetensors import SafetensorError

    try:
        model = build_open_clip(config["model_cfg"])
        open_clip.load_checkpoint(model, str(weights))
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise ModelDamaged(f"The model's weights or config don't fit open_clip: {error}".splitlines()[0]) from error
    return model.eval()


def build_open_clip(model_cfg: dict[str, Any]) -> Any:
    """The model that open_clip's factory makes of a config, with random weights.

    The factory itself looks for weights in a folder, and may choose a pickle.
    """
    open_clip = import_open_clip()
    cfg = copy.deepcopy(model_cfg)
    is_custom = cfg.pop("custom_text", False) or cfg["text_cfg"].get("hf_model_name")
    if cfg["vision_cfg"].get("timm_model_name"):
        cfg["vision_cfg"]["timm_model_pretrained"] = False
    if cfg["text_cfg"].get("hf_model_name"):
        cfg["text_cfg"]["hf_model_pretrained"] = False
    if is_custom:
        return open_clip.CoCa(**cfg) if "multimodal_cfg" in cfg else open_clip.CustomTextCLIP(**cfg)
    return open_clip.CLIP(**cfg)
