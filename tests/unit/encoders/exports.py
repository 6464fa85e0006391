"""Exported folders made by hand, with arithmetic in place of a network, so that tests need no torch.

A text's embedding is (id of its first word, length that was run, 1), an image's is its mean colour; both normalised.
"""

import json
from pathlib import Path
from typing import Any

import onnx.parser
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = {"<pad>": 0, "red": 3, "blue": 4, "boat": 5, "?": 6, "<start>": 7, "<end>": 8}

TEXT = """<ir_version: 9, opset_import: ["": 18]>
text (int32[{batch}, {length}] text) => (float[{batch}, 3] text_embedding) {{
  one = Constant<value = int64[1] {{1}}>() two = Constant<value = int64[1] {{2}}>()
  first = Slice(text, one, two, one)
  id = Cast<to = 1>(first)
  length = Shape<start = 1, end = 2>(text)
  number = Cast<to = 1>(length)
  zeros = Sub(id, id)
  run = Add(zeros, number)
  ones = Exp(zeros)
  text_embedding = Concat<axis = 1>(id, run, ones)
}}"""

IMAGE = """<ir_version: 9, opset_import: ["": 18]>
image (float[{batch}, 3, 4, 4] image) => (float[{batch}, 3] image_embedding) {{
  axes = Constant<value = int64[2] {{2, 3}}>()
  image_embedding = ReduceMean<keepdims = 0>(image, axes)
}}"""


def write_export(out: Path, *, batch: int | str = "batch", length: int | str = "length", **text_cfg: Any) -> Path:
    """Writes a folder without encoder.json, as published exports have none."""
    for tower, text in (("textual", TEXT), ("visual", IMAGE)):
        (out / tower).mkdir(parents=True)
        model = onnx.parser.parse_model(text.format(batch=batch, length=length))
        (out / tower / "model.onnx").write_bytes(model.SerializeToString())
    file = Tokenizer(models.WordLevel(WORDS, unk_token="?"))
    file.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    file.save(str(out / "textual" / "tokenizer.json"))
    preprocess = {"size": 4, "mean": 0.0001, "std": 1.0}
    (out / "visual" / "preprocess_cfg.json").write_text(json.dumps(preprocess))
    config = {"embed_dim": 3, "vision_cfg": {"image_size": 4}, "text_cfg": {"context_length": 6} | text_cfg}
    (out / "config.json").write_text(json.dumps(config))
    return out
