"""The command line: its exit codes, what it asks, and AWS's errors in words."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore import exceptions

from deploy import golden
from deploy.__main__ import asker, main, run, say, stopped
from deploy.clients import open_clients, told
from deploy.errors import BadConfig, DeployError, Refused
from deploy.logs import show
from deploy.sections import Deploy
from tests.deploy_fakes import FakeAws, refusal


def test_a_bad_file_ends_with_two_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.toml").write_text("[deploy]\nname = 'A'\nregion = 'eu-central-1'\n[ecs]\n", encoding="utf-8")
    assert main(["plan", "--target", "ecs", "--config", str(tmp_path / "deploy.toml")]) == 2
    assert capsys.readouterr().err == (
        "[deploy] name = 'A': expected 2 to 24 small letters, digits and hyphens, a letter first, and not -trial at the"
        " end.\n"
    )


def test_yes_agrees_beforehand() -> None:
    assert asker(True, None)("Do this?", "yes") is True


@pytest.mark.parametrize("keyboard", [io.StringIO("yes\n"), None])  # a pipe; none at all, as `<&-` leaves it
def test_where_nobody_can_be_asked_nothing_is_done(keyboard: io.StringIO | None) -> None:
    with pytest.raises(Refused, match=r"nobody can be asked here\. Add --yes"):
        asker(False, keyboard)("Do this?", "yes")


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
            "GetProducts is not allowed: no. deploy/policies/ has",
        ),
        (refusal("DescribeStacks", "ExpiredToken"), Refused, "The credentials have expired or are not valid"),
        (refusal("GetObject", "InvalidAccessKeyId"), Refused, "The credentials have expired or are not valid"),
        (refusal("DescribeVpcs", "AuthFailure"), Refused, "The credentials have expired or are not valid"),
        (refusal("PutObject", "SignatureDoesNotMatch"), Refused, "The credentials have expired or are not valid"),
        (
            exceptions.ProfileNotFound(profile="nope"),
            Refused,
            "The config profile (nope) could not be found: look at AWS_PROFILE, or run `aws configure sso",
        ),
        (
            refusal("GetObject", "RequestTimeTooSkewed", "The difference is too large."),
            Refused,
            "This machine's clock is wrong: set it, and run the same command again. AWS says: The difference is too",
        ),
        (
            refusal("GetCallerIdentity", "SignatureDoesNotMatch", "Signature expired: 20261128T0000Z is now earlier"),
            Refused,
            "This machine's clock is wrong: set it",
        ),
        (
            refusal("GetCallerIdentity", "InvalidClientTokenId", "The security token included is invalid"),
            Refused,
            "The credentials have expired or are not valid: run `aws sso login`, or renew them. A region that has to be"
            " enabled first refuses good ones, too.",
        ),
        (
            refusal("RegisterScalableTarget", "LimitExceededException", "Too many."),
            DeployError,
            "RegisterScalableTarget failed: Too many (LimitExceededException). The account's quota is used up: ask for",
        ),
        (refusal("PutObject", "SlowDown"), DeployError, "AWS throttled PutObject 8 times: run the same"),
        (
            refusal("CreateChangeSet", "ValidationError", "Stack:a is in UPDATE_IN_PROGRESS state and can not be"),
            DeployError,
            "CreateChangeSet failed: Stack:a is in UPDATE_IN_PROGRESS state and can not be (ValidationError). Another"
            " run is under way: run the same command again, which waits for it.",
        ),
        (refusal("CreateChangeSet", "Throttling"), DeployError, "AWS throttled CreateChangeSet 8 times: run the same"),
        (
            refusal(
                "CreateRole",
                "AccessDenied",
                "User: a is not authorized with an explicit deny in a service control policy",
            ),
            Refused,
            "CreateRole is not allowed: User: a is not authorized with an explicit deny in a service control policy."
            " The organisation's policy forbids it: ask who keeps that. Tags and a boundary, which it may demand, are",
        ),
        (refusal("CreateChangeSet", "Odd", "What?"), DeployError, "CreateChangeSet failed: What? (Odd)."),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), DeployError, "AWS can't be reached: "),
    ],
)
def test_an_error_of_aws_is_told_in_a_sentence(error: Exception, kind: type[DeployError], sentence: str) -> None:
    with pytest.raises(kind) as said, told():
        raise error
    assert str(said.value).startswith(sentence)


def test_credentials_are_asked_for_once_whatever_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "y"})
    (tmp_path / "ask").write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\necho '{said}'\n")
    (tmp_path / "ask").chmod(0o755)
    (tmp_path / "config").write_text(f"[profile factor]\ncredential_process = {tmp_path}/ask\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "factor")
    aws = open_clients(Deploy(name="sightline", region="eu-central-1"))
    for service in ("sts", "cloudformation", "s3", "ecr"):
        aws(service)
    assert (tmp_path / "log").read_text() == "asked\n"


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


def test_the_log_from_before_there_were_logs_is_the_whole_log() -> None:
    aws, said = FakeAws(), list[str]()
    aws.log = [{"eventId": "1", "timestamp": 5, "message": "first"}]
    show("group", aws, said.append, since_s=999_999_999 * 60, follow=False, wait=lambda seconds: None)
    assert said == ["1970-01-01T00:00:00Z first"]


def space(tmp_path: Path, **section: str) -> list[str]:
    """Arguments that name a deploy.toml for a Space."""
    keys = "".join(f'{key} = "{value}"\n' for key, value in section.items())
    text = f'[deploy]\nname = "sightline"\nregion = "eu-central-1"\n[space]\n{keys}'
    (tmp_path / "deploy.toml").write_text(text, encoding="utf-8")
    return ["--target", "space", "--config", str(tmp_path / "deploy.toml")]


@contextmanager
def web(answer: bytes) -> Iterator[str]:
    """A server that answers everything by `answer`; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


OTHER = b'HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{"hits": "none", "embeddings": 7}'


@pytest.mark.parametrize("verb", ["golden", "smoke"])
def test_a_server_that_is_not_sightline_is_told_in_a_sentence(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with web(OTHER) as address:
        out = str(tmp_path / "golden.json")
        asked = ["golden", address, "--out", out] if verb == "golden" else ["smoke", *space(tmp_path, title="S")]
        assert main([*asked, *(["--address", address] if verb == "smoke" else [])]) == 1
    assert "in another form than Sightline does: look at the address" in capsys.readouterr().err


def test_a_token_is_sent_to_no_other_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "hidden")
    with web(b"HTTP/1.0 302 Found\r\nlocation: https://elsewhere.example/\r\n\r\n") as address:
        assert main(["golden", address, "--out", str(tmp_path / "golden.json")]) == 1
    assert capsys.readouterr().err == (
        f"{address}/healthz sends elsewhere, to https://elsewhere.example/: name that address.\n"
    )


@pytest.mark.parametrize("address", ["file:///etc", "ftp://x", "images.example.com", "http:// x"])
def test_an_address_is_one_of_the_web(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", address, "--out", str(tmp_path / "golden.json")]) == 1
    assert capsys.readouterr().err == f"{address!r} is no address: expected one such as https://images.example.com.\n"


@pytest.mark.parametrize("answer", [b"HTTP/1.0 abc\r\n\r\n", b"HTTP/1.0 200 OK\r\ncontent-length: 99\r\n\r\n{}"])
def test_a_server_that_speaks_no_http_is_told_in_a_sentence(
    answer: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with web(answer) as address:
        assert main(["golden", address, "--out", str(tmp_path / "golden.json")]) == 1
    assert address in capsys.readouterr().err


def test_a_golden_file_whose_hits_and_scores_do_not_fit_is_damaged(tmp_path: Path) -> None:
    query = {"name": "a", "query": "a", "ids": ["1", "2"], "scores": [0.5], "within_ms": 1}
    whole = {"fingerprint": "f", "dim": 2, "collection": "c", "queries": [query]}
    (tmp_path / "golden.json").write_text(json.dumps(whole))
    with pytest.raises(BadConfig, match="make it again with `python -m deploy golden`"):
        golden.read(tmp_path / "golden.json")


def test_a_damaged_golden_file_stops_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "golden.json").write_text("{}")
    arguments = space(tmp_path, folder=str(tmp_path / "upload"))
    toml = tmp_path / "deploy.toml"
    toml.write_text(toml.read_text().replace("[space]", f'golden = "{tmp_path}/golden.json"\n[space]'))
    assert main(["up", *arguments]) == 2
    assert "holds no golden queries" in capsys.readouterr().err
    assert not (tmp_path / "upload").exists()


def test_a_golden_file_that_is_named_and_not_there_stops_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = space(tmp_path, folder=str(tmp_path / "upload"))
    toml = tmp_path / "deploy.toml"
    toml.write_text(toml.read_text().replace("[space]", 'golden = "anwsers.json"\n[space]'))
    assert main(["up", *arguments]) == 2
    assert capsys.readouterr().err.startswith("[deploy] golden = 'anwsers.json': expected the file that `golden` wrote")
    assert not (tmp_path / "upload").exists()


@pytest.mark.parametrize("verb", ["up", "update", "rollback"])
@pytest.mark.parametrize(("token", "said"), [("", "Sign-in is on"), ("hid\nden", "DEPLOY_TOKEN is no token")])
def test_a_token_that_the_smoke_test_will_need_is_asked_for_before_anything_is_done(
    token: str, said: str, verb: str, tmp_path: Path
) -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:users-AbCdEf"
    text = (Path(__file__).parents[3] / "deploy" / "deploy.example.toml").read_text(encoding="utf-8")
    toml = tmp_path / "deploy.toml"
    toml.write_text(text.replace("[ecs]\n", f'[ecs]\nusers_secret_arn = "{secret}"\n'), encoding="utf-8")
    process = command(verb, "--target", "ecs", "--config", str(toml), DEPLOY_TOKEN=token)
    out, error = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert error.decode().startswith(said)
    assert b"den" not in error


def test_a_folder_for_a_space_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("precious")
    for folder in ("taken", "taken/below"):
        assert main(["up", *space(tmp_path, folder=str(tmp_path / folder))]) == 1
        assert capsys.readouterr().err.startswith(f"[space] folder = '{tmp_path / folder}' can't be written: ")
    assert (tmp_path / "taken").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["logs", "--target", "ecs", "--since-minutes", "0"], "0 is not a whole number from 1 to 999,999,999"),
        (
            ["batch", "--input", "a", "--output", "b", "--instances", "-1"],
            "-1 is not a whole number from 1 to 999,999,999",
        ),
        (["logs", "--target", "ecs", "--since-minutes", "9" * 10], "is not a whole number from 1 to 999,999,999"),
        (["golden", "http://x", "--within-ms", "no"], "no is not a whole number from 1 to 999,999,999"),
    ],
)
def test_a_wrong_number_on_the_command_line_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


def command(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=Path(__file__).parents[3],
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_an_old_terminal_gets_what_it_can_show(tmp_path: Path) -> None:
    process = command("plan", *space(tmp_path, folder="build/☃"), PYTHONIOENCODING="ascii")
    out, error = process.communicate()
    assert (process.returncode, error) == (0, b"")
    assert out.startswith(b"Write build/?: ")


def test_a_pipe_that_closes_early_is_no_defect(tmp_path: Path) -> None:
    process = command("plan", *space(tmp_path, folder="build/none"))
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_ctrl_d_at_a_question_is_a_no() -> None:
    terminal, end = os.openpty()
    with os.fdopen(end, "r", encoding="utf-8") as keyboard:
        os.write(terminal, b"yes\n")
        assert asker(False, keyboard)("Do this?", "yes") is True
        os.write(terminal, b"\x04")
        assert asker(False, keyboard)("Do this?", "yes") is False
    os.close(terminal)


def test_what_a_log_holds_can_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\tb\x1b[2Jc\r\x9bd\nnext")
    assert capsys.readouterr().out == "a\tb?[2Jc??d\nnext\n"


def test_a_program_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="can't be run: Permission denied"):
        run([str(tmp_path)])


def test_an_upload_that_fails_is_told_by_what_s3_said() -> None:
    with pytest.raises(Refused, match=r"^PutObject is not allowed: Access Denied\."), told():
        try:
            raise refusal("PutObject", "AccessDenied", "Access Denied")
        except exceptions.ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}") from error


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("up", "Stopped here; what was begun goes on at AWS. The same command waits for it.\n"),
        ("logs", ""),
        ("plan", ""),
    ],
)
def test_ctrl_c_says_what_goes_on_only_where_something_does(verb: str, said: str) -> None:
    assert stopped(verb) == said
