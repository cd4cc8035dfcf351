"""Runs a figure on a Ray cluster: each part is a task, on storage that all nodes see.

Run `python -m examples.ray_launch FIGURE --run-directory /shared/...` as a job of Ray,
or where it can find a cluster. See docs/cluster.md.
"""

import dataclasses
import sys

import ray
import tyro
from ray.exceptions import RayError

from experiments.harness import arm_group, parts
from experiments.harness.arm_group import Unit
from experiments.harness.checks import check, check_range
from experiments.harness.command_line import parse, run
from experiments.harness.messages import UserError, tell, warn
from experiments.launch.work import Piece, Work
from experiments.reproduce import registry
from experiments.reproduce.options import RunOptions
from experiments.reproduce.request import Request

PROG = "python -m examples.ray_launch"


@dataclasses.dataclass(frozen=True)
class Options(RunOptions):
    """Runs the arms and seeds of a figure as tasks of Ray.

    The same command runs what is missing. Afterwards `python -m experiments.reproduce`
    draws and judges the figure.
    """

    figure: tyro.conf.Positional[str] = ""
    """Name of the figure."""
    arms_per_task: int = 1
    """Arms of a task, trained in one program if they share one; 0 means all."""
    seeds_per_task: int = 1
    """Seeds of each arm that a task trains; 0 means all."""
    cpus: int = 2
    """Cores of a task."""
    gpus: int = 0
    """GPUs of a task."""
    retries: int = 100
    """If a task's process or node is lost, the task runs again, at most this many
    times."""
    checkpoint_seconds: float = 60.0
    """Two checkpoints of a run are at least this many seconds apart."""

    def __post_init__(self) -> None:
        """Checks names and numbers.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        registry.check_scale(registry.find(self.figure), self.scale)
        path = self.run_directory
        is_whole = path is not None and path.is_absolute()
        check("run_directory", path, is_whole, "a path from / that all nodes see")
        for name in ("arms_per_task", "seeds_per_task", "gpus", "retries"):
            check_range(name, getattr(self, name), at_least=0)
        check_range("cpus", self.cpus, at_least=1)
        check_range("checkpoint_seconds", self.checkpoint_seconds, at_least=0)


@ray.remote
def train(work: Work) -> list[str]:
    """Trains on a node; returns the reasons of a failure, in lines."""
    try:
        return work()
    except UserError as error:
        return [str(error)]


def main() -> None:
    """Runs what is missing; the exit code is 1 if something must run again."""
    options = parse(Options, prog=PROG)
    own = options.request(options.figure, registry.find(options.figure))
    _connect()
    with parts.lock(own.directory):
        own.make_parts(options.arms_per_task, options.seeds_per_task)
    own.require_data()
    units = own.units()
    left = [unit for unit in units if not arm_group.is_finished(own.family, unit)]
    tell(f"{len(left)} of {len(units)} parts are left to do")
    _wait({_start(options, own, unit): unit.label for unit in left})
    if not own.is_gathered():
        raise UserError("not all is finished: run the same command again to continue")
    print(
        f"python -m experiments.reproduce {own.name} --scale {own.scale} "
        f"--seeds {own.num_seeds} --run-directory {own.directory}"
    )


def _connect() -> None:
    """Finds the cluster of this job, or the named one; otherwise starts one here."""
    try:
        ray.init(log_to_driver=False)
    except ConnectionError as error:
        said = str(error.__cause__ or error).strip().splitlines()[-1]
        raise UserError(f"{error}: {said}") from None


def _start(options: Options, own: Request, unit: Unit) -> ray.ObjectRef:
    """Hands a task to Ray, which runs it when and where there is room."""
    task = train.options(
        name=f"{own.name}, {unit.label}",
        num_cpus=options.cpus,
        num_gpus=options.gpus,
        max_retries=options.retries,
    )
    return task.remote(Work((Piece(own, unit.path),), options.checkpoint_seconds))


def _wait(labels: dict[ray.ObjectRef, str]) -> None:
    """Waits for tasks, and prints the result of each."""
    left = list(labels)
    while left:
        (ended,), left = ray.wait(left)
        try:
            lines = ray.get(ended)
        except RayError as error:
            lines = [str(error).strip().splitlines()[-1]]
        for line in lines:
            warn(f"{labels[ended]}: {line}")
        tell(f"{len(labels) - len(left)} of {len(labels)} tasks ended")


if __name__ == "__main__":
    sys.exit(run(main))
