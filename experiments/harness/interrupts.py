"""Ctrl-C as one line, whenever it comes.

An exception is not enough: a library may swallow it, replace it, or crash when it
passes through code that is not Python. So the process ends at once, except while it
holds a run directory, which is left in order. This module imports next to nothing,
because it is imported first.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

LINE = "interrupted: run the same command again to continue"
CODE = 130
_seen: list[int] = []
_held: list[bool] = []


def during_imports() -> None:
    """Gives a command its line while it still imports what it needs."""
    on_main = threading.current_thread() is threading.main_thread()
    # Python's value until it finds the command's module.
    if sys.argv[0] == "-m" and on_main:
        _handle()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handles interrupts in a block; ends the process after one."""
    _seen.clear()
    handler, report = signal.getsignal(signal.SIGINT), sys.unraisablehook

    def leave_if_swallowed(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            leave()
        report(unraisable)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _handle()
    sys.unraisablehook = leave_if_swallowed
    try:
        yield
    finally:
        if _seen:
            leave()
        sys.unraisablehook = report
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Lets one interrupt unwind the block; a second interrupt ends the process."""
    _held.append(True)
    try:
        yield
    finally:
        _held.pop()


def check() -> None:
    """Raises again an interrupt that a library has swallowed."""
    if _seen:
        raise KeyboardInterrupt


def leave() -> None:
    """Ends the process without messages from threads that are cut short."""
    with contextlib.suppress(OSError):
        os.write(2, f"{LINE}\n".encode())
    os._exit(CODE)


def _handle() -> None:
    """Sets the handler, unless a parent process ignores interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def _note(number: int, frame: FrameType | None) -> None:
    if _seen or not _held:
        leave()
    _seen.append(number)
    raise KeyboardInterrupt
