"""Turns a training checkpoint into what ships: pocket/model (open_clip's form, float16) and pocket/encoder (ONNX).

python -m pocket.ship RUN/text.pt [RUN2/text.pt]
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pocket.model import IMAGE_PX, MEAN, STD, TEXT_WIDTH, VOCAB_SIZE, model_config
from pocket.teacher import FILE as TEACHER_FILE
from pocket.teacher import load_teacher, never_used_pieces, taught_table
from pocket.tokens import full_ids
from search.encoders.export import export_in_process

HERE = Path(__file__).parent


def mean_state(checkpoints: Sequence[Path], which: str) -> dict[str, Tensor]:
    """Of several runs that went on from one checkpoint; whole numbers are the first one's."""
    states = [torch.load(path, map_location="cpu", weights_only=True)[which] for path in checkpoints]
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def full_state(checkpoints: Sequence[Path], which: str = "average") -> dict[str, Tensor]:
    """Returns the model's weights with the token table at full length; rows of tokens without a vector are zero.

    Each row is whole steps of a power of two, at most 127: the exported table holds it in bytes, without loss.
    """
    state = mean_state(checkpoints, which)
    teacher = load_teacher(checkpoints[0].with_name(TEACHER_FILE))
    compact = taught_table(teacher)
    compact.load_state_dict({name: state.pop(f"token_embedding.{name}") for name in compact.state_dict()})
    table = torch.zeros(VOCAB_SIZE, TEXT_WIDTH)
    with torch.no_grad():
        table[torch.from_numpy(full_ids()[1:])] = in_steps(compact(torch.arange(1, len(full_ids()))))
    table[sorted(never_used_pieces(teacher))] = 0.0
    state["token_embedding.weight"] = table
    return {
        name: (value.half() if value.dtype.is_floating_point else value).contiguous() for name, value in state.items()
    }


def in_steps(rows: Tensor) -> Tensor:
    """Rounds each row to multiples, from -127 to 127, of the least power of two that allows it."""
    largest = rows.abs().amax(-1, keepdim=True).clamp(min=2.0**-8)
    step = torch.exp2(torch.ceil(torch.log2(largest / 127)))
    return torch.round(rows / step) * step


def write_model(state: dict[str, Tensor], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"size": IMAGE_PX, "mode": "RGB", "mean": MEAN, "std": STD, "interpolation": "bicubic",
                  "resize_mode": "shortest", "fill_color": 0}  # fmt: skip
    config = {"model_cfg": model_config(), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = folder / "open_clip_model.safetensors"
    save_file(state, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors writes for its owner alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of several the mean ships")
    parser.add_argument("--out", type=Path, default=HERE, help="gets the folders model and encoder")
    parser.add_argument("--which", default="average", choices=("average", "model"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.out, prefix=".ship-") as scratch:
        model, encoder = Path(scratch) / "pocket", Path(scratch) / "encoder"
        write_model(full_state(args.checkpoints, args.which), model)
        failure = export_in_process(model, encoder, half=True, offline=True)
        if failure is not None:
            raise SystemExit(failure)
        for new, old in ((model, args.out / "model"), (encoder, args.out / "encoder")):
            shutil.rmtree(old, ignore_errors=True)
            new.rename(old)
    for folder in (args.out / "model", args.out / "encoder"):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder.name}_bytes={size}")


if __name__ == "__main__":
    main()
