"""What goes into a release beside the collection: the model's files, what is told of code, licences and evaluation."""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search.encoders.names import parse_name
from search.errors import ItemNotFound, ModelError, ModelNotFound

if TYPE_CHECKING:
    from search.types import Collection, Encoder
    from search.workspace import Workspace

REVISION = "REVISION"  # a file of the image, which has no git


def model_files(encoder: "Encoder") -> dict[str, Path]:
    """Of the exported folder, by their place in it; an int8 text tower that is used here as well.

    Raises: ModelError where torch or an endpoint serves.
    """
    from search.encoders.fingerprint import exported_files
    from search.encoders.onnx_encoder import INT8

    folder = getattr(encoder, "folder", None)
    if not isinstance(folder, Path):
        raise ModelError(f'A release needs an exported model, and "{encoder.name}" is served without an export here.')
    beside = [folder / "encoder.json", *sorted((folder / INT8.parent).glob("*"))]
    found = exported_files(folder) + [path for path in beside if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in found}


def shipped_name(model: str) -> str:
    """A folder's own name in place of its path, which means nothing elsewhere."""
    try:
        folder = parse_name(model).folder
    except ModelNotFound:  # the folder's own name already, of a model that came from elsewhere
        return model
    return model if folder is None else folder.resolve().name or "model"


def evaluation_of(workspace: "Workspace", collection: "Collection") -> tuple[Mapping[str, object] | None, str]:
    """The last report's figures, without its queries; or why there are none."""
    from search.report import to_json

    info, count = collection.info, len(collection)
    if workspace.evaluations is None:
        return None, ""
    try:
        report = workspace.evaluations.reports.get(info.name)
    except ItemNotFound:
        return None, "no evaluation is in it, because there is none"
    if (report.fingerprint, report.version, report.size) != (info.fingerprint, info.version, count):
        why = (
            f"another model ({report.fingerprint[:12]})"
            if report.fingerprint != info.fingerprint
            else "another collection of this name"
            if report.version != info.version
            else f"{report.size:,} images, and there are {count:,} now"
        )
        return None, f"the last evaluation ({report.made_at[:10]}) is not in it, because it judged {why}"
    told = to_json(report)
    return {field: told[field] for field in ("made_at", "fingerprint", "version", "size", "overall", "slices")}, ""


def code_at(root: Path) -> Mapping[str, object]:
    """Its version and commit; in an image the commit that it was built with."""
    project, revision = _text(root / "pyproject.toml"), _text(root / REVISION).strip()
    version = tomllib.loads(project)["project"]["version"] if project else "unknown"
    return {"version": version, "commit": revision or _commit_of(root) or "unknown", "licence": "Apache-2.0"}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _commit_of(root: Path) -> str:
    git = ("git", "-C", str(root), "rev-parse", "HEAD")
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
