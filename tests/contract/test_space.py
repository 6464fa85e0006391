"""The folder of a Space, started as the Space would start it."""

import json
import os
import re
import select
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import space
from deploy.__main__ import main
from deploy.config import checked
from deploy.errors import Refused
from deploy.sections import Config, Space
from tests.processes import free_port, is_ready

BLOCKED = """
import sys
for name in ("boto3", "botocore", "chromadb", "torch", "open_clip"):
    sys.modules[name] = None
"""


def configured(folder: Path, **section: Any) -> Config:
    whole = {"deploy": {"name": "sightline", "region": "eu-central-1"}}
    return checked({**whole, "space": {"folder": str(folder), **section}}, "space")


def build(folder: Path, **section: Any) -> list[str]:
    said: list[str] = []
    space.up(configured(folder, **section), lambda service: None, said.append, lambda question, wanted: True)
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("space") / "upload"
    build(folder)
    return folder


def front_matter(folder: Path) -> dict[str, Any]:
    _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(front)
    return found


def test_its_page_answers_from_the_read_only_gallery_and_may_be_framed(tmp_path: Path) -> None:
    folder, port = tmp_path / "upload", int(free_port())
    build(folder)
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTLINE_", "AWS_"))}
    environment |= {"SPACE_ID": "me/search", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PYTHONPATH": str(tmp_path / "blocked"), "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        said = next((line for line in process.stdout if "http://" in line), "")
        found = re.search(r"http://[\w.]+:(\d+)", said)
        assert found, f"it ended with {process.wait(60)}"
        connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        assert asked(connection, "GET", "/healthz")[0] == 200
        while not is_ready(port):
            select.select([], [], [], 0.05)
        status, headers, body = asked(connection, "POST", "/api/search", {"query": "a red boat", "top_k": 3})
        assert (status, len(json.loads(body)["hits"])) == (200, 3)
        status, headers, _ = asked(connection, "GET", "/")
        assert status == 200
        assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in headers["content-security-policy"]
        refused, _, _ = asked(connection, "POST", "/api/collections", {"name": "mine", "model": "pocket"})
        assert refused == 403
        connection.close()
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


def asked(connection: HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
    data = None if body is None else json.dumps(body).encode()
    # as the proxy of Spaces does: the caller is somewhere else
    headers = {"content-type": "application/json", "x-forwarded-for": "203.0.113.7", "host": "me-search.hf.space"}
    connection.request(method, path, data, headers)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_the_folder_is_whole_and_small_and_without_aws(folder: Path) -> None:
    front = front_matter(folder)
    assert (front["sdk"], front["app_file"], front["python_version"]) == ("gradio", "app.py", "3.11")
    wanted = (folder / "requirements.txt").read_text().splitlines()
    assert f"gradio[mcp]=={front['sdk_version']}" in wanted
    assert all(re.fullmatch(r"[\w\[\]-]+==[\w.]+", line) for line in wanted)
    assert not [line for line in wanted if line.startswith(("boto3", "chromadb", "torch"))]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60_000_000
    assert not [path for path in files if path.is_symlink() or "__pycache__" in path.parts]
    assert not (folder / "pocket" / "model").exists()
    assert not (folder / "deploy").exists()


def test_the_licences_of_what_is_in_it_come_with_it(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([\w./-]+)\)", readme)
    assert linked == ["LICENSE", "pocket/NOTO-OFL.txt"]
    assert ["SIL OPEN FONT LICENSE" in (folder / name).read_text(encoding="utf-8") for name in linked] == [False, True]


def test_with_docker_it_has_a_port_and_a_dockerfile(tmp_path: Path) -> None:
    build(tmp_path / "s", sdk="docker", title='Drawings: "two" # of them')
    front = front_matter(tmp_path / "s")
    assert (front["title"], front["sdk"], front["app_port"]) == ('Drawings: "two" # of them', "docker", 7860)
    assert "app_file" not in front
    text = (tmp_path / "s" / "Dockerfile").read_text()
    assert 'CMD ["python", "app.py", "ui"]' in text
    assert "--uid 1000" in text


def test_it_replaces_its_own_folder_and_nobody_elses(tmp_path: Path) -> None:
    build(tmp_path / "s")
    (tmp_path / "s" / "stale.txt").write_text("old")
    assert build(tmp_path / "s")[-1].startswith("  hf upload ")
    assert not (tmp_path / "s" / "stale.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(Refused, match="holds something else"):
        build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_a_run_that_breaks_off_leaves_a_folder_that_the_next_one_replaces(tmp_path: Path) -> None:
    texts = space.written(Space())
    with pytest.raises(FileNotFoundError):
        space._write(tmp_path / "s", {"app.py": tmp_path / "not there"}, texts)
    build(tmp_path / "s")
    assert (tmp_path / "s" / "app.py").exists()


def test_what_a_space_has_no_verb_for_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.toml").write_text('[deploy]\nname = "sightline"\nregion = "eu-central-1"\n[space]\n')
    assert main(["down", "--target", "space", "--config", str(tmp_path / "d.toml")]) == 1
    assert capsys.readouterr().err.startswith("`down` is nothing for a Space")
