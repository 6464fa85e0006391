"""Writes an open_clip architecture with random weights as a `local-dir:` folder: a stand-in where none can be fetched.

python -m bench.random_model ViT-B-32 OUT
"""

import argparse
import json
from pathlib import Path
from typing import Any

from search.encoders.open_clip_encoder import build_open_clip, import_open_clip


def write_random_model(config: dict[str, Any], out: Path, *, seed: int = 0) -> Path:
    """Writes open_clip_config.json and open_clip_model.safetensors for an open_clip model config.

    What else the model needs, a tokenizer.json or a text tower's config.json, is put into `out` before or after.
    """
    open_clip = import_open_clip()
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    model = build_open_clip(config, out)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, out / "open_clip_model.safetensors"
    )
    preprocess = open_clip.transform.PreprocessCfg(size=model.visual.image_size)
    cfg = {"model_cfg": config, "preprocess_cfg": vars(preprocess)}
    (out / "open_clip_config.json").write_text(json.dumps(cfg, indent=1), encoding="utf-8")
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", help="a name that open_clip knows, such as ViT-B-32")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_random_model(import_open_clip().get_model_config(args.architecture), args.out, seed=args.seed)
