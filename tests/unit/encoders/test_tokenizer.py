"""Token ids are open_clip's, whatever is typed."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.encoders.export import simple_tokenizer
from search.encoders.open_clip_encoder import import_open_clip
from search.encoders.tokenizer import Tokenizer, cut_is_lossless, foreign_options
from search.errors import ModelDamaged

LINES = (
    "a red boat on the sea|Zürich|naïve café|ÉTÉ À PARIS|straße|İstanbul|ΣΊΣΥΦΟΣ|Ελλάδα|Привет, мир|שלום|مرحبا بالعالم",
    "नमस्ते दुनिया|東京タワー|猫が好き|你好世界|한국어 문장|ｆｕｌｌｗｉｄｔｈ|ﬁne ﬂour|e\u0301 a\u030a|x̸̧̖̂͠y|\u0130\u0307",
    "🐈|👩\u200d👩\u200d👧\u200d👦|🏳️\u200d🌈|👍🏽|🇨🇭|1️⃣|\U0001f9ff|½|Ⅷ|x²|№ 5|$9.99|50%|3.14|1,000,000|0123456789|٣٤٥",
    "<b>bold</b>|&lt;p&gt;|&amp;amp;|&eacute;t&eacute;|&#233;|&#x1F600;|&nbsp;|&notanentity;|&amp|<a href='x'>y</a>",
    "it's|I'm|they'd|WE'LL|don't|rock'n'roll|x'ſ|x'ſt|x'K|THEY'RE|'quoted'|“curly” ‘quotes’|l’été|\u2026|—|–",
    "C++|C#|a_b_c|snake_case|--|!!!???|(parens)|[x]|{y}|#tag|@name|https://example.com/a?b=c&d=e|me@example.com",
    "tab\there|line\nbreak|\r\n|\x00|\x07|\x1b[31mred\x1b[0m|\x85|\u00a0|\u200b|\u2028|\ufeff|\u3000|  ",
    "schÃ¶n|â€œquotesâ€\x9d|Ã©tÃ©|\ud83d|ſ|ǅ|ß|ŉ|aaaaaaaaaaaaaaaaaaaaaaaa|supercalifragilistic",
)
PIECES = [piece for line in LINES for piece in line.split("|")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("textual")
    simple_tokenizer().save(str(out / "tokenizer.json"))
    return out


def texts(count: int) -> list[str]:
    chosen = random.Random(7)
    lengths = chosen.choices([1, 2, 4, 9, 30, 300], weights=[4, 4, 4, 4, 2, 1], k=count - len(PIECES))
    glue = ("", " ", " ", " ", "\n", ", ")
    drawn = ["".join(chosen.choice(PIECES) + chosen.choice(glue) for _ in range(length)) for length in lengths]
    return [*PIECES, *drawn]


def test_ids_of_2000_texts_equal_open_clips(folder: Path) -> None:
    ours, asked = Tokenizer(folder, {}), texts(2000)
    theirs = import_open_clip().SimpleTokenizer()
    differing = [
        text
        for text, row, ids in zip(asked, ours.padded(ours.ids(asked)), theirs(asked).numpy(), strict=True)
        if not np.array_equal(row, ids)
    ]
    assert len(asked) == 2000
    assert differing == []


@pytest.mark.parametrize("clean", ["lower", "whitespace", "canonicalize"])
def test_a_models_own_cleaning_and_context_length_are_kept(folder: Path, clean: str) -> None:
    ours = Tokenizer(folder, {"context_length": 16, "tokenizer_kwargs": {"clean": clean}})
    theirs = import_open_clip().SimpleTokenizer(context_length=16, clean=clean)
    asked = texts(200)
    assert ours.padded(ours.ids(asked)).tolist() == theirs(asked).tolist()


def test_a_typed_end_token_is_ordinary_text(folder: Path) -> None:
    (ids,) = Tokenizer(folder, {}).ids(["cat <end_of_text> dog"])
    assert ids.index(49407) == len(ids) - 1


def test_ids_end_with_the_end_token_and_are_not_padded(folder: Path) -> None:
    ours = Tokenizer(folder, {})
    assert ours.ids(["a cat", ""]) == [[49406, 320, 2368, 49407], [49406, 49407]]
    assert [len(ids) for ids in ours.ids(["cat " * 75, "cat " * 76])] == [77, 77]


def write_hugging_face(folder: Path, *, direction: str = "right", **config: str) -> Tokenizer:
    from tokenizers import Tokenizer as File
    from tokenizers import models, pre_tokenizers, processors

    file = File(models.WordLevel({"<pad>": 1, "</s>": 2, "cat": 5, "dog": 6, "?": 7}, unk_token="?"))
    file.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    file.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    file.enable_padding(direction=direction, pad_id=9, pad_token="<pad>", length=50)
    file.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"} | config))
    return Tokenizer(folder, {"hf_tokenizer_name": "any", "context_length": 4})


def test_a_hugging_face_tokenizer_is_padded_and_cut_by_its_own_rules(tmp_path: Path) -> None:
    ours = write_hugging_face(tmp_path)
    ids = ours.ids(["cat dog", " cat\n dog cat dog cat "])
    assert ids == [[5, 6, 2], [5, 6, 5, 2]]
    assert ours.padded(ids).tolist() == [[5, 6, 2, 1], [5, 6, 5, 2]]
    assert ours.padded(ids[:1], 3).tolist() == [[5, 6, 2]]


@pytest.mark.parametrize(
    ("direction", "config", "row"),
    [
        ("right", {"padding_side": "left"}, [1, 1, 5, 2]),
        ("left", {}, [1, 1, 5, 2]),
        ("left", {"padding_side": "right"}, [5, 2, 1, 1]),
    ],
)
def test_the_side_of_the_padding_is_the_configs_and_then_the_files(
    tmp_path: Path, direction: str, config: dict[str, str], row: list[int]
) -> None:
    ours = write_hugging_face(tmp_path, direction=direction, **config)
    assert ours.padded(ours.ids(["cat"])).tolist() == [row]
    assert ours.pads_left is (row[0] == 1)


@pytest.mark.parametrize("older", [{"pad_token": "dog"}, {"pad_token": {"content": "dog"}}, {}])
def test_a_token_that_fills_up_is_found_where_older_folders_say_it(tmp_path: Path, older: dict[str, object]) -> None:
    write_hugging_face(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(older))
    ours = Tokenizer(tmp_path, {"hf_tokenizer_name": "any", "context_length": 4})
    assert ours.padded(ours.ids(["cat"])).tolist() == [[5, 2, 6, 6] if older else [5, 2, 1, 1]]


def test_options_that_only_open_clip_knows_are_named() -> None:
    known = {"tokenizer_kwargs": {"clean": "lower"}}
    assert foreign_options(known) == foreign_options({}) == []
    asked = {"tokenizer_mode": "clips", "tokenizer_kwargs": {"clean": "lower", "strip_sep_token": True}}
    assert foreign_options(asked) == ["strip_sep_token", "tokenizer_mode"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version":"1.0"}'])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "tokenizer.json").write_text(damage)
    with pytest.raises(ModelDamaged, match=r"tokenizer\.json"):
        Tokenizer(tmp_path, {})


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"tokenizer\.json"):
        Tokenizer(tmp_path, {})


@pytest.mark.parametrize(
    ("text_cfg", "lossless"),
    [
        ({}, True),
        ({"context_length": 77, "pool_type": "argmax"}, True),
        ({"pool_type": "eos"}, True),
        ({"no_causal_mask": True}, False),
        ({"no_causal_mask": True, "pool_type": "last"}, False),
        ({"pool_type": "last"}, False),
        ({"embed_cls": True}, False),
        ({"hf_model_name": "xlm-roberta-base", "hf_tokenizer_name": "xlm-roberta-base"}, True),
        ({"hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}, False),
        ({"hf_tokenizer_name": "facebook/xlm-v-base", "pool_type": "eos"}, True),
        ({"hf_tokenizer_name": "any", "pool_type": "eos", "no_causal_mask": True}, False),
    ],
)
def test_texts_are_cut_only_where_the_config_says_that_it_loses_nothing(
    text_cfg: dict[str, object], lossless: bool
) -> None:
    assert cut_is_lossless(text_cfg) is lossless


def test_plain_words_never_wait_for_ftfy(folder: Path) -> None:
    said = (
        "import sys; from pathlib import Path; from search.encoders.tokenizer import Tokenizer;"
        f"Tokenizer(Path({str(folder)!r}), {{}}).ids(['a red boat']); print('ftfy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
