"""Trains one arm: the optimizer, a step, an evaluation and the run as a whole.

Numbers that a sweep may batch (`Hyperparameters`) are traced, so one compilation serves
all of them; what shapes the program stays in the `Config`.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import nap_optax
from experiments.grokking.config import Config
from experiments.grokking.task import Pairs, Split, labels, split_pairs
from experiments.harness import loop, sweep
from experiments.harness.run_directory import RunDirectory, default_path
from experiments.harness.session import run_to_end
from models import GrokkingTransformer
from nap_optax import metrics, schedules

NUM_FEATURE_PAIRS = 500
LATE_EVALUATIONS = 10
# What may differ between a run and its continuation without changing a result.
IGNORED = ("run_directory", "checkpoint_seconds")


class Hyperparameters(NamedTuple):
    """The numbers of a run that a sweep may batch, each of shape () or (members,)."""

    learning_rate: Any
    low_learning_rate: Any
    warmup_steps: Any
    delay_steps: Any
    cycle_steps: Any
    cooldown_steps: Any
    weight_decay: Any
    scale_decay: Any


class TrainState(NamedTuple):
    """What changes from step to step."""

    params: Any
    opt_state: Any
    reference_params: Any  # at the evaluation before, to measure change against
    train_loss: jax.Array  # () before the last update


def hyperparameters(config: Config) -> Hyperparameters:
    """The numbers of one config."""
    return Hyperparameters(
        *(np.asarray(getattr(config, name)) for name in Hyperparameters._fields)
    )


def make_schedule(config: Config, hyper: Hyperparameters) -> optax.Schedule:
    """The learning rate as a function of the update, after the delay."""
    peak, low = hyper.learning_rate, hyper.low_learning_rate
    match config.schedule:
        case "constant":
            # Without a cool-down it would fall after the last update.
            schedule = schedules.warmup_stable_decay(
                peak,
                warmup_steps=hyper.warmup_steps,
                stable_steps=jnp.maximum(
                    hyper.cycle_steps - hyper.warmup_steps - hyper.cooldown_steps, 0
                ),
                cooldown_steps=hyper.cooldown_steps,
                end_value=low,
            )
        case "cosine":
            schedule = schedules.warmup_cosine_decay(
                peak,
                warmup_steps=hyper.warmup_steps,
                decay_steps=hyper.cycle_steps,
                end_value=low,
            )
        case "cyclic":
            schedule = schedules.cyclic(
                peak,
                period=hyper.cycle_steps,
                warmup_fraction=hyper.warmup_steps / hyper.cycle_steps,
                floor=low,
                num_cycles=config.num_cycles,
            )
    return schedules.delayed(schedule, hyper.delay_steps, low)


def make_optimizer(
    config: Config, hyper: Hyperparameters
) -> optax.GradientTransformationExtraArgs:
    """Direction, decay, schedule and projection, in this order."""
    direction = optax.identity() if config.optimizer == "sgd" else optax.scale_by_adam()
    decayed = None if config.optimizer == "adamw" else nap_optax.masks.matrices
    return optax.chain(
        direction,
        optax.add_decayed_weights(hyper.weight_decay, mask=decayed),
        nap_optax.decay_scales(hyper.scale_decay)
        if config.normalize
        else optax.identity(),
        nap_optax.scale_by_rewarming(make_schedule(config, hyper)),
        nap_optax.project_weights(every=config.project_every)
        if config.project
        else optax.identity(),
    )


class Experiment:
    """One config as pure functions of (state, hyper-parameters, split)."""

    def __init__(self, config: Config):
        self.config = config
        self._graphdef = nnx.graphdef(
            nnx.eval_shape(lambda: self._new_model(nnx.Rngs(0)))
        )

    def init(self, seed: jax.Array, hyper: Hyperparameters) -> tuple[TrainState, Split]:
        """The state of step 0 and the split of one seed."""
        split_key, params_key = jax.random.split(jax.random.key(seed))
        split = split_pairs(split_key, self.config.modulus, self.config.num_train_pairs)
        model = self._new_model(nnx.Rngs(params_key))
        params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        opt_state = make_optimizer(self.config, hyper).init(params)
        return TrainState(params, opt_state, params, jnp.zeros([])), split

    def step(
        self, state: TrainState, hyper: Hyperparameters, split: Split
    ) -> TrainState:
        """One full-batch update."""
        tx = make_optimizer(self.config, hyper)
        loss, grads = jax.value_and_grad(self._loss)(state.params, split.train)
        updates, opt_state = tx.update(grads, state.opt_state, state.params, value=loss)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, opt_state=opt_state, train_loss=loss)

    def evaluate(
        self, state: TrainState, hyper: Hyperparameters, split: Split
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Scalars that describe a state, and the change since the last evaluation."""
        del hyper
        fixed = jax.tree.map(lambda a: a[:: self._feature_stride], split.train)
        now, before = (
            self._model(params).features(fixed.x, fixed.y)
            for params in (state.params, state.reference_params)
        )
        attention = self._model(state.params).attention_weights(fixed.x, fixed.y)
        test_loss, test_accuracy = self._loss_and_accuracy(state.params, split.test)
        matrices = [w for w in jax.tree.leaves(state.params) if w.ndim >= 2]
        results = {
            "learning_rate": optax.tree.get(state.opt_state, "learning_rate"),
            "train_loss": state.train_loss,
            "train_accuracy": self._loss_and_accuracy(state.params, split.train)[1],
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "feature_covariance_change": metrics.feature_covariance_change(
                before["mlp_hidden"], now["mlp_hidden"]
            ),
            "activation_pattern_change": metrics.activation_pattern_change(
                before["mlp_hidden"], now["mlp_hidden"]
            ),
            "attention_entropy": metrics.attention_entropy(attention),
            "attention_output_rank": metrics.effective_rank(now["attention_output"]),
            "dormant_fraction": metrics.dormant_fraction(now["mlp_hidden"]),
            "weight_norm": optax.tree.norm(matrices),
        }
        return state._replace(reference_params=state.params), results

    @property
    def _feature_stride(self) -> int:
        # The fixed points of the metrics: evenly spaced training pairs.
        return max(1, self.config.num_train_pairs // NUM_FEATURE_PAIRS)

    def _new_model(self, rngs: nnx.Rngs) -> GrokkingTransformer:
        return GrokkingTransformer(
            self.config.modulus,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            mlp_dim=self.config.mlp_dim,
            normalize=self.config.normalize,
            rngs=rngs,
        )

    def _model(self, params: Any) -> GrokkingTransformer:
        return nnx.merge(self._graphdef, params)

    def _loss(self, params: Any, pairs: Pairs) -> jax.Array:
        return self._loss_and_accuracy(params, pairs)[0]

    def _loss_and_accuracy(
        self, params: Any, pairs: Pairs
    ) -> tuple[jax.Array, jax.Array]:
        logits = self._model(params)(pairs.x, pairs.y)
        targets = labels(pairs, self.config.modulus)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return losses.mean(), jnp.mean(jnp.argmax(logits, -1) == targets)


class Members(NamedTuple):
    """What a batch of runs starts from; every leaf has the members' axis."""

    state: TrainState
    hyper: Hyperparameters
    split: Split


def init_members(
    experiment: Experiment, seeds: Sequence[int], hypers: Sequence[Hyperparameters]
) -> Members:
    """Initialises a batch of runs, one for each pair of seed and numbers."""
    hyper = sweep.stack(list(hypers))
    init = jax.jit(sweep.batch(experiment.init))
    state, split = init(jnp.asarray(seeds), hyper)
    return Members(state, hyper, split)


def run_members(
    run: RunDirectory,
    experiment: Experiment,
    members: Members,
    member_labels: Sequence[Mapping[str, Any]],
    *,
    num_steps: int,
    start_step: int = 0,
) -> tuple[TrainState, dict[str, float | None]]:
    """Trains a batch to its last step; returns the final states and the times."""
    chunk = loop.compile_chunk(experiment.step, experiment.evaluate, in_axes=(0, 0, 0))
    return run_to_end(
        run,
        chunk,
        *members,
        num_steps=num_steps,
        steps_per_chunk=experiment.config.eval_every,
        labels=member_labels,
        start_step=start_step,
        shown=("train_accuracy", "test_accuracy"),
    )


def train(config: Config) -> tuple[Path, list[dict[str, Any]]]:
    """Runs a config, or continues or only reports it, whatever its directory holds.

    Returns:
      The run's directory, and a summary for each seed.
    """
    from experiments.grokking import figures

    path = config.run_directory or default_path("grokking", config, IGNORED)
    with RunDirectory(
        path, config, ignored=IGNORED, checkpoint_seconds=config.checkpoint_seconds
    ) as run:
        if run.summary is None:
            experiment = Experiment(config)
            seeds = range(config.seed, config.seed + config.num_seeds)
            members = init_members(
                experiment, seeds, [hyperparameters(config)] * len(seeds)
            )
            _, totals = run_members(
                run,
                experiment,
                members,
                [{"seed": seed} for seed in seeds],
                num_steps=config.num_steps,
            )
            rows = run.rows()
            run.finish([{"seed": s, **summarize(rows, s), **totals} for s in seeds])
        figures.draw_run(run.rows(), config, path / "grokking.png")
        return path, run.summary


def summarize(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """When a seed generalised, and where it ended.

    Late networks dip now and then, so the end is judged by the median of the last
    evaluations as well.
    """
    own = [row for row in rows if row["seed"] == seed]
    late = [row["test_accuracy"] for row in own[-LATE_EVALUATIONS:]]
    return {
        "final_train_accuracy": own[-1]["train_accuracy"],
        "final_test_accuracy": own[-1]["test_accuracy"],
        "median_late_test_accuracy": statistics.median(late),
        "first_step_test_accuracy_99": first_generalised(own),
    }


def first_generalised(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The first evaluated step with a test accuracy of .99 or more, if there is one."""
    return next((row["step"] for row in rows if row["test_accuracy"] >= 0.99), None)
