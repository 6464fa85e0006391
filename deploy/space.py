"""The target `space`: a folder to upload as a Hugging Face Space, with the page, the bundled model and gallery."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import BadConfig, Refused
from deploy.sections import Config, Space

ROOT = Path(__file__).parents[1]
PRODUCT = (
    "app.py",
    "settings.py",
    "LICENSE",
    "search",
    "store",
    "ui",
    "pocket/encoder",
    "pocket/gallery",
    "pocket/NOTO-OFL.txt",
)
LEFT_OUT = ("__pycache__", "*.pyc")
NOT_NEEDED = ("boto3", "chromadb")  # nothing is indexed in a Space, and nothing there belongs to AWS
MARK = ".sightline-space"  # the folder is ours to replace
PORT = 7860
LFS = ("*.onnx", "*.sqlite", "*.webp", "*.data")  # a push by git takes files above 10 MB through LFS only

Aws = Callable[[str], Any]
Say = Callable[[str], None]
Ask = Callable[[str, str], bool]


def plan(config: Config, aws: Aws, say: Say, ask: Ask, **_: Any) -> None:
    folder = Path(_section(config).folder)
    files = sources()
    say(f"{'Replace' if folder.exists() else 'Write'} {folder}: {len(files)} files, {_mb(files.values())}.")


def up(config: Config, aws: Aws, say: Say, ask: Ask, **_: Any) -> None:
    """Calls nobody. Raises: Refused, BadConfig."""
    section = _section(config)
    folder = Path(section.folder)
    if folder.is_dir() and not (folder / MARK).exists() and any(folder.iterdir()):
        raise Refused(f"[space] folder = {section.folder!r} holds something else: name an empty folder, or a new one.")
    files = sources()
    try:
        _write(folder, files, written(section))
    except OSError as error:
        raise Refused(f"[space] folder = {section.folder!r} can't be written: {error.strerror or error}.") from error
    say(f"{folder}: {len(files)} files, {_mb(files.values())}. Upload it with:")
    say(f"  hf upload YOU/SPACE {folder} --repo-type space")


update = up


def _write(folder: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, text in texts.items():  # first, and with them the mark: what breaks off is replaced by the next run
        (folder / name).write_text(text, encoding="utf-8")
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)


def sources() -> dict[str, Path]:
    """What is copied, by its name in the folder. Raises: BadConfig."""
    found: dict[str, Path] = {}
    parts = [ROOT / name for name in PRODUCT]
    parts += [path for path in sorted((ROOT / "pocket").iterdir()) if path.suffix in (".py", ".csv")]
    for part in parts:
        if not part.exists():
            raise BadConfig(f"{part.relative_to(ROOT)} is missing from this installation: fetch the repository again.")
        for path in [part] if part.is_file() else sorted(part.rglob("*")):
            if path.is_file() and not any(path.match(left) or left in path.parts for left in LEFT_OUT):
                found[path.relative_to(ROOT).as_posix()] = path
    return found


def written(section: Space) -> dict[str, str]:
    made = {
        MARK: "Written by `python -m deploy up --target space`, which replaces this folder.\n",
        "README.md": readme(section),
        "requirements.txt": requirements(),
        ".gitattributes": "".join(f"{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in LFS),
    }
    return made | ({"Dockerfile": DOCKERFILE} if section.sdk == "docker" else {})


def requirements() -> str:
    lines = (ROOT / "requirements-serve.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#") and line.split("==")[0] not in NOT_NEEDED]
    return "\n".join(kept) + "\n"


def readme(section: Space) -> str:
    """Front matter: https://huggingface.co/docs/hub/spaces-config-reference."""
    front = {
        "title": json.dumps(section.title, ensure_ascii=False),
        "emoji": "🔎",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": section.sdk,
    }
    if section.sdk == "docker":
        front["app_port"] = str(PORT)
    else:
        version = next(line for line in requirements().splitlines() if line.startswith("gradio")).split("==")[1]
        front |= {"sdk_version": version, "python_version": '"3.11"', "app_file": "app.py"}
    front |= {"license": "apache-2.0", "short_description": "Search images by meaning"}
    lines = "\n".join(f"{key}: {value}" for key, value in front.items())
    return (
        f"---\n{lines}\n---\n\n# {section.title}\n\nSearch a gallery of drawn scenes by meaning: by words, by pictures,"
        " by both. Everybody may search; nobody can change anything here.\n\nCode, model and backgrounds: Apache-2.0"
        " ([LICENSE](LICENSE)). The things drawn are Noto Color Emoji, SIL Open Font License 1.1"
        " ([its text](pocket/NOTO-OFL.txt)).\n"
    )


DOCKERFILE = f"""FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir --user -r requirements.txt
COPY --chown=user . .
ENV SIGHTLINE_HOST=0.0.0.0 PORT={PORT}
EXPOSE {PORT}
CMD ["python", "app.py", "ui"]
"""


def _section(config: Config) -> Space:
    if config.space is None:
        raise BadConfig("[space] is missing: the target space needs this section.")
    return config.space


def _mb(paths: Any) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:,.1f} MB"
