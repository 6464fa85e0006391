"""The grammar of a model's name, read into one value; looks for nothing on a network and loads nothing."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.errors import ModelNotFound

GRAMMAR = (
    '"pocket" (bundled), a folder (./model), architecture/pretrained (ViT-B-32/laion2b_s34b_b79k), '
    "hf-hub:owner/name, onnx:owner/name (needs no torch), or sagemaker:ENDPOINT"
)

_LONGEST = 512  # characters of a name; of a folder's path 4,096
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9_./-]*))?", re.ASCII)
_PRETRAINED = re.compile(rf"(?P<architecture>{_WORD})/(?P<tag>{_WORD})", re.ASCII)
_ENDPOINT = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}", re.ASCII)  # CreateEndpoint, "EndpointName"
_PATH_STARTS = ("/", "./", "../", "~", "\\", ".\\", "..\\")


@dataclass(frozen=True, slots=True)
class ModelName:
    """`text` as it was given; of the other fields those that its kind has."""

    text: str
    kind: Literal["bundled", "folder", "open_clip", "hf-hub", "onnx", "sagemaker"]
    folder: Path | None = None
    architecture: str = ""
    tag: str = ""
    repo: str = ""
    revision: str = ""
    endpoint: str = ""
    hides: bool = False  # a folder that could be read as architecture/pretrained as well

    @property
    def is_remote(self) -> bool:
        """Whether a hub has it."""
        return self.kind in ("open_clip", "hf-hub", "onnx")


def parse_name(text: str) -> ModelName:
    """What starts like a path, or is there as a folder, is a folder. Raises: ModelNotFound for what is no name."""
    if not text or len(text) > 4096 or not text.isprintable():
        raise ModelNotFound(f"A model's name is {GRAMMAR}; this one is empty, too long or not text.")
    if text == "pocket":
        return ModelName(text, "bundled")
    pretrained = _PRETRAINED.fullmatch(text) if len(text) <= _LONGEST and not _is_odd(text) else None
    if text.startswith(_PATH_STARTS) or text in (".", "..") or _is_folder(text):
        return ModelName(text, "folder", folder=_folder(text), hides=pretrained is not None)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("hf-hub", "onnx"):
        return _of_repo(text, "onnx" if scheme == "onnx" else "hf-hub", rest)
    if colon and scheme == "sagemaker":
        if _ENDPOINT.fullmatch(rest) is None:
            raise ModelNotFound(
                f'"{_shown(text)}" names no endpoint: the form is sagemaker:ENDPOINT, 1 to 63 letters, digits and -.'
            )
        return ModelName(text, "sagemaker", endpoint=rest)
    if pretrained:
        return ModelName(text, "open_clip", architecture=pretrained["architecture"], tag=pretrained["tag"])
    raise ModelNotFound(f'There is no model "{_shown(text)}": a name is {GRAMMAR}.')


def is_repo(text: str) -> bool:
    """Whether it can name a repository of the hub; those of its first years have no owner."""
    return len(text) <= _LONGEST and not _is_odd(text) and re.fullmatch(rf"(?:{_WORD}/)?{_WORD}", text) is not None


def _of_repo(text: str, kind: Literal["hf-hub", "onnx"], rest: str) -> ModelName:
    found = _REPO.fullmatch(rest)
    if found is None or len(text) > _LONGEST or _is_odd(rest):
        raise ModelNotFound(
            f'"{_shown(text)}" names no repository: the form is {kind}:owner/name, or {kind}:owner/name@revision.'
        )
    return ModelName(text, kind, repo=found["repo"], revision=found["revision"] or "")


def _is_odd(text: str) -> bool:
    """What the hub refuses in a name, and what would lead out of a folder."""
    return ".." in text or "//" in text or "--" in text or text.endswith((".git", "/"))


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:  # a name that no file could have
        return False


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ModelNotFound(
            f'"{_shown(text)}" names the home of somebody unknown here; give the whole path.'
        ) from error


def _shown(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:80]}…{text[-39:]}"
