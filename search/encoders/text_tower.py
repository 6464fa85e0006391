"""open_clip's text tower as the module that is exported: the same numbers from fewer, cheaper operations."""

from typing import Any

from search.encoders.open_clip_encoder import import_open_clip

_POOLED = ("argmax", "eos", "last")  # at one token, whose place is known before the last block


def text_tower(model: Any, *, takes_any_length: bool) -> Any:
    """`model.encode_text` as a module. Where `takes_any_length`, positions and mask are cut to the texts' length."""
    import torch

    tower = getattr(model, "text", model)  # CustomTextCLIP keeps its text tower in one place, CLIP spreads it
    pool_type: Any = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", "argmax")
    eos_id: Any = getattr(tower, "text_eos_id", None) or getattr(tower, "eos_id", None)
    forward = _plain if _is_plain(tower, pool_type) else _cut

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, text: Any) -> Any:
            if forward is _cut and not (takes_any_length and hasattr(tower, "attn_mask")):
                return model.encode_text(text)
            x = tower.token_embedding(text) + tower.positional_embedding[: text.shape[1]]
            return _projected(tower, forward(tower, x, text, pool_type, eos_id))

    return Text()


def _cut(tower: Any, x: Any, text: Any, pool_type: str, eos_id: int | None) -> Any:
    """open_clip's own blocks, whatever they are made of."""
    length = text.shape[1]
    x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
    return import_open_clip().transformer.text_global_pool(x, text, pool_type, eos_token_id=eos_id)


def _is_plain(tower: Any, pool_type: str) -> bool:
    """Whether `_plain` does all that the tower does: another class or an option beyond the usual may do more."""
    import torch

    open_clip = import_open_clip()
    if type(tower) not in (open_clip.CLIP, open_clip.transformer.TextTransformer) or pool_type not in _POOLED:
        return False
    if any(getattr(tower, name, None) for name in ("use_pad_mask", "output_tokens")):
        return False
    return getattr(tower, "cls_emb", None) is None and all(
        type(block) is open_clip.transformer.ResidualAttentionBlock
        and type(block.attn) is torch.nn.MultiheadAttention
        and not hasattr(block, "ln_1_kv")
        for block in tower.transformer.resblocks
    )


def _plain(tower: Any, x: Any, text: Any, pool_type: str, eos_id: int | None) -> Any:
    """The last block asks at the pooled token alone: no other row of its answer is read.

    Rows of all texts lie below one another, (texts * length, width), so that a product with its bias is one Gemm.
    """
    import torch

    texts, length = text.shape
    at = _pooled_at(text, pool_type, eos_id)  # (texts,)
    mask = None if tower.attn_mask is None else tower.attn_mask[:length, :length]
    x = x.reshape(texts * length, x.shape[-1])
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        q, k, v = _heads(block.attn, block.ln_1(x), (0, 1, 2), texts)
        x = _rest(block, x, _attended(q, k, v, mask))
    rows = torch.arange(texts) * length + at
    asked = last.ln_1(x)
    k, v = _heads(last.attn, asked, (1, 2), texts)
    (q,) = _heads(last.attn, asked.index_select(0, rows), (0,), texts)
    seen = None if mask is None else mask.index_select(0, at)[:, None, None, :]
    return tower.ln_final(_rest(last, x.index_select(0, rows), _attended(q, k, v, seen)))


def _pooled_at(text: Any, pool_type: str, eos_id: int | None) -> Any:
    """Where open_clip's text_global_pool takes its row."""
    import torch

    if pool_type == "argmax":
        return text.argmax(dim=-1)
    if pool_type == "eos":
        return (text == eos_id).int().argmax(dim=-1)
    return torch.full((text.shape[0],), text.shape[1] - 1)


def _heads(attn: Any, x: Any, wanted: tuple[int, ...], texts: int) -> tuple[Any, ...]:
    """Queries (0), keys (1) and values (2), each (texts, heads, tokens, width of a head)."""
    import torch

    width, first = attn.embed_dim, wanted[0] * attn.embed_dim
    weight, bias = attn.in_proj_weight[first:], attn.in_proj_bias[first:]
    weight, bias = weight[: len(wanted) * width], bias[: len(wanted) * width]
    found = torch.nn.functional.linear(x, weight, bias)
    found = found.reshape(texts, -1, len(wanted), attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
    return tuple(found[n] for n in range(len(wanted)))


def _attended(q: Any, k: Any, v: Any, mask: Any) -> Any:
    """(texts * tokens of q, width)."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    scores = scores if mask is None else scores + mask
    found = scores.softmax(dim=-1) @ v
    return found.transpose(1, 2).reshape(-1, q.shape[1] * q.shape[3])


def _rest(block: Any, x: Any, attended: Any) -> Any:
    """A block of open_clip from its attention's answer on."""
    x = x + block.ls_1(block.attn.out_proj(attended))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def _projected(tower: Any, x: Any) -> Any:
    import torch

    projection = tower.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
