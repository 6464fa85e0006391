"""Exports an open_clip folder to ONNX, checked against torch before it may be used; runs in a process of its own.

python -m search.encoders.export SOURCE OUT [--half]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from search.encoders.fingerprint import fingerprint_of_open_clip, open_clip_preprocess, read_open_clip_config
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import import_open_clip, load_open_clip, run_images, run_texts
from search.encoders.tokenizer import cut_is_lossless
from search.errors import ModelError
from search.types import Embeddings

# Larger weights lie in a file of their own beside model.onnx: ViT-B-32's image tower then loads in 0.4 s of CPU instead
# of 0.8 and keeps 350 MB instead of 570, and one protobuf message ends at 2 GiB anyway.
_BESIDE_FROM_BYTES = 100_000_000
_COSINE = 0.9999
_LONGEST_S = 3600
_TEXTS = (
    "a red boat on the sea",
    "cat",
    "Ein Hündchen &amp; 3 🐈 – 猫が好き",
    "two green apples, a tin of biscuits and one very small elephant under a yellow umbrella at night " * 8,
)


def export_in_process(source: Path, out: Path, *, half: bool = False, offline: bool = False) -> str | None:
    """Exports in a child process; returns None, or in one sentence why there is no `out`."""
    command = [sys.executable, "-m", "search.encoders.export", str(source.resolve()), str(out.resolve())]
    environment = {**os.environ, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    root = Path(__file__).parents[2]
    try:
        done = subprocess.run(
            command + ["--half"] * half, cwd=root, env=environment, capture_output=True, text=True, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return f"The export took longer than {_LONGEST_S} seconds."
    if done.returncode < 0:
        return f"The export was ended by signal {-done.returncode}, as happens where memory runs out."
    if done.returncode > 0:
        said = done.stderr.strip().splitlines() or ["no reason was given"]
        return said[-1].removeprefix("search.errors.")
    return None


def export(source: Path, out: Path, *, half: bool = False) -> None:
    """Writes `out` whole or not at all. With `half`, weights are rounded to float16 and stored as such.

    Raises: ModelDamaged; ModelError where ONNX Runtime and torch disagree.
    """
    config = read_open_clip_config(source)
    model = load_open_clip(source)
    if half:
        model.half().float()
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out.parent)
    scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".export-{os.getpid()}-"))
    try:
        _write_configs(config, source, scratch)
        dynamic = _write_towers(model, config, scratch, whole=half)
        if half:
            from search.encoders.half import halve

            for tower in ("textual", "visual"):
                halve(scratch / tower / "model.onnx")
        fingerprint = fingerprint_of_open_clip(source, half=half)
        _check(OnnxEncoder(scratch, name="export", fingerprint=fingerprint), model, source, config["model_cfg"])
        note = {
            "fingerprint": fingerprint,
            "source": source.name,
            "dim": config["model_cfg"]["embed_dim"],
            "dynamic_length": dynamic,
            "half": half,
        }
        (scratch / "encoder.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
        _move_into_place(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_configs(config: dict[str, Any], source: Path, out: Path) -> None:
    for tower in ("textual", "visual"):
        (out / tower).mkdir()
    (out / "config.json").write_text(json.dumps(config["model_cfg"], indent=1), encoding="utf-8")
    preprocess = asdict(open_clip_preprocess(config)) | {"mode": "RGB"}
    (out / "visual" / "preprocess_cfg.json").write_text(json.dumps(preprocess, indent=1), encoding="utf-8")
    text_cfg = config["model_cfg"]["text_cfg"]
    unknown = sorted(set(text_cfg.get("tokenizer_kwargs") or {}) - {"clean"})
    unknown += ["tokenizer_mode"] * bool(text_cfg.get("tokenizer_mode"))
    if unknown:
        raise ModelError(f"The model's tokenizer has options that are not exported: {', '.join(unknown)}.")
    if text_cfg.get("hf_tokenizer_name"):
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if not (source / name).is_file():
                raise ModelError(f"The model's folder holds no {name}, which its tokenizer needs.")
            shutil.copy(source / name, out / "textual" / name)
    else:
        simple_tokenizer().save(str(out / "textual" / "tokenizer.json"), pretty=False)


def simple_tokenizer() -> Any:
    """open_clip's SimpleTokenizer as a `tokenizers` file; a typed "<end_of_text>" is ordinary text here."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    theirs = import_open_clip().SimpleTokenizer()
    merges = sorted(theirs.bpe_ranks, key=theirs.bpe_ranks.__getitem__)
    ours = Tokenizer(models.BPE(theirs.encoder, merges, end_of_word_suffix="</w>"))
    words = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    ours.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return ours


def _write_towers(model: Any, config: dict[str, Any], out: Path, *, whole: bool) -> bool:
    """Returns whether the text tower takes any length. `whole`: weights are in model.onnx whatever their size."""
    import torch

    text_cfg = config["model_cfg"]["text_cfg"]
    most = int(text_cfg.get("context_length") or 77)
    batch, dynamic = torch.export.Dim("batch"), cut_is_lossless(text_cfg)
    shape = {0: batch, 1: torch.export.Dim("length", max=most)} if dynamic else {0: batch}
    ids = torch.zeros((2, most // 2 if dynamic else most), dtype=torch.int32)
    ids[:, -1] = text_cfg.get("vocab_size", 49408) - 1
    pixels = torch.rand(2, 3, *open_clip_preprocess(config).size)
    towers = _towers(model, dynamic=dynamic)
    _write_tower(towers[0], ids, "text", shape, out / "textual" / "model.onnx", whole=whole)
    _write_tower(towers[1], pixels, "image", {0: batch}, out / "visual" / "model.onnx", whole=whole)
    return dynamic


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


def _towers(model: Any, *, dynamic: bool) -> tuple[Any, Any]:
    """The two halves of an open_clip model as modules of one input."""
    import torch

    pool = import_open_clip().transformer.text_global_pool
    tower = getattr(model, "text", model)  # CustomTextCLIP keeps its text tower in one place, CLIP spreads it
    pool_type = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", "argmax")
    eos_id = getattr(tower, "text_eos_id", None) or getattr(tower, "eos_id", None)

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, text: Any) -> Any:
            if not dynamic:
                return model.encode_text(text)
            # open_clip's own forward pass, with positions and mask cut to the length
            length = text.shape[1]
            x = tower.token_embedding(text) + tower.positional_embedding[:length]
            x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
            x = pool(x, text, pool_type, eos_token_id=eos_id)
            projection = tower.text_projection
            if projection is None:
                return x
            return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection

    class Image(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual

        def forward(self, image: Any) -> Any:
            return self.visual(image)

    return Text(), Image()


def _check(ours: OnnxEncoder, model: Any, source: Path, config: dict[str, Any]) -> None:
    """Compares texts of several lengths, in one batch and alone, and images, with torch on the same weights."""
    text_cfg = config["text_cfg"]
    if not text_cfg.get("hf_tokenizer_name"):
        theirs = import_open_clip().get_tokenizer(f"local-dir:{source}")(list(_TEXTS)).tolist()
        if ours.ids(_TEXTS).tolist() != theirs:
            raise ModelError("The exported tokenizer disagrees with open_clip's.")
    expected = run_texts(model, ours.ids(_TEXTS))
    _compare(ours.encode_texts(_TEXTS), expected, "text")
    _compare(np.concatenate([ours.encode_texts([text]) for text in _TEXTS]), expected, "text")
    pixels = _pictures(*ours.preprocess.size)
    expected = run_images(model, pixels, ours.preprocess)
    _compare(ours.encode_images(pixels), expected, "image")
    _compare(np.concatenate([ours.encode_images(pixel[None]) for pixel in pixels]), expected, "image")


def _compare(ours: Embeddings, theirs: Embeddings, tower: str) -> None:
    """Rows must agree, and what tells one row from another as well: the rows of an untrained model are all alike."""
    least = float(np.min(np.sum(ours * theirs, axis=1)))
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    apart = float(np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-3))
    if not (least >= _COSINE and apart <= 0.05):
        raise ModelError(f"The exported {tower} tower disagrees with torch (cosine {least:.6f}, {apart:.3f} apart).")


def _pictures(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Six pictures that differ: noise, ramps, flat colours."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, height, width, 3)).astype(np.uint8)
    pictures[1] = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None]
    pictures[2] = np.linspace(0, 255, height, dtype=np.uint8)[:, None, None]
    pictures[3], pictures[4] = (250, 20, 10), (10, 40, 220)
    return pictures


def _remove_abandoned(parent: Path) -> None:
    """What exports that were killed left behind, by the process id in its name."""
    for scratch in parent.glob(".export-*-*"):
        pid = int(scratch.name.split("-")[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            shutil.rmtree(scratch, ignore_errors=True)
        except PermissionError:
            pass  # somebody else's, and alive


def _move_into_place(scratch: Path, out: Path) -> None:
    """A rename, so that a half-written export is never seen; whoever comes second leaves the first one's."""
    for path in (path for path in scratch.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    scratch.chmod(0o755)
    try:
        scratch.rename(out)
    except OSError:
        if not (out / "encoder.json").is_file():
            raise


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder with open_clip_config.json and open_clip_model.safetensors")
    parser.add_argument("out", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--half", action="store_true", help="round the weights to float16 and store them so")
    args = parser.parse_args()
    export(args.source, args.out, half=args.half)
