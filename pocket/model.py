"""Owns the model's shape: open_clip's own classes with a small config, and the heads used only in training."""

from typing import Any

import torch
from torch import Tensor, nn

from search.encoders.open_clip_encoder import import_open_clip

IMAGE_PX = 128
CONTEXT_LENGTH = 32
VOCAB_SIZE = 49_408
EMBED_DIM = 256
TEXT_WIDTH = 128
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def model_config(*, vocab_size: int = VOCAB_SIZE) -> dict[str, Any]:
    """Returns what open_clip.CLIP takes and open_clip_config.json stores."""
    return {
        "embed_dim": EMBED_DIM,
        "vision_cfg": {
            "timm_model_name": "mobilenetv4_conv_small",
            "timm_model_pretrained": False,
            "timm_pool": "avgmax",
            # timm reports 960 features and emits 1,280: any other projection than timm's own breaks.
            "timm_proj": "",
            "image_size": IMAGE_PX,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": vocab_size,
            "width": TEXT_WIDTH,
            "heads": 4,
            "layers": 3,
        },
    }


def build_model(table: nn.Module) -> Any:
    """Returns an open_clip.CLIP, whose image tower is `visual`; `table` turns token ids into vectors."""
    model = import_open_clip().CLIP(**model_config(vocab_size=8))
    model.token_embedding = table
    return model.to(memory_format=torch.channels_last)


class TaughtTable(nn.Module):
    """Token vectors: the teacher's, seen through one matrix, and for some tokens a rest of their own.

    Words of no caption so lie where the teacher puts them among those that are.
    """

    taught: Tensor
    row: Tensor

    def __init__(self, taught: Tensor, has_rest: Tensor) -> None:
        """`taught` (tokens, teacher's dim), constant; `has_rest` bool (tokens,)."""
        super().__init__()
        self.register_buffer("taught", taught, persistent=False)
        self.register_buffer("row", has_rest.long().cumsum(0) * has_rest, persistent=False)
        self.view = nn.Parameter(torch.randn(taught.shape[1], TEXT_WIDTH) * 0.06)
        self.rest = nn.Embedding(int(has_rest.sum()) + 1, TEXT_WIDTH, padding_idx=0)
        nn.init.normal_(self.rest.weight[1:], std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        vectors: Tensor = self.taught[tokens] @ self.view + self.rest(self.row[tokens])
        return vectors

    def framed(self, frame: Tensor, vectors: Tensor) -> Tensor:
        """As `forward`, for texts of one token, the teacher's vector (n, its dim), between the two of `frame`."""
        start, end = self(frame)
        return torch.stack([start.expand(len(vectors), -1), vectors @ self.view, end.expand(len(vectors), -1)], dim=1)


class Heads(nn.Module):
    """What training asks besides the contrastive loss: things anywhere and in each cell, colour, background, count."""

    def __init__(self, *, things: int, places: int, colours: int) -> None:
        super().__init__()
        self.cell_thing = nn.Linear(960, things + 1)
        self.cell_colour = nn.Linear(960, colours)
        self.thing = nn.Parameter(torch.randn(things, EMBED_DIM) * EMBED_DIM**-0.5)
        self.thing_scale = nn.Parameter(torch.tensor(2.7))
        self.place = nn.Linear(EMBED_DIM, places)
        self.count = nn.Linear(EMBED_DIM, 6)

    def thing_logits(self, embedding: Tensor) -> Tensor:
        vectors = nn.functional.normalize(self.thing, dim=-1)
        return self.thing_scale.exp().clamp(max=60) * nn.functional.normalize(embedding, dim=-1) @ vectors.T


def image_features(model: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the trunk's last map (n, 960, cells, cells) and the embedding (n, EMBED_DIM), not normalised."""
    trunk = model.visual.trunk
    cells = trunk.forward_features(images)
    return cells, trunk.forward_head(cells)


def text_embedding(model: Any, tokens: Tensor) -> Tensor:
    """Returns (n, EMBED_DIM), not normalised: open_clip's encode_text, for rows shorter than the context."""
    return vectors_embedding(model, model.token_embedding(tokens), tokens.argmax(-1))


def vectors_embedding(model: Any, vectors: Tensor, end: Tensor) -> Tensor:
    """The same for tokens that are vectors already (n, length, TEXT_WIDTH); `end`: where each row's end token is."""
    length = vectors.shape[1]
    x = vectors + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    pooled: Tensor = x[torch.arange(len(x), device=x.device), end] @ model.text_projection
    return pooled


def texts_by_length(model: Any, tokens: Tensor, *, groups: int = 4) -> Tensor:
    """Returns text_embedding of all rows, in groups of like length: half the work, since most captions are short."""
    lengths = tokens.argmax(-1) + 1  # the end token has the largest id
    order = lengths.argsort()
    parts = [text_embedding(model, tokens[rows, : int(lengths[rows[-1]])]) for rows in order.chunk(groups)]
    return torch.cat(parts)[order.argsort()]
