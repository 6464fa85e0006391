"""Third stage: the text tower alone learns on, against images as the other two stages left them.

A step costs a twentieth of one that trains both towers. Starts from the running mean in joint.pt, its text tower
from text.pt where that is there; writes text.pt.

python -m pocket.train_text --out RUN --minutes 12
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.joint_batches import describe, joint_batch
from pocket.losses import contrast, soft_cross_entropy, verdict
from pocket.model import (
    IMAGE_PX,
    Heads,
    build_model,
    image_features,
    text_embedding,
    texts_by_length,
    vectors_embedding,
)
from pocket.scene import Scene
from pocket.targets import thing_truth
from pocket.teacher import FILE as TEACHER_FILE
from pocket.teacher import NEAR, Teacher, load_teacher, near_to, taught_table
from pocket.tokens import UNKNOWN, encode, encode_words
from pocket.train import Lesson, pick_lesson, word_losses
from pocket.train_image import as_input, build_heads, listed, weighted
from pocket.words import load_vocabulary
from pocket.workers import Average, Clock, rate_at, read_options, save

_RATE = 1e-3
_WEIGHTS = {
    "words": 1.0,
    "verdict": 0.15,
    "naming": 0.7,
    "alignment": 0.5,
    "lesson": 0.7,
    "found": 1.0,
    "present": 0.2,
}
_BANK = 400  # batches of images, each met again and again with new captions; with 100 the words learnt the images
_FAR_ALONG = 3_000_000  # the number of the bank's first batch: none of the other stage's
_OWN_WORDS, _OTHER_WORDS = 160, 224  # of a lesson
_BLENDS = 192  # as many between-words a step, some of which say nothing
_AMONG = 12  # batches of the bank that a lesson's words are to find their images among
_FOUND_SCALE = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch of images as the image tower sees it."""

    unit: Tensor  # (n, EMBED_DIM), L2-normalised
    scenes: tuple[Scene, ...]
    has_true_colours: np.ndarray
    shows: Tensor  # float (n, things + places), 1 or 0


@torch.no_grad()
def look(model: Any, size: int, device: str) -> Iterator[Seen]:
    model.eval()
    vocabulary = load_vocabulary()
    for number in range(_FAR_ALONG, _FAR_ALONG + _BANK):
        batch = joint_batch(number, size=size, px=IMAGE_PX, easy=0.1)
        _, embedding = image_features(model, as_input(batch.pixels, device))
        things = torch.from_numpy(thing_truth(batch.scenes, len(vocabulary.things)))
        places = F.one_hot(torch.tensor([scene.place for scene in batch.scenes]), len(vocabulary.places))
        shows = torch.cat([things, places], dim=1).float().to(device)
        yield Seen(F.normalize(embedding, dim=-1), batch.scenes, batch.has_true_colours, shows)


def losses(
    model: Any, heads: Heads, bank: Sequence[Seen], teacher: Teacher, singles: NDArray[np.float32], step: int
) -> dict[str, Tensor]:
    seen = bank[step % len(bank)]
    rng = np.random.default_rng([6, step])
    captions, truth_rows = describe(seen.scenes, seen.has_true_colours, rng)
    tokens = encode([caption.text for caption in captions], rng, strange_share=0.08)
    text = texts_by_length(model, torch.from_numpy(tokens).to(seen.unit.device))
    truth = torch.from_numpy(truth_rows).to(seen.unit.device)
    cosine = seen.unit @ F.normalize(text, dim=-1).T
    scale = model.logit_scale.exp().clamp(max=100)
    lesson = pick_lesson(teacher, _FAR_ALONG + step, own=_OWN_WORDS, others=_OTHER_WORDS)
    blended, near = blends(teacher, singles, rng)
    lesson = replace(lesson, near=np.concatenate([lesson.near, near]))
    words = torch.cat(
        [
            text_embedding(model, torch.from_numpy(lesson.tokens).to(text.device)),
            one_token_embedding(model, torch.from_numpy(blended).to(text.device)),
        ]
    )
    among = [bank[n] for n in rng.choice(len(bank), _AMONG, replace=False)]
    return {
        "words": contrast(scale * cosine, truth),
        "verdict": verdict(cosine, truth),
        **found(words, lesson, among),
        **word_losses(heads, text, captions, words, lesson.near),
    }


def blends(
    teacher: Teacher, vectors: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points of the teacher's space between two words (n, its dim), and what each is near to (n, things + places).

    The words of a dictionary are few; what the teacher says is known anywhere between them.
    """
    one, other = vectors[rng.integers(len(vectors), size=(2, _BLENDS))]
    share = rng.uniform(0.55, 1.0, size=(_BLENDS, 1))
    noise = rng.normal(size=one.shape) * (0.3 / np.sqrt(one.shape[1]))
    between = share * one + (1 - share) * other + noise
    between = (between / np.linalg.norm(between, axis=1, keepdims=True)).astype(np.float32)
    peak, near = near_to(between, teacher.surfaces)
    return between[peak >= NEAR], near[peak >= NEAR]


def words_of_one_token(teacher: Teacher) -> NDArray[np.float32]:
    """Returns the teacher's vectors (n, its dim) of the lessons that are one token."""
    tokens = encode_words(teacher.lessons)
    single = tokens[(tokens[:, 1] != UNKNOWN) & (tokens[:, 2] == tokens.max())]
    vectors: NDArray[np.float32] = teacher.vectors[single[:, 1]]
    return vectors


def one_token_embedding(model: Any, vectors: Tensor) -> Tensor:
    frame = torch.from_numpy(encode_words([""])[0]).to(vectors.device)
    end = torch.full((len(vectors),), 2, device=vectors.device)
    return vectors_embedding(model, model.token_embedding.framed(frame, vectors), end)


def found(words: Tensor, lesson: Lesson, among: Sequence[Seen]) -> dict[str, Tensor]:
    """Each word finds the images that show what it is near to, in proportion; the captions' own find no others."""
    unit, shows = (torch.cat([getattr(seen, name) for seen in among]) for name in ("unit", "shows"))
    wanted = torch.from_numpy(lesson.near).to(unit.device) @ shows.T
    cosine = F.normalize(words, dim=-1) @ unit.T
    return {
        "found": soft_cross_entropy(_FOUND_SCALE * cosine, wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-6)),
        "present": verdict(cosine[: lesson.own], wanted[: lesson.own]),
    }


def main() -> None:
    options = read_options(__doc__, minutes=12)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    teacher = load_teacher(options.out / TEACHER_FILE)
    model, heads = build_model(taught_table(teacher)).to(device), build_heads().to(device)
    state = torch.load(options.out / "joint.pt", map_location=device, weights_only=True)
    weights = state["average"]
    if (options.out / "text.pt").exists():
        before = torch.load(options.out / "text.pt", map_location=device, weights_only=True)["average"]
        weights |= {name: value for name, value in before.items() if not name.startswith("visual.")}
    model.load_state_dict(weights)
    heads.load_state_dict(state["heads"])
    heads.requires_grad_(False)
    model.visual.requires_grad_(False)
    singles = words_of_one_token(teacher)
    bank = list(look(model, options.batch, device))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    average, clock, step = Average(model, 0.998), Clock(0.0), 0
    while (progress := clock.minutes / options.minutes) < 1:
        optimizer.param_groups[0]["lr"] = _RATE * rate_at(progress, flat_until=0.3)
        figures = losses(model, heads, bank, teacher, singles, step)
        optimizer.zero_grad(set_to_none=True)
        weighted(figures, _WEIGHTS).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        average.update(model, step)
        if step % 200 == 0:
            print(f"step={step} minutes={clock.minutes:.1f} {listed(figures)}", flush=True)
        step += 1
    save(options.out / "text.pt", {"average": average.state_dict(), "model": model.state_dict()})


if __name__ == "__main__":
    main()
