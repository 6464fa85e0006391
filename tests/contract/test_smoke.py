"""The smoke test against real processes: `ui` and `serve` over HTTP, `serve` as an endpoint."""

import io
import json
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from deploy import golden, smoke
from deploy.__main__ import main
from deploy.config import checked
from deploy.errors import BadConfig, Refused, SmokeFailed
from deploy.golden import Golden
from deploy.sections import Config
from tests.processes import is_ready, served, served_ui
from tests.runtime_server import sagemaker_runtime
from tests.unit.deploy.test_config import document


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_ui(tmp_path_factory.mktemp("ui")) as address:
        while not is_ready(int(address.rpartition(":")[2])):
            select.select([], [], [], 0.05)
        yield f"http://{address}"


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("serve")) as address:
        yield address


@pytest.fixture(scope="module")
def made(page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden") / "golden.json"
    # the machine of the tests may be busy: time has a test of its own
    assert main(["golden", page, "--out", str(out), "--within-ms", "60000"]) == 0
    return out


def configured(path: Path, target: str = "sagemaker") -> Config:
    whole = document() | {"sagemaker": {}, "space": {}}
    whole["deploy"] = {**whole["deploy"], "golden": str(path)}
    return checked(whole, target)


def smoked(path: Path, address: str) -> list[str]:
    said: list[str] = []
    smoke.run(configured(path), "ecs", _nobody, said.append, address)
    return said


def _nobody(service: str) -> Any:
    raise AssertionError(f"{service} was asked")


def changed(path: Path, out: Path, **changes: Any) -> Path:
    out.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return out


def test_golden_answers_are_of_words_and_of_a_picture(made: Path) -> None:
    found = golden.read(made)
    assert found is not None
    assert [query.name for query in found.queries] == [*golden.QUERIES, "a thumbnail"]
    assert all(len(query.ids) == 10 == len(query.scores) for query in found.queries)
    assert found.queries[-1].scores[0] > 0.99  # it finds the picture that it is of
    assert found.queries[-1].ids[0] == found.queries[0].ids[0]


def test_the_page_passes_its_own_golden_answers(made: Path, page: str) -> None:
    said = smoked(made, page)
    assert len(said) == 7
    assert all(line.endswith("ms  as it should be") for line in said)


def test_serve_passes_them_too(made: Path, container: str) -> None:
    assert all(line.endswith("as it should be") for line in smoked(made, f"http://{container}"))


def test_an_endpoint_passes_them(made: Path, container: str) -> None:
    with sagemaker_runtime({"sightline": container}) as address:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=address,
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        said: list[str] = []
        smoke.run(configured(made), "sagemaker", lambda service: client, said.append)
        assert all(line.endswith("as it should be") for line in said)
        other = replace(configured(made), deploy=replace(configured(made).deploy, name="nothing"))
        with pytest.raises(SmokeFailed, match="The endpoint nothing answered ValidationError: Endpoint nothing of"):
            smoke.run(other, "sagemaker", lambda service: client, said.append)


def test_another_model_and_another_dimension_fail(made: Path, page: str, tmp_path: Path) -> None:
    with pytest.raises(SmokeFailed, match=r"embedding: the model is [0-9a-f]{12}, and 123 was expected"):
        smoked(changed(made, tmp_path / "a.json", fingerprint="123"), page)
    with pytest.raises(SmokeFailed, match=r"the dimension is \d+, and 7 was expected"):
        smoked(changed(made, tmp_path / "b.json", dim=7), page)


def test_other_hits_fail_by_rank_and_id(made: Path, page: str, tmp_path: Path) -> None:
    queries = json.loads(made.read_text())["queries"]
    right = queries[1]["ids"][2]
    queries[1]["ids"][2] = "somebody-else"
    with pytest.raises(SmokeFailed, match=f"two animals in the snow: hit 3 is {right}, and somebody-else was expected"):
        smoked(changed(made, tmp_path / "a.json", queries=queries), page)


def test_hits_of_one_score_may_change_places(made: Path, page: str, tmp_path: Path) -> None:
    queries = json.loads(made.read_text())["queries"]
    ids, scores = queries[0]["ids"], queries[0]["scores"]
    ids[0], ids[1] = ids[1], ids[0]
    scores[0] = scores[1] = (scores[0] + scores[1]) / 2
    alike = changed(made, tmp_path / "a.json", queries=queries[:1])
    assert smoked(alike, page)[1].endswith("as it should be")


def test_what_takes_too_long_fails(made: Path, page: str, tmp_path: Path) -> None:
    queries = json.loads(made.read_text())["queries"]
    queries[0]["within_ms"] = 0
    with pytest.raises(SmokeFailed, match=r"a red boat: it took [\d,]+ ms twice, and 0 are allowed"):
        smoked(changed(made, tmp_path / "a.json", queries=queries), page)


def test_without_a_golden_file_it_says_what_was_not_compared(page: str, tmp_path: Path) -> None:
    said = smoked(tmp_path / "golden.json", page)
    assert [line.split("  ")[0].strip() for line in said[:3]] == ["embedding", "a picture", "a drawn picture"]
    assert said[3].startswith(f"There is no {tmp_path / 'golden.json'}: ids and model were not compared.")


def test_what_can_not_be_reached_is_one_sentence(made: Path) -> None:
    with pytest.raises(SmokeFailed, match="does the name point to the load balancer"):
        smoked(made, "http://127.0.0.1:9")


def test_a_damaged_golden_file_says_how_to_make_it_again(tmp_path: Path, page: str) -> None:
    (tmp_path / "golden.json").write_text("{}")
    with pytest.raises(BadConfig, match="python -m deploy golden"):
        smoked(tmp_path / "golden.json", page)


def test_a_space_needs_its_address(made: Path) -> None:
    with pytest.raises(Refused, match="add --address"):
        smoke.run(configured(made), "space", _nobody, print)


def test_golden_answers_can_be_of_own_words_and_pictures(container: str, tmp_path: Path) -> None:
    picture = Path(__file__).parents[1] / "images" / "red.png"
    asked = ["golden", f"http://{container}", "--out", str(tmp_path / "g.json")]
    assert main([*asked, "--query", "a castle", "--image", str(picture)]) == 0
    found = golden.read(tmp_path / "g.json")
    assert isinstance(found, Golden)
    assert [query.name for query in found.queries] == ["a castle", "the picture red.png"]
    assert main([*asked, "--image", str(tmp_path / "none.png")]) == 2


def test_the_drawn_picture_is_one() -> None:
    image = Image.open(io.BytesIO(smoke.drawn()))
    assert (image.size, image.getpixel((0, 0)), image.getpixel((63, 63))) == ((64, 64), (96, 160, 240), (48, 144, 64))
