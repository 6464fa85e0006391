"""Owns what the image heads should answer for a scene: arrays made from its truth. No torch."""

from collections.abc import Sequence

import numpy as np

from pocket.scene import COLOURS, Scene


def cell_targets(scenes: Sequence[Scene], things: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns soft targets (n, cells, cells, things + 1), the last being background, and (…, colours).

    A cell's share for a thing is the share of the cell that its box covers.
    """
    thing = np.zeros((len(scenes), cells, cells, things + 1), dtype=np.float32)
    colour = np.zeros((len(scenes), cells, cells, len(COLOURS)), dtype=np.float32)
    edges = np.arange(cells) / cells
    for n, scene in enumerate(scenes):
        for item in scene.items:
            half = item.size * 0.42  # sprites seldom fill their box
            across = _overlap(edges, cells, item.x, half)
            down = _overlap(edges, cells, item.y, half)
            share = down[:, None] * across[None, :]  # (cells, cells)
            thing[n, :, :, item.thing] += share
            if item.colour is not None:
                colour[n, :, :, COLOURS.index(item.colour)] += share
    covered = thing.sum(-1, keepdims=True)
    thing /= np.maximum(covered, 1.0)
    thing[..., -1] = 1.0 - np.minimum(covered[..., 0], 1.0)
    return thing, colour / np.maximum(covered, 1.0)


def _overlap(edges: np.ndarray, cells: int, centre: float, half: float) -> np.ndarray:
    low, high = np.maximum(edges, centre - half), np.minimum(edges + 1 / cells, centre + half)
    share: np.ndarray = np.clip(high - low, 0, None) * cells
    return share


def thing_truth(scenes: Sequence[Scene], things: int) -> np.ndarray:
    """Returns int8 (n, things): 1 where the scene shows the thing, else 0."""
    truth = np.zeros((len(scenes), things), dtype=np.int8)
    for n, scene in enumerate(scenes):
        truth[n, list({item.thing for item in scene.items})] = 1
    return truth


def thing_targets(scenes: Sequence[Scene], things: int) -> np.ndarray:
    """Returns (n, things), each row shared evenly by the things in the scene."""
    truth = thing_truth(scenes, things).astype(np.float32)
    shares: np.ndarray = truth / truth.sum(1, keepdims=True)
    return shares
