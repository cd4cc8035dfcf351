"""Submits what is missing of some figures, waits for it and puts it together."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.harness import arm_group, arm_groups, parts
from experiments.harness.arm_group import Unit
from experiments.harness.messages import UserError, tell, warn
from experiments.launch import engines, jobs
from experiments.launch.engines import Engine, State, UnknownError
from experiments.launch.jobs import Job
from experiments.launch.options import Options
from experiments.launch.work import Piece, Work
from experiments.reproduce.listing import counted
from experiments.reproduce.options import RUNS
from experiments.reproduce.request import Request

POLL_SECONDS = 10.0
SEEN_OVER = 2
"""A job whose unit is not finished is over if it is so in as many looks: file systems
of clusters show late what another machine has written."""


@dataclasses.dataclass
class Task:
    """A unit of a figure, while it is looked after."""

    request: Request
    unit: Unit
    jobs: tuple[Job, ...] = ()
    """Those that have it, or had it last."""
    is_finished: bool = False

    def look(self) -> None:
        """Looks whether it is finished."""
        self.is_finished = self.is_finished or arm_group.is_finished(
            self.request.family, self.unit
        )

    def is_at_work(self, states: Mapping[Job, State]) -> bool:
        """Whether one of its jobs is queued or runs."""
        return any(job in states and not states[job].is_over for job in self.jobs)

    @property
    def piece(self) -> Piece:
        """What is sent of it."""
        return Piece(self.request, self.unit.path)


def launch(options: Options) -> bool:
    """Submits what is missing and, if that is asked for, waits for all of it.

    Returns:
      Whether all figures are finished, and put together.

    Raises:
      UserError: another launch of one of the figures is at work, what they need is
        missing, or the engine refuses a job.
    """
    engine = engines.by_name(options, _folder(options))
    requests = [
        dataclasses.replace(request, directory=request.directory.resolve())
        for request in options.requests
    ]
    with contextlib.ExitStack() as stack:
        for request in sorted(requests, key=lambda request: request.directory):
            stack.enter_context(parts.lock(request.directory))
        tasks = [task for request in requests for task in _tasks(request, options)]
        _submit(tasks, options, engine)
    if options.wait:
        _wait(tasks)
    return all([_is_gathered(request) for request in requests])


def _folder(options: Options) -> Path:
    """Where jobs and submitit keep what they say."""
    return ((options.run_directory or RUNS) / "jobs").resolve()


def _tasks(request: Request, options: Options) -> list[Task]:
    """The units of a figure, with the jobs that they had."""
    own = request
    for group in arm_groups.groups(own.family, own.arms, own.seeds):
        parts.make(
            own.family,
            group,
            own.directory,
            num_arms=options.arms_per_job or None,
            num_seeds=options.seeds_per_job or None,
        )
    units = own.units()
    arm_groups.check_settings(own.family, units)
    noted = jobs.read(own.directory)
    tasks = [Task(own, unit, noted.get(unit.path.name, ())) for unit in units]
    for task in tasks:
        task.look()
    return tasks


def _submit(tasks: Sequence[Task], options: Options, engine: Engine) -> None:
    """Submits those that are neither finished nor at work."""
    left = [task for task in tasks if not task.is_finished]
    try:
        states = engines.states({job for task in left for job in task.jobs})
    except UnknownError as error:
        raise UserError(
            f"Slurm does not say what became of earlier jobs: {error}; nothing was "
            "submitted: run the same command again when it does"
        ) from None
    new = [task for task in left if not task.is_at_work(states)]
    _load_data(new)
    by_place = {task.unit.path: task for task in new}
    works = [
        Work(tuple(pieces), options.checkpoint_seconds)
        for pieces in engine.share([task.piece for task in new])
    ]
    for task in new:
        task.jobs = ()
    number = 0
    try:
        for work, job in engine.submit(works):
            number += 1
            for piece in work.pieces:
                by_place[piece.path].jobs += (job,)
    finally:
        _note(new)
    before = len(tasks) - len(left)
    tell(
        f"{counted(len(tasks), 'part')}: {before} finished before, "
        f"{len(left) - len(new)} at work, {len(new)} submitted in "
        f"{counted(number, 'job')}"
    )


def _load_data(new: Sequence[Task]) -> None:
    """Reads or fetches what figures need, to say here and now what is missing."""
    for request in {id(task.request): task.request for task in new}.values():
        if request.family.data:
            request.family.code().load(next(iter(request.arms.values())))


def _note(new: Sequence[Task]) -> None:
    """Notes the jobs of those that have been submitted."""
    by_directory: dict[Path, dict[str, tuple[Job, ...]]] = {}
    for task in new:
        if task.jobs:
            own = by_directory.setdefault(task.request.directory, {})
            own[task.unit.path.name] = task.jobs
    for directory, own in by_directory.items():
        jobs.write(directory, own)


def _wait(tasks: Sequence[Task]) -> None:
    """Waits until everything is finished, or nothing is at work any more."""
    seen_over: collections.Counter[int] = collections.Counter()
    told: set[Job] = set()
    said = ""
    while True:
        states = _states(tasks)
        if states is not None:
            for index, task in enumerate(tasks):
                task.look()
                over = not task.is_finished and not task.is_at_work(states)
                seen_over[index] = seen_over[index] + 1 if over else 0
                if seen_over[index] == SEEN_OVER:
                    _tell_end(task, states, told)
            if all(
                task.is_finished or seen_over[index] >= SEEN_OVER
                for index, task in enumerate(tasks)
            ):
                return
            said = _tell_progress(tasks, states, said)
        time.sleep(POLL_SECONDS)


def _states(tasks: Sequence[Task]) -> dict[Job, State] | None:
    """The states of jobs that are waited for; None while nobody knows."""
    left = {job for task in tasks if not task.is_finished for job in task.jobs}
    try:
        return engines.states(left)
    except UnknownError as error:
        warn(f"Slurm does not answer, jobs are still waited for: {error}")
        return None


def _tell_progress(
    tasks: Sequence[Task], states: Mapping[Job, State], said: str
) -> str:
    """Says how far it is, if that has changed."""
    finished = sum(task.is_finished for task in tasks)
    left = {job for task in tasks if not task.is_finished for job in task.jobs}
    own = [states[job] for job in left if job in states]
    words = collections.Counter(state.words.lower() for state in own)
    counts = ", ".join(f"{words[word]} {word}" for word in sorted(words))
    line = f"{finished} of {counted(len(tasks), 'part')} finished; jobs: {counts}"
    if line != said and counts:
        tell(line)
    return line


def _tell_end(task: Task, states: Mapping[Job, State], told: set[Job]) -> None:
    """Says how the jobs of a unit ended that is not finished."""
    for job in set(task.jobs) - told:
        told.add(job)
        how = engines.how_it_ended(job, states.get(job))
        warn(
            f"job {job.number} ({task.request.name}, {task.unit.label}) {how}; launch "
            f"again to continue from its checkpoint ({job.log})"
        )


def _is_gathered(request: Request) -> bool:
    """Whether a figure is finished, as it is for the command that draws it."""
    own = request
    groups = arm_groups.groups(own.family, own.arms, own.seeds)
    return all([parts.gather(own.family, group, own.directory) for group in groups])
