"""Which files of a repository make a model, and where each lies in the model's folder; asks and fetches nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.encoders.hub import HubFile
from search.encoders.hub_errors import too_large
from search.encoders.json_file import CONFIG_BYTES, parse_json
from search.encoders.names import is_repo
from search.errors import ModelDamaged, ModelError

_TOKENIZER_BYTES = 64 << 20  # the largest in open_clip's table has 34 MB
_WEIGHTS_BYTES = 50 << 30

# Tensors that published exports keep beside their graph: in one file, or each in a file of its name.
_BESIDE_GRAPH = re.compile(
    r"model\.onnx[._]data(_\d+)?|onnx__[A-Za-z]+_\d+|_*[Cc]onstant_\w+"
    r"|([A-Za-z0-9_]+\.)*\w*(weight|bias|gamma|proj|projection|embedding|embed|latent|scale)(_\d+)?",
    re.ASCII,
)

LICENCE_NAME = re.compile(
    r"((LICEN[CS]E|COPYING|NOTICE)([._-][A-Z0-9._-]{0,40})?|README\.md)", re.ASCII | re.IGNORECASE
)
LICENCE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Needed:
    """A file of the hub, and its place in the model's folder."""

    file: HubFile
    target: str


def of_onnx(listing: Sequence[HubFile], *, model: str) -> list[Needed]:
    """Of a published export; variants for other hardware lie one folder deeper. Raises: ModelError, ModelDamaged."""
    there = {file.path: file for file in listing}
    limits = {
        "config.json": CONFIG_BYTES,
        "visual/preprocess_cfg.json": CONFIG_BYTES,
        "visual/model.onnx": _WEIGHTS_BYTES,
        "textual/model.onnx": _WEIGHTS_BYTES,
        "textual/tokenizer.json": _TOKENIZER_BYTES,
    }
    for path in limits:
        if path not in there:
            raise ModelError(
                f'"{model}" is no export that can be used: its repository has no {path}. An export has config.json, '
                "visual/model.onnx, visual/preprocess_cfg.json, textual/model.onnx and textual/tokenizer.json."
            )
    limits["textual/tokenizer_config.json"] = CONFIG_BYTES
    for path in there:
        room, _, name = path.partition("/")
        if room in ("visual", "textual") and _BESIDE_GRAPH.fullmatch(name):
            limits[path] = _WEIGHTS_BYTES
    return [_checked(there[path], path, most, model) for path, most in limits.items() if path in there]


def weights_of_open_clip(listing: Sequence[HubFile], *, named: str = "", model: str) -> Needed:
    """`named`: the file that open_clip's table names; a .safetensors of that name is preferred, a pickle never read.

    Raises: ModelError where there are only pickles, ModelDamaged.
    """
    wanted = {"": "open_clip_model.safetensors"}.get(named, re.sub(r"\.(bin|pth|pt)$", ".safetensors", named))
    for file in listing:
        if file.path == wanted and wanted.endswith(".safetensors"):
            return _checked(file, "open_clip_model.safetensors", _WEIGHTS_BYTES, model)
    raise ModelError(
        f'"{model}" has no weights that are read here: its repository has no {wanted}, and pickles, which can run any '
        "program, are never read; take another set of weights, or convert it yourself and name the folder."
    )


def named(listing: Sequence[HubFile], path: str, *, model: str) -> Needed:
    """A config by its path. Raises: ModelError where it is not there, ModelDamaged."""
    for file in listing:
        if file.path == path:
            return _checked(file, path, CONFIG_BYTES, model)
    raise ModelError(f'"{model}" is no model of open_clip\'s form: its repository has no {path}.')


def of_tokenizer(listing: Sequence[HubFile], *, model: str) -> list[Needed]:
    """Raises: ModelError where there is none in the one form that is read."""
    there = {file.path: file for file in listing}
    if "tokenizer.json" not in there:
        raise ModelError(f'The tokenizer of "{model}" has no tokenizer.json, the one form that is read here.')
    limits = {"tokenizer.json": _TOKENIZER_BYTES, "tokenizer_config.json": CONFIG_BYTES}
    limits["special_tokens_map.json"] = CONFIG_BYTES
    return [_checked(there[path], path, most, model) for path, most in limits.items() if path in there]


def licences(listing: Sequence[HubFile]) -> list[Needed]:
    """The texts and the model card of a repository: what is passed on with the model, though it runs without."""
    return [
        Needed(file, file.path)
        for file in listing
        if LICENCE_NAME.fullmatch(file.path) and file.size_bytes <= LICENCE_BYTES
    ]


def read_config(data: bytes, *, model: str) -> dict[str, Any]:
    """An open_clip_config.json. Raises: ModelDamaged."""
    try:
        config = parse_json(data)
        if isinstance(config["model_cfg"]["text_cfg"], Mapping) and isinstance(
            config["model_cfg"]["vision_cfg"], Mapping
        ):
            return dict(config)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(f"The open_clip_config.json of \"{model}\" can't be read; is it open_clip's?") from error
    raise ModelDamaged(f'The open_clip_config.json of "{model}" describes no two towers; is it open_clip\'s?')


def repo_in(config: Mapping[str, Any], field: str, *, model: str) -> str:
    """The repository that the text tower's config names for its tokenizer or config, or "". Raises: ModelDamaged."""
    repo = config["model_cfg"]["text_cfg"].get(field) or ""
    if not isinstance(repo, str) or (repo and not is_repo(repo)):
        raise ModelDamaged(f'The config of "{model}" names a {field} that is no repository.')
    return repo


def _checked(file: HubFile, target: str, most_bytes: int, model: str) -> Needed:
    if file.size_bytes > most_bytes:
        raise too_large(file.path, file.size_bytes, most_bytes, model)
    return Needed(file, target)
