"""Runs whose rate is too large, as a user sees them."""

import dataclasses

import numpy as np
import pytest

from experiments.harness import command_line, family
from experiments.lazy_rich.dmft import outcomes as dmft_outcomes
from experiments.lazy_rich.dmft.family import FAMILY as DMFT
from experiments.lazy_rich.modular.family import FAMILY as MODULAR
from experiments.lazy_rich.polynomial import outcomes as polynomial_outcomes
from experiments.lazy_rich.polynomial.config import Config
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


@pytest.mark.slow
def test_a_rate_beyond_stability_is_said_before_it_is_used(run_task):
    _, warnings = run_task(POLYNOMIAL, "--learning-rate 4")
    assert warnings[:1] == [
        "warning: learning_rate=4 is not below 3.22, from which on the linearised "
        "network of seed 0 diverges"
    ]


@pytest.mark.parametrize(
    ("flags", "warned"),
    [
        ("--learning-rate 3.2", []),
        ("--learning-rate 1e3 --optimizer adam", []),
        ("--learning-rate 1 --width 1", ["width=1"]),
        ("--learning-rate 1 --epsilon 0", ["epsilon=0"]),
    ],
)
def test_what_cannot_learn_the_target_is_said(flags, warned):
    argv = f"{SMALL['polynomial']} {flags}".split()
    config = command_line.parse(POLYNOMIAL.config_class, argv, prog="")
    found = [line.split(":")[0] for line in POLYNOMIAL.cautions(config)]
    assert found == warned


def test_momentum_and_adam_have_limits_of_their_own():
    plain = Config(dimension=6, num_train=12, width=4)
    limit = polynomial_outcomes.largest_rate(plain, 0)
    own = dataclasses.replace(plain, optimizer="momentum", momentum=0.5)
    assert polynomial_outcomes.largest_rate(own, 0) == pytest.approx(1.5 * limit)
    for changes in ({"optimizer": "adam"}, {"readouts": True}):
        own = dataclasses.replace(plain, **changes)
        assert polynomial_outcomes.largest_rate(own, 0) is None


@pytest.mark.slow
def test_a_loss_that_ends_far_above_its_start_is_growing(run_task):
    flags = "--learning-rate 1e3 --optimizer adam"
    (line, _), warnings = run_task(POLYNOMIAL, flags)
    assert line.startswith("seed 0: growing (loss ")
    assert "): lower learning_rate; train " in line
    assert warnings == []


@pytest.mark.parametrize(
    ("center", "losses", "words"),
    [
        (True, (80.0, 76.0), "growing (loss 76): lower learning_rate"),
        (True, (80.0, 74.0), "has not fitted"),
        (False, (80.0, 76.0), "has not fitted"),
        (False, (80.0, 8001.0), "growing (loss 8e+03)"),
    ],
)
def test_it_is_compared_with_what_it_may_have_begun_with(center, losses, words):
    rows = [
        {"step": step, "train_loss": loss, "test_loss": loss}
        for step, loss in enumerate(losses)
    ]
    config = Config(center=center)
    assert POLYNOMIAL.in_words(rows, config).startswith(words)


@pytest.mark.slow
def test_the_theory_names_its_own_flag_and_limit(run_task):
    (line, _), warnings = run_task(DMFT, "--time-step 1e4")
    assert ": lower time_step (limit at first: 1.11);" in line
    assert warnings[-1].endswith("; lower time_step")


def test_the_theory_diverges_from_the_limit_of_many_examples_on():
    config = DMFT.config_class(power=0.7, overlaps=(0.2, 0.1, 0.1))
    n, dimension = config.width, 12
    weights = np.sqrt(config.power) * np.eye(dimension)[:n]
    inputs = np.random.default_rng(0).standard_normal((200_000, dimension))
    slopes = 1 + config.epsilon * inputs @ weights.T
    rows = (slopes[:, :, None] * inputs[:, None]).reshape(len(inputs), -1)
    largest = np.linalg.eigvalsh(rows.T @ rows / (n * len(inputs)))[-1]
    limit = dmft_outcomes.largest_time_step(config)
    np.testing.assert_allclose(limit, 2 / largest, rtol=0.02)


@pytest.mark.slow
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
