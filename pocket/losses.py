"""Owns the loss functions; all targets are exact, made from the scenes' truth."""

import torch
from torch import Tensor
from torch.nn import functional as F

_FAR = -1e4
_VERDICT_SCALE, _VERDICT_AT = 25.0, 0.27  # a scene shows up to five things: 1 / sqrt(5) is .45


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the mean over rows whose target is not empty; rows of `target` sum to at most one."""
    rows = target.sum(-1) > 0
    if not bool(rows.any()):
        return logits.sum() * 0.0
    return -(target[rows] * F.log_softmax(logits[rows], dim=-1)).sum(-1).mean()


def contrast(logits: Tensor, truth: Tensor) -> Tensor:
    """Two-way contrastive loss with many positives: `truth` (rows, columns) is 1 true, 0 false, -1 unknown."""
    return (_one_way(logits, truth) + _one_way(logits.T, truth.T)) / 2


def _one_way(logits: Tensor, truth: Tensor) -> Tensor:
    logits = logits.masked_fill(truth < 0, _FAR)
    positive = (truth > 0).float()
    count = positive.sum(-1)
    rows = count > 0
    share = positive[rows] / count[rows, None]
    return -(share * F.log_softmax(logits[rows], dim=-1)).sum(-1).mean()


def verdict(cosine: Tensor, truth: Tensor) -> Tensor:
    """Each pair on its own, true or false, against one threshold for all texts and images.

    The contrast alone leaves the scores of different texts on different scales, and then nobody can tell from a best
    score whether anything fits. Form: sigmoid loss of SigLIP, arXiv:2303.15343, with scale and threshold fixed.
    """
    logits = _VERDICT_SCALE * (cosine - _VERDICT_AT)
    each = F.softplus(torch.where(truth > 0, -logits, logits))
    return each.masked_fill(truth < 0, 0.0).sum() / len(cosine)


def pair_contrast(first: Tensor, second: Tensor, others: Tensor, scale: float) -> Tensor:
    """Image to image: each of `first` finds its own `second` (n, dim) among all seconds and `others`."""
    logits = scale * first @ torch.cat([second, others]).T
    return F.cross_entropy(logits, torch.arange(len(first), device=first.device))


def alignment(embedding: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
    """Mean distance (1 - cosine) of the texts that name one thing alone to that thing's vector."""
    rows = target.max(-1).values == 1
    named = F.normalize(vectors, dim=-1)[target[rows].argmax(-1)]
    return (1 - (embedding[rows] * named).sum(-1)).sum() / len(embedding)
