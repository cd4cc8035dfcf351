"""A figure by tasks of a Ray that is started here: `.ci/run ray`."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from experiments.harness import arm_groups, files
from experiments.reproduce import registry
from experiments.reproduce.options import RunOptions
from helpers.checkout.parity import figure
from helpers.checkout.programs import ROOT

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.slow

FIGURE = figure.__name__
NUM_PARTS = 3
LONG = ("--scale", "paper", "--seeds", "1", "--checkpoint-seconds", "0.1")
ENVIRONMENT = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "RAY_USAGE_STATS_ENABLED": "0",
}
CLUSTER = """
import sys, ray
found = ray.init(
    num_cpus=2,
    object_store_memory=100_000_000,
    include_dashboard=False,
    log_to_driver=False,
    _temp_dir=sys.argv[1],
)
print("address", found.address_info["gcs_address"], flush=True)
sys.stdin.read()  # until the test ends
"""


@pytest.fixture(scope="module")
def cluster():
    """The environment in which a program finds Ray, with a secret of its own."""
    environment = {
        **ENVIRONMENT,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    folder = tempfile.mkdtemp(prefix="ray")  # its sockets need a short path
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, folder],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said = iter(process.stdout.readline, "")
        address = next(line.split()[1] for line in said if line.startswith("address "))
        yield {**environment, "RAY_ADDRESS": address}
        process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)


def launch(cluster, directory, *argv):
    """Starts the example, whose tasks have one core each."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "examples.ray_launch", FIGURE, "--cpus", "1"),
            *("--run-directory", str(directory), *argv),
        ],
        cwd=ROOT,
        env=cluster,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def metrics(directory):
    return {
        path.parent.name: path.read_bytes()
        for path in directory.glob("*/metrics.jsonl")
    }


def kill_one(process, directory):
    """Kills the process of a task that has a checkpoint; returns its run directory."""
    while not (saved := list(directory.glob("parts/*/checkpoints/*/about.json"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    part = saved[0].parents[2]
    os.kill(int((part / ".lock").read_text().split()[0]), signal.SIGKILL)
    return part


def test_a_killed_task_is_run_again_to_the_bytes_of_one_process(cluster, tmp_path):
    process = launch(cluster, tmp_path / "ray", *LONG)
    part = kill_one(process, tmp_path / "ray")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f"{NUM_PARTS} of {NUM_PARTS} parts are left to do" in err
    last = out.splitlines()[-1]  # after what Ray says of the killed process
    assert last.startswith(f"python -m experiments.reproduce {FIGURE} --scale paper ")
    starts = {
        line["session"]: line["step"]
        for line in reversed(files.read_json_lines(part / "clock.jsonl"))
    }
    assert len(starts) == 2
    assert max(starts.values()) > 200  # it went on from what was saved

    asked = RunOptions(scale="paper", seeds=1, run_directory=tmp_path / "one")
    request = asked.request(FIGURE, registry.find(FIGURE))
    arm_groups.run(request.family, request.arms, request.seeds, request.directory)
    assert metrics(tmp_path / "ray") == metrics(tmp_path / "one") != {}

    again = launch(cluster, tmp_path / "ray", *LONG)
    _, err = again.communicate()
    assert again.returncode == 0
    assert "0 of 2 parts are left to do" in err


def test_a_task_without_retries_is_named(cluster, tmp_path):
    process = launch(cluster, tmp_path, *LONG, "--retries", "0")
    kill_one(process, tmp_path)
    _, err = process.communicate()
    assert process.returncode == 1
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert ", seed 0: " in warnings[0]
    assert err.splitlines()[-1].startswith("error: not all is finished: run the same")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--run-directory", "x"], "must be a path from / that all nodes see"),
        (["--cpus", "0"], "cpus=0: must be at least 1"),
        (["--scale", "fashion"], "scale=fashion: must be one of laptop, paper"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, argv, message):
    process = launch(ENVIRONMENT, tmp_path, *argv)
    _, err = process.communicate()
    assert (process.returncode, err.count("\n")) == (2, 1)
    assert message in err
