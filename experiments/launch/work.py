"""The work of a job: it trains units in their run directories, and may be stopped.

An object of this module is pickled, sent to a machine and called there.
"""

import dataclasses
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.harness import arm_group, arm_groups, own_directory
from experiments.harness.messages import UserError, printable, tell
from experiments.harness.own_directory import InUseError
from experiments.harness.run_files import LOCK
from experiments.reproduce.request import Request

PATIENCE_SECONDS = 300.0
"""Time that a job of a cluster waits for a run directory that another process has. The
file system may keep a lock for a while after a machine has disappeared."""
POLL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Piece:
    """A unit, named by its path, because it is looked up on the job's machine."""

    request: Request
    path: Path
    """Its run directory."""

    def train(self, checkpoint_seconds: float) -> None:
        """Trains the unit to its last step.

        Raises:
          InUseError: another process trains it.
          UserError: it cannot be run here, or is gone.
        """
        own = self.request
        units = own.units()
        unit = {unit.path: unit for unit in units}.get(self.path)
        if unit is None:
            # It was gathered, or belongs to another version of the figure.
            tell(f"{self.path} is no part of {own.name} any more: nothing to do")
            return
        if arm_group.is_finished(own.family, unit):
            return
        own_directory.require_free(unit.path / LOCK)  # before loading data
        arm_groups.check_settings(own.family, units)
        arm_group.require_room(own.family, unit, own.arms)
        arm_group.train(
            own.family,
            unit,
            own.arms,
            title=f"{own.name}, {unit.label}",
            checkpoint_seconds=checkpoint_seconds,
        )


@dataclasses.dataclass(frozen=True)
class Work:
    """Pieces that one job trains, in this order; other jobs may share them."""

    pieces: tuple[Piece, ...]
    checkpoint_seconds: float
    patience_seconds: float = PATIENCE_SECONDS
    """Time that it keeps trying while other jobs have all pieces that are left."""

    def __call__(self) -> list[str]:
        """Trains the pieces.

        Returns:
          A line for each piece that another process still has.

        Raises:
          UserError: some pieces cannot be run here; the others were run.
          Exception: some pieces failed otherwise; the log has the reasons.
        """
        failed: list[Exception] = []
        left, in_use = list(self.pieces), list[str]()
        deadline = time.monotonic() + self.patience_seconds
        while left:
            again, left, in_use = left, [], []
            for piece in again:
                error = self._error_of(piece)
                if isinstance(error, InUseError):
                    left.append(piece)
                    in_use.append(str(error))
                elif error is not None:
                    failed.append(error)
                else:
                    deadline = time.monotonic() + self.patience_seconds
            if time.monotonic() > deadline:
                break
            if left:
                time.sleep(POLL_SECONDS)
        if failed:
            raise _together(failed)
        return in_use

    def _error_of(self, piece: Piece) -> Exception | None:
        """Trains one piece; returns its error, so that the others are still trained."""
        try:
            piece.train(self.checkpoint_seconds)
        except _ends_of_jobs():
            raise
        except Exception as error:
            if not isinstance(error, UserError):
                traceback.print_exc()
            return error
        return None

    def checkpoint(self) -> Any:
        """The work to queue again when a job is stopped: the same, which continues."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _ends_of_jobs() -> tuple[type[Exception], ...]:
    """What ends a job without time left. On Ray there is no submitit to raise it."""
    try:
        from submitit.core.utils import UncompletedJobError
    except ImportError:
        return ()
    return (UncompletedJobError,)


def _together(failed: Sequence[Exception]) -> Exception:
    """Joins exceptions to one, with all reasons in one line."""
    if len(failed) == 1:
        return failed[0]
    if all(isinstance(error, UserError) for error in failed):
        return UserError("; ".join(map(str, failed)))
    reasons = [
        str(error)
        if isinstance(error, UserError)
        else f"{type(error).__name__}: {error}"
        for error in failed
    ]
    return RuntimeError(printable("; ".join(dict.fromkeys(reasons))))
