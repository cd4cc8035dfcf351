"""What a job does: trains units, each in its run directory, and may be stopped anytime.

An object of this module is pickled, sent to a machine and called there.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

from experiments.harness import arm_group, arm_groups
from experiments.harness.messages import UserError, tell
from experiments.harness.own_directory import InUseError
from experiments.reproduce.request import Request

PATIENCE_SECONDS = 300.0
"""For so long a job waits for a run directory that another process has: the file
system of a cluster may keep a lock for a while after a machine has disappeared."""
POLL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Piece:
    """A unit by its place, for it is looked up where it is trained."""

    request: Request
    path: Path
    """Its run directory."""

    def train(self, checkpoint_seconds: float) -> None:
        """Trains what is left to do of it.

        Raises:
          InUseError: another process is at it.
          UserError: it cannot be run here, or has gone.
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
    """Pieces that one job trains, in this order; others may share them."""

    pieces: tuple[Piece, ...]
    checkpoint_seconds: float

    def __call__(self) -> list[str]:
        """Trains them.

        Returns:
          A line for each that another process still has.

        Raises:
          UserError: some cannot be run here; the others were.
        """
        refused, left = [], list(self.pieces)
        in_use: list[str] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left:
            again, in_use = left, []
            left = []
            for piece in again:
                try:
                    piece.train(self.checkpoint_seconds)
                except InUseError as error:
                    left.append(piece)
                    in_use.append(str(error))
                except UserError as error:
                    refused.append(str(error))
                else:
                    deadline = time.monotonic() + PATIENCE_SECONDS
            if time.monotonic() > deadline:
                break
            if left:
                time.sleep(POLL_SECONDS)
        if refused:
            raise UserError("; ".join(refused))
        return in_use

    def checkpoint(self) -> Any:
        """What is queued again where a job is stopped: the same, which continues."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
