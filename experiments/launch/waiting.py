"""Waits for submitted units until they are finished or have no job any more."""

import collections
import dataclasses
import time
from collections.abc import Mapping, Sequence

from experiments.harness import arm_group
from experiments.harness.arm_group import Unit
from experiments.harness.messages import counted, tell, warn
from experiments.launch import engines
from experiments.launch.engines import State, UnknownError
from experiments.launch.jobs import Job
from experiments.launch.work import Piece
from experiments.reproduce.request import Request

POLL_SECONDS = 10.0
SEEN_LOST = 2
"""Number of looks in which a lost unit is unfinished and without a job. One is too few,
because file systems of clusters show late what another machine has written."""


@dataclasses.dataclass
class Task:
    """A unit of a figure that is waited for."""

    request: Request
    unit: Unit
    jobs: tuple[Job, ...] = ()
    """The jobs that train it, or were the last to do so."""
    is_finished: bool = False
    seen_lost: int = 0
    """Number of successive looks in which it seemed lost."""

    @property
    def piece(self) -> Piece:
        """The piece to send to a job."""
        return Piece(self.request, self.unit.path)

    @property
    def is_lost(self) -> bool:
        """Whether it has to be launched again."""
        return self.seen_lost >= SEEN_LOST

    def is_at_work(self, states: Mapping[Job, State]) -> bool:
        """Whether one of its jobs is queued or runs."""
        return any(job in states and not states[job].is_over for job in self.jobs)

    def look(self) -> None:
        """Updates whether it is finished."""
        self.is_finished = self.is_finished or arm_group.is_finished(
            self.request.family, self.unit
        )


def wait(tasks: Sequence[Task]) -> None:
    """Waits, and reports the progress of tasks and the end of lost jobs."""
    said = ""
    while True:
        line = _look(tasks)
        if line != said:
            tell(line)
        said = line
        if all(task.is_finished or task.is_lost for task in tasks):
            return
        time.sleep(POLL_SECONDS)


def _look(tasks: Sequence[Task]) -> str:
    """Looks at all tasks; returns their progress in words."""
    left = {job for task in tasks if not task.is_finished for job in task.jobs}
    try:
        states = engines.states(left)
    except UnknownError as error:
        return f"Slurm does not answer, jobs are still waited for: {error}"
    for task in tasks:
        task.look()
        is_lost = not task.is_finished and not task.is_at_work(states)
        task.seen_lost = task.seen_lost + 1 if is_lost else 0
    _tell_lost([task for task in tasks if task.seen_lost == SEEN_LOST], states)
    finished = sum(task.is_finished for task in tasks)
    line = f"{finished} of {counted(len(tasks), 'part')} finished"
    words = collections.Counter(
        states[job].words.lower()
        for job in left
        if job in states and not states[job].is_over
    )
    counts = ", ".join(f"{words[word]} {word}" for word in sorted(words))
    return f"{line}; jobs: {counts}" if counts else line


def _tell_lost(lost: Sequence[Task], states: Mapping[Job, State]) -> None:
    """Reports how the jobs of unfinished units ended, each job once."""
    of_jobs: dict[Job, list[Task]] = {}
    for task in lost:
        for job in task.jobs:
            of_jobs.setdefault(job, []).append(task)
    for job, tasks in of_jobs.items():
        how = engines.how_it_ended(job, states.get(job))
        first = f"{tasks[0].request.name}, {tasks[0].unit.label}"
        what = first if len(tasks) == 1 else f"{len(tasks)} parts left, first {first}"
        warn(
            f"job {job.number} ({what}) {how}; launch again to continue from its "
            f"checkpoint ({job.log})"
        )
