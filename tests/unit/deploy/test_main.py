"""The command line: its exit codes, what it asks, and AWS's errors in words."""

from pathlib import Path

import pytest
from botocore import exceptions

from deploy.__main__ import asker, main, run
from deploy.clients import price_list_region, told
from deploy.errors import DeployError, Refused
from deploy.logs import show
from tests.deploy_fakes import FakeAws, refusal


def test_a_bad_file_ends_with_two_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.toml").write_text("[deploy]\nname = 'A'\nregion = 'eu-central-1'\n[ecs]\n", encoding="utf-8")
    assert main(["plan", "--target", "ecs", "--config", str(tmp_path / "deploy.toml")]) == 2
    assert capsys.readouterr().err == (
        "[deploy] name = 'A': expected 2 to 24 small letters, digits and hyphens, a letter first.\n"
    )


def test_yes_agrees_beforehand() -> None:
    assert asker(True)("Do this?", "yes") is True


def test_where_nobody_can_be_asked_nothing_is_done() -> None:  # pytest's standard input is no terminal
    with pytest.raises(Refused, match=r"nobody can be asked here\. Add --yes"):
        asker(False)("Do this?", "yes")


def test_a_program_gets_what_it_is_given_and_fails_by_name() -> None:
    assert run(["cat"], "token") == "token"
    with pytest.raises(Refused, match=r"^no-such-program is not installed"):
        run(["no-such-program"])
    with pytest.raises(Refused, match=r"^`sh -c exit 3 …` failed"):
        run(["sh", "-c", "exit 3"])


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (exceptions.NoCredentialsError(), Refused, "No AWS credentials were found: run `aws configure sso`"),
        (
            refusal("GetProducts", "AccessDeniedException", "no."),
            Refused,
            "GetProducts is not allowed: no. deploy/oper",
        ),
        (refusal("DescribeStacks", "ExpiredToken"), Refused, "The credentials have expired or are not valid"),
        (refusal("CreateChangeSet", "Throttling"), DeployError, "AWS throttled CreateChangeSet 8 times: run the same"),
        (refusal("CreateChangeSet", "Odd", "What?"), DeployError, "CreateChangeSet failed: What? (Odd)."),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), DeployError, "AWS can't be reached: "),
    ],
)
def test_an_error_of_aws_is_told_in_a_sentence(error: Exception, kind: type[DeployError], sentence: str) -> None:
    with pytest.raises(kind) as said, told():
        raise error
    assert str(said.value).startswith(sentence)


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("eu-west-3", "eu-central-1"),
        ("ap-northeast-1", "ap-south-1"),
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
    ],
)
def test_prices_are_asked_for_where_the_list_is(region: str, nearest: str) -> None:
    assert price_list_region(region) == nearest


def test_the_log_is_shown_from_a_time_on_and_followed_without_repeats() -> None:
    aws, said, waits = FakeAws(), list[str](), [0]

    def line(number: int, at_s: int) -> dict[str, object]:
        return {"eventId": str(number), "timestamp": at_s * 1000, "message": f"line {number}\n"}

    aws.log = [line(1, 10), line(2, 1_000)]

    def wait(seconds: float) -> None:
        waits[0] += 1
        if waits[0] == 2:
            raise KeyboardInterrupt
        aws.log += [line(4, 1_004), line(3, 1_003)]

    with pytest.raises(KeyboardInterrupt):
        show("group", aws, said.append, since_s=60, follow=True, wait=wait, now=lambda: 1_001)
    assert said == [
        "1970-01-01T00:16:40Z line 2",
        "1970-01-01T00:16:44Z line 4",
        "1970-01-01T00:16:43Z line 3",
    ]
