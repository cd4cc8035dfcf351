"""A step of a warm-start run, at a tiny size; `test_families.py` tests all families."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from experiments.harness import family, files
from experiments.harness.members import hyperparameters
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.family import FAMILY
from experiments.warm_start.task import Arrays
from helpers.checkout import programs
from helpers.checkout.image_files import TINY, make_images
from helpers.checkout.programs import flags


@pytest.fixture
def tiny(idx_directory):
    return dataclasses.replace(TINY, data_directory=idx_directory)


@pytest.fixture
def run_program(monkeypatch, capsys):
    return lambda *argv: programs.call(
        lambda: family.main(FAMILY), monkeypatch, capsys, argv
    )


@pytest.mark.slow
def test_a_summary_says_where_a_seed_stood(tiny, run_program, tmp_path):
    path = tmp_path / "run"
    config = dataclasses.replace(tiny, num_seeds=2, run_directory=path)
    code, out, _ = run_program(*flags(config))
    assert code == 0
    assert [line[:7] for line in out.splitlines()[:2]] == ["seed 0:", "seed 1:"]
    summary = json.loads((path / "summary.json").read_text())
    assert set(summary[0]) == {
        "seed",
        "outcome",
        "test_accuracy_before_the_last_data",
        "final_train_accuracy",
        "final_test_accuracy",
        "num_rewarms",
        "steps_per_second",
        "wall_seconds",
    }
    assert (path / "warm_start.png").read_bytes().startswith(b"\x89PNG")
    rows = files.read_json_lines(path / "metrics.jsonl")
    assert [(row["step"], row["seed"]) for row in rows] == [
        (step, seed) for step in (4, 8, 12) for seed in (0, 1)
    ]
    own = rows[::2]
    assert [row["num_available"] for row in own] == [30, 60, 60]
    assert [row["num_rewarms"] for row in own] == [0, 1, 1]
    assert [row["last_rewarm_step"] for row in own] == [-1, 6, 6]
    assert summary[0]["num_rewarms"] == 1
    assert summary[0]["test_accuracy_before_the_last_data"] == own[0]["test_accuracy"]
    assert summary[0]["final_test_accuracy"] == own[-1]["test_accuracy"]
    norms = [row["weight_norm"] for row in own]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-5)
    parts = [value for name, value in own[0].items() if name.startswith("weight_norm.")]
    assert len(parts) == 5
    assert sum(part**2 for part in parts) ** 0.5 == pytest.approx(norms[0], rel=1e-5)
    assert all(np.isfinite(value) for value in own[-1].values())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--dataset", "fashion_mnist", "--data-directory", "/nowhere"],
            "fashion_mnist is not in /nowhere/fashion_mnist",
        ),
        (["--data-directory", "/nowhere"], "cifar10 is not in /nowhere/cifar10"),
    ],
)
def test_missing_data_are_one_line(run_program, tmp_path, argv, message):
    code, out, err = run_program(*argv, "--run-directory", tmp_path / "run")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "run").exists()


def test_more_examples_than_there_are_is_one_line(tiny, run_program, tmp_path):
    config = dataclasses.replace(
        tiny, num_train_examples=100, run_directory=tmp_path / "run"
    )
    code, _, err = run_program(*flags(config))
    assert (code, err.count("\n")) == (1, 1)
    assert "has 60 examples here and num_train_examples asks for 100" in err
    assert not (tmp_path / "run").exists()


@functools.cache
def compiled_step(config):
    images = make_images()
    arrays = Arrays(*map(jnp.asarray, (*images.train, *images.test)))
    experiment, hyper = Experiment(config), hyperparameters(config)
    # Not compiled: the operations of one config serve all, a program would not.
    state, split = experiment.init(jnp.asarray(config.seed), hyper, arrays)
    return jax.jit(experiment.step), arrays, state, hyper, split


def steps(config=TINY, num_steps=1, **numbers):
    """The states before and after some updates, from seed 0."""
    step, arrays, state, hyper, split = compiled_step(config)
    # Of the types that they have in a config, so that one program serves all.
    hyper = hyper._replace(**{k: np.asarray(v) for k, v in numbers.items()})
    before = state
    for _ in range(num_steps):
        state = step(state, hyper, split, arrays)
    return before, state


def first_step(config=TINY, **numbers):
    """Scalars of the first update, without warm-up."""
    before, after = steps(dataclasses.replace(config, warmup_fraction=0.0), **numbers)
    change = jax.tree.map(lambda a, b: a - b, after.params, before.params)
    return {
        "train_loss": float(after.loss_sum),
        "update_norm": float(optax.tree.norm(change)),
        "weight_norm": float(optax.tree.norm(after.params)),
    }


# Regenerate only when the model, the task or the optimizer is meant to change: print
# `first_step()` and say why in the commit.
GOLDEN = {
    "train_loss": 2.0039970874786377,
    "update_norm": 5.601656436920166,
    "weight_norm": 22.428316116333008,
}


@pytest.mark.slow
def test_the_first_step_is_as_recorded():
    assert first_step() == pytest.approx(GOLDEN, rel=1e-5)
    assert first_step(learning_rate=0.01001) != pytest.approx(GOLDEN, rel=1e-5)


@pytest.mark.slow
def test_when_data_come_the_method_acts_on_that_update():
    config = dataclasses.replace(TINY, method="full_reset", project=False)
    last = TINY.phase_steps
    _, before = steps(config, num_steps=last)
    _, after = steps(config, num_steps=last + 1)
    kernel = "conv_1", "kernel"

    def weights(state):
        return np.asarray(state.params[kernel[0]][kernel[1]])

    assert np.abs(weights(after) - weights(before)).max() > 0.1  # drawn anew
    assert int(optax.tree.get(before.opt_state, "num_restarts")) == 0
    assert int(optax.tree.get(after.opt_state, "num_restarts")) == 1


@pytest.mark.parametrize("normalize_hidden", [False, True])
@pytest.mark.parametrize("offsets", [False, True])
def test_the_network_has_the_normalisations_asked_for(normalize_hidden, offsets):
    config = dataclasses.replace(
        TINY, normalize_hidden=normalize_hidden, offsets=offsets
    )
    params = steps(config, num_steps=0)[1].params
    norms = {name for name in params if name.startswith("norm")}
    assert ("norm_hidden" in norms) == normalize_hidden
    assert all(("bias" in params[name]) == offsets for name in norms)


@pytest.mark.parametrize(
    ("downsampling", "expected"),
    [("strides", ((2, 2), 1)), ("max_pool", ((1, 1), 2))],
)
def test_images_are_halved_as_asked(downsampling, expected):
    model = Experiment(dataclasses.replace(TINY, downsampling=downsampling))._new_model(
        nnx.Rngs(0)
    )
    strides = [tuple(layer.strides) for layer in (model.conv_0, model.conv_1)]
    assert [*zip(strides, model.windows[:2], strict=True)] == [expected, expected]
    assert model.windows[2] == 1
    assert model.hidden.kernel[...].shape == (7 * 7 * 32, 300)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"method": "shrink_and_perturb", "schedule": "growing"},
        {"method": "last_layer_reset", "schedule": "five_cycles"},
        {"method": "l2_init", "layer_rates": "slow_features"},
        {"method": "weight_clipping", "project": False},
        {"normalize_hidden": True, "offsets": False, "downsampling": "max_pool"},
        {"method": "spectral", "augment": True, "label_noise": 0.3},
        {"schedule": "cusum", "layer_rates": "even_ratio", "num_phases": 3},
    ],
)
def test_every_structure_trains(fields):
    config = dataclasses.replace(TINY, learning_rate=1e-3, **fields)
    before, after = steps(config, num_steps=config.num_steps)
    # On the same batches as a network that stands still.
    losses = [
        float(steps(config, config.phase_steps, learning_rate=rate)[1].loss_sum)
        for rate in (1e-3, 1e-9)
    ]
    assert losses[0] < 0.99 * losses[1]
    assert int(after.step) == config.num_steps
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), before.params, after.params)
    assert min(jax.tree.leaves(moved)) > 1e-5
