"""Messages to the user besides results: one line at a time, on stderr."""

import contextlib
import difflib
import sys
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can correct; its message is the one line they see."""


def tell(message: str) -> None:
    """Prints a message about the run as one line on stderr."""
    print_line(message)


def warn(message: str) -> None:
    """Prints a warning as one line on stderr."""
    print_line(f"warning: {message}")


def printable(text: str) -> str:
    """A text as one line, without characters that control a terminal."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as "1 arm" or "2 arms"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A question for the known name that is nearest, if one is; else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" (did you mean {close[0]}?)" if close else ""


def print_line(text: str) -> None:
    """Prints a text on stderr, as one line whatever it holds.

    If stderr is closed or full, the text is lost and the run goes on.
    """
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(printable(text), file=sys.stderr, flush=True)
