"""First stage: the image tower alone learns to name things in mosaics and scenes, cell by cell.

python -m pocket.train_image --out RUN --minutes 15 [--rank 0 --of 2]
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from pocket.batches import Images, image_batch, probe_batch
from pocket.losses import soft_cross_entropy, verdict
from pocket.model import IMAGE_PX, MEAN, STD, Heads, build_model, image_features
from pocket.scene import COLOURS
from pocket.targets import cell_targets, thing_targets, thing_truth
from pocket.words import load_vocabulary
from pocket.workers import Average, Clock, Crew, checkpoint, rate_at, read_options, restore

_RATE = 2e-3
_WEIGHTS = {"cell": 2.0, "hue": 0.3, "thing": 1.0, "presence": 0.1, "place": 0.2, "count": 0.1}


class _Stream(Dataset[Images]):
    def __init__(self, size: int, rank: int, of: int) -> None:
        self.size, self.rank, self.of = size, rank, of

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> Images:
        return image_batch(index * self.of + self.rank, size=self.size, px=IMAGE_PX, small_px=64)


def as_input(pixels: np.ndarray, device: str) -> Tensor:
    tensor = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((tensor - mean) / std).contiguous(memory_format=torch.channels_last)


def image_losses(heads: Heads, cells: Tensor, embedding: Tensor, batch: Images) -> dict[str, Tensor]:
    """Returns the losses that need no words; used in both stages."""
    device, scenes = embedding.device, batch.scenes
    thing, colour = (torch.from_numpy(t).to(device) for t in cell_targets(scenes, len(heads.thing), cells.shape[-1]))
    colour = colour * torch.from_numpy(batch.has_true_colours).to(device)[:, None, None, None]
    spots = cells.permute(0, 2, 3, 1)  # (n, cells, cells, 960)
    target = thing_targets(scenes, len(heads.thing))
    target[[len({item.thing for item in scene.items}) > 4 for scene in scenes]] = 0.0
    presence = torch.from_numpy(thing_truth(scenes, len(heads.thing))).to(device)
    place = torch.tensor([scene.place for scene in scenes], device=device)
    count = torch.tensor([min(len(scene.items), 6) - 1 for scene in scenes], device=device)
    return {
        "cell": soft_cross_entropy(heads.cell_thing(spots).flatten(0, 2), thing.flatten(0, 2)),
        "hue": soft_cross_entropy(heads.cell_colour(spots).flatten(0, 2), colour.flatten(0, 2)),
        "thing": soft_cross_entropy(heads.thing_logits(embedding), torch.from_numpy(target).to(device)),
        "presence": verdict(F.normalize(embedding, dim=-1) @ F.normalize(heads.thing, dim=-1).T, presence),
        "place": F.cross_entropy(heads.place(embedding), place),
        "count": F.cross_entropy(heads.count(embedding), count),
    }


def weighted(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    return torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()


def listed(losses: dict[str, Tensor]) -> str:
    return " ".join(f"{name}={float(value.detach()):.3f}" for name, value in losses.items())


def build_heads() -> Heads:
    vocabulary = load_vocabulary()
    return Heads(things=len(vocabulary.things), places=len(vocabulary.places), colours=len(COLOURS))


@torch.no_grad()
def naming_accuracy(model: Any, heads: Heads, device: str, *, batches: int = 4) -> float:
    """Top-1 among all things, on clean scenes that show one."""
    was_training = model.training
    model.eval()
    right = []
    for index in range(batches):
        probe = probe_batch(index, size=128, px=IMAGE_PX)
        _, embedding = image_features(model, as_input(probe.pixels, device))
        best = heads.thing_logits(embedding).argmax(-1).cpu().numpy()
        right += [int(b) == s.items[0].thing for b, s in zip(best, probe.scenes, strict=True)]
    model.train(was_training)
    return float(np.mean(right))


def main() -> None:
    options = read_options(__doc__, minutes=18)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    crew = Crew(options.rank, options.of, f"{options.out}/meeting-image")
    model, heads = build_model(nn.Identity()).to(device), build_heads().to(device)
    visual = model.visual
    parameters = [*visual.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    average = Average(visual, 0.998)
    parts = {"visual": visual, "heads": heads, "optimizer": optimizer, "average": average}
    first, spent = restore(options.out / "image.pt", parts, device=device)
    crew.share([*visual.state_dict().values(), *(p.data for p in heads.parameters())])
    stream = _Stream(options.batch, options.rank, options.of)
    loader = DataLoader(stream, batch_size=None, sampler=range(first, len(stream)), num_workers=options.loaders)
    clock, progress = Clock(spent), spent / options.minutes
    visual.train()
    for step, batch in enumerate(loader, start=first):
        optimizer.param_groups[0]["lr"] = _RATE * rate_at(progress, flat_until=0.7, last=0.3)
        cells, embedding = image_features(model, as_input(batch.pixels, device))
        figures = image_losses(heads, cells, embedding, batch)
        optimizer.zero_grad(set_to_none=True)
        weighted(figures, _WEIGHTS).backward()  # type: ignore[no-untyped-call]
        progress = crew.average(parameters, clock.minutes / options.minutes)
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        average.update(visual, step)
        is_last = progress >= 1
        if options.rank == 0 and (step % 50 == 0 or is_last):
            print(f"step={step} minutes={clock.minutes:.1f} {listed(figures)}", flush=True)
        if options.rank == 0 and (step % 200 == 199 or is_last):
            checkpoint(options.out / "image.pt", parts, step=step + 1, minutes=clock.minutes)
            print(f"step={step} naming={naming_accuracy(model, heads, device):.3f}", flush=True)
        if is_last:
            break


if __name__ == "__main__":
    main()
