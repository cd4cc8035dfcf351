"""Ctrl-C as one line, whenever it comes.

An exception would not do: a library may swallow it, make another of it, or crash where
it passes through code that is not Python's. So the process ends at once, except while a
run directory is held, which is left in order. This module imports next to nothing, for
it is the first to be imported.
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
    # As Python has it until the module of the command is found.
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
    """Lets an interrupt unwind what is in this block; a second one does not."""
    _held.append(True)
    try:
        yield
    finally:
        _held.pop()


def check() -> None:
    """Raises again what some library has swallowed."""
    if _seen:
        raise KeyboardInterrupt


def leave() -> None:
    """Ends the process, with no more said by threads that are cut short."""
    with contextlib.suppress(OSError):
        os.write(2, f"{LINE}\n".encode())
    os._exit(CODE)


def _handle() -> None:
    """Unless a parent has said to ignore interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def _note(number: int, frame: FrameType | None) -> None:
    if _seen or not _held:
        leave()
    _seen.append(number)
    raise KeyboardInterrupt
