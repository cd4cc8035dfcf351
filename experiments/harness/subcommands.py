"""One command for several families, with the family's name as first argument.

This module does not import jax or tyro, so that `--help` stays quick.
"""

import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from experiments.harness import family
from experiments.harness.command_line import refused
from experiments.harness.family import Family
from experiments.harness.help_text import first_sentence


def main(
    prog: str,
    about: str,
    families: Sequence[Family[Any]],
    argv: Sequence[str] | None = None,
    *,
    run: Callable[[Family[Any], Sequence[str]], object] = family.main,
) -> None:
    """Runs the family that the first argument names.

    Args:
      prog: the command as a user types it, for messages and help.
      about: a sentence about all families, for the help.
      families: the families, with different names.
      argv: the arguments, without the program's name; by default those of this process.
      run: runs a family with the other arguments.

    Raises:
      SystemExit: with code 2 after one line on stderr, or 0 after `--help`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    by_name = {own.name: own for own in families}
    if argv and argv[0] in ("-h", "--help"):
        print(_help(prog, about, families), end="")
        raise SystemExit(0)
    known = ", ".join(by_name)
    if not argv or argv[0].startswith("-"):
        raise refused(prog, f"name a task first: {known}")
    if argv[0] not in by_name:
        close = difflib.get_close_matches(argv[0], by_name, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {known}"
        raise refused(prog, f"unknown task {argv[0]!r} ({hint})")
    run(by_name[argv[0]], argv[1:])


def _help(prog: str, about: str, families: Sequence[Family[Any]]) -> str:
    width = max(len(own.name) for own in families)
    lines = [
        f"  {own.name:<{width}}  {first_sentence(own.config_class)}" for own in families
    ]
    return "\n".join(
        [
            f"usage: {prog} TASK [OPTIONS]",
            "",
            about,
            "",
            "tasks:",
            *lines,
            "",
            f"{prog} TASK --help lists the options of a task.",
            "",
        ]
    )
