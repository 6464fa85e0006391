"""Second stage: image and text towers together. Starts from the first stage's image.pt, resumes from joint.pt.

python -m pocket.train --out RUN --minutes 150 [--rank 0 --of 2]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from pocket.batches import Images
from pocket.captions import Caption
from pocket.joint_batches import VIEWS, Joint, easy_share, joint_batch
from pocket.losses import alignment, contrast, pair_contrast, soft_cross_entropy, verdict
from pocket.model import IMAGE_PX, Heads, build_model, image_features, text_embedding, texts_by_length
from pocket.teacher import FILE as TEACHER_FILE
from pocket.teacher import Teacher, load_teacher, taught_table
from pocket.tokens import encode_words
from pocket.train_image import as_input, build_heads, image_losses, listed, naming_accuracy, weighted
from pocket.words import load_vocabulary
from pocket.workers import Average, Clock, Crew, checkpoint, rate_at, read_options, restore

IMAGE_RATE, TEXT_RATE = 1.5e-3, 1e-3
_OWN_WORDS, _OTHER_WORDS = 32, 64  # of a lesson
_WEIGHTS = {
    "words": 0.8,
    "verdict": 0.15,
    "views": 0.3,
    "cell": 1.5,
    "hue": 0.2,
    "thing": 1.8,
    "presence": 0.15,
    "place": 0.1,
    "count": 0.1,
    "naming": 0.5,
    "alignment": 0.5,
    "lesson": 0.3,
}


class _Stream(Dataset[Joint]):
    def __init__(self, size: int, rank: int, of: int) -> None:
        self.size, self.rank, self.of = size, rank, of

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> Joint:
        number = index * self.of + self.rank
        easy = easy_share(number * self.size)
        return joint_batch(number, size=self.size, px=IMAGE_PX, easy=easy)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A few words as tokens (n, longest), and what each is near to (n, things + places); captions' own words first."""

    tokens: np.ndarray
    near: np.ndarray
    own: int


def pick_lesson(teacher: Teacher, number: int, *, own: int, others: int) -> Lesson:
    rng = np.random.default_rng([5, number])
    chosen = np.concatenate([rng.integers(teacher.own, size=own), rng.integers(len(teacher.lessons), size=others)])
    return Lesson(encode_words([teacher.lessons[n] for n in chosen]), teacher.near[chosen], own)


def losses(model: Any, heads: Heads, batch: Joint, lesson: Lesson, device: str) -> dict[str, Tensor]:
    cells, embedding = image_features(model, as_input(batch.pixels, device))
    text = texts_by_length(model, torch.from_numpy(batch.tokens).to(device))
    image_unit, text_unit = F.normalize(embedding, dim=-1), F.normalize(text, dim=-1)
    scale = model.logit_scale.exp().clamp(max=100)
    truth = torch.from_numpy(batch.truth).to(device)
    views = round(len(batch.scenes) * VIEWS)
    first = image_unit[torch.from_numpy(batch.first_view).to(device)]
    parts = image_losses(heads, cells, embedding, Images(batch.pixels, batch.scenes, batch.has_true_colours))
    cosine = image_unit @ text_unit.T
    parts["words"] = contrast(scale * cosine, truth)
    parts["verdict"] = verdict(cosine, truth)
    parts["views"] = pair_contrast(first, image_unit[-views:], image_unit[: batch.first_view[0]], 20.0)
    words = text_embedding(model, torch.from_numpy(lesson.tokens).to(device))
    parts |= word_losses(heads, text, batch.captions, words, lesson.near)
    return parts


def word_losses(
    heads: Heads, text: Tensor, captions: Sequence[Caption], words: Tensor, near: np.ndarray
) -> dict[str, Tensor]:
    """The losses that need no image; `text`: the captions' embeddings, `words`: the lesson's."""
    named = _named_things(captions, len(heads.thing)).to(text.device)
    near_things = torch.from_numpy(near[:, : len(heads.thing)]).to(text.device)
    return {
        "naming": soft_cross_entropy(heads.thing_logits(text), named),
        "alignment": alignment(F.normalize(text, dim=-1), heads.thing, named),
        "lesson": soft_cross_entropy(heads.thing_logits(words), near_things),
    }


def _named_things(captions: Sequence[Caption], things: int) -> Tensor:
    """Returns (captions, things): for each concept that a caption names, an even share among its things."""
    members = load_vocabulary().members
    target = np.zeros((len(captions), things), dtype=np.float32)
    for n, caption in enumerate(captions):
        concepts = [str(fact[1]) for fact in caption.facts if fact[0] == "has"]
        for concept in concepts:
            found = list(members[concept])
            target[n, found] += 1 / (len(found) * len(concepts))
    return torch.from_numpy(target)


def make_optimizer(model: Any, heads: Heads) -> torch.optim.Optimizer:
    image = [*model.visual.parameters(), *heads.parameters()]
    known = {id(p) for p in image}
    rest = list(model.token_embedding.rest.parameters())
    known |= {id(p) for p in rest}
    text = [p for p in model.parameters() if id(p) not in known]
    groups = [
        {"params": image, "lr": IMAGE_RATE, "weight_decay": 0.05, "top": IMAGE_RATE},
        {"params": text, "lr": TEXT_RATE, "weight_decay": 0.02, "top": TEXT_RATE},
        # What a token has of its own is to stay small: what lies in the teacher's vector serves other words too.
        {"params": rest, "lr": TEXT_RATE, "weight_decay": 0.5, "top": TEXT_RATE},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def main() -> None:
    options = read_options(__doc__, minutes=150)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    crew = Crew(options.rank, options.of, f"{options.out}/meeting-joint")
    teacher = load_teacher(options.out / TEACHER_FILE)
    model, heads = build_model(taught_table(teacher)).to(device), build_heads().to(device)
    restore(options.out / "image.pt", {"visual": model.visual, "heads": heads}, device=device)
    optimizer, average = make_optimizer(model, heads), Average(model, 0.998)
    parts = {"model": model, "heads": heads, "optimizer": optimizer, "average": average}
    first, spent = restore(options.out / "joint.pt", parts, device=device)
    crew.share([v for v in model.state_dict().values() if v.is_floating_point()] + [p.data for p in heads.parameters()])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    stream = _Stream(options.batch, options.rank, options.of)
    loader = DataLoader(stream, batch_size=None, sampler=range(first, len(stream)), num_workers=options.loaders)
    clock, progress = Clock(spent), spent / options.minutes
    model.train()
    for step, batch in enumerate(loader, start=first):
        for group in optimizer.param_groups:
            group["lr"] = options.peak * group["top"] * rate_at(progress)
        lesson = pick_lesson(teacher, step * options.of + options.rank, own=_OWN_WORDS, others=_OTHER_WORDS)
        figures = losses(model, heads, batch, lesson, device)
        optimizer.zero_grad(set_to_none=True)
        weighted(figures, _WEIGHTS).backward()  # type: ignore[no-untyped-call]
        progress = crew.average(parameters, clock.minutes / options.minutes)
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        average.update(model, step)
        is_last = progress >= 1
        if options.rank == 0 and (step % 50 == 0 or is_last):
            print(f"step={step} minutes={clock.minutes:.1f} {listed(figures)}", flush=True)
        if options.rank == 0 and (step % 150 == 149 or is_last):
            checkpoint(options.out / "joint.pt", parts, step=step + 1, minutes=clock.minutes)
        if options.rank == 0 and (step % 600 == 599 or is_last):
            print(f"step={step} naming={naming_accuracy(model, heads, device, batches=2):.3f}", flush=True)
        if is_last:
            break


if __name__ == "__main__":
    main()
