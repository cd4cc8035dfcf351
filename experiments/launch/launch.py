"""Submits the missing runs of some figures, waits for them and gathers them."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from experiments.harness import arm_groups, parts
from experiments.harness.messages import UserError, counted, tell
from experiments.harness.trackers import registry
from experiments.harness.trackers.following import catch_up
from experiments.launch import engines, jobs, waiting
from experiments.launch.engines import Engine, UnknownError
from experiments.launch.jobs import Job
from experiments.launch.options import Options
from experiments.launch.waiting import Task
from experiments.launch.work import Work
from experiments.reproduce.options import RUNS
from experiments.reproduce.request import Request


def launch(options: Options) -> bool:
    """Submits the missing runs and, with `options.wait`, waits for all of them.

    Returns:
      Whether all figures are finished and their parts put together.

    Raises:
      UserError: another launch of one of the figures is at work, their data or a
        package is missing, or the engine refuses a job.
    """
    registry.require(options.log)
    engine = engines.by_name(options, _folder(options))
    requests = [
        dataclasses.replace(request, directory=request.directory.resolve())
        for request in options.requests
    ]
    with contextlib.ExitStack() as stack:
        for request in sorted(requests, key=lambda request: request.directory):
            stack.enter_context(parts.lock(request.directory))
        tasks = [task for request in requests for task in _tasks(request, options)]
        before = [task for task in tasks if task.is_finished]
        _submit(tasks, options, engine)
    for task in before:
        catch_up(task.unit.path, options.log)
    if options.wait:
        waiting.wait(tasks)
    return _are_gathered(requests)


def _folder(options: Options) -> Path:
    """Directory of the logs of jobs and of submitit."""
    return ((options.run_directory or RUNS) / "jobs").resolve()


def _tasks(request: Request, options: Options) -> list[Task]:
    """The units of a figure, with the jobs that they have had."""
    own = request
    own.make_parts(options.arms_per_job, options.seeds_per_job)
    units = own.units()
    arm_groups.check_settings(own.family, units)
    noted = jobs.read(own.directory)
    tasks = [Task(own, unit, noted.get(unit.path.name, ())) for unit in units]
    for task in tasks:
        task.look()
    return tasks


def _submit(tasks: Sequence[Task], options: Options, engine: Engine) -> None:
    """Submits the tasks that are neither finished nor at work."""
    left = [task for task in tasks if not task.is_finished]
    try:
        states = engines.states({job for task in left for job in task.jobs})
    except UnknownError as error:
        raise UserError(
            f"Slurm does not say what became of earlier jobs: {error}; nothing was "
            "submitted: run the same command again when it does"
        ) from None
    new = [task for task in left if not task.is_at_work(states)]
    for request in {id(task.request): task.request for task in new}.values():
        request.require_data()
    by_place = {task.unit.path: task for task in new}
    works = [
        Work(tuple(pieces), options.checkpoint_seconds, engine.patience_seconds)
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


def _note(new: Sequence[Task]) -> None:
    """Notes the jobs of the tasks that have been submitted."""
    by_directory: dict[Path, dict[str, tuple[Job, ...]]] = {}
    for task in new:
        if task.jobs:
            own = by_directory.setdefault(task.request.directory, {})
            own[task.unit.path.name] = task.jobs
    for directory, own in by_directory.items():
        jobs.write(directory, own)


def _are_gathered(requests: Sequence[Request]) -> bool:
    """Whether all figures are finished; reports damaged ones after the others.

    Raises:
      UserError: some are damaged.
    """
    finished, errors = [], []
    for request in requests:
        try:
            finished.append(request.is_gathered())
        except UserError as error:
            errors.append(f"{request.name}: {error}")
    if errors:
        raise UserError("; ".join(errors))
    return all(finished)
