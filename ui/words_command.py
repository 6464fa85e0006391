"""A command whose words may begin with "-", as "-people" does to subtract; what is an option stays one."""

from typing import Any

from typer.core import TyperCommand, TyperOption


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
        return super().parse_args(ctx, words + args[end:])


def _is_word(arg: str) -> bool:
    return arg.startswith("-") and not arg.startswith("--") and (len(arg) > 2 or not arg.isascii())
