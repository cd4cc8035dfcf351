"""The losses of initial networks, which no row of a run has."""

import dataclasses

import jax
import numpy as np

from experiments.harness.members import hyperparameters
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.experiment import ByMoments
from experiments.lazy_rich.polynomial.family import FAMILY
from experiments.reproduce import first_losses
from experiments.reproduce.figure import Preset
from experiments.reproduce.runs import Runs

SMALL = {"dimension": 5, "num_train": 8, "width": 6, "num_steps": 20}


def test_each_arm_and_seed_is_evaluated_before_its_first_update():
    arms = {
        "centred": Config(**SMALL),
        "not": Config(**SMALL, center=False),
        "nor this": Config(**SMALL, center=False, alpha=3.0),
    }
    preset = Preset(arms=arms, num_seeds=2, claims=())
    found = first_losses.measure(FAMILY, preset)[first_losses.KEY]
    np.testing.assert_allclose(found["centred"], [0.75, 0.75], rtol=1e-5)
    for arm in ("not", "nor this"):
        for seed, value in enumerate(found[arm]):
            config = dataclasses.replace(arms[arm], seed=seed)
            own, hyper = ByMoments(config), hyperparameters(config)
            state, fixed = own.init(jax.numpy.uint32(seed), hyper)
            expected = own.evaluate(state, hyper, fixed)[1]["test_loss"]
            np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_rise_is_from_the_initial_network():
    rows = [
        {"arm": arm, "seed": seed, "step": step, "test_loss": loss}
        for arm, losses in (("rises", (0.9, 1.0)), ("falls", (0.7, 0.6)))
        for seed in range(2)
        for step, loss in zip((10, 20), losses, strict=True)
    ]
    before = {"rises": [0.8, 0.5, 9.0], "falls": [0.8, 0.8, 9.0]}  # a seed more
    runs = Runs(rows, {first_losses.KEY: before})
    np.testing.assert_allclose(first_losses.rise(runs, "rises"), [1.25, 2.0])
    np.testing.assert_allclose(first_losses.rise(runs, "falls"), [1.0, 1.0])
