"""A step of a grokking run, at a tiny size; `test_families.py` tests all families."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.grokking import optimizers
from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment
from experiments.grokking.family import FAMILY, STEP_SECONDS
from experiments.harness import family, files
from experiments.harness.members import hyperparameters, init_members
from helpers.checkout import programs
from helpers.checkout.grokking_runs import TINY, one_member
from helpers.checkout.programs import flags

PLAIN = {"normalize": False, "scale_decay": 0.0}


@pytest.fixture
def run_program(monkeypatch, capsys):
    return lambda *argv: programs.call(
        lambda: family.main(FAMILY), monkeypatch, capsys, argv
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of two seeds."""
    path = tmp_path_factory.mktemp("grokking") / "run"
    config = dataclasses.replace(TINY, num_seeds=2, run_directory=path)
    return config, *family.run(FAMILY, config)


@pytest.mark.slow
def test_a_summary_says_where_a_seed_ended(finished):
    config, path, summary = finished
    assert set(summary[0]) == {
        "seed",
        "outcome",
        "final_train_accuracy",
        "final_test_accuracy",
        "median_late_test_accuracy",
        "first_step_test_accuracy_99",
        "steps_per_second",
        "wall_seconds",
    }
    assert summary[0]["first_step_test_accuracy_99"] is None
    last = files.read_json_lines(path / "metrics.jsonl")[-2]
    assert last["test_accuracy"] == summary[0]["final_test_accuracy"]
    assert last["learning_rate"] == pytest.approx(config.learning_rate)


@functools.cache
def compiled_step(config):
    experiment, *member = one_member(config)
    return jax.jit(experiment.step), *member


def first_step(config=TINY, **numbers):
    """Scalars of the state after one update at the peak rate, from seed 0."""
    step, state, hyper, split = compiled_step(config)
    numbers = {"warmup_steps": 0} | numbers
    # Of the types that they have in a config, so that one program serves all.
    hyper = hyper._replace(**{k: np.asarray(v) for k, v in numbers.items()})
    after = step(state, hyper, split)
    change = jax.tree.map(lambda a, b: a - b, after.params, state.params)
    matrices = [w for w in jax.tree.leaves(after.params) if w.ndim == 2]
    scales = [w for w in jax.tree.leaves(after.params) if w.ndim == 1]
    return {
        "train_loss": float(after.train_loss),
        "update_norm": float(optax.tree.norm(change)),
        "weight_norm": float(optax.tree.norm(matrices)),
        "scales": float(sum(jnp.sum(w) for w in scales)),
    }


# Regenerate only when the model, the task or the optimizer is meant to change: print
# `first_step(...)` and say why in the commit. The first two are of the defaults of
# before: a position table as large as the token table, and a second decay of .999.
GOLDEN = {
    "before, normalised": {
        "train_loss": 2.255539894104004,
        "update_norm": 0.26062989234924316,
        "weight_norm": 9.246439933776855,
        "scales": 23.68000030517578,
    },
    "before, plain": {
        "train_loss": 2.155529260635376,
        "update_norm": 0.24157540500164032,
        "weight_norm": 8.990983009338379,
        "scales": 0.0,
    },
    "normalised": {
        "train_loss": 2.3177356719970703,
        "update_norm": 0.26375406980514526,
        "weight_norm": 8.976506233215332,
        "scales": 23.740001678466797,
    },
    "plain": {
        "train_loss": 2.0596566200256348,
        "update_norm": 0.25196653604507446,
        "weight_norm": 8.713139533996582,
        "scales": 0.0,
    },
    "two blocks": {
        "train_loss": 2.1978280544281006,
        "update_norm": 0.34499606490135193,
        "weight_norm": 11.73093318939209,
        "scales": 39.58000183105469,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_step_is_as_recorded(name):
    fields = PLAIN if name.endswith("plain") else {}
    config = dataclasses.replace(TINY, **fields)
    if name == "two blocks":
        config = dataclasses.replace(config, num_blocks=2)
    if name.startswith("before"):
        config = dataclasses.replace(config, position_scale=1.0, adam_b2=0.999)
    assert first_step(config) == pytest.approx(GOLDEN[name], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers",
    [{"learning_rate": 0.01001}, {"weight_decay": 0.102}, {"scale_decay": 1.01}],
)
def test_the_golden_check_notices_a_change(numbers):
    assert first_step(**numbers) != pytest.approx(GOLDEN["normalised"], rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "cyclic"])
def test_every_schedule_waits_then_rises_to_the_peak(schedule):
    config = dataclasses.replace(
        TINY, schedule=schedule, num_cycles=2, num_steps=12, delay_steps=2
    )
    schedule_fn = optimizers.make_schedule(config, hyperparameters(config))
    assert schedule_fn(1) == pytest.approx(config.low_learning_rate)
    # After the delay of 2 come 4 updates of warm-up.
    assert schedule_fn(6) == pytest.approx(config.learning_rate)
    # The cosine ends at 12; a cycle is (12 - 2) / 2 = 5 updates, the third one none.
    # Without a cool-down the constant schedule is at the peak in the last update, 11.
    assert schedule_fn(11) > config.low_learning_rate
    end = {"constant": 0.01, "cosine": 1e-4, "cyclic": 1e-4}[schedule]
    assert schedule_fn(12 if schedule != "constant" else 11) == pytest.approx(end)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "adamw", "project": False},
        {"optimizer": "sgd", "schedule": "cyclic", "num_cycles": 2},
        {"schedule": "cosine", "project_every": 3, "normalize": False},
    ],
)
def test_every_structure_trains(fields):
    config = dataclasses.replace(TINY, scale_decay=0.0, **fields)
    result = first_step(config, warmup_steps=1, delay_steps=0)
    assert np.isfinite(list(result.values())).all()
    held = first_step(config, learning_rate=0.0, low_learning_rate=0.0)
    assert held["update_norm"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_members_may_differ_in_every_number():
    config = dataclasses.replace(TINY, schedule="cosine")
    experiment = Experiment(config)
    changes = ({}, {"learning_rate": 0.1}, {"delay_steps": 5})
    configs = [dataclasses.replace(config, **change) for change in changes]
    state, hyper, split = init_members(experiment, configs)

    def two_steps(*member):
        state, *rest = member
        return experiment.step(experiment.step(state, *rest), *rest).params

    params = jax.jit(jax.vmap(two_steps))(state, hyper, split)
    kernel = np.asarray(params["blocks"][0]["mlp_in"]["kernel"])
    assert np.abs(kernel[1] - kernel[0]).max() > 1e-3
    assert np.abs(kernel[2] - kernel[0]).max() > 1e-4


@pytest.mark.slow
def test_a_run_of_the_old_defaults_is_refused_by_what_differs(
    finished, run_program, tmp_path
):
    config, path, _ = finished
    directory = tmp_path / "old"
    shutil.copytree(path, directory)
    saved = json.loads((directory / "config.json").read_text())
    for name in ("position_scale", "adam_b2", "adam_eps", "num_blocks", "max_elr"):
        del saved["config"][name]
    (directory / "config.json").write_text(json.dumps(saved))
    code, _, err = run_program(*flags(config, run_directory=directory))
    assert (code, err.count("\n")) == (1, 1)
    # Fields that change nothing are not named.
    assert "config: adam_b2 is 0.999 there and 0.95 here, position_scale is 1.0" in err
    assert "adam_eps" not in err
    flagged = flags(config, run_directory=directory, adam_b2=0.999, position_scale=1.0)
    assert run_program(*flagged)[0] == 0


def test_costs_are_in_proportion_to_the_pairs():
    # 100 updates, and one evaluation: an update and a third of the 4 times as many
    # test pairs.
    seconds = FAMILY.run_seconds(Config(num_steps=100, eval_every=100))
    assert seconds == pytest.approx((100 + 1 + 4 / 3) * STEP_SECONDS, rel=1e-3)
