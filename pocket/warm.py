"""Makes RUN/joint.pt from the weights that ship, so that both towers can learn on where no checkpoint was kept.

python -m pocket.teacher --out RUN
python -m pocket.warm --out RUN
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from pocket.model import TaughtTable, build_model, text_embedding
from pocket.teacher import FILE as TEACHER_FILE
from pocket.teacher import load_teacher, taught_table
from pocket.tokens import encode_words, full_ids
from pocket.train import make_optimizer
from pocket.train_image import build_heads
from pocket.words import load_vocabulary
from pocket.workers import Average, checkpoint

SHIPPED = Path(__file__).with_name("model") / "open_clip_model.safetensors"
FIRST_STEP = 2_750  # past the easy scenes that the first steps draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder with the teacher's file")
    out = parser.parse_args().out
    torch.manual_seed(0)
    shipped = {
        name: value.float() if value.is_floating_point() else value for name, value in load_file(SHIPPED).items()
    }
    rows = shipped.pop("token_embedding.weight")[torch.from_numpy(full_ids()).clamp(min=0)]
    model, heads = build_model(taught_table(load_teacher(out / TEACHER_FILE))), build_heads()
    model.load_state_dict(shipped, strict=False)  # all but the table, which is split
    split_table(model.token_embedding, rows)
    model.eval()
    with torch.no_grad():  # of the heads, which do not ship, the one whose vectors the words know
        names = encode_words([thing.name for thing in load_vocabulary().things])
        heads.thing.copy_(F.normalize(text_embedding(model, torch.from_numpy(names)), dim=-1))
    parts = {
        "model": model,
        "heads": heads,
        "optimizer": make_optimizer(model, heads),
        "average": Average(model, 0.998),
    }
    checkpoint(out / "joint.pt", parts, step=FIRST_STEP, minutes=0.0)


@torch.no_grad()
def split_table(table: TaughtTable, rows: Tensor) -> None:
    """Writes token vectors (tokens, width) as the teacher's through one matrix, and what that leaves as the rest.

    The matrix: least squares over the rows that are not zero, with a ridge of 1.
    """
    is_known = (rows != 0).any(-1) & (table.taught != 0).any(-1)
    taught = table.taught[is_known].double()
    ridge = torch.eye(taught.shape[1], dtype=torch.float64)
    table.view.copy_(torch.linalg.solve(taught.T @ taught + ridge, taught.T @ rows[is_known].double()))
    has_rest = (table.row > 0) & (rows != 0).any(-1)
    table.rest.weight[table.row[has_rest]] = rows[has_rest] - table.taught[has_rest] @ table.view


if __name__ == "__main__":
    main()
