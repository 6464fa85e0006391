"""A command whose words may begin with "-", as "-people" does to subtract; what is an option stays one."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from ui.terminal import plain


class WordsCommand(TyperCommand):
    """Takes `-word` for a word; a single letter such as `-c` and all that begins with `--` are options, or refused."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with_value = {
            name
            for param in self.get_params(ctx)
            if isinstance(param, TyperOption) and not param.is_flag
            for name in param.opts
        }
        end = args.index("--") if "--" in args else len(args)
        before = ["", *args]
        words = [
            f" {arg}" if _is_word(arg) and before[at] not in with_value else arg  # the parser sees no "-" then
            for at, arg in enumerate(args[:end])
        ]
        for word in (arg for arg, read in zip(args, words, strict=False) if arg != read and arg[:2] in with_value):
            typer.echo(
                f'Without "{plain(word[1:])}": for the option {word[:2]} leave a space, as in {word[:2]} '
                f"{plain(word[2:])}.",
                err=True,
            )
        return super().parse_args(ctx, words + args[end:])


def _is_word(arg: str) -> bool:
    return arg.startswith("-") and not arg.startswith("--") and (len(arg) > 2 or not arg.isascii())
