"""`python -m deploy`: one command line for three targets and eight verbs."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from deploy.clients import open_clients, told
from deploy.config import SECTIONS, Config, read_config
from deploy.errors import BadConfig, DeployError, Refused

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
BAD_CONFIG, STOPPED_BY_CTRL_C = 2, 130


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.verb == "golden":
            _golden(options)
            return 0
        config = read_config(options.config, options.target)
        aws = open_clients(config.deploy)
        if options.verb == "batch":
            _batch(options, config, aws)
            return 0
        smoke = partial(_smoke, config, options.target, aws, getattr(options, "address", ""))
        verb: Callable[..., None] = smoke
        if options.verb != "smoke":
            verb = partial(_verb(options), config, aws, say, asker(options.yes))
        more: dict[str, object] = {}
        if options.verb in ("up", "update", "rollback"):
            more = {"wait": time.sleep, "run": run, "smoke": smoke}
        elif options.verb in ("plan", "down"):
            more = {"wait": time.sleep}
        elif options.verb == "logs":
            more = {"wait": time.sleep, "since_s": options.since_minutes * 60, "follow": options.follow}
        with told():
            verb(**more)
    except DeployError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIG if isinstance(error, BadConfig) else 1
    except KeyboardInterrupt:
        print("Stopped here; what was begun goes on at AWS. The same command waits for it.", file=sys.stderr)
        return STOPPED_BY_CTRL_C
    return 0


def _verb(options: argparse.Namespace) -> Callable[..., None]:
    """Raises: Refused."""
    verb: Callable[..., None] | None = getattr(import_module(f"deploy.{options.target}"), options.verb, None)
    if verb is None:
        raise Refused(f"`{options.verb}` is nothing for a Space: it is managed where its folder was uploaded to.")
    return verb


def _smoke(config: Config, target: str, aws: Callable[[str], Any], address: str) -> None:
    import_module("deploy.smoke").run(config, target, aws, say, address)


def _batch(options: argparse.Namespace, config: Config, aws: Callable[[str], Any]) -> None:
    batch = import_module("deploy.batch")
    kind = options.instance_type or batch.sagemaker.section(config).instance_type
    with told():
        batch.run(config, batch.Batch(options.input, options.output, kind, options.instances), aws, say, time.sleep)


def _golden(options: argparse.Namespace) -> None:
    import_module("deploy.golden").command(
        options.address,
        options.out,
        say,
        token=os.environ.get("DEPLOY_TOKEN", ""),
        queries=options.query,
        images=options.image,
        within_ms=options.within_ms,
    )


def asker(yes: bool) -> Callable[[str, str], bool]:
    """Asks a question; true where the answer is the word that is wanted. `yes`: everything is agreed to beforehand."""

    def ask(question: str, wanted: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise Refused("Nothing was changed: nobody can be asked here. Add --yes to agree beforehand.")
        return input(f"{question} Type {wanted}: ").strip() == wanted

    return ask


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Run Sightline on ECS, SageMaker or a Space.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, purpose in VERBS.items():
        verb = verbs.add_parser(name, help=purpose, description=purpose)
        verb.add_argument("--target", choices=sorted(SECTIONS), required=True)
        verb.add_argument("--config", type=Path, default=Path("deploy.toml"), metavar="FILE")
        verb.add_argument("--yes", action="store_true", help="do not ask")
        if name == "smoke":
            verb.add_argument("--address", default="", metavar="URL", help="ask this one in place of the target's own")
        if name == "logs":
            verb.add_argument("--since-minutes", type=int, default=15, metavar="N")
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
    batch.add_argument("--instances", type=int, default=1, metavar="N")
    batch.add_argument("--config", type=Path, default=Path("deploy.toml"), metavar="FILE")
    batch.set_defaults(target="sagemaker")


def _add_golden(verbs: Any) -> None:
    purpose = "ask what is known to be good, and keep its answers for smoke"
    golden = verbs.add_parser("golden", help=purpose, description=purpose)
    golden.add_argument("address", metavar="ADDRESS", help="such as http://127.0.0.1:7860")
    golden.add_argument("--out", type=Path, default=Path("golden.json"), metavar="FILE")
    golden.add_argument("--query", action="append", default=[], metavar="TEXT")
    golden.add_argument("--image", action="append", default=[], type=Path, metavar="FILE")
    golden.add_argument("--within-ms", type=float, default=5_000, metavar="MS", help="how long an answer may take")


def say(line: str) -> None:
    print(line, flush=True)


def run(program: Sequence[str], given: str = "") -> str:
    """What the program printed; `given` goes to its standard input. Raises: Refused."""
    try:
        done = subprocess.run(program, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Refused(f"{program[0]} is not installed.") from None
    if done.returncode:
        raise Refused(f"`{' '.join(program[:3])} …` failed: {(done.stderr.strip() or done.stdout.strip())[-500:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
