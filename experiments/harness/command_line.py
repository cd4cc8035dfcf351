"""Turns command-line arguments into a config, and mistakes into one line.

A mistake of the user gives exactly one line on stderr with the flag, the value and what
is allowed (exit code 2). A condition of the machine that the user can change gives one
line that says what to change (exit code 1). A bug keeps its traceback.

This module imports neither jax nor tyro at the top, so that `--help` stays quick.
"""

import dataclasses
import errno
import io
import os
import shutil
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from experiments.harness import argument_errors, interrupts
from experiments.harness.help_text import with_help_in_one_line
from experiments.harness.messages import UserError, print_line, warn

_Config = typing.TypeVar("_Config")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors that mean that no space is left."""
LEAST_COLUMNS = 40
"""Width of the narrowest help, in columns."""
_AWAY = (
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
)
_REFUSED = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOLCK,
    errno.ENOTSUP,
)


def parse(
    config_class: type[_Config], argv: Sequence[str] | None = None, *, prog: str
) -> _Config:
    """Parses arguments into a frozen dataclass.

    Flags are `--kebab-case` (underscores are accepted), nested dataclasses give
    `--outer.inner`, booleans `--flag/--no-flag`; the docstring below a field is its
    help. A `ValueError` raised by `__post_init__` is reported as the user's mistake.

    Args:
      config_class: A dataclass whose fields all have defaults.
      argv: The arguments, without the program's name; `sys.argv[1:]` by default.
      prog: The command as the user types it, for messages and help.

    Returns:
      An instance of `config_class`.

    Raises:
      SystemExit: With code 2 after one line on stderr, or 0 after `--help`.
    """
    import tyro

    argv = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        _widen()
        tyro.cli(with_help_in_one_line(config_class), args=argv, prog=prog)
    empty = argument_errors.explain_empty(argv)
    if empty:
        raise refused(prog, empty)
    printed = io.StringIO()
    try:
        with argument_errors.captured(printed):
            config, unknown = tyro.cli(
                config_class, args=argv, prog=prog, return_unknown_args=True
            )
    except SystemExit as stop:
        message = argument_errors.explain(stop, printed.getvalue(), argv)
    else:
        if not unknown:
            try:
                return _expanded(config)
            except RuntimeError as error:  # ~ of an unknown user
                raise refused(prog, str(error)) from None
        message = argument_errors.explain_unknown(unknown, config_class)
    raise refused(prog, message)


def _widen() -> None:
    """Widens a narrow terminal, on which tyro would never finish folding the help."""
    if shutil.get_terminal_size().columns < LEAST_COLUMNS:
        os.environ["COLUMNS"] = str(LEAST_COLUMNS)


def run(main: Callable[[], object]) -> int:
    """Calls `main` and returns the exit code for the shell.

    Use it as `sys.exit(run(main))`. `UserError` and errors of the operating system that
    a user can correct (no space, no permission) give one line and 1. An interrupt gives
    one line and 130. Every other exception is a bug and passes through.
    """
    _open_streams()
    with interrupts.handled():
        try:
            return _exit_code(main)
        finally:
            _drop_unwritable_streams()


def _exit_code(main: Callable[[], object]) -> int:
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        print_line(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        interrupts.check()  # after a signal, its line comes last
        print_line(interrupts.LINE)
        return interrupts.CODE
    except BrokenPipeError:
        # The reader of our output (`| head`) is gone, so nothing can be printed.
        return 1
    except OSError as error:
        advice = _advice(error)
        if advice is None:
            raise
        print_line(f"error: {advice}")
        return 1
    except Exception as error:
        if not _ended_import_of_jax(error):
            raise
        _say_why_jax_ended(error)
        return 1
    return 0


def during_imports() -> None:
    """Prints the line of an error for a command that imports jax before `run`."""
    interrupts.during_imports()
    if sys.argv[0] != "-m":  # Python's value until it finds the command's module
        return
    report = sys.excepthook

    def explain(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if _ended_import_of_jax(error):
            _say_why_jax_ended(error)
        else:
            report(kind, error, trace)

    sys.excepthook = explain


def _ended_import_of_jax(error: BaseException) -> bool:
    """Whether jax refused the environment while it was imported."""
    places = [
        frame.f_code.co_name
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("jax", "jaxlib")
    ]
    return "<module>" in places


def _say_why_jax_ended(error: BaseException) -> None:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    names = [name for name in os.environ if name.startswith(("JAX_", "XLA_"))]
    advice = (
        f"{' or '.join(names)} has a value that it does not know"
        if names
        else "install it again"
    )
    print_line(f"error: jax cannot start ({reason}): {advice}")


def _open_streams() -> None:
    """Makes the process's streams usable, whatever it was started with.

    If a stream is closed, the next file that is opened gets its number, and a library
    would print into that file. Characters that an encoding lacks are escaped.
    """
    closed = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            opened = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 -- for good
            setattr(sys, name, opened)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if closed:
        warn("stdout is closed: what would be printed there is not shown")


def _drop_unwritable_streams() -> None:
    """Lets Python flush its streams at the end in silence."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def refused(prog: str, message: str) -> SystemExit:
    """Prints what is wrong with the arguments; the caller raises the result."""
    print_line(f"{prog}: {message}; see {prog} --help")
    return SystemExit(2)


def _expanded(config: typing.Any) -> typing.Any:
    """The config with `~` expanded, which a shell leaves after `--flag=`."""
    paths = {
        field.name: value.expanduser()
        for field in dataclasses.fields(config)
        if isinstance(value := getattr(config, field.name), Path)
    }
    return dataclasses.replace(config, **paths)


def _advice(error: OSError) -> str | None:
    """One line for an error that the user can correct; None for any other."""
    what = error.strerror or str(error)
    where = f" ({os.fspath(error.filename)!s})" if error.filename else ""
    again = "run the same command again to continue"
    if error.errno in FULL:
        return f"{what}{where}: free some space or raise the limit, then {again}"
    if error.errno in _AWAY:
        return f"{what}{where}: the storage is away; when it is back, {again}"
    if error.errno in _REFUSED:
        return (
            f"{what}{where}: choose another directory, or make it writable and {again}"
        )
    return None
