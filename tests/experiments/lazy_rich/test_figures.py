"""Figures of runs that have nothing to show."""

import math

import pytest

from experiments.lazy_rich.figures import draw_run
from experiments.lazy_rich.polynomial import figures
from experiments.lazy_rich.polynomial.config import Config


def rows(value, names):
    return [
        {"step": step, "seed": 0} | dict.fromkeys(names, value) for step in (10, 20)
    ]


@pytest.mark.parametrize("value", [0.5, math.nan])
@pytest.mark.parametrize("accuracies", [False, True])
def test_a_run_is_drawn_also_if_it_diverged(tmp_path, value, accuracies):
    names = ["train_loss", "test_loss", "weight_norm_ratio"]
    names += ["train_accuracy", "test_accuracy"] if accuracies else []
    draw_run(rows(value, names), tmp_path / "run.png", title="some run")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rate", [1.0, 1e3])
def test_the_polynomial_task_is_drawn_also_if_it_diverged(tmp_path, rate):
    names = ["train_loss", "test_loss", "weight_norm_ratio"]
    names += [f"test_{name}" for name in ("variance", "misalignment", "linear")]
    value = 0.5 if rate == 1 else math.nan
    config = Config(dimension=4, num_train=6, width=3, learning_rate=rate)
    figures.draw_run(rows(value, names), config, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
