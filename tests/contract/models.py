"""Architectures of open_clip with less depth, width and vocabulary, as folders with random weights; fetches nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers import models as kinds

from bench.random_model import write_random_model
from search.encoders.open_clip_encoder import import_open_clip

VIT = {"layers": 1, "width": 128}
TEXT = {"layers": 2, "width": 64, "heads": 2}
FASTVIT = {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 128)}
WORDS = ("a", "the", "red", "blue", "boat", "sea", "cat", "dog", "two", "green", "on", "and", "with", "apple", "s", "t")


@dataclass(frozen=True, slots=True)
class Small:
    """How an architecture is made small. `trunk`: arguments of its timm model."""

    name: str
    is_cut_lossless: bool
    vision: dict[str, Any]
    text: dict[str, Any]
    trunk: dict[str, Any] | None = None
    write_tokenizer: Callable[[Path], None] | None = None


def write_small(small: Small, out: Path) -> Path:
    config: dict[str, Any] = import_open_clip().get_model_config(small.name)
    config["embed_dim"] = 64
    config["vision_cfg"] |= small.vision
    config["text_cfg"] |= small.text
    if small.trunk is not None:
        config["vision_cfg"]["timm_model_name"] = _register(config["vision_cfg"]["timm_model_name"], small.trunk)
    out.mkdir(parents=True)
    if small.write_tokenizer is not None:
        small.write_tokenizer(out)
    write_random_model(config, out)
    _spread(out)
    return out


def _spread(folder: Path) -> None:
    """Weights of several times the initial size: else all answers of an untrained network are nearly one."""
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    for name, values in weights.items():
        if values.ndim >= 2 and "positional" not in name and "pos_embed" not in name:
            weights[name] = values * np.float32(2)
        elif "gamma" in name or "layer_scale" in name:
            weights[name] = np.full_like(values, 0.5)
    save_file(weights, path)


def _register(name: str, arguments: dict[str, Any]) -> str:
    import timm

    def build(pretrained: bool = False, **given: Any) -> Any:
        assert not pretrained
        return timm.models.model_entrypoint(name)(pretrained=False, **(arguments | given))

    build.__name__ = f"{name}_small"
    if not timm.models.is_model(build.__name__):
        timm.models.register_model(build)
    return build.__name__


def gemma_tokenizer(out: Path) -> None:
    """As SigLIP2's: byte-pairs, spaces as ▁, bytes for what is unknown, an end token and no start token."""
    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<mask>": 4}
    vocabulary |= {f"<0x{byte:02X}>": 5 + byte for byte in range(256)}
    merges = []
    for word in ("▁" + word for word in WORDS):
        for end in range(1, len(word) + 1):
            vocabulary.setdefault(word[end - 1], len(vocabulary))
            vocabulary.setdefault(word[:end], len(vocabulary))
            if end > 1 and (word[: end - 1], word[end - 1]) not in merges:
                merges.append((word[: end - 1], word[end - 1]))
    file = Tokenizer(kinds.BPE(vocabulary, merges, fuse_unk=True, unk_token="<unk>", byte_fallback=True))
    file.normalizer = normalizers.Replace(" ", "▁")
    file.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    file.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    file.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    file.add_special_tokens([AddedToken(name, normalized=False) for name in list(vocabulary)[:5]])
    file.enable_padding(direction="right", pad_id=0, pad_token="<pad>", length=64)
    file.enable_truncation(64)
    file.save(str(out / "tokenizer.json"))
    special = {f"{kind}_token": f"<{kind}>" for kind in ("pad", "eos", "bos", "unk")}
    said = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True, "padding_side": "right"}
    (out / "tokenizer_config.json").write_text(json.dumps(said | special | {"model_max_length": 64}))


def xlm_roberta(out: Path) -> None:
    """As XLM-RoBERTa's: unigrams between <s> and </s>, padded with 1; and the text tower's config, made small."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(f"▁{word}", -5.0 - rank / 10) for rank, word in enumerate(WORDS)]
    pieces += [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyzé猫好き"]
    pieces.append(("<mask>", 0.0))
    file = Tokenizer(kinds.Unigram(pieces, unk_id=3, byte_fallback=False))
    file.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    file.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    file.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    file.add_special_tokens([name for name, _ in pieces[:4]] + [AddedToken("<mask>", lstrip=True)])
    file.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}))
    config = {
        "model_type": "xlm-roberta",
        "vocab_size": len(pieces),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-05,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    (out / "config.json").write_text(json.dumps(config))


SMALL = [
    Small("ViT-B-32", True, VIT | {"image_size": 96}, TEXT),
    Small("ViT-B-16", True, VIT | {"image_size": 64}, TEXT),
    Small("ViT-L-14", True, VIT | {"image_size": 56}, TEXT),
    Small("MobileCLIP-S1", False, {"image_size": 64}, TEXT, trunk=FASTVIT),
    Small("MobileCLIP2-S0", False, {"image_size": 64}, TEXT, trunk=FASTVIT),
    Small(
        "ViT-B-16-SigLIP2",
        False,
        {"image_size": 64},
        TEXT | {"vocab_size": 512},
        trunk={"img_size": 64, "embed_dim": 64, "depth": 1, "num_heads": 2},
        write_tokenizer=gemma_tokenizer,
    ),
    Small("xlm-roberta-base-ViT-B-32", True, VIT | {"image_size": 96}, {}, write_tokenizer=xlm_roberta),
    Small("convnext_base_w", True, {"image_size": 64}, TEXT, trunk={"depths": (1, 1, 1, 1), "dims": (16, 32, 64, 128)}),
    Small(
        "EVA02-B-16",
        True,
        {"image_size": 64},
        TEXT,
        trunk={"img_size": 64, "embed_dim": 64, "depth": 1, "num_heads": 2},
    ),
]
