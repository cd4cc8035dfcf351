"""Command lines of benchmarks; a mistake gives one line before any measurement."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.harness.argument_errors import explain_empty
from experiments.harness.messages import UserError, print_line

MOST = 1_000_000
"""The most rounds, steps or repetitions, because each takes time."""
MOST_IMAGES = 4096
"""The most images of a batch."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one line, and first checks that the platform exists.

    Args:
      module: the module's name after `python -m`.
      description: the module's docstring; its first line is shown.
    """

    def __init__(self, module: str, description: str | None):
        super().__init__(
            prog=f"python -m {module}",
            description=(description or "").splitlines()[0],
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and exits with code 2."""
        print_line(f"{self.prog}: {message}; see {self.prog} --help")
        raise SystemExit(2)

    def parsed(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """The options from some arguments, by default those of `sys.argv`."""
        argv = list(sys.argv[1:] if argv is None else argv)
        if empty := explain_empty(argv):
            self.error(empty)
        args: Any = self.parse_args(argv)
        if any(name.startswith("JAX_") for name in os.environ):
            from experiments.harness import backend

            try:
                backend.require_platform()
            except UserError as error:
                self.error(str(error))
        return args


def count(at_most: int = MOST, at_least: int = 1) -> Callable[[str], int]:
    """Reads an integer in a range."""

    def read(text: str) -> int:
        if text.isdecimal() and len(text) < 20 and at_least <= int(text) <= at_most:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be an integer from {at_least} to {at_most}"
        )

    return read


def output(text: str) -> Path:
    """Reads the path of a file to write."""
    path = Path(text)
    if not text or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: must be a file, not a directory")
    return path
