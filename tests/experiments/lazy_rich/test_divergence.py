"""Runs whose rate is too large, as a user sees them."""

import pytest

from experiments.harness import family
from experiments.lazy_rich.dmft.family import FAMILY as DMFT
from experiments.lazy_rich.modular.family import FAMILY as MODULAR
from experiments.lazy_rich.polynomial.family import FAMILY as POLYNOMIAL
from helpers.checkout import programs

SMALL = {
    "polynomial": "--dimension 6 --num-train 12 --width 4 --num-steps 60",
    "modular": "--modulus 3 --width 4 --num-steps 60",
    "dmft": "--num-steps 12 --num-samples 20 --num-replicas 2",
}


@pytest.fixture
def run_task(monkeypatch, capsys, tmp_path):
    """A function from a family and flags to the lines of stdout and of stderr."""

    def run(own, flags):
        argv = f"{SMALL[own.name]} {flags} --run-directory {tmp_path}".split()
        code, out, err = programs.call(
            lambda: family.main(own, argv), monkeypatch, capsys, argv
        )
        assert code == 0
        return out.splitlines(), [
            line for line in err.splitlines() if line.startswith("warning")
        ]

    return run


@pytest.mark.parametrize(
    ("own", "flags", "described"),
    [
        (POLYNOMIAL, "--learning-rate 1e4", "; train nan, test nan, weight norm times"),
        (MODULAR, "--learning-rate 1e9", "; accuracy 0."),
        (DMFT, "--time-step 1e4", "; train nan ± nan, test nan ± nan (nan with"),
    ],
)
def test_a_run_that_diverged_is_described(run_task, own, flags, described):
    (line, _), _ = run_task(own, flags)
    assert line.startswith("seed 0: diverged at update ")
    assert described in line
