"""A launch on a real Slurm, where jobs are killed and nodes disappear.

It needs the nodes of `.ci/slurm`, which it takes down: `.ci/run slurm`.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.harness import files
from experiments.launch import jobs
from helpers.checkout.programs import ROOT

CLUSTER = Path(os.environ.get("SLURM_CONF", "/nowhere")).parent
FIGURE = "helpers.checkout.parity.figure"
TINY_FIG3 = "helpers.checkout.tiny_fig3"
NUM_JOBS = 9
PATIENCE_SECONDS = 300

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CLUSTER / "n1.pid").exists(), reason="the Slurm of .ci/slurm is not here"
    ),
]


def said(text):
    """What happens, for the log of CI (`pytest -s`)."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def call(*command, check=True):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    if command[0] not in ("squeue", "sinfo"):  # asked again and again
        said(f"$ {' '.join(command)} {done.stderr.strip()}")
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def command(program, name, directory, *argv):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", f"experiments.{program}", name),
            *("--run-directory", str(directory), *argv),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **{"PYTHONPATH": str(ROOT / "tests"), "JAX_PLATFORMS": "cpu"},
            "XLA_FLAGS": "",  # with the loops that users have, parts round as the whole
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """The exit code of a command and what it said."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    for line in err.splitlines() + out.splitlines():
        said(f"  {line}")
    return process.returncode, err


def launch(name, directory, *argv):
    flags = ["--cpus", "1", "--checkpoint-seconds", "0.3", *argv]
    return command("launch", name, directory, *flags)


def until(holds, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    said(what)
    return value


def metrics(directory):
    return {
        path.parent.name: path.read_bytes()
        for path in directory.glob("*/metrics.jsonl")
    }


def queue():
    """State and node of each job that is queued or runs."""
    lines = call("squeue", "--array", "--noheader", "--format=%i %T %N").splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


def running(directory):
    """By job: its unit, the process that has it, and its node; with a checkpoint."""
    names = {own[-1].number: name for name, own in jobs.read(directory).items()}
    found = {}
    for number, (state, *node) in queue().items():
        part = directory / "parts" / names.get(number, "none")
        is_saved = any(part.glob("checkpoints/*/about.json"))
        if state == "RUNNING" and is_saved and not (part / "summary.json").exists():
            found[number] = (
                part,
                int((part / ".lock").read_text().split()[0]),
                node[0],
            )
    return found


def sessions(part):
    """The steps at which each session of a run began to count."""
    begun = {}
    for row in files.read_json_lines(part / "clock.jsonl"):
        begun.setdefault(row["session"], row["step"])
    return begun


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The metrics of one process."""
    directory = tmp_path_factory.mktemp("whole")
    argv = ["--scale", "paper", "--seeds", "3"]
    assert ended(command("reproduce", FIGURE, directory, *argv))[0] == 0
    return metrics(directory)


@pytest.fixture
def nodes():
    """Both nodes are there, before and after."""

    def bring_back():
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int((CLUSTER / "n1.pid").read_text()), 0)
            return
        call(str(ROOT / ".ci/slurm"), "node", str(CLUSTER), "n1")

    def all_idle():
        return call("sinfo", "--noheader", "--states=idle", "--format=%D")[:1] == "2"

    yield
    bring_back()
    call("scontrol", "update", "nodename=n[1-2]", "state=resume", check=False)
    until(all_idle, "both nodes are idle")


def test_jobs_are_lost_in_every_way_and_results_are_those_of_one_process(
    whole, nodes, tmp_path
):
    argv = ["--scale", "paper", "--seeds", "3"]
    first = launch(FIGURE, tmp_path, *argv, "--no-wait")
    second = launch(FIGURE, tmp_path, *argv, "--no-wait")
    codes = [ended(first), ended(second)]
    # Two at once: the other is refused, or finds everything at work.
    assert [code for code, _ in codes].count(0) >= 1
    lines = "\n".join(err for _, err in codes)
    assert lines.count(f"{NUM_JOBS} submitted in {NUM_JOBS} jobs") == 1
    assert re.search(f"in use by another|{NUM_JOBS} at work, 0 submitted", lines)
    assert len(queue()) == NUM_JOBS

    own = until(
        lambda: len(now := running(tmp_path)) >= 3 and now,
        "three jobs run and have a checkpoint",
    )
    killed, cancelled, warned, *_ = own
    os.kill(own[killed][1], signal.SIGKILL)
    said(f"kill -9 of the process {own[killed][1]} of job {killed}")
    call("scancel", cancelled)
    os.kill(own[warned][1], signal.SIGUSR2)
    said(f"job {warned} is warned, as Slurm warns it before its time is over")
    until(lambda: not {killed, cancelled} & queue().keys(), "both have left the queue")

    def others():
        return {job: on for job, on in running(tmp_path).items() if job != warned}

    preempted = until(others, "more jobs run")
    node = next(iter(preempted.values()))[2]
    urgent = ["sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive"]
    call(*urgent, "--output=/dev/null", "--wrap=sleep 3")
    said(f"which preempts what runs on {node}")
    other = {"n1": "n2", "n2": "n1"}[node]
    call("scontrol", "update", f"nodename={other}", "state=drain", "reason=test")
    said(f"{other} takes no more jobs")
    until(lambda: "urgent" not in call("squeue", "-h", "-o%P"), "the urgent job ended")
    call("scontrol", "update", f"nodename={other}", "state=resume")

    again = launch(FIGURE, tmp_path, *argv)
    code, err = ended(again)
    assert code == 0
    # The job that was cancelled is given time, in which it may come to its end.
    assert re.search("at work, (1 submitted in 1 job|2 submitted in 2 jobs)", err)
    assert metrics(tmp_path) == whole
    parts = [path.parent for path in tmp_path.glob("parts/*/summary.json")]
    assert len(parts) == NUM_JOBS
    said({part.name: sessions(part) for part in parts})
    for job in (killed, warned):
        # Each went on from what was saved, not from its start.
        assert sessions(own[job][0])[2] > 200
    code, err = ended(launch(FIGURE, tmp_path, *argv))
    assert (code, "0 at work, 0 submitted in 0 jobs" in err) == (0, True)


def test_a_node_that_disappears_costs_nothing(whole, nodes, tmp_path):
    """Its jobs run on unseen, while Slurm queues them again on the other node."""
    argv = ["--scale", "paper", "--seeds", "3"]
    waiting = launch(FIGURE, tmp_path, *argv)
    own = until(
        lambda: {job: on for job, on in running(tmp_path).items() if on[2] == "n1"},
        "jobs run on n1",
    )
    os.kill(int((CLUSTER / "n1.pid").read_text()), signal.SIGKILL)
    said(f"n1 does not answer any more, with the jobs {list(own)}")
    # As Slurm says itself after SlurmdTimeout.
    call("scontrol", "update", "nodename=n1", "state=down", "reason=gone")
    code, _ = ended(waiting)
    assert code == 0
    assert metrics(tmp_path) == whole
    for job, (part, *_) in own.items():
        log = (tmp_path / "jobs" / f"{job}_0_log.out").read_text()
        assert log.count("Starting with JobEnvironment") == 2
        # The second found the run directory in use, or finished.
        assert len(sessions(part)) == 1


def test_a_job_without_memory_is_named(tmp_path):
    code, err = ended(launch(FIGURE, tmp_path, "--seeds", "1", "--memory-gb", "0.05"))
    assert code == 1
    lines = [line for line in err.splitlines() if "warning: job" in line]
    assert len(lines) == 3
    assert all("was killed for memory" in line for line in lines)
    code, err = ended(launch(FIGURE, tmp_path, "--seeds", "1"))
    assert code == 0
    assert "3 submitted in 3 jobs" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--partition", "none"], "invalid partition specified: none"),
        (["--cpus", "4000"], "More processors requested than permitted"),
        (["--sbatch", "nodelist=nobody"], "Invalid node name specified"),
    ],
)
def test_a_queue_that_refuses_is_one_line(tmp_path, argv, message):
    code, err = ended(launch(FIGURE, tmp_path, *argv))
    assert (code, err.count("\n")) == (1, 1)
    assert message.lower() in err.lower()
    assert not queue()


def test_a_figure_of_the_paper_at_a_tiny_size(tmp_path):
    code, err = ended(launch(TINY_FIG3, tmp_path / "slurm"))
    assert code == 0
    assert ended(command("reproduce", TINY_FIG3, tmp_path / "one"))[0] == 0
    assert metrics(tmp_path / "slurm") == metrics(tmp_path / "one")
    code, err = ended(command("reproduce", TINY_FIG3, tmp_path / "slurm"))
    assert "part 1 of" not in err
    assert (tmp_path / "slurm" / "fig3.png").exists()
