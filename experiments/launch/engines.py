"""The engines that run jobs, from submitit, and the states of jobs in words."""

import contextlib
import dataclasses
import io
import math
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from experiments.harness import environment
from experiments.harness.messages import UserError, counted
from experiments.launch.jobs import Job
from experiments.launch.options import Options
from experiments.launch.work import PATIENCE_SECONDS, Piece, Work

ARRAY = 500
"""Most jobs of one submission; the default limit of clusters is a thousand."""
CONTROLLERS = "controllers.err"
"""File for submitit's messages about processes of this machine."""
NO_LIMIT = 10**7
"""Minutes that stand for no limit."""
TIMED_OUT = "reached its time limit (--minutes) and was not queued again"
ENDED = {
    "TIMEOUT": f"{TIMED_OUT}: its step may be longer than Slurm's warning",
    "OUT_OF_MEMORY": "was killed for memory: give it more (--memory-gb)",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "lost its node",
    "CANCELLED": "was cancelled",
    "PREEMPTED": "was preempted and not queued again",
    "REVOKED": "was taken back by the cluster",
    "DEADLINE": "reached its deadline",
}
"""The meaning of Slurm's states. FAILED is missing: the job's own words say more."""
OF_MEMORY = re.compile("memory limit|oom.kill|out of memory", re.IGNORECASE)
"""Slurm's words in the log of a FAILED or CANCELLED job that ran out of memory."""
RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b")
"""The last line of a traceback."""
OVER = {*ENDED, "COMPLETED", "FAILED"}
KILLED = (
    "ended without a result: killed (for memory?), out of disk, or its machine is gone"
)


@dataclasses.dataclass(frozen=True)
class State:
    """The state of a job."""

    is_over: bool
    words: str
    """What the job does, why it waits or, if it is over, how it ended."""


class Engine(Protocol):
    """A system that runs jobs."""

    patience_seconds: float
    """Time that a job waits for run directories that others have."""

    def share(self, pieces: Sequence[Piece]) -> list[Sequence[Piece]]:
        """Divides pieces among jobs."""
        ...

    def submit(self, works: Sequence[Work]) -> Iterator[tuple[Work, Job]]:
        """Submits works, and yields each with its job as soon as it has one.

        Raises:
          UserError: the engine refused the remaining works.
        """
        ...


class UnknownError(Exception):
    """The engine does not answer; the message is what it printed instead."""


def by_name(options: Options, folder: Path) -> Engine:
    """The engine that the options name.

    Args:
      options: the options of the launch.
      folder: the folder for the output of jobs, which all machines see.
    """
    submitit()
    if options.engine == "slurm":
        return Slurm(options, folder)
    return Local(options, folder)


def submitit() -> Any:
    """The library submitit.

    Raises:
      UserError: it is not installed.
    """
    try:
        import submitit as library
    except ImportError:
        raise UserError(
            "submitit is not installed: pip install -c constraints.txt -e '.[cluster]'"
        ) from None
    return library


class Slurm:
    """Jobs of Slurm, a job for each piece, in arrays."""

    patience_seconds = PATIENCE_SECONDS

    def __init__(self, options: Options, folder: Path):
        tools = ("sbatch", "srun", "squeue")
        missing = [name for name in tools if shutil.which(name) is None]
        if missing:
            raise UserError(
                f"Slurm is not here ({', '.join(missing)} not on the PATH): run this "
                "where jobs are submitted, or on this machine with --engine local"
            )
        self._options = options
        self._folder = folder

    def share(self, pieces: Sequence[Piece]) -> list[Sequence[Piece]]:
        """Gives each job one piece."""
        return [[piece] for piece in pieces]

    def submit(self, works: Sequence[Work]) -> Iterator[tuple[Work, Job]]:
        """Queues works, and reports why Slurm refuses any."""
        own = self._options
        executor = submitit().SlurmExecutor(self._folder, own.requeues)
        limits = {
            "partition": own.partition or None,
            "mem": f"{round(1024 * own.memory_gb)}M" if own.memory_gb else None,
            "gpus_per_node": own.gpus or None,
        }
        further = dict(_option(text) for text in own.sbatch)
        executor.update_parameters(
            job_name="nap_optax",
            time=own.minutes,
            cpus_per_task=own.cpus,
            # Since Slurm 22.05 a step does not inherit this from its job.
            srun_args=[f"--cpus-per-task={own.cpus}"],
            signal_delay_s=_warning_seconds(own.minutes),
            additional_parameters={"requeue": True, **further},
            **{name: value for name, value in limits.items() if value is not None},
        )
        arrays = [works[at : at + ARRAY] for at in range(0, len(works), ARRAY)]
        for index, some in enumerate(arrays):
            most = _share(own.at_once, index, len(arrays)) if own.at_once else len(some)
            executor.update_parameters(array_parallelism=most)
            printed = io.StringIO()  # submitit prints sbatch's errors
            try:
                with contextlib.redirect_stderr(printed):
                    jobs = executor.submit_array(some)
            except (RuntimeError, OSError) as error:
                raise UserError(
                    f"Slurm takes no job: {_refusal(printed.getvalue(), error)}; "
                    "change what it names, or take --engine local, then run the same "
                    "command again"
                ) from None
            for work, job in zip(some, jobs, strict=True):
                yield work, Job("slurm", job.job_id, str(self._folder))


class Local:
    """Processes of this machine; each goes through all pieces.

    The lock of a run directory decides which process trains it, so no process has to
    wait for another. If one is killed, the others find the pieces that it has left.
    They wait as long as the holder of a lock lives, because on one machine a lock ends
    with its process.

    Raises:
      UserError: there are fewer GPUs than are asked for.
    """

    patience_seconds = math.inf

    def __init__(self, options: Options, folder: Path):
        self._folder = folder
        self._num_gpus = options.gpus
        self._gpus = _own_gpus() if options.gpus else []
        most = environment.available_cores() // 2
        if options.gpus:
            most = len(self._gpus) // options.gpus
            if max(options.at_once, 1) > most:
                raise UserError(
                    f"gpus={options.gpus}, at_once={options.at_once or 1}: this "
                    f"machine has {counted(len(self._gpus), 'GPU')} for them (--gpus, "
                    "--at-once; CUDA_VISIBLE_DEVICES names others)"
                )
        self._at_once = options.at_once or max(1, most)

    def share(self, pieces: Sequence[Piece]) -> list[Sequence[Piece]]:
        """Gives each process all pieces, beginning with another piece."""
        number = min(self._at_once, len(pieces))
        starts = [index * len(pieces) // number for index in range(number)]
        return [[*pieces[start:], *pieces[:start]] for start in starts]

    def submit(self, works: Sequence[Work]) -> Iterator[tuple[Work, Job]]:
        """Starts works; they outlive this process, except after Ctrl-C."""
        gpus = self._num_gpus
        for index, work in enumerate(works):
            executor = submitit().LocalExecutor(self._folder)
            executor.update_parameters(timeout_min=NO_LIMIT)
            if gpus:
                own = self._gpus[index * gpus : (index + 1) * gpus]
                executor.update_parameters(gpus_per_node=gpus, visible_gpus=own)
            # On Ctrl-C submitit's controllers would print a traceback.
            with _stderr_in(self._folder / CONTROLLERS):
                job = executor.submit(work)
            yield work, Job("local", job.job_id, str(self._folder))


def _own_gpus() -> list[int]:
    """The numbers of the GPUs that processes of this machine may have."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(range(len(list(Path("/dev").glob("nvidia[0-9]*")))))
    try:
        return [int(number) for number in named.split(",") if number]
    except ValueError:
        raise UserError(
            f"CUDA_VISIBLE_DEVICES={named}: must be numbers for --engine local --gpus"
        ) from None


def states(jobs: Collection[Job]) -> dict[Job, State]:
    """The states of the jobs that their engine knows.

    Raises:
      UnknownError: the engine does not answer.
    """
    queued = {job for job in jobs if job.engine == "slurm"}
    local = set(jobs) - queued
    found = {job: State(not _lives(job), "RUNNING") for job in local}
    if queued:
        known = _queue()
        found |= {job: known[job.number] for job in queued if job.number in known}
    return found


def how_it_ended(job: Job, state: State | None) -> str:
    """The end of a job, in words, from its result, its engine or its log."""
    from submitit.core.utils import JobPaths, pickle_load

    path = JobPaths(job.folder, job_id=job.number).result_pickle
    try:
        outcome, said = pickle_load(path)
    except Exception:  # a damaged result may raise anything
        return _by_its_log(job, state)
    if outcome == "success":
        return "; ".join(said) or "ended"
    line = _last_line(said)
    if "UncompletedJobError" in line:
        return TIMED_OUT
    return line.partition("UserError: ")[2] or f"failed: {line}"


@contextlib.contextmanager
def _stderr_in(path: Path) -> Iterator[None]:
    """Sends the errors of processes that are started in this context to a file."""
    own = os.dup(2)
    try:
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
            yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _by_its_log(job: Job, state: State | None) -> str:
    """The end of a job that could not leave a result."""
    log = _tail(job.log)
    if OF_MEMORY.search(log):
        return ENDED["OUT_OF_MEMORY"]
    if state and state.words in ENDED:
        return ENDED[state.words]
    line = _last_line(log)
    if RAISED.match(line):
        return f"failed, and could not write a result: {line}"
    return f"{KILLED}; its log ends with: {line}" if log.strip() else KILLED


def _queue() -> dict[str, State]:
    """The states of the user's jobs in Slurm, which forgets ended jobs in minutes."""
    command = ["squeue", "--me", "--array", "--noheader", "--states=all"]
    command.append("--format=%i|%T|%r")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        )
    except subprocess.CalledProcessError as error:
        raise UnknownError(_last_line(error.stderr)) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise UnknownError(str(error)) from None
    lines = [line.split("|", 2) for line in done.stdout.splitlines()]
    return {line[0]: _state(*line[1:]) for line in lines if len(line) == 3}


def _state(state: str, reason: str) -> State:
    is_over = state in OVER
    waits = state == "PENDING" and reason not in ("None", "")
    return State(is_over, f"{state} ({reason})" if waits else state)


def _option(text: str) -> tuple[str, str | bool]:
    """An option of sbatch as submitit takes it: True for an option without a value."""
    name, equals, value = text.partition("=")
    return name.replace("-", "_"), value if equals else True


def _share(at_once: int, index: int, num_arrays: int) -> int:
    """Most jobs of one array at once, because Slurm limits each array by itself."""
    return max(1, at_once // num_arrays + (index < at_once % num_arrays))


def _warning_seconds(minutes: int) -> int:
    """Seconds before its time limit at which a job is warned, to be queued again."""
    return min(120, 60 * minutes // 4)


def _refusal(printed: str, error: Exception) -> str:
    """The error that sbatch printed."""
    lines = re.findall(r"^sbatch: error: (.*)$", printed, re.MULTILINE)
    return ", ".join(dict.fromkeys(lines)) or _last_line(str(error))


def _tail(path: Path, size: int = 4096) -> str:
    """The end of a file, if there is one."""
    try:
        return path.read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""


def _last_line(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else "without a reason"


def _lives(job: Job) -> bool:
    """Whether the process of a local job lives and is this job's."""
    try:
        arguments = Path(f"/proc/{job.number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        if Path("/proc/self").exists():
            return False
        command = ["ps", "-ww", "-o", "command=", "-p", job.number]
        done = subprocess.run(command, capture_output=True, check=False)
        return job.folder.encode() in done.stdout
    return job.folder.encode() in arguments
