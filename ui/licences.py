"""What is known of the licences of what a release ships: the texts there are, and who says more; nothing is guessed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.types import Collection

NOT_KNOWN = "not known here: ask who made it"

_CARD, _CARD_BYTES = "readme.md", 8_192  # a model card, of whose head so much is read
_SAID = re.compile(rb"---\r?\n(?:(?!---).*\n)*?license:[ \t]*([A-Za-z0-9.+-]{1,60})[ \t]*\r?\n")
_FIELDS = ("license", "licence")  # of a record's metadata


def licences_of_model(model: str, *, models_dir: Path, root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The texts by name, and what the manifest says of the model's licence. `root`: of the code.

    Raises: ModelNotFound, ModelNotDownloaded, ModelDamaged.
    """
    from search.encoders.load import find_model
    from search.encoders.model_files import LICENCE_NAME

    folder, _ = find_model(model, bundled=root / "pocket" / "encoder", models_dir=models_dir)
    if model == "pocket":
        texts = {"LICENSE": root / "LICENSE", "NOTO-OFL.txt": root / "pocket" / "NOTO-OFL.txt"}
        return _there(texts), {"model": "Apache-2.0", "drawings": "OFL-1.1 (Noto Color Emoji)"}
    texts = _there({path.name: path for path in sorted(folder.glob("*")) if LICENCE_NAME.fullmatch(path.name)})
    return texts, {"model": _said_by(texts) or _origin(model, models_dir) or NOT_KNOWN}


def licence_of_images(collection: "Collection", *, is_gallery: bool) -> str:
    """Where the metadata of images says it, up to fifty kinds are named."""
    if is_gallery:
        return "OFL-1.1 (Noto Color Emoji), backgrounds Apache-2.0"
    fields = collection.fields()
    said = [str(value) for field in _FIELDS for value in fields.get(field, [])]
    return f"as each image's record says: {', '.join(said)}" if said else NOT_KNOWN


def _there(texts: Mapping[str, Path]) -> dict[str, Path]:
    from search.encoders.model_files import LICENCE_BYTES

    return {name: path for name, path in texts.items() if path.is_file() and path.stat().st_size <= LICENCE_BYTES}


def _said_by(texts: Mapping[str, Path]) -> str:
    """The identifier in a model card's head, else which text says it."""
    for name, path in texts.items():
        if name.lower() == _CARD:
            with path.open("rb") as file:
                said = _SAID.match(file.read(_CARD_BYTES))
            if said:
                return said[1].decode("ascii")
    return f"as its {' and '.join(texts)} says" if texts else ""


def _origin(model: str, models_dir: Path) -> str:
    """Whose card says it, where the model was fetched."""
    from search.encoders.pins import read_pin

    pin = read_pin(model, models_dir=models_dir)
    if pin is None or not pin.files:
        return ""
    return f"as the card of {pin.files[0].file.repo} at {pin.where} says (commit {pin.commit[:12]})"
