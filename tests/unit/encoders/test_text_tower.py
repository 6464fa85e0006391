"""The text tower that is exported gives open_clip's numbers, whatever open_clip's options."""

from pathlib import Path
from typing import Any

import pytest
import torch

from search.encoders.open_clip_encoder import build_open_clip
from search.encoders.text_tower import text_tower

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 4, "layers": 3}
VISION = {"layers": 1, "width": 32, "head_width": 16, "image_size": 32, "patch_size": 32}
END = 63  # the greatest id
IDS = [[62, 5, END, 0, 0, 0], [62, 7, 8, 9, 10, END], [62, END, 0, 0, 0, 0]]


def built(folder: Path, **options: Any) -> Any:
    custom = options.pop("custom_text", False)
    quick = options.pop("quick_gelu", False)
    config = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT | options, "quick_gelu": quick}
    torch.manual_seed(0)
    model = build_open_clip(config | ({"custom_text": True} if custom else {}), folder)
    for weights in model.parameters():  # far from the start, where all texts are nearly one
        torch.nn.init.normal_(weights, std=0.3)
    return model


def padded(ids: list[list[int]], length: int) -> torch.Tensor:
    return torch.tensor([row + [0] * (length - len(row)) for row in ids], dtype=torch.int32)


OPTIONS: dict[str, dict[str, Any]] = {
    "as CLIP": {},
    "in a place of its own": {"custom_text": True},
    "pooled at a named end": {"custom_text": True, "pool_type": "eos", "eos_id": END},
    "fast GELU": {"quick_gelu": True},
    "scaled layers": {"ls_init_value": 0.5},
    "a projection with a bias": {"custom_text": True, "proj_bias": True},
    "blocks of another kind": {"custom_text": True, "qk_norm": True, "scale_fc": True},
}
LOOKING_AHEAD: dict[str, dict[str, Any]] = {
    "pooled at the end": {"custom_text": True, "no_causal_mask": True},
    "pooled at the last token": {"custom_text": True, "no_causal_mask": True, "pool_type": "last"},
    "causal, pooled at the last token": {"custom_text": True, "pool_type": "last"},
    "pooled at the first token": {"custom_text": True, "no_causal_mask": True, "pool_type": "first"},
    "a token of its own for the whole": {"custom_text": True, "embed_cls": True},
    "blocks of another kind": {"custom_text": True, "no_causal_mask": True, "qk_norm": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_texts_without_their_padding_have_open_clips_embeddings(options: dict[str, Any], tmp_path: Path) -> None:
    model = built(tmp_path, **options)
    with torch.inference_mode():
        ours = text_tower(model, takes_any_length=True)(padded(IDS, 6))
        theirs = model.encode_text(padded(IDS, 16))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", LOOKING_AHEAD.values(), ids=LOOKING_AHEAD)
def test_texts_at_full_length_have_open_clips_embeddings(options: dict[str, Any], tmp_path: Path) -> None:
    model = built(tmp_path, **options)
    with torch.inference_mode():
        ours = text_tower(model, takes_any_length=False)(padded(IDS, 16))
        theirs = model.encode_text(padded(IDS, 16))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_last_block_asks_at_the_pooled_token_alone(tmp_path: Path) -> None:
    model = built(tmp_path, custom_text=True)
    rows: list[int] = []
    for block in model.text.transformer.resblocks:
        block.mlp.register_forward_hook(lambda mlp, given, found: rows.append(found.numel() // TEXT["width"]))
    with torch.inference_mode():
        text_tower(model, takes_any_length=True)(padded(IDS, 6))
    assert rows == [18, 18, 3]
