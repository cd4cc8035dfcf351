"""The options of a launch."""

import dataclasses
from typing import Literal

import tyro

from experiments.harness.checks import check, check_range
from experiments.reproduce import registry
from experiments.reproduce.options import RunOptions
from experiments.reproduce.request import Request

SHORTEST = 5
"""Least minutes of a job: Slurm warns it up to two minutes before its end."""
MOST = 10**6
OWN = {
    "array": "--at-once",
    "cpus-per-task": "--cpus",
    "error": "--run-directory",
    "gpus-per-node": "--gpus",
    "mem": "--memory-gb",
    "output": "--run-directory",
    "partition": "--partition",
    "signal": "--minutes",
    "time": "--minutes",
}
"""Options of sbatch that a launch sets itself, and the flags that decide them."""


@dataclasses.dataclass(frozen=True)
class Options(RunOptions):
    """Runs the arms and seeds of figures as jobs, on a cluster or on this machine.

    The same command, given again, submits only runs that are neither queued, running
    nor finished. When all are done, `python -m experiments.reproduce` draws and judges.
    """

    figures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of the figures; `python -m experiments.reproduce --list` shows all."""
    engine: Literal["slurm", "local"] = "slurm"
    """What runs the jobs: Slurm, which queues them, or this machine (local), as
    processes."""
    arms_per_job: int = 1
    """Number of arms that a job trains in one program, if they share one; 0 is all."""
    seeds_per_job: int = 1
    """Number of seeds that a job trains of each of its arms; 0 is all."""
    at_once: int = 0
    """Most jobs of a launch that run at once; one of every 500 may always run. 0 leaves
    it to Slurm; with the local engine, 0 is one process for every two cores."""
    wait: bool = True
    """Waits until the jobs have ended. Ctrl-C stops the command earlier; jobs of Slurm
    go on, those of the local engine stop."""
    checkpoint_seconds: float = 60.0
    """Two checkpoints of a run are at least this many seconds apart."""
    partition: str = ""
    """(slurm) Partition for the jobs; by default the cluster's own default."""
    minutes: int = 60
    """(slurm) Time limit of a job, in minutes. A job that needs longer goes back into
    the queue and continues."""
    requeues: int = 100
    """(slurm) Most times that a job goes back into the queue."""
    memory_gb: float = 0.0
    """(slurm) Memory of a job, in GB; 0 is what the cluster gives."""
    cpus: int = 2
    """(slurm) Number of cores of a job."""
    gpus: int = 0
    """Number of GPUs of a job. With 0, processes of this machine use its CPU."""
    sbatch: tuple[str, ...] = ()
    """(slurm) Further options of sbatch, such as account=plasticity exclusive."""

    def __post_init__(self) -> None:
        """Checks names and numbers.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        super().__post_init__()
        for name in self.figures or ("",):
            registry.check_scale(registry.find(name), self.scale)
        alone = self.run_directory is None or len(self.figures) == 1
        check(
            "run_directory", self.run_directory, alone, "left out for several figures"
        )
        for name in ("arms_per_job", "seeds_per_job", "at_once", "requeues", "gpus"):
            check_range(name, getattr(self, name), at_least=0, at_most=MOST)
        check_range("checkpoint_seconds", self.checkpoint_seconds, at_least=0)
        check_range("checkpoint_seconds", self.checkpoint_seconds, at_most=MOST)
        check_range("minutes", self.minutes, at_least=SHORTEST, at_most=MOST)
        check_range("memory_gb", self.memory_gb, at_least=0, at_most=MOST)
        check_range("cpus", self.cpus, at_least=1, at_most=MOST)
        self._check_words()

    def _check_words(self) -> None:
        plain = not self.partition or self.partition.isprintable()
        named = not self.partition.startswith("-") and " " not in self.partition
        check("partition", self.partition, plain and named, "the name of a partition")
        for option in self.sbatch:
            name, equals, value = option.partition("=")
            right = name.replace("-", "").isalnum() and name[0] != "-"
            right = right and value.isprintable() and bool(value or not equals)
            check("sbatch", option, right, "name=value or name, as sbatch takes --name")
            if name in OWN:
                raise ValueError(f"sbatch={option}: {OWN[name]} decides it (--sbatch)")

    @property
    def requests(self) -> list[Request]:
        """The request for each figure."""
        names = dict.fromkeys(self.figures)
        return [self.request(name, registry.find(name)) for name in names]
