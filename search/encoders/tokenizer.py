"""Texts to token ids, equal to open_clip's, from an exported folder's `tokenizer.json`; knows no model."""

import html
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.encoders.json_file import read_json
from search.errors import ModelDamaged

Ids = NDArray[np.int32]  # (n, length)

_LONGEST_TEXT = 1 << 15  # tokens
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def cut_is_lossless(text_cfg: Mapping[str, Any]) -> bool:
    """Whether ids behind the end token reach nothing.

    So it is in a causal tower that is pooled at the end token, and in a tower of `transformers`, where open_clip masks
    the padding and pools over the mask.
    """
    if text_cfg.get("hf_model_name"):
        return True
    # "argmax" finds the greatest id, which is the end token in open_clip's own vocabulary alone
    ends = ("eos",) if text_cfg.get("hf_tokenizer_name") else ("argmax", "eos")
    return (
        not text_cfg.get("no_causal_mask")
        and not text_cfg.get("embed_cls")
        and text_cfg.get("pool_type", "argmax") in ends
    )


def foreign_options(text_cfg: Mapping[str, Any]) -> list[str]:
    """What a config asks of its tokenizer that only open_clip's own can do."""
    unknown = sorted(set(text_cfg.get("tokenizer_kwargs") or {}) - {"clean"})
    return unknown + ["tokenizer_mode"] * bool(text_cfg.get("tokenizer_mode"))


class Tokenizer:
    """Cleans texts as open_clip does and turns them into ids. Thread-safe."""

    def __init__(self, folder: Path, text_cfg: Mapping[str, Any]) -> None:
        """Reads `tokenizer.json` (and `tokenizer_config.json` for a Hugging Face tokenizer). Raises: ModelDamaged."""
        is_simple = not text_cfg.get("hf_tokenizer_name")
        try:
            self.context_length = int(text_cfg.get("context_length") or 77)
            if not 2 < self.context_length <= _LONGEST_TEXT:
                raise ValueError("no length of a text")
            clean = (text_cfg.get("tokenizer_kwargs") or {}).get("clean")
            self._clean = _CLEAN[clean or ("lower" if is_simple else "whitespace")]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ModelDamaged(
                "The model's config.json has a text_cfg unknown to open_clip; fetch it again."
            ) from error
        self._file = _read(folder / "tokenizer.json")
        self._ends: tuple[int, int] | None = None
        self._pad_id, self.pads_left = 0, False
        if is_simple:
            vocabulary = self._file.get_vocab_size(with_added_tokens=True)
            self._ends = (vocabulary - 2, vocabulary - 1)
            self._file.no_truncation()
        else:
            self._pad_id, side = _padding(folder, self._file)
            self.pads_left = side == "left"
            self._file.enable_truncation(max_length=self.context_length)
        self._file.no_padding()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, ended by the end token and at most the context length; the tail is not padded."""
        cleaned = [self._clean(text) for text in texts]
        if self._ends is None:
            return [self._file.encode(text).ids for text in cleaned]
        start, end = self._ends
        most = self.context_length - 2
        found = (self._file.encode(text, add_special_tokens=False).ids for text in cleaned)
        return [[start, *ids[:most], end] for ids in found]

    def padded(self, ids: Sequence[Sequence[int]], length: int | None = None) -> Ids:
        """Rows of one length, by default the context length, filled up as open_clip does."""
        rows = np.full((len(ids), length or self.context_length), self._pad_id, dtype=np.int32)
        for row, values in zip(rows, ids, strict=True):
            row[len(row) - len(values) if self.pads_left else 0 :][: len(values)] = values
        return rows


def _read(path: Path) -> Any:
    from tokenizers import Tokenizer as File

    try:
        return File.from_file(str(path))
    except Exception as error:  # tokenizers has no class of its own: it raises Exception itself
        raise ModelDamaged(f"The model's {path.name} is missing or can't be read; export or fetch it again.") from error


def _padding(folder: Path, file: Any) -> tuple[int, str]:
    """Id of the token that fills up, and the side where it does, wherever the kinds of folders say it."""
    config = _json_object(folder / "tokenizer_config.json")
    older = _json_object(folder / "special_tokens_map.json")
    own = file.padding or {}
    named = config.get("pad_token") or older.get("pad_token") or own.get("pad_token")
    for pad in (named.get("content") if isinstance(named, dict) else named, "<pad>", "[PAD]"):
        pad_id = file.token_to_id(pad) if isinstance(pad, str) else None
        if pad_id is not None:
            return pad_id, config.get("padding_side") or own.get("direction", "right")
    raise ModelDamaged("The model's tokenizer_config.json is missing or names no pad_token; fetch it again.")


def _json_object(path: Path) -> dict[str, Any]:
    try:
        said = read_json(path)
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _fixed(text: str) -> str:
    """What open_clip's basic_clean does: repair the encoding, undo HTML escapes twice."""
    # ftfy leaves printable ASCII without entities as it is; importing it costs 40 ms
    if not (text.isascii() and text.isprintable() and "&" not in text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return text


def _whitespace(text: str) -> str:
    return " ".join(_fixed(text).split())


def _lower(text: str) -> str:
    return _whitespace(text).lower()


def _canonicalize(text: str) -> str:
    plain = _fixed(text).strip().replace("_", " ").translate(_NO_PUNCTUATION).lower()
    return " ".join(plain.split())


_CLEAN: Mapping[str, Callable[[str], str]] = {
    "lower": _lower,
    "whitespace": _whitespace,
    "canonicalize": _canonicalize,
}
