"""A launch with processes of this machine, and the behaviour of both engines."""

import contextlib
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import traceback

import pytest

from experiments.harness import arm_group, arm_groups, interrupts, members, parts
from experiments.harness.messages import UserError
from experiments.harness.own_directory import InUseError
from experiments.harness.trackers import registry
from experiments.launch import __main__ as program
from experiments.launch import engines, jobs, launch, waiting, work
from experiments.launch.engines import State, UnknownError
from experiments.launch.jobs import Job
from experiments.launch.options import Options
from experiments.launch.work import Piece, Work
from helpers.checkout import programs
from helpers.checkout.parity import figure
from helpers.checkout.programs import ROOT

# Before stderr is redirected: it configures logging, and absl closes a stream that it
# does not know then.
pytest.importorskip("submitit", reason="the extra [cluster] is not installed")

FIGURE = figure.__name__
NUM_PARTS = 6


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Processes that find the helpers; a launch that looks often."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests"), str(ROOT)]))
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(work, "POLL_SECONDS", 0.01)


@pytest.fixture
def here(monkeypatch):
    """An engine whose jobs are done at once, in this process; the works it was given.

    Where a function is put into its place, that is called for each work instead.
    """
    given = []

    class Here:
        patience_seconds = 0.0
        do = staticmethod(lambda work: work())

        def __init__(self, options, folder):
            pass

        def share(self, pieces):
            return [[piece] for piece in pieces]

        def submit(self, works):
            for own in works:
                given.append(own)
                yield own, Job("local", str(len(given)), "nowhere")
                Here.do(own)

    monkeypatch.setattr(engines, "Local", Here)
    Here.given = given
    return Here


def do_nothing(own):
    """As a job that is queued."""


def options(directory, **changes):
    fields = {"figures": (FIGURE,), "engine": "local", "run_directory": directory}
    return Options(**fields | changes)


def run_command(*argv):
    """Runs the command in this process; returns code, stdout and stderr."""
    return programs.redirected(program.main, *argv)


def units(directory):
    return options(directory).requests[0].units()


def metrics(directory):
    return {
        path.parent.name: path.read_bytes()
        for path in directory.glob("*/metrics.jsonl")
    }


# The processes of a launch outlive what knows of them.
outlived = pytest.mark.filterwarnings("ignore:subprocess .* still running")


@outlived
@pytest.mark.slow
def test_processes_of_this_machine_leave_what_one_process_leaves(tmp_path):
    argv = [FIGURE, "--engine", "local", "--at-once", 2]
    code, out, err = run_command(*argv, "--run-directory", tmp_path / "jobs")
    assert code == 0
    assert err.splitlines()[0] == (
        "6 parts: 0 finished before, 0 at work, 6 submitted in 2 jobs"
    )
    assert "when all is finished" not in err
    assert out.startswith(f"python -m experiments.reproduce {FIGURE} --scale laptop ")
    request = options(tmp_path / "one").requests[0]
    own = (request.family, request.arms, request.seeds)
    arm_groups.run(*own, tmp_path / "one")
    assert metrics(tmp_path / "jobs") == metrics(tmp_path / "one")
    code, _, err = run_command(*argv, "--run-directory", tmp_path / "jobs")
    assert code == 0
    assert "0 at work, 0 submitted in 0 jobs" in err


@outlived
@pytest.mark.slow
def test_what_a_killed_process_leaves_is_taken_over(tmp_path):
    """The others find it: nothing has to be launched again."""
    settings = {"at_once": 2, "wait": False, "checkpoint_seconds": 0.1}
    own = options(tmp_path, scale="paper", seeds=1, **settings)
    assert not launch.launch(own)
    while not (saved := list(tmp_path.glob("parts/*/checkpoints/*/about.json"))):
        time.sleep(0.1)
    part = saved[0].parents[2]
    os.kill(int((part / ".lock").read_text().split()[0]), signal.SIGKILL)
    assert launch.launch(dataclasses.replace(own, wait=True))
    assert len(list(tmp_path.glob("parts/*/summary.json"))) == NUM_PARTS / 2


@pytest.mark.slow
def test_a_launch_submits_what_is_missing(here, tmp_path, capsys):
    done = []

    def first_two(own):
        if len(done) < 2:
            own()
            done.append(own)

    here.do = staticmethod(first_two)
    assert not launch.launch(options(tmp_path, wait=False))
    assert len(here.given) == NUM_PARTS
    here.do = staticmethod(lambda own: own())
    assert launch.launch(options(tmp_path))
    assert len(here.given) == NUM_PARTS + 4
    assert "6 parts: 2 finished before, 0 at work, 4 submitted in 4 jobs" in (
        capsys.readouterr().err
    )
    assert launch.launch(options(tmp_path, seeds_per_job=2))
    assert len(here.given) == NUM_PARTS + 4


def test_what_is_at_work_is_not_submitted_again(here, tmp_path, monkeypatch, capsys):
    here.do = staticmethod(do_nothing)
    running = {Job("local", "1", "nowhere"), Job("local", "3", "nowhere")}
    monkeypatch.setattr(
        engines,
        "states",
        lambda own: {job: State(job not in running, "") for job in own},
    )
    launch.launch(options(tmp_path, wait=False))
    launch.launch(options(tmp_path, wait=False))
    assert len(here.given) == NUM_PARTS + 4
    assert "0 finished before, 2 at work, 4 submitted" in capsys.readouterr().err


def test_nothing_is_submitted_while_earlier_jobs_are_unknown(
    here, tmp_path, monkeypatch
):
    here.do = staticmethod(do_nothing)
    launch.launch(options(tmp_path, wait=False))

    def silent(own):
        raise UnknownError("Unable to contact slurm controller")

    monkeypatch.setattr(engines, "states", silent)
    with pytest.raises(UserError, match=r"contact slurm controller; nothing was"):
        launch.launch(options(tmp_path, wait=False))
    assert len(here.given) == NUM_PARTS


def test_an_engine_that_stops_answering_is_waited_for(
    here, tmp_path, monkeypatch, capsys
):
    here.do = staticmethod(do_nothing)
    calls = []

    def sometimes(own):
        calls.append(own)
        if len(calls) == 2:
            raise UnknownError("connect failure")
        return {job: State(True, "CANCELLED") for job in own}

    monkeypatch.setattr(engines, "states", sometimes)
    assert not launch.launch(options(tmp_path))
    err = capsys.readouterr().err
    assert err.count("jobs are still waited for: connect failure") == 1
    lines = [line for line in err.splitlines() if "warning: job" in line]
    assert len(lines) == NUM_PARTS
    assert "was cancelled; launch again to continue from its checkpoint" in lines[0]
    assert "(helpers.checkout.parity.figure, slow, seed 0)" in lines[0]


def test_a_job_of_several_parts_names_what_is_left(tmp_path, monkeypatch, capsys):
    job = Job("local", "7", "nowhere")
    monkeypatch.setattr(engines, "states", lambda _: {job: State(True, "")})
    own = options(tmp_path)
    with parts.lock(tmp_path):
        tasks = launch._tasks(own.requests[0], own)
    for task in tasks:
        task.jobs = (job,)
    tasks[0].is_finished = True
    waiting.wait(tasks)
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "job 7" in text]
    assert f"job 7 (5 parts left, first {FIGURE}, slow, seed 1) ended" in line


def test_a_tracker_that_is_missing_is_said_before_anything_is_submitted(
    here, tmp_path, monkeypatch
):
    monkeypatch.setitem(registry.PACKAGES, "wandb", "no_such_package")
    with pytest.raises(UserError, match="wandb needs the package no_such_package"):
        launch.launch(options(tmp_path / "run", log=("wandb",)))
    assert not here.given
    assert not (tmp_path / "run").exists()


def test_trackers_are_given_what_was_finished_before(here, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "require", lambda _: None)
    caught = []
    monkeypatch.setattr(launch, "catch_up", lambda *given: caught.append(given))
    monkeypatch.setattr(
        arm_group, "is_finished", lambda _, unit: "wide" in unit.group.arms
    )
    here.do = staticmethod(do_nothing)
    own = options(tmp_path, log=("wandb",), wait=False)
    launch.launch(own)
    assert len(here.given) == 4
    wide = [unit.path for unit in units(tmp_path) if "wide" in unit.group.arms]
    assert caught == [(path, ("wandb",)) for path in wide]


def test_a_refusal_in_the_middle_keeps_what_was_submitted(here, tmp_path, monkeypatch):
    def refuse(own):
        if len(here.given) == 3:
            raise UserError("the queue is full")

    here.do = staticmethod(refuse)
    with pytest.raises(UserError, match="the queue is full"):
        launch.launch(options(tmp_path))
    assert len(jobs.read(tmp_path)) == 3


def test_a_damaged_figure_does_not_keep_others_from_being_gathered(
    tmp_path, monkeypatch
):
    requests = [options(tmp_path / name).requests[0] for name in "abc"]
    gathered = []

    def gather(family, group, directory):
        gathered.append(directory.name)
        if directory.name != "c":
            raise UserError(f"{directory.name} is damaged")
        return True

    monkeypatch.setattr(parts, "gather", gather)
    with pytest.raises(UserError, match=r"a is damaged; .*figure: b is damaged"):
        launch._are_gathered(requests)
    assert "c" in gathered


def test_two_launches_at_once_are_one(here, tmp_path):
    with (
        parts.lock(tmp_path),
        pytest.raises(InUseError, match="in use by another process"),
    ):
        launch.launch(options(tmp_path))
    assert not here.given


def test_damaged_notes_of_jobs_are_told(tmp_path, capsys):
    job = Job("slurm", "7_3", "/folder")
    jobs.write(tmp_path, {"part": [job]})
    jobs.write(tmp_path, {"other": [job, job]})
    assert jobs.read(tmp_path) == {"part": (job,), "other": (job, job)}
    (tmp_path / "jobs.json").write_text('{"part": [7]}')
    assert jobs.read(tmp_path) == {}
    assert "may be queued once more" in capsys.readouterr().err


def piece(directory):
    request = options(directory).requests[0]
    return Piece(request, request.units()[0].path)


def test_a_job_waits_for_a_run_directory_and_gives_up(tmp_path):
    own = piece(tmp_path)
    unit = units(tmp_path)[0]
    with arm_group.opened(figure.FIGURE.family, unit):
        lines = Work((own,), 0.0, patience_seconds=0.05)()
    assert len(lines) == 1
    assert "is in use by another process" in lines[0]


def test_a_process_of_this_machine_waits_as_long_as_another_lives(
    tmp_path, monkeypatch
):
    """And loads no data meanwhile."""
    own, unit = piece(tmp_path), units(tmp_path)[0]
    engine = engines.Local(options(tmp_path), tmp_path)
    has_it = contextlib.ExitStack()
    has_it.enter_context(arm_group.opened(figure.FIGURE.family, unit))
    tries, trained = [], []

    def again(seconds):
        tries.append(seconds)
        assert not trained
        if len(tries) == 3:
            has_it.close()

    monkeypatch.setattr(time, "sleep", again)
    monkeypatch.setattr(time, "monotonic", lambda: 1e9 * len(tries))
    monkeypatch.setattr(arm_group, "train", lambda *_, **__: trained.append(_))
    assert Work((own,), 0.0, engine.patience_seconds)() == []
    assert (len(tries), len(trained)) == (3, 1)


def test_a_job_does_what_it_can(tmp_path, monkeypatch):
    """One that is refused does not keep it from the others."""
    request = options(tmp_path).requests[0]
    pieces = [Piece(request, unit.path) for unit in request.units()]
    gone = Piece(request, tmp_path / "gone")
    trained = []

    def train(family, unit, arms, **_):
        trained.append(unit.path)
        if len(trained) == 1:
            raise UserError("too little memory")

    monkeypatch.setattr(arm_group, "train", train)
    with pytest.raises(UserError, match="too little memory"):
        Work((gone, *pieces), 1.0)()
    assert trained == [unit.path for unit in request.units()]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ([KeyError("x")], "KeyError: 'x'"),
        ([KeyError("x"), OSError("no\nspace")], "RuntimeError: KeyError: 'x'; OSError"),
        ([KeyError("x"), UserError("big")], "RuntimeError: KeyError: 'x'; big"),
    ],
)
def test_a_piece_that_fails_does_not_take_the_others_along(
    tmp_path, monkeypatch, capsys, raised, said
):
    request = options(tmp_path).requests[0]
    pieces = [Piece(request, unit.path) for unit in request.units()]
    errors, trained = list(raised), []

    def train(family, unit, arms, **_):
        trained.append(unit.path)
        if errors:
            raise errors.pop(0)

    monkeypatch.setattr(arm_group, "train", train)
    with pytest.raises(type(raised[0]) if len(raised) == 1 else RuntimeError) as caught:
        Work(tuple(pieces), 1.0)()
    assert len(trained) == len(pieces)
    (line,) = traceback.format_exception_only(caught.value)
    assert line.startswith(said)
    assert "Traceback" in capsys.readouterr().err


def test_work_needs_no_submitit(tmp_path, monkeypatch):
    """On Ray nobody has it."""
    monkeypatch.setitem(sys.modules, "submitit.core.utils", None)

    def train(family, unit, arms, **_):
        raise UserError("no room")

    monkeypatch.setattr(arm_group, "train", train)
    with pytest.raises(UserError, match="no room"):
        Work((piece(tmp_path),), 1.0)()


def test_a_job_without_time_left_ends(tmp_path, monkeypatch):
    from submitit.core.utils import UncompletedJobError

    request = options(tmp_path).requests[0]
    pieces = [Piece(request, unit.path) for unit in request.units()]
    trained = []

    def train(family, unit, arms, **_):
        trained.append(unit.path)
        raise UncompletedJobError("timed-out too many times")

    monkeypatch.setattr(arm_group, "train", train)
    with pytest.raises(UncompletedJobError):
        Work(tuple(pieces), 1.0)()
    assert len(trained) == 1


def test_what_is_queued_again_is_the_same(tmp_path):
    own = Work((piece(tmp_path),), 2.0)
    assert own.checkpoint().function == own


@pytest.mark.parametrize(
    ("outcome", "state", "said"),
    [
        (None, State(True, "TIMEOUT"), "reached its time limit"),
        (None, State(True, "OUT_OF_MEMORY"), "was killed for memory: give it more"),
        (None, State(True, "NODE_FAIL"), "lost its node"),
        (None, State(True, "FAILED"), "ended without a result"),
        (None, None, "ended without a result"),
        (("success", ["x is in use"]), None, "x is in use"),
        (("error", "Traceback\n  x\na.b.UserError: too big\n"), None, "too big"),
        (("error", "Traceback\n  x\nKeyError: 'x'\n"), None, "failed: KeyError: 'x'"),
        (
            ("error", "submitit.x.UncompletedJobError: Job not"),
            None,
            "reached its time",
        ),
    ],
)
def test_how_a_job_ended_is_said(tmp_path, outcome, state, said):
    from submitit.core.utils import JobPaths, cloudpickle_dump

    job = Job("slurm", "5_1", str(tmp_path))
    if outcome is not None:
        path = JobPaths(tmp_path, job_id="5_1").result_pickle
        cloudpickle_dump(outcome, path)
    assert engines.how_it_ended(job, state).startswith(said)


def test_a_job_killed_for_memory_is_known_by_its_log(tmp_path):
    job = Job("slurm", "5_1", str(tmp_path))
    job.log.write_text("step 8/9\nslurmstepd: error: Exceeded job memory limit\n")
    said = engines.how_it_ended(job, State(True, "FAILED"))
    assert said == "was killed for memory: give it more (--memory-gb)"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "x\nOSError: [Errno 28] No space left on device\n",
            "failed, and could not write a result: OSError: [Errno 28] No space left",
        ),
        ("step 8/9\n", f"{engines.KILLED}; its log ends with: step 8/9"),
        ("", engines.KILLED),
    ],
)
@pytest.mark.parametrize("result", [None, b"", b"\x80\x05\x95\x1a", b"c__main__\nX\n."])
def test_without_a_result_the_log_speaks(tmp_path, result, log, said):
    from submitit.core.utils import JobPaths

    job = Job("local", "5", str(tmp_path))
    job.log.write_text(log)
    if result is not None:
        JobPaths(tmp_path, job_id="5").result_pickle.write_bytes(result)
    assert engines.how_it_ended(job, None).startswith(said)


QUEUE = """\
7_0|RUNNING|None
7_1|PENDING|Resources
7_2|OUT_OF_MEMORY|OutOfMemory
8|COMPLETED|None
"""


def fake(directory, name, script):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_states_are_those_of_the_queue(tmp_path, monkeypatch):
    (tmp_path / "queue").write_text(QUEUE)
    fake(tmp_path, "squeue", f"cat {tmp_path}/queue")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    own = [Job("slurm", number, "x") for number in ("7_0", "7_1", "7_2", "8", "9")]
    states = engines.states(own)
    assert [states.get(job) for job in own] == [
        State(False, "RUNNING"),
        State(False, "PENDING (Resources)"),
        State(True, "OUT_OF_MEMORY"),
        State(True, "COMPLETED"),
        None,
    ]
    fake(tmp_path, "squeue", "echo slurm_load_jobs error: no controller >&2; exit 1")
    with pytest.raises(UnknownError, match="no controller"):
        engines.states(own)


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """A Slurm that takes everything; called, it gives the scripts that it was given."""
    given = tmp_path / "slurm"
    given.mkdir()
    for name in ("srun", "squeue"):
        fake(given, name, "exit 0")
    say = 'n=$(ls "$0".* 2>/dev/null | wc -l); cp "$1" "$0.$n"'
    fake(given, "sbatch", f"{say}; echo Submitted batch job $((7 + n))")
    monkeypatch.setenv("PATH", str(given), prepend=os.pathsep)

    def submit(number=2, **changes):
        engine = engines.Slurm(
            options(tmp_path, engine="slurm", **changes), tmp_path / "jobs"
        )
        own = list(engine.submit([Work((), 1.0)] * number))
        assert len({job.number for _, job in own}) == number
        return [path.read_text() for path in sorted(given.glob("sbatch.*"))]

    return submit


@pytest.mark.parametrize(
    ("at_once", "limits"),
    [
        (0, ["0-2%3", "0-2%3", "0-1%2"]),
        (8, ["0-2%3", "0-2%3", "0-1%2"]),
        (4, ["0-2%2", "0-2%1", "0-1%1"]),
        (1, ["0-2%1", "0-2%1", "0-1%1"]),
    ],
)
def test_as_many_jobs_run_at_once_as_was_said(scripts, monkeypatch, at_once, limits):
    monkeypatch.setattr(engines, "ARRAY", 3)
    own = scripts(8, at_once=at_once)
    assert [re.search("--array=(.*)", text)[1].strip("'") for text in own] == limits


def test_without_a_limit_slurm_has_none(scripts):
    assert "--array=0-299%300\n" in scripts(300)[0]


def test_the_step_of_a_job_has_all_its_cores(scripts):
    (text,) = scripts(cpus=6)
    assert "#SBATCH --cpus-per-task=6\n" in text
    assert re.search("^srun .* --cpus-per-task=6 ", text, re.MULTILINE)


def test_further_options_are_handed_on(scripts):
    own = ("exclusive", "mail-user=a@b", "job-name=mine")
    (text,) = scripts(sbatch=own)
    assert "#SBATCH --exclusive\n" in text
    assert "#SBATCH --mail-user=a@b\n" in text
    assert re.findall("--job-name=(.*)", text) == ["mine"]


def test_without_slurm_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = run_command(FIGURE, "--run-directory", tmp_path / "run")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "Slurm is not here (sbatch, srun, squeue not on the PATH): run this" in err
    assert not (tmp_path / "run").exists()


def test_without_submitit_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    code, out, err = run_command(FIGURE, "--run-directory", tmp_path / "run")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "submitit is not installed: pip install" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name a figure: python -m experiments.reproduce --list"),
        (["lyle2025/fig99"], "no figure 'lyle2025/fig99' here"),
        (["no.such.module"], "no figure 'no.such.module' here"),
        (
            ["lyle2025/fig3", "--scale", "fashion"],
            "scale=fashion: must be one of laptop, paper",
        ),
        (
            ["lyle2025/fig3", "lyle2025/fig2a", "--run-directory", "x"],
            "must be left out for several figures",
        ),
        (["lyle2025/fig3", "--minutes", "1"], "minutes=1: must be at least 5"),
        (["lyle2025/fig3", "--sbatch", "--x"], "unknown flag --x"),
        (["lyle2025/fig3", "--sbatch", "x="], "must be name=value or name, as sbatch"),
        (["lyle2025/fig3", "--sbatch", "time=5"], "time=5: --minutes decides it"),
        (["lyle2025/fig3", "--sbatch", "cpus-per-task=5"], "--cpus decides it"),
        (["lyle2025/fig3", "--partition=-x"], "must be the name of a partition"),
    ],
)
def test_a_mistake_is_one_line(argv, message):
    code, out, err = run_command(*argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_local_processes_have_gpus_of_their_own(tmp_path, monkeypatch):
    started, processes = [], []

    def start(**given):
        started.append(given["cuda_devices"])
        processes.append(subprocess.Popen(["true"]))
        return processes[-1]

    monkeypatch.setattr("submitit.local.local.start_controller", start)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7,2,3")
    engine = engines.Local(options(tmp_path, gpus=2), tmp_path / "jobs")
    works = [Work((), 1.0)] * len(engine.share([None] * 9))
    numbers = [job.number for _, job in engine.submit(works)]
    assert numbers == [str(process.pid) for process in processes]
    for process in processes:
        process.wait()
    assert started == ["4,5", "7,2"]


@pytest.mark.parametrize(
    ("named", "changes", "message"),
    [
        ("", {}, "gpus=1, at_once=1: this machine has 0 GPUs for them (--gpus, --at-"),
        ("3", {"at_once": 2}, "gpus=1, at_once=2: this machine has 1 GPU for them"),
        ("GPU-8a", {}, "CUDA_VISIBLE_DEVICES=GPU-8a: must be numbers"),
    ],
)
def test_gpus_that_are_not_there(tmp_path, monkeypatch, named, changes, message):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    with pytest.raises(UserError) as raised:
        engines.Local(options(tmp_path, gpus=1, **changes), tmp_path / "jobs")
    assert str(raised.value).startswith(message)


def test_what_controls_local_processes_prints_into_a_file(tmp_path, monkeypatch, capfd):
    def start(**_):
        process = subprocess.Popen(["sh", "-c", "echo Traceback >&2"])
        process.wait()
        return process

    monkeypatch.setattr("submitit.local.local.start_controller", start)
    engine = engines.Local(options(tmp_path), tmp_path / "jobs")
    list(engine.submit([Work((), 1.0)]))
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
    assert (tmp_path / "jobs" / engines.CONTROLLERS).read_text() == "Traceback\n"


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_ends_all(tmp_path):
    argv = [FIGURE, "--engine", "local", "--at-once", "2", "--scale", "paper"]
    argv += ["--seeds", "20", "--run-directory", str(tmp_path)]  # it ends much later
    command = subprocess.Popen(
        [sys.executable, "-m", "experiments.launch", *argv],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list(tmp_path.glob("parts/*/metrics.jsonl"))) < 2:
        assert command.poll() is None
        time.sleep(0.1)
    noted = {job for own in jobs.read(tmp_path).values() for job in own}
    os.killpg(command.pid, signal.SIGINT)
    lines = command.communicate(timeout=60)[1].splitlines()
    assert lines[-1] == interrupts.LINE
    assert not [line for line in lines if "Traceback" in line]
    deadline = time.monotonic() + 60
    while not all(state.is_over for state in engines.states(noted).values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_process_is_told_from_another_of_its_number(tmp_path):
    own = Job("local", str(os.getpid()), str(tmp_path / "elsewhere"))
    assert engines.states([own])[own].is_over
    script = "import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    try:
        job = Job("local", str(process.pid), str(tmp_path))
        while engines.states([job])[job].is_over:
            time.sleep(0.05)  # it is not that command yet
    finally:
        process.kill()
        process.wait()
    assert engines.states([job])[job].is_over


def test_pieces_are_shared_so_that_each_begins_elsewhere(tmp_path):
    engine = engines.Local(options(tmp_path, at_once=3), tmp_path)
    assert [own[0] for own in engine.share(list("abcdef"))] == ["a", "c", "e"]
    assert engine.share(["a"]) == [["a"]]
    assert engine.share([]) == []


def test_the_command_that_draws_is_for_a_shell(here, tmp_path):
    here.do = staticmethod(do_nothing)
    own = tmp_path / "my runs; $HOME"
    argv = ["--run-directory", own, "--no-wait", "--data-directory", "a b"]
    code, out, _ = run_command(FIGURE, "--engine", "local", *argv)
    assert code == 0
    assert shlex.split(out)[-4:] == [
        "--run-directory",
        str(own),
        "--data-directory",
        "a b",
    ]


def test_the_command_that_draws_is_printed(here, tmp_path, monkeypatch):
    monkeypatch.setattr(members, "train_members", pytest.fail)
    here.do = staticmethod(do_nothing)
    argv = ["--seeds", 1, "--run-directory", tmp_path, "--no-wait"]
    code, out, err = run_command(FIGURE, "--engine", "local", *argv)
    assert code == 0
    assert err.splitlines()[-1] == "when all is finished:"
    assert out == (
        f"python -m experiments.reproduce {FIGURE} --scale laptop --seeds 1 "
        f"--run-directory {tmp_path}\n"
    )
