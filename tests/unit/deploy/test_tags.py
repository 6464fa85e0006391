"""Tags are read within AWS's limits, and reach every stack and every resource that is made."""

from typing import Any

import pytest

from deploy import ecs, sagemaker, tags
from deploy.config import checked
from deploy.errors import BadConfig
from tests.deploy_fakes import FakeAws
from tests.unit.deploy.person import Person
from tests.unit.deploy.sagemaker_fake import ENDPOINT, SCALED, SagemakerAws
from tests.unit.deploy.test_config import document

GIVEN = {"CostCenter": "4711", "app:owner": "search team"}
PAIRS = [{"Key": "CostCenter", "Value": "4711"}, {"Key": "app:owner", "Value": "search team"}]


def test_tags_are_read_as_they_stand() -> None:
    assert dict(checked(document(tags=GIVEN), "ecs").tags) == GIVEN
    assert dict(checked(document(), "ecs").tags) == {}
    longest = {"k" * 128: "v" * 256}
    assert tags.read(longest) == longest


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"CostCenter": 4711}, "[tags] CostCenter = 4711: expected a text in quotes, of 1 to 256 letters, digits,"),
        ({"CostCenter": ""}, "[tags] CostCenter = '': expected a text in quotes, of 1 to 256 letters, digits,"),
        ({"CostCenter": "a\nb"}, "[tags] CostCenter = 'a\\nb': expected a text in quotes, of 1 to 256 letters,"),
        ({"CostCenter": "v" * 257}, "[tags] CostCenter = 'vvv"),
        ({"CostCenter": "aws:x"}, "[tags] CostCenter = 'aws:x': expected a text in quotes"),
        ({"k" * 129: "v"}, "[tags] 'kkk"),
        ({"cost center*": "v"}, "[tags] 'cost center*': expected a key in quotes, of 1 to 128 letters, digits, spaces"),
        ({" CostCenter": "v"}, "[tags] ' CostCenter': expected a key in quotes"),
        ({"AWS:owner": "v"}, "[tags] 'AWS:owner': expected a key in quotes"),
        (
            {"Sightline": "v"},
            "[tags] Sightline: expected another key, because Sightline's own resources have this one.",
        ),
        ({"owner": "a", "Owner": "b"}, "[tags] Owner and owner: expected one of them, because IAM takes both"),
        ({f"k{n}": "v" for n in range(50)}, "[tags] has 50 tags: expected no more than 49, all that AWS leaves."),
    ],
)
def test_what_aws_would_refuse_is_refused_before_it_is_called(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadConfig) as refused:
        checked(document(tags=given), "ecs")
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 400


def test_tags_that_are_no_section_are_refused() -> None:
    with pytest.raises(BadConfig, match=r"tags = 'a': expected a section \[tags\]\."):
        checked({**document(), "tags": "a"}, "ecs")


@pytest.fixture
def person() -> Person[FakeAws]:
    return Person(ecs, FakeAws(), lambda tag="a", **more: checked(document(**more), "ecs"))


@pytest.fixture
def session() -> Person[SagemakerAws]:
    def configured(tag: str = "a", **more: Any) -> Any:
        whole = document(image={"source": "sightline:0.1.0", "tag": tag}, **more)
        return checked(whole | {"sagemaker": {}}, "sagemaker")

    return Person(sagemaker, SagemakerAws(), configured)


def test_every_stack_has_the_tags_and_passes_them_on(person: Person[FakeAws]) -> None:
    person.up(tags=GIVEN)
    sent = person.sent("create_change_set")
    assert [request["StackName"] for request in sent] == ["sightline-base", "sightline-network", "sightline-ecs"]
    assert [request["Tags"] for request in sent] == [PAIRS] * 3


def test_a_plan_proposes_the_tags(person: Person[FakeAws]) -> None:
    person.up()
    person.forget()
    person.plan(tags=GIVEN)
    assert [request["Tags"] for request in person.sent("create_change_set")] == [PAIRS] * 3


def test_where_none_are_given_a_stack_keeps_its_tags(person: Person[FakeAws]) -> None:
    person.up()
    assert [request for request in person.sent("create_change_set") if "Tags" in request] == []


def test_all_of_an_endpoint_has_the_tags_beside_our_own(session: Person[SagemakerAws]) -> None:
    session.up(tags=GIVEN)
    session.update("b", tags=GIVEN)
    ours = [{"Key": "sightline", "Value": "sightline"}, *PAIRS]
    assert [request["Tags"] for request in session.sent("create_change_set")] == [PAIRS] * 4
    for made in ("create_model", "create_endpoint_config", "create_endpoint", "put_metric_alarm"):
        assert len(session.sent(made)) > 1
        assert [request["Tags"] for request in session.sent(made)] == [ours] * len(session.sent(made))
    assert session.sent("tag_resource") == [{"ResourceARN": SCALED, "Tags": GIVEN}] * 2


def test_an_endpoint_that_was_made_without_tags_gets_them(session: Person[SagemakerAws]) -> None:
    session.up()
    assert session.sent("add_tags") == []
    session.up(tags=GIVEN)
    ours = [{"Key": "sightline", "Value": "sightline"}, *PAIRS]
    assert session.sent("add_tags") == [{"ResourceArn": f"{ENDPOINT}sightline", "Tags": ours}]
