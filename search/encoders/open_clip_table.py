"""open_clip's table of pretrained models: what a name in it stands for; run in a process of its own, fetches nothing.

The process that serves images and words asks here, so that it need not import torch for one look.
"""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.encoders.names import ModelName
from search.errors import ModelError, ModelNotFound

_LONGEST_S = 120


@dataclass(frozen=True, slots=True)
class TableEntry:
    repo: str
    file: str  # the weights' file in it; "" is open_clip's usual one
    config: dict[str, Any]  # as open_clip_config.json holds it
    note: str  # what somebody who names it should know, or ""


def look_in_table(name: ModelName) -> TableEntry:
    """Raises: ModelNotFound; ModelError without open_clip."""
    if importlib.util.find_spec("open_clip") is None:
        raise ModelError(
            f'"{name.text}" is a name of open_clip\'s, which is not installed: install it with `make full`, or in a '
            "container use the image's target `full`; or name a published export as onnx:owner/name, which needs no "
            "torch."
        )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "search.encoders.open_clip_table", name.architecture, name.tag],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f'open_clip did not say within {_LONGEST_S} seconds what "{name.text}" is; ask again.'
        ) from error
    except ValueError as error:
        said = done.stderr.strip().splitlines() or ["no reason was given"]
        raise ModelError(f'open_clip can\'t be asked for "{name.text}": {said[-1]}') from error
    if "refused" in found:
        raise (ModelNotFound if found["code"] == ModelNotFound.code else ModelError)(str(found["refused"]))
    return TableEntry(**found)


def entry_of(architecture: str, tag: str) -> TableEntry:
    """What open_clip's factory would make of the two. Raises: ModelNotFound."""
    from search.encoders.open_clip_encoder import import_open_clip

    open_clip: Any = import_open_clip()
    model_cfg, cfg = open_clip.get_model_config(architecture), open_clip.get_pretrained_cfg(architecture, tag)
    if model_cfg is None:
        raise ModelNotFound(
            f'open_clip knows no architecture "{architecture}", and there is no folder "{architecture}/{tag}"'
            f"{_nearest(architecture, open_clip.list_models())}."
        )
    if not cfg:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise ModelNotFound(
            f'open_clip has no weights "{tag}" for "{architecture}"; it has {", ".join(tags) or "none"}.'
        )
    if not cfg.get("hf_hub"):
        raise ModelError(
            f'The weights "{tag}" of "{architecture}" are only published as a pickle, which can run any program and is '
            "never read here: take others, or convert them yourself and name the folder."
        )
    repo, _, file = cfg["hf_hub"].rpartition("/")
    transform = open_clip.transform
    preprocess = transform.merge_preprocess_dict(dataclasses.asdict(transform.PreprocessCfg()), cfg)
    preprocess["size"] = model_cfg["vision_cfg"].get("image_size", 224)
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    return TableEntry(repo, file, config, _note(architecture, tag, model_cfg, cfg))


def _note(architecture: str, tag: str, model_cfg: dict[str, Any], cfg: dict[str, Any]) -> str:
    """open_clip warns of it and goes on; so do we, so that both give one embedding."""
    trained, built = bool(cfg.get("quick_gelu")), bool(model_cfg.get("quick_gelu"))
    if trained == built:
        return ""
    better = f'"{architecture}-quickgelu/{tag}"' if trained else f'"{architecture.removesuffix("-quickgelu")}/{tag}"'
    return f"These weights were trained with {'' if trained else 'no '}QuickGELU: {better} finds more."


def _nearest(text: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(text, known, n=3)
    return f"; it knows {', '.join(close)}" if close else ""


if __name__ == "__main__":
    try:
        print(json.dumps(dataclasses.asdict(entry_of(sys.argv[1], sys.argv[2]))))
    except ModelError as error:
        print(json.dumps({"refused": str(error), "code": error.code}))
