"""Owns how several processes train one model: options, averaged gradients, one clock, rates, checkpoints."""

import argparse
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PATIENCE = timedelta(days=2)  # a paused process must not be taken for a dead one


def read_options(description: str | None, *, minutes: float) -> argparse.Namespace:
    """Reads what both stages take, and sets torch up for it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints; a run there is resumed")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--peak", type=float, default=1.0, help="share of the usual learning rate, for a later sitting")
    parser.add_argument("--batch", type=int, default=128, help="images of one process")
    parser.add_argument("--rank", type=int, default=0, help="this process's number, from 0")
    parser.add_argument("--of", type=int, default=1, help="how many processes share the work")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loaders", type=int, default=0, help="rendering processes beside this one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


class Crew:
    """The processes of a run; alone, every method does nothing."""

    def __init__(self, rank: int, count: int, meeting_file: str) -> None:
        self.rank, self.count = rank, count
        if count > 1:
            torch.distributed.init_process_group(
                "gloo", init_method=f"file://{meeting_file}", rank=rank, world_size=count, timeout=_PATIENCE
            )

    def average(self, parameters: Iterable[nn.Parameter], clock: float) -> float:
        """Averages gradients in place, and the clock: all processes must follow one schedule."""
        if self.count == 1:
            return clock
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients] + [torch.tensor([clock], dtype=torch.float32)])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()
        return float(flat[-1])

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Gives all processes the first one's values."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)


def rate_at(progress: float, *, flat_until: float = 0.4, last: float = 0.03) -> float:
    """Short warm-up, flat, then cosine; `progress` runs from 0 to 1."""
    if progress < 0.015:
        return 0.05 + 0.95 * progress / 0.015
    if progress < flat_until:
        return 1.0
    along = min(1.0, (progress - flat_until) / (1 - flat_until))
    return last + (1 - last) * 0.5 * (1 + float(np.cos(np.pi * along)))


class Average:
    """A running mean of weights and buffers; it names better than the last weights while the rate is high."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def state_dict(self) -> dict[str, Tensor]:
        return self._state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._state = state

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self._state[name].lerp_(value, 1 - decay)
            else:
                self._state[name].copy_(value)


def restore(path: Path, parts: dict[str, Any], *, device: str) -> tuple[int, float]:
    """Loads what `checkpoint` wrote, if anything; returns the step to go on with and the minutes spent."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["minutes"]


def checkpoint(path: Path, parts: dict[str, Any], *, step: int, minutes: float) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    save(path, {**state, "step": step, "minutes": minutes})


def save(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


class Clock:
    """Training time spent, in minutes, over all sittings."""

    def __init__(self, spent: float) -> None:
        self._start = time.monotonic() - spent * 60

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self._start) / 60
