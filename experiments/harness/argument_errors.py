"""Explains in one line why tyro refused some arguments.

Only this module depends on the form of tyro's reports. Tyro prints boxes in a layout
that follows the terminal; here they are captured in a fixed layout and read.
"""

import contextlib
import dataclasses
import io
import os
import re
import typing
from collections.abc import Iterator, Sequence
from types import TracebackType

from experiments.harness.messages import nearest

_KINDS = {"INT": "an integer", "FLOAT": "a number", "STR": "a text", "PATH": "a path"}


def flag_of(name: str) -> str:
    """The flag of a field: `--a-b.c-d` for `a_b.c_d`."""
    return "--" + name.replace("_", "-")


@contextlib.contextmanager
def captured(printed: io.StringIO) -> Iterator[None]:
    """Captures what the parser prints, in the same layout on every terminal.

    The parser takes colours and boxes from stdout and the width from `COLUMNS`.
    """
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns


def explain(stop: SystemExit, printed: str, argv: Sequence[str]) -> str:
    """Explains why parsing stopped.

    Args:
      stop: The exception that tyro raised.
      printed: The text that it printed, from `captured`.
      argv: The arguments that it parsed.
    """
    return _post_init_message(stop) or _parser_message(printed, argv)


def explain_empty(argv: Sequence[str]) -> str | None:
    """Explains an empty value, which a shell makes of a variable that is not set.

    An empty path would mean the working directory.
    """
    for before, token in zip(["", *argv], argv, strict=False):
        if token == "" or (token.startswith("--") and token.endswith("=")):
            flag = token if token else before
            return f"{flag.rstrip('=')} is empty: give it a value, or leave it out"
    return None


def explain_unknown(unknown: Sequence[str], config_class: type) -> str:
    """Explains arguments that no field takes, by the first flag among them."""
    flags = [token for token in unknown if token.startswith("-")]
    if not flags:
        return f"unexpected argument {unknown[0]!r}"
    flag = flag_of(flags[0].partition("=")[0].lstrip("-"))
    return f"unknown flag {flag}" + nearest(flag, _known_flags(config_class), 0.7)


def _post_init_message(stop: SystemExit) -> str | None:
    """The message of the `ValueError` that ended parsing inside a `__post_init__`."""
    error: BaseException = stop
    while error.__context__ is not None:
        error = error.__context__
    inside = "__post_init__" in _function_names(error.__traceback__)
    return str(error) if inside else None


def _function_names(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


def _parser_message(printed: str, argv: Sequence[str]) -> str:
    """The parser's report as one line: its first section, without the title."""
    bare = [line.strip() for line in printed.splitlines()]
    rules = [index for index, line in enumerate(bare) if re.fullmatch("-+", line)]
    start, stop = rules[:2] if len(rules) > 1 else (-1, len(bare))
    text = " ".join(line for line in bare[start + 1 : stop] if line)
    failed = re.match(r"Error parsing (--[\w.-]+)", text)
    if failed is None:
        return text.rstrip(".") or "cannot read the arguments"
    flag = failed.group(1)
    helped = [line for line in bare[stop:] if line.startswith(f"{flag} ")]
    kind = helped[0].removeprefix(flag).strip() if helped else "another value"
    given = _given_values(flag, argv)
    return f"{flag} {given}".strip() + f": must be {_KINDS.get(kind, kind)}"


def _given_values(flag: str, argv: Sequence[str]) -> str:
    """The values after the last use of `flag`, as typed."""
    values: list[str] = []
    current = ""
    for token in argv:
        if token.startswith("--"):
            name, equals, value = token.partition("=")
            current = flag_of(name[2:])
            if current == flag:
                values = [value] if equals else []
        elif current == flag:
            values.append(token)
    return " ".join(values)


def _known_flags(config_class: type, prefix: str = "") -> Iterator[str]:
    from tyro.conf import Positional

    hints = typing.get_type_hints(config_class, include_extras=True)
    for field in dataclasses.fields(config_class):
        kind, name = hints[field.name], prefix + field.name
        if Positional in getattr(kind, "__metadata__", ()):
            continue
        if dataclasses.is_dataclass(kind):
            yield from _known_flags(typing.cast(type, kind), f"{name}.")
            continue
        yield flag_of(name)
        if kind is bool:
            yield flag_of(f"{prefix}no_{field.name}")
