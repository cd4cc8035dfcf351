"""The experiment from end to end at a tiny size."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.harness import files
from experiments.harness.checkpoints import Checkpoints
from experiments.harness.members import init_members
from experiments.warm_start import __main__ as program
from experiments.warm_start import study, train
from experiments.warm_start.optimizers import Hyperparameters
from experiments.warm_start.task import Arrays
from helpers.checkout import programs
from helpers.checkout.image_files import TINY, make_images
from helpers.checkout.programs import flags


@pytest.fixture
def tiny(idx_directory):
    return dataclasses.replace(TINY, data_directory=idx_directory)


@pytest.fixture
def run_program(monkeypatch, capsys):
    return programs.runner(program, monkeypatch, capsys)


@pytest.mark.slow
def test_a_run_leaves_a_summary_for_each_seed(tiny, run_program, tmp_path):
    path = tmp_path / "run"
    config = dataclasses.replace(tiny, num_seeds=2, run_directory=path)
    code, out, _ = run_program(*flags(config))
    assert code == 0
    assert [line[:7] for line in out.splitlines()[:2]] == ["seed 0:", "seed 1:"]
    summary = json.loads((path / "summary.json").read_text())
    assert set(summary[0]) == {
        "seed",
        "test_accuracy_before_the_last_data",
        "final_train_accuracy",
        "final_test_accuracy",
        "median_late_test_accuracy",
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

    before = (path / "metrics.jsonl").stat().st_mtime_ns
    code, again, err = run_program(*flags(config))
    assert (code, again) == (0, out)
    assert "holds this run, finished" in err
    assert (path / "metrics.jsonl").stat().st_mtime_ns == before

    single = dataclasses.replace(config, num_seeds=1, seed=1)
    code, _, err = run_program(*flags(single))
    assert (code, err.count("\n")) == (1, 1)
    assert "seed is 0 there and 1 here" in err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--initial-fraction", "2"], 2, "initial_fraction=2.0: must be greater than"),
        (
            ["--dataset", "fashion_mnist", "--data-directory", "/nowhere"],
            1,
            "fashion_mnist is not in /nowhere/fashion_mnist",
        ),
        (["--data-directory", "/nowhere"], 1, "cifar10 is not in /nowhere/cifar10"),
        (["--model", "vgg"], 2, "invalid choice 'vgg'"),
        (
            ["--batch-size", "100", "--initial-fraction", "0.001"],
            2,
            "it leaves 50 of 50000 examples, and batch_size is 100",
        ),
    ],
)
def test_a_mistake_is_one_line(run_program, tmp_path, argv, code, message):
    got, out, err = run_program(*argv, "--run-directory", tmp_path / "run")
    assert (got, out) == (code, "")
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


def test_a_seed_that_diverges_is_named(capsys):
    rows = [
        {"seed": seed, "step": step, "train_loss": loss}
        for seed, losses in ((0, (1.0, 0.5)), (1, (1.0, None)))
        for step, loss in zip((4, 8), losses, strict=True)
    ]
    train.warn_of_divergence(rows)
    err = capsys.readouterr().err
    assert err.startswith("warning: seed 1 diverged: ")
    assert "at step 8" in err
    assert err.count("\n") == 1


@functools.cache
def compiled_step(config):
    images = make_images()
    arrays = Arrays(*map(jnp.asarray, (*images.train, *images.test)))
    experiment = train.Experiment(config)
    members = init_members(experiment, [0], [train.hyperparameters(config)], arrays)
    return jax.jit(experiment.step), arrays, *jax.tree.map(lambda a: a[0], members)


def steps(config=TINY, num_steps=1, **numbers):
    """The states before and after some updates, from seed 0."""
    step, arrays, state, hyper, split = compiled_step(config)
    hyper = hyper._replace(**{k: jnp.asarray(v) for k, v in numbers.items()})
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"method": "shrink_and_perturb", "schedule": "growing"},
        {"method": "last_layer_reset", "schedule": "five_cycles"},
        {"method": "l2_init", "layer_rates": "slow_features"},
        {"method": "weight_clipping", "project": False},
        {"method": "spectral", "augment": True, "label_noise": 0.3},
        {"schedule": "cusum", "layer_rates": "even_ratio", "num_phases": 3},
    ],
)
def test_every_structure_trains(fields):
    config = dataclasses.replace(TINY, learning_rate=1e-3, **fields)
    before, after = steps(config, num_steps=config.num_steps)
    assert float(after.loss_sum) / config.num_steps < np.log(10) + 0.5
    assert int(after.step) == config.num_steps
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), before.params, after.params)
    assert min(jax.tree.leaves(moved)) > 1e-5


@pytest.mark.slow
def test_an_arm_of_a_study_is_the_run_of_its_own_command(tiny, tmp_path):
    arms = {
        "half": tiny,
        "all": dataclasses.replace(tiny, initial_fraction=1.0),
        "free": dataclasses.replace(tiny, project=False),
    }
    batches = study.STUDY.batches(arms, range(2))
    assert len(batches) == 2
    # Where the data are decides no result, so it names no directory.
    assert "data_directory" not in batches[0].all_settings["half"]
    study.run(arms, range(2), tmp_path / "study")
    own = dataclasses.replace(tiny, seed=1, run_directory=tmp_path / "own")
    train.train(own)
    rows = [
        {key: value for key, value in row.items() if key != "arm"}
        for row in study.rows(arms, range(2), tmp_path / "study")
        if (row["arm"], row["seed"]) == ("half", 1)
    ]
    assert rows == files.read_json_lines(tmp_path / "own" / "metrics.jsonl")
    updates, seconds = study.cost(arms, 2)
    assert updates == 3 * 2 * tiny.num_steps
    assert seconds > 0
    times = study.step_seconds({"half": tiny}, num_rounds=1, num_steps=1)
    assert 0 < times["half"] < 10


def _arrays_of(config, _):
    images = train.data.load(config.dataset, config.data_directory)
    return Arrays(*map(jnp.asarray, (*images.train, *images.test)))


def test_everything_a_batch_may_differ_in_is_a_hyperparameter():
    named = {"strength": "method_strength", "initial_fraction": "examples_by_phase"}
    fields = {named.get(name, name) for name in study.BATCHED}
    assert fields == set(Hyperparameters._fields)


@pytest.mark.slow
def test_killed_in_both_phases_it_ends_with_the_same_bits(tiny, tmp_path):
    """Kills the command at random moments and continues it each time."""
    config = dataclasses.replace(
        tiny,
        epochs_per_phase=100,
        eval_every=10,
        checkpoint_seconds=0.0,
        method="last_layer_reset",
    )  # 1200 updates; data come at 600

    def start(name):
        return programs.start(
            "experiments.warm_start",
            flags(config, run_directory=tmp_path / name),
            compiled=tmp_path / "compiled",
        )

    assert start("whole").wait() == 0
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    programs.kill_and_continue(
        lambda: start("killed"), killed / "metrics.jsonl", num_kills=6
    )
    name = "metrics.jsonl"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    experiment = train.Experiment(config)
    target = init_members(
        experiment, [0], [train.hyperparameters(config)], _arrays_of(config, None)
    ).state
    finals = []
    for path in (whole, killed):
        checkpoints = Checkpoints(path / "checkpoints")
        finals.append(checkpoints.restore(target, metrics_bytes=1 << 30))
        checkpoints.close()
    assert finals[0].step == finals[1].step == config.num_steps
    jax.tree.map(np.testing.assert_array_equal, finals[0].state, finals[1].state)
