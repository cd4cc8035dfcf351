"""Runs on the polynomial task as pure functions: by moments, or by units' weights."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.harness.members import Hyperparameters
from experiments.lazy_rich import training
from experiments.lazy_rich.polynomial import moments, theory
from experiments.lazy_rich.polynomial.config import Config
from experiments.lazy_rich.polynomial.moments import Moments, Start
from experiments.lazy_rich.polynomial.task import Task, draw_task, target_matrix
from experiments.lazy_rich.training import Network, Training
from models import CommitteeMachine


class State(NamedTuple):
    """The state of a step. A checkpoint needs a tuple, not an array alone."""

    moved: jax.Array  # (n, D), the weights of few units less those at first


class Fixed(NamedTuple):
    """What a member keeps from its start to its end."""

    task: Task
    initial: Moments
    start: Start


def experiment(config: Config) -> "ByMoments | Training":
    """The experiment of a config."""
    return ByMoments(config) if config.by_moments else Training(config, Units(config))


class ByMoments:
    """Gradient descent on the moments of the units' weights."""

    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: Config):
        self.config = config

    def init(self, seed: jax.Array, hyper: Hyperparameters) -> tuple[State, Fixed]:
        """The state of step 0, and the data of one seed."""
        data_key, params_key = training.keys(seed)
        units = Units(self.config)
        model = units.model(hyper, nnx.Rngs(params_key))
        task = units.data(data_key, hyper)
        weights = model.hidden.kernel[...] + solution(task, self.config.width, hyper)
        with jax.default_matmul_precision("highest"):
            start = moments.start(weights, task.inputs, hyper.epsilon)
            initial = moments.moments_of(weights)
        return State(moments.unchanged(start)), Fixed(task, initial, start)

    def step(self, state: State, hyper: Hyperparameters, fixed: Fixed) -> State:
        """One update with the whole training set."""
        with jax.default_matmul_precision("highest"):
            hidden = state.moved @ fixed.task.inputs.T
            moved = moments.descend(
                state.moved,
                hidden,
                fixed.task.inputs,
                self._residuals(hidden, hyper, fixed),
                fixed.start,
                alpha=hyper.alpha,
                epsilon=hyper.epsilon,
                base_rate=hyper.learning_rate,
            )
        return State(moved)

    def evaluate(
        self, state: State, hyper: Hyperparameters, fixed: Fixed
    ) -> tuple[State, dict[str, jax.Array]]:
        """Scalars that describe a state."""
        moved = state.moved
        with jax.default_matmul_precision("highest"):
            change = moments.change(moved, fixed.start)
            residuals = self._residuals(moved @ fixed.task.inputs.T, hyper, fixed)
            measured = averages(
                change, fixed.initial, fixed.task, hyper, center=self.config.center
            ) | alignments(fixed.initial, change, fixed.task, hyper)
        initial = jnp.trace(fixed.initial.second)
        return state, {
            "train_loss": jnp.mean(jnp.square(residuals / hyper.label_scale)),
            **measured,
            "weight_norm_ratio": jnp.sqrt(1 + jnp.trace(change.second) / initial),
            "parameter_movement": jnp.sqrt(jnp.sum(jnp.square(moved)) / initial),
        }

    def _residuals(
        self, hidden: jax.Array, hyper: Hyperparameters, fixed: Fixed
    ) -> jax.Array:
        """Targets minus outputs, from the change of the pre-activations."""
        return fixed.task.targets - moments.outputs(
            hidden,
            fixed.start,
            hyper.alpha,
            hyper.epsilon,
            center=self.config.center,
        )


class Units:
    """The same task as a problem for any optimizer: a `training.Problem`."""

    def __init__(self, config: Config):
        self.config = config
        self.width = config.width

    def data(self, key: jax.Array, hyper: Hyperparameters) -> Task:
        """Draws directions and training examples."""
        config = self.config
        return draw_task(
            key,
            config.dimension,
            config.num_train,
            config.num_directions,
            hyper.label_scale,
        )

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> CommitteeMachine:
        """The initial network."""
        return CommitteeMachine(
            self.config.dimension,
            self.config.width,
            epsilon=hyper.epsilon,
            readouts=self.config.readouts,
            weight_scale=hyper.weight_scale,
            rngs=rngs,
        )

    def loss(self, predict: Callable[..., jax.Array], data: Task) -> jax.Array:
        """The mean squared error."""
        return jnp.mean(jnp.square(data.targets - predict(data.inputs)))

    def measure(
        self, network: Network, data: Task, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Losses, and the metrics of the theory."""
        initial, now = (
            moments.moments_of(params["hidden"]["kernel"], params.get("readouts"))
            for params in (network.initial_params, network.params)
        )
        change = jax.tree.map(jnp.subtract, now, initial)
        measured = averages(change, initial, data, hyper, center=self.config.center)
        if not self.config.readouts:  # their kernel has further terms
            measured |= alignments(initial, change, data, hyper)
        loss = self.loss(network.predict, data) / jnp.square(hyper.label_scale)
        return {"train_loss": loss, **measured}

    def probes(self, data: Task) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Inputs and targets of the training set."""
        return (data.inputs,), data.targets

    def features(self, model: CommitteeMachine, *inputs: jax.Array) -> jax.Array:
        """The units before their curvature."""
        return model.hidden(*inputs)


def solution(task: Task, width: int, hyper: Hyperparameters) -> jax.Array:
    r"""The asked share of weights that solve the task, shape (D, N); else zeros.

    Half of the units have :math:`\beta / \sqrt{\alpha \varepsilon}`, half its
    negative: then :math:`\alpha \varepsilon M = \beta \beta^\top` and the mean is 0.
    """
    signs = jnp.where(jnp.arange(width) % 2 == 0, 1.0, -1.0)
    # Without curvature no weights solve the task, and the share is 0.
    scale = jnp.sqrt(jnp.maximum(hyper.alpha * hyper.epsilon, 1e-12))
    return hyper.solution_share / scale * jnp.outer(task.directions[0], signs)


def averages(
    change: Moments,
    initial: Moments,
    task: Task,
    hyper: Hyperparameters,
    *,
    center: bool,
) -> dict[str, jax.Array]:
    """The test loss and its terms, over the square of the label scale."""
    square = jnp.square(hyper.label_scale)
    seen = change if center else moments.added(initial, change)
    target = target_matrix(task.directions)
    terms = theory.loss_terms(seen, target, hyper.alpha, hyper.epsilon)
    return {
        "test_loss": terms.total / square,
        "test_variance": terms.variance / square,
        "test_misalignment": terms.misalignment / square,
        "test_linear": terms.linear / square,
    }


def alignments(
    initial: Moments, change: Moments, task: Task, hyper: Hyperparameters
) -> dict[str, jax.Array]:
    """Alignments of the tangent kernel with the target, for readouts of 1."""
    now, target = moments.added(initial, change), target_matrix(task.directions)
    return {
        "kernel_alignment": theory.alignment(now, target, hyper.epsilon),
        "kernel_alignment_centered": theory.alignment(
            now, target, hyper.epsilon, centered=True
        ),
    }
