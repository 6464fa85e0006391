"""Exports an open_clip folder to ONNX, checked against torch before it may be used; runs in a process of its own.

python -m search.encoders.export SOURCE OUT [--half] [--attended]
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from search.encoders.fingerprint import fingerprint_of_open_clip, open_clip_preprocess, read_open_clip_config
from search.encoders.needs import export_needs, lack_of_disk, lack_of_memory
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import import_open_clip, load_open_clip, run_images, run_texts
from search.encoders.scratch import scratch_in
from search.encoders.tokenizer import foreign_options
from search.encoders.towers import write_towers
from search.errors import ModelDamaged, ModelError
from search.memory import available_bytes
from search.types import Embeddings

STAGES = ("reading weights", "text tower", "image tower", "checking")
_COSINE = 0.9999
_LONGEST_S = 3600
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"]+/)+")  # of this machine: why an export failed is told to everybody
_ENDS_WITHIN_S = 10.0  # to take away what was half written
_TEXTS = (
    "a red boat on the sea",
    "cat",
    "Ein Hündchen &amp; 3 🐈 – 猫が好き",
    "two green apples, a tin of biscuits and one very small elephant under a yellow umbrella at night " * 8,
)


def export_in_process(
    source: Path,
    out: Path,
    *,
    half: bool = False,
    offline: bool = False,
    progress: Callable[[str], None] | None = None,
    available: Callable[[], int | None] = available_bytes,
) -> str | None:
    """Exports in a child process; returns None, or in one sentence why there is no `out`.

    `progress` is given each of STAGES as it begins, in the thread that called; what it raises ends the export.
    """
    try:
        needs = export_needs(source)
        lack = lack_of_disk(needs, out) or lack_of_memory(needs, available())
    except ModelDamaged as error:
        return str(error)
    if lack is not None:
        return lack
    command = [sys.executable, "-m", "search.encoders.export", str(source.resolve()), str(out.resolve())]
    environment = {**os.environ, **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    root = Path(__file__).parents[2]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [*command, "--attended", *["--half"] * half],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as child,
    ):
        took_too_long = _followed(child, progress or (lambda stage: None))
        if took_too_long:
            return f"The export took longer than {_LONGEST_S} seconds."
        said.seek(0)
        return _reason(child.returncode, said.read())


def _followed(child: "subprocess.Popen[str]", progress: Callable[[str], None]) -> bool:
    """Reads the child's stages until it ends; whether that took too long. It never outlives this call."""
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    clock = threading.Timer(_LONGEST_S, end)
    clock.daemon = True
    clock.start()
    try:
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() in STAGES:
                progress(line.strip())
        child.wait()
    finally:
        clock.cancel()
        child.kill()
    return late.is_set()


def _reason(status: int, said: str) -> str | None:
    if status < 0:
        return f"The export was ended by signal {-status}, as happens where memory runs out."
    if status > 0:
        lines = said.strip().splitlines() or ["no reason was given"]
        is_ours = lines[-1].startswith("search.errors.")
        return _FOLDERS.sub("", lines[-1].partition(": ")[2] if is_ours else lines[-1])
    return None


def export(
    source: Path, out: Path, *, half: bool = False, progress: Callable[[str], None] = lambda stage: None
) -> None:
    """Writes `out` whole or not at all. With `half`, weights are rounded to float16 and stored as such.

    Raises: ModelDamaged; ModelError where ONNX Runtime and torch disagree.
    """
    progress("reading weights")
    config = read_open_clip_config(source)
    model = load_open_clip(source)
    if half:
        model.half().float()
    with scratch_in(out.parent, kind="export") as scratch:
        _write_configs(config, source, scratch)
        files = [scratch / tower / "model.onnx" for tower in ("textual", "visual")]
        dynamic = write_towers(model, config, *files, whole=half, progress=progress)
        if half:
            from search.encoders.half import halve

            for file in files:
                halve(file)
        progress("checking")
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


def _write_configs(config: dict[str, Any], source: Path, out: Path) -> None:
    for tower in ("textual", "visual"):
        (out / tower).mkdir()
    (out / "config.json").write_text(json.dumps(config["model_cfg"], indent=1), encoding="utf-8")
    preprocess = asdict(open_clip_preprocess(config)) | {"mode": "RGB"}
    (out / "visual" / "preprocess_cfg.json").write_text(json.dumps(preprocess, indent=1), encoding="utf-8")
    text_cfg = config["model_cfg"]["text_cfg"]
    if unknown := foreign_options(text_cfg):
        raise ModelError(f"The model's tokenizer has options that are not exported: {', '.join(unknown)}.")
    if text_cfg.get("hf_tokenizer_name"):
        if not (source / "tokenizer.json").is_file():
            raise ModelError("The model's folder holds no tokenizer.json, which its tokenizer needs.")
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (source / name).is_file():
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


def _check(ours: OnnxEncoder, model: Any, source: Path, config: dict[str, Any]) -> None:
    """Compares texts of several lengths, in one batch and alone, and images, with torch on the same weights."""
    text_cfg = config["text_cfg"]
    if not text_cfg.get("hf_tokenizer_name") or importlib.util.find_spec("transformers"):
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


def _end_with_stdin() -> None:
    """Whoever asked holds the other end; should that process be killed, gigabytes of memory are not held for nobody."""
    os.read(0, 1)  # a thread that waits in sys.stdin would hinder the interpreter's end
    signal.raise_signal(signal.SIGINT)
    time.sleep(_ENDS_WITHIN_S)
    os._exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder with open_clip_config.json and open_clip_model.safetensors")
    parser.add_argument("out", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--half", action="store_true", help="round the weights to float16 and store them so")
    parser.add_argument("--attended", action="store_true", help="end when stdin does")
    args = parser.parse_args()
    if args.attended:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    export(args.source, args.out, half=args.half, progress=lambda stage: print(stage, flush=True))
