"""What open_clip can load is exported to the same numbers: its architectures, made small."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from search.encoders.export import export
from search.encoders.fingerprint import fingerprint_of_export, fingerprint_of_open_clip
from search.encoders.onnx_encoder import OnnxEncoder, read_config
from search.encoders.open_clip_encoder import OpenClipEncoder, import_open_clip, load_open_clip, run_texts
from search.encoders.preprocess import to_pixels
from search.encoders.tokenizer import cut_is_lossless
from tests.contract.models import SMALL, Small, write_small

COSINE = 0.9999
TEXTS = ["a red boat on the sea", "cat", "", "Ein Hündchen &amp; 3 🐈 – 猫が好き", "two green apples and a dog " * 30]


@dataclass(frozen=True)
class Pair:
    """One set of weights, loaded both ways."""

    small: Small
    source: Path
    out: Path
    torch: OpenClipEncoder
    onnx: OnnxEncoder


@pytest.fixture(scope="module", params=SMALL, ids=lambda small: small.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    small: Small = request.param
    if small.write_tokenizer is not None:
        pytest.importorskip("transformers", reason="open_clip needs it for this model's tokenizer")
    root = tmp_path_factory.mktemp(small.name)
    source, out = write_small(small, root / "source"), root / "out"
    export(source, out)
    return Pair(
        small,
        source,
        out,
        OpenClipEncoder(source, name="small", fingerprint=fingerprint_of_open_clip(source)),
        OnnxEncoder(out, name="small", fingerprint=fingerprint_of_export(out)),
    )


def least_cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.min(np.sum(left * right, axis=1)))


def pictures(size: tuple[int, int], count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    noise, tints = random.integers(0, 256, (count, *size, 3)), random.integers(0, 256, (count, 1, 1, 3))
    return ((noise + 3 * tints) // 4).astype(np.uint8)


def test_both_ways_of_loading_have_one_fingerprint(pair: Pair) -> None:
    assert pair.torch.fingerprint == pair.onnx.fingerprint
    assert (pair.torch.dim, pair.torch.preprocess) == (pair.onnx.dim, pair.onnx.preprocess)


def test_token_ids_equal_open_clips(pair: Pair) -> None:
    theirs = import_open_clip().get_tokenizer(f"local-dir:{pair.source}")
    assert pair.onnx.ids(TEXTS).tolist() == theirs(TEXTS).tolist()


@pytest.mark.parametrize("size", [(300, 200), (90, 250), (64, 64), (31, 40)])
def test_pixels_equal_open_clips_transform(pair: Pair, size: tuple[int, int]) -> None:
    open_clip, spec = import_open_clip(), pair.onnx.preprocess
    theirs = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=spec.size), is_train=False)
    image = Image.effect_noise(size, 90).convert("RGB")
    pixels = to_pixels(image, spec)
    expected = theirs(image).numpy() * np.array(spec.std)[:, None, None] + np.array(spec.mean)[:, None, None]
    assert np.abs(pixels.transpose(2, 0, 1) / 255 - expected).max() <= 1 / 255


def test_embeddings_equal_torchs_in_batches_of_any_size(pair: Pair) -> None:
    for count in (1, 3, 5):
        texts, pixels = TEXTS[:count], pictures(pair.onnx.preprocess.size, count)
        assert least_cosine(pair.onnx.encode_texts(texts), pair.torch.encode_texts(texts)) >= COSINE
        assert least_cosine(pair.onnx.encode_images(pixels), pair.torch.encode_images(pixels)) >= COSINE


def test_different_inputs_have_different_embeddings(pair: Pair) -> None:
    """Else the comparisons with torch would hold for anything."""
    texts, images = pair.onnx.encode_texts(TEXTS), pair.onnx.encode_images(pictures(pair.onnx.preprocess.size, 5))
    for rows in (texts, images):
        assert float(np.max(rows @ rows.T - np.eye(5))) < 0.999


def test_a_text_is_cut_exactly_where_that_loses_nothing(pair: Pair) -> None:
    assert cut_is_lossless(read_config(pair.out)["text_cfg"]) is pair.small.is_cut_lossless
    session = onnxruntime.InferenceSession(pair.out / "textual" / "model.onnx")
    whole = pair.onnx.ids(TEXTS[:1])
    assert isinstance(session.get_inputs()[0].shape[1], str) is pair.small.is_cut_lossless
    if pair.small.is_cut_lossless:
        ends = int(np.flatnonzero(whole[0] != whole[0][-1])[-1]) + 1  # the tail is one token over and over
        assert ends < whole.shape[1] // 2
        rows = [session.run(None, {"text": ids})[0][0] for ids in (whole, whole[:, :ends])]
        np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
    else:
        rows = run_texts(load_open_clip(pair.source), whole), run_texts(load_open_clip(pair.source), whole[:, :9])
        assert least_cosine(*rows) < COSINE


def test_a_tokenizer_of_hugging_face_needs_no_transformers_to_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small,) = (small for small in SMALL if small.name == "ViT-B-16-SigLIP2")
    source = write_small(small, tmp_path / "source")
    theirs = OpenClipEncoder(source, name="small", fingerprint="f").encode_texts(TEXTS)
    monkeypatch.setitem(sys.modules, "transformers", None)
    ours = OpenClipEncoder(source, name="small", fingerprint="f").encode_texts(TEXTS)
    np.testing.assert_array_equal(ours, theirs)
