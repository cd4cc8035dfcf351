"""Training a lazy version of any model, as pure functions of one member."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.harness.members import Hyperparameters, hyperparameters
from experiments.lazy_rich.config import LazyConfig
from experiments.lazy_rich.movement import NUM_PROBES, movement
from experiments.lazy_rich.optimizers import make_optimizer
from models.lazy import lazy
from nap_optax import metrics


class Network(NamedTuple):
    """A network at some step, to be evaluated."""

    params: Any
    initial_params: Any
    predict: Callable[..., jax.Array]
    """Outputs for inputs: scaled by alpha and, if asked for, centred."""


class Problem(Protocol):
    """What differs between tasks."""

    width: int
    """The number of averaged units, else 1: for `lazy_learning_rate`."""

    def data(self, key: jax.Array, hyper: Hyperparameters, *shared: Any) -> Any:
        """Draws the training set and the test set."""
        ...

    def model(self, hyper: Hyperparameters, rngs: nnx.Rngs) -> nnx.Module:
        """The initial network."""
        ...

    def loss(self, predict: Callable[..., jax.Array], data: Any) -> jax.Array:
        """The training loss, shape ()."""
        ...

    def measure(
        self, network: Network, data: Any, hyper: Hyperparameters
    ) -> dict[str, jax.Array]:
        """Scalars that describe a network, `train_loss` and `test_loss` among them."""
        ...

    def probes(self, data: Any) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Inputs and targets of the training set, a row for each example."""
        ...

    def features(self, model: Any, *inputs: jax.Array) -> jax.Array:
        """The last hidden units of a network, a row for each example."""
        ...


class TrainState(NamedTuple):
    """What changes from step to step."""

    params: Any
    opt_state: Any


class Fixed(NamedTuple):
    """What a member keeps from its start to its end."""

    data: Any
    initial_params: Any
    constants: Any  # numbers of the model that are not trained


class Training:
    """Full-batch training of a problem's network."""

    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: LazyConfig, problem: Problem):
        self.config = config
        self.problem = problem
        hyper = hyperparameters(config)
        self._graphdef = nnx.graphdef(
            nnx.eval_shape(lambda: problem.model(hyper, nnx.Rngs(0)))
        )

    def init(
        self, seed: jax.Array, hyper: Hyperparameters, *shared: Any
    ) -> tuple[TrainState, Fixed]:
        """The state of step 0, and the data of one seed."""
        data_key, params_key = keys(seed)
        model = self.problem.model(hyper, nnx.Rngs(params_key))
        _, *states = nnx.split(model, nnx.Param, ...)
        params, constants = map(nnx.to_pure_dict, states)
        opt_state = self._optimizer(hyper).init(params)
        fixed = Fixed(self.problem.data(data_key, hyper, *shared), params, constants)
        return TrainState(params, opt_state), fixed

    def step(
        self, state: TrainState, hyper: Hyperparameters, fixed: Fixed, *shared: Any
    ) -> TrainState:
        """One update with the whole training set."""

        def loss(params: Any) -> jax.Array:
            return self.problem.loss(self._predict(params, hyper, fixed), fixed.data)

        with jax.default_matmul_precision("highest"):
            grads = jax.grad(loss)(state.params)
        updates, opt_state = self._optimizer(hyper).update(
            grads, state.opt_state, state.params
        )
        return TrainState(optax.apply_updates(state.params, updates), opt_state)

    def evaluate(
        self, state: TrainState, hyper: Hyperparameters, fixed: Fixed, *shared: Any
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Scalars that describe a state."""
        network = Network(
            state.params,
            fixed.initial_params,
            self._predict(state.params, hyper, fixed),
        )
        norms = [optax.tree.norm(p) for p in (state.params, fixed.initial_params)]
        with jax.default_matmul_precision("highest"):
            measured = self.problem.measure(network, fixed.data, hyper)
            if self.config.diagnose:
                measured |= self._diagnosis(state, fixed)
        return state, {
            **measured,
            "weight_norm_ratio": norms[0] / norms[1],
            "parameter_movement": metrics.parameter_movement(
                state.params, fixed.initial_params
            ),
        }

    def _diagnosis(self, state: TrainState, fixed: Fixed) -> dict[str, jax.Array]:
        """How far features and kernel have moved, and the size of the last update."""
        inputs, targets = jax.tree.map(
            lambda rows: rows[:NUM_PROBES], self.problem.probes(fixed.data)
        )
        moved = movement(
            lambda params: nnx.merge(self._graphdef, params, fixed.constants),
            self.problem.features,
            (state.params, fixed.initial_params),
            inputs,
            targets,
        )
        relative = optax.tree.get(state.opt_state, "relative_update")
        median = jnp.median(jnp.stack(jax.tree.leaves(relative)))
        return moved | {"relative_update": median}

    def _predict(
        self, params: Any, hyper: Hyperparameters, fixed: Fixed
    ) -> Callable[..., jax.Array]:
        def apply(params: Any, *inputs: jax.Array) -> jax.Array:
            return nnx.merge(self._graphdef, params, fixed.constants)(*inputs)

        scaled = lazy(
            apply, fixed.initial_params, hyper.alpha, center=self.config.center
        )
        return lambda *inputs: scaled(params, *inputs)

    def _optimizer(
        self, hyper: Hyperparameters
    ) -> optax.GradientTransformationExtraArgs:
        return make_optimizer(self.config, hyper, width=self.problem.width)


def keys(seed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Keys of the data and of the initial weights of a seed."""
    data_key, params_key = jax.random.split(jax.random.key(seed))
    return data_key, params_key
