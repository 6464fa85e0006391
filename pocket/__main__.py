"""Makes the bundled model and gallery again in three commands; each runs the stages of that name one after another.

python -m pocket render
python -m pocket train --out RUN
python -m pocket evaluate [--other]
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_RENDER = ("pocket.gallery_scenes", "pocket.gallery", "pocket.queries")
_SHARED = ("pocket.train_image", "pocket.train")  # by as many processes as there are cores, up to four


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("render", help="choose, draw and embed the gallery, write its labelled queries")
    train = commands.add_parser("train", help="all stages, some hours; goes on where it was stopped")
    train.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    train.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1), help="that share the work")
    evaluate = commands.add_parser("evaluate", help="print the model card's table")
    evaluate.add_argument("--other", action="store_true", help="on a second gallery that no choice was made by")
    args = parser.parse_args()
    if args.command == "train":
        _train(args.out, args.processes)
    elif args.command == "render":
        for stage in _RENDER:
            _run(stage)
    else:
        _run("pocket.evaluate", *(["--other"] if args.other else []))


def _train(out: Path, processes: int) -> None:
    if not (out / "teacher.npz").exists():
        _run("pocket.teacher", "--out", str(out))
    for stage in _SHARED:
        for meeting in out.glob("meeting-*"):
            meeting.unlink()  # of processes that were stopped
        ranks = range(processes)
        _together([("--out", str(out), "--rank", str(rank), "--of", str(processes)) for rank in ranks], stage)
    _run("pocket.train_text", "--out", str(out))
    _run("pocket.ship", str(out / "text.pt"))
    _run("pocket.gallery")


def _run(stage: str, *arguments: str) -> None:
    _together([arguments], stage)


def _together(each: Sequence[Sequence[str]], stage: str) -> None:
    running = [subprocess.Popen([sys.executable, "-m", stage, *arguments]) for arguments in each]
    ended = [process.wait() for process in running]
    if any(ended):
        sys.exit(f"{stage} failed; the same command goes on from its last checkpoint.")


if __name__ == "__main__":
    main()
