"""Writes the two halves of an open_clip model as ONNX files; checks nothing and knows no folder layout."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.encoders.fingerprint import open_clip_preprocess
from search.encoders.text_tower import text_tower
from search.encoders.tokenizer import cut_is_lossless

# Larger weights lie in a file of their own beside model.onnx: ViT-B-32's image tower then loads in 0.4 s of CPU instead
# of 0.8 and keeps 350 MB instead of 570, and one protobuf message ends at 2 GiB anyway.
_BESIDE_FROM_BYTES = 100_000_000


def write_towers(
    model: Any, config: dict[str, Any], text: Path, image: Path, *, whole: bool, progress: Callable[[str], None]
) -> bool:
    """Returns whether the text tower takes any length. `whole`: weights are in the file itself whatever their size."""
    import torch

    text_cfg = config["model_cfg"]["text_cfg"]
    most = int(text_cfg.get("context_length") or 77)
    batch, dynamic = torch.export.Dim("batch"), cut_is_lossless(text_cfg)
    shape = {0: batch, 1: torch.export.Dim("length", max=most)} if dynamic else {0: batch}
    ids = torch.zeros((2, most // 2 if dynamic else most), dtype=torch.int32)
    ids[:, -1] = 2
    progress("text tower")
    _write_tower(text_tower(model, takes_any_length=dynamic), ids, "text", shape, text, whole=whole)
    progress("image tower")
    pixels = torch.rand(2, 3, *open_clip_preprocess(config).size)
    _write_tower(_image_tower(model.visual), pixels, "image", {0: batch}, image, whole=whole)
    return dynamic


def _image_tower(visual: Any) -> Any:
    import torch

    if hasattr(visual, "trunk"):
        from timm.models import reparameterize_model

        visual = reparameterize_model(visual)  # FastViT (MobileCLIP) trains branches that are one convolution after all

    class Image(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

        def forward(self, image: Any) -> Any:
            return self.visual(image)

    return Image()


def _write_tower(tower: Any, example: Any, given: str, shape: dict[int, Any], path: Path, *, whole: bool) -> None:
    import torch

    weights_bytes = sum(weight.numel() * 4 for weight in tower.parameters())
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own deprecations
        program: Any = torch.onnx.export(
            tower,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[given],
            output_names=[f"{given}_embedding"],
            dynamic_shapes=(shape,),
        )
    # the exporter notes its own way at each node: stack traces, with paths of this machine
    graph = program.model.graph
    for noted in (graph, *graph, *graph.inputs, *graph.outputs, *(value for node in graph for value in node.outputs)):
        noted.metadata_props.clear()
    program.save(str(path), external_data=not whole and weights_bytes >= _BESIDE_FROM_BYTES)
