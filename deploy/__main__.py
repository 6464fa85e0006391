"""`python -m deploy`: one command line for three targets and eight verbs."""

import argparse
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from deploy.clients import open_clients, told
from deploy.config import read_config
from deploy.errors import BadConfig, DeployError, Refused
from deploy.sections import GOLDEN, SECTIONS, Config

VERBS = {
    "plan": "say what would change and what it costs a month; change nothing",
    "up": "make everything, or bring it to what deploy.toml says",
    "status": "say what runs and how it is",
    "logs": "show the log",
    "smoke": "ask golden queries and compare the answers",
    "update": "bring a new image or release; smoke it; roll back by itself when that fails",
    "rollback": "go back to what ran before",
    "down": "take the service away; never the data",
}
CONFIG = Path("deploy.toml")
CHANGING = ("up", "update", "rollback", "down", "batch")
BAD_CONFIG, STOPPED_BY_CTRL_C, PIPE_CLOSED = 2, 130, 141  # the last two as a shell counts signals


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        with told():
            _do(options)
    except DeployError as error:
        print(shown(str(error)), file=sys.stderr)
        return BAD_CONFIG if isinstance(error, BadConfig) else 1
    except KeyboardInterrupt:
        sys.stderr.write(stopped(options.verb))
        return STOPPED_BY_CTRL_C
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return PIPE_CLOSED
    return 0


def stopped(verb: str) -> str:
    """What is said after Ctrl-C."""
    if verb not in CHANGING:
        return ""
    return "Stopped here; what was begun goes on at AWS. The same command waits for it.\n"


def _do(options: argparse.Namespace) -> None:
    if options.verb == "golden":
        _golden(options)
        return
    config = read_config(options.config, options.target)
    aws = open_clients(config.deploy)
    if options.verb == "batch":
        _batch(options, config, aws)
        return
    smoke = partial(_smoke, config, options.target, aws, getattr(options, "address", ""))
    if options.verb == "smoke":
        smoke()
        return
    more: dict[str, object] = {}
    if options.verb in ("up", "update", "rollback"):
        import_module("deploy.smoke").before(config, options.target)
        more = {"wait": time.sleep, "run": run, "smoke": smoke}
    elif options.verb in ("plan", "down"):
        more = {"wait": time.sleep}
    elif options.verb == "logs":
        more = {"wait": time.sleep, "since_s": options.since_minutes * 60, "follow": options.follow}
    _verb(options)(config, aws, say, asker(options.yes, sys.stdin), **more)


def _verb(options: argparse.Namespace) -> Callable[..., None]:
    """Raises: Refused."""
    verb: Callable[..., None] | None = getattr(import_module(f"deploy.{options.target}"), options.verb, None)
    if verb is None:
        raise Refused(f"`{options.verb}` is nothing for a Space: it is managed where its folder was uploaded to.")
    return verb


def _smoke(config: Config, target: str, aws: Callable[[str], Any], address: str, at: str = "") -> None:
    import_module("deploy.smoke").run(config, target, aws, say, address, at)


def _batch(options: argparse.Namespace, config: Config, aws: Callable[[str], Any]) -> None:
    batch = import_module("deploy.batch")
    kind = options.instance_type or batch.sagemaker_values.section(config).instance_type
    batch.run(config, batch.Batch(options.input, options.output, kind, options.instances), aws, say, time.sleep)


def _golden(options: argparse.Namespace) -> None:
    import_module("deploy.golden").command(
        options.address,
        options.out,
        say,
        token=import_module("deploy.smoke").token(),
        queries=options.query,
        images=options.image,
        within_ms=options.within_ms,
    )


def asker(yes: bool, keyboard: TextIO | None) -> Callable[[str, str], bool]:
    """Asks a question; true where the answer is the word that is wanted. `yes`: everything is agreed to beforehand."""

    def ask(question: str, wanted: str) -> bool:
        if yes:
            return True
        if keyboard is None or not keyboard.isatty():
            raise Refused("Nothing was changed: nobody can be asked here. Add --yes to agree beforehand.")
        print(shown(f"{question} Type {wanted}: "), end="", flush=True)
        return keyboard.readline().strip() == wanted

    return ask


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Run Sightline on ECS, SageMaker or a Space.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, purpose in VERBS.items():
        verb = verbs.add_parser(name, help=purpose, description=purpose)
        verb.add_argument("--target", choices=sorted(SECTIONS), required=True, help="where it runs")
        verb.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"else {CONFIG}")
        verb.add_argument("--yes", action="store_true", help="do not ask")
        if name == "smoke":
            verb.add_argument("--address", default="", metavar="URL", help="ask this one in place of the target's own")
        if name == "logs":
            verb.add_argument("--since-minutes", type=from_one_on, default=15, metavar="N", help="else 15")
            verb.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    _add_golden(verbs)
    _add_batch(verbs)
    return parser


def _add_batch(verbs: Any) -> None:
    purpose = "embed a bucket's pictures by a SageMaker transform job, for `import`"
    batch = verbs.add_parser("batch", help=purpose, description=purpose)
    batch.add_argument("--input", required=True, metavar="S3", help="s3://bucket/prefix/, or a file NAME.manifest")
    batch.add_argument("--output", required=True, metavar="S3", help="s3://bucket/prefix")
    batch.add_argument("--instance-type", default="", metavar="TYPE", help="else that of the endpoint")
    batch.add_argument("--instances", type=from_one_on, default=1, metavar="N", help="else 1")
    batch.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"else {CONFIG}")
    batch.set_defaults(target="sagemaker")


def _add_golden(verbs: Any) -> None:
    purpose = "ask what is known to be good, and keep its answers for smoke"
    golden = verbs.add_parser("golden", help=purpose, description=purpose)
    golden.add_argument("address", metavar="ADDRESS", help="such as http://127.0.0.1:7860")
    golden.add_argument("--out", type=Path, default=Path(GOLDEN), metavar="FILE", help=f"else {GOLDEN}")
    golden.add_argument("--query", action="append", default=[], metavar="TEXT", help="may come again; else five")
    golden.add_argument(
        "--image", action="append", default=[], type=Path, metavar="FILE", help="may come again; else one that is found"
    )
    golden.add_argument(
        "--within-ms", type=from_one_on, default=5_000, metavar="MS", help="how long an answer may take; else 5000"
    )


def from_one_on(given: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", given) or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given} is not a whole number from 1 to 999,999,999")
    return int(given)


def say(line: str) -> None:
    print(shown(line), flush=True)


def shown(text: str) -> str:
    """Without what moves a terminal's cursor: logs and answers hold what anybody sent."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", text)


def run(program: Sequence[str], given: str = "") -> str:
    """What the program printed; `given` goes to its standard input. Raises: Refused."""
    try:
        done = subprocess.run(program, input=given, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise Refused(f"{program[0]} is not installed.") from None
    except OSError as error:
        raise Refused(f"{program[0]} can't be run: {error.strerror}.") from error
    if done.returncode:
        raise Refused(f"`{' '.join(program[:3])} …` failed: {(done.stderr.strip() or done.stdout.strip())[-500:]}")
    return done.stdout


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another encoding gets what it can show
    sys.exit(main(sys.argv[1:]))
