"""One config of a warm-start run as pure functions: initialise, step, evaluate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.harness import backend, sweep
from experiments.harness.matrices import layer_values, of_matrices, scaled_matrices
from experiments.harness.members import Hyperparameters
from experiments.warm_start import task
from experiments.warm_start.config import Config
from experiments.warm_start.optimizers import (
    change_weights,
    changes_weights,
    make_optimizer,
    rewarms_with_data,
)
from experiments.warm_start.task import Arrays, Draw, Split
from models import CifarCNN, ResNet18
from models.images import ImageClassifier
from nap_optax import metrics

NUM_FIXED_POINTS = 1000
EVALUATED_AT_ONCE = 500
DOWNSAMPLING: dict[str, dict[str, Any]] = {
    "strides": {"strides": (2, 2, 1)},
    "max_pool": {"strides": (1, 1, 1), "windows": (2, 2, 1)},
}
"""Arguments of the CNN."""
FEATURES = {"cnn": "hidden", "resnet18": "block_7"}
"""The layer for the change of features: the last one before the output layer."""


class TrainState(NamedTuple):
    """The state of a run, which changes from step to step."""

    params: Any
    opt_state: Any
    step: jax.Array  # () int32
    draw: Draw
    loss_sum: jax.Array  # () of the batches since the last evaluation
    num_losses: jax.Array  # () int32
    reference: jax.Array  # (points, ..., units) features at the last evaluation


class Experiment:
    """One config as pure functions of (state, hyper-parameters, split, arrays)."""

    has_convolutions = True

    def __init__(self, config: Config):
        self.config = config
        model = nnx.eval_shape(lambda: self._new_model(nnx.Rngs(0)))
        self._graphdef = nnx.graphdef(model)
        self.compiler_options = backend.convolution_options(
            backend.narrowest_convolution(nnx.state(model))
        )

    def init(
        self, seed: jax.Array, hyper: Hyperparameters, arrays: Arrays
    ) -> tuple[TrainState, Split]:
        """The state of step 0 and the split of one seed."""
        split_key, params_key = jax.random.split(jax.random.key(seed))
        split = task.make_split(
            split_key,
            arrays,
            num_train=self.config.num_train,
            num_classes=self.config.spec.num_classes,
            label_noise=hyper.label_noise,
        )
        params = self._fresh_params(params_key, hyper)
        state = TrainState(
            params=params,
            opt_state=make_optimizer(self.config, hyper).init(params),
            step=jnp.zeros([], jnp.int32),
            draw=task.start(self.config.num_train),
            loss_sum=jnp.zeros([]),
            num_losses=jnp.zeros([], jnp.int32),
            reference=self._fixed_points(params, split, arrays)[1],
        )
        return state, split

    def step(
        self, state: TrainState, hyper: Hyperparameters, split: Split, arrays: Arrays
    ) -> TrainState:
        """One update on the next batch."""
        config, step = self.config, state.step
        is_new_phase = step % config.phase_steps == 0
        data_arrive = is_new_phase & (step > 0)
        key = jax.random.fold_in(split.key, step)
        order_key, augment_key, fresh_key = jax.random.split(key, 3)
        draw, batch = task.next_batch(
            state.draw,
            order_key,
            hyper.examples_by_phase[step // config.phase_steps],
            is_new_phase=is_new_phase,
            batch_size=config.batch_size,
        )
        images = arrays.train_images[split.rows[batch]]
        if config.augment:
            images = task.augment(augment_key, images)
        params = state.params
        if changes_weights(config):
            params = jax.lax.cond(
                data_arrive,
                lambda params: change_weights(
                    config, hyper, params, self._fresh_params(fresh_key, hyper)
                ),
                lambda params: params,
                params,
            )
        loss, grads = jax.value_and_grad(self._loss)(
            params, images, split.labels[batch]
        )
        updates, opt_state = make_optimizer(config, hyper).update(
            grads,
            state.opt_state,
            params,
            value=loss,
            rewarm=data_arrive if rewarms_with_data(config) else False,
        )
        return state._replace(
            params=optax.apply_updates(params, updates),
            opt_state=opt_state,
            step=step + 1,
            draw=draw,
            loss_sum=state.loss_sum + loss,
            num_losses=state.num_losses + 1,
        )

    def evaluate(
        self, state: TrainState, hyper: Hyperparameters, split: Split, arrays: Arrays
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Scalars of a state and of the change since the last evaluation."""
        config, params = self.config, state.params
        phase = jnp.maximum(state.step - 1, 0) // config.phase_steps
        num_available = hyper.examples_by_phase[phase]
        train_accuracy, features, changes = self.changes(
            state, split, arrays, num_available
        )
        weights = layer_values(
            jax.tree.map(optax.tree.norm, of_matrices(params, params))
        )
        relative = layer_values(optax.tree.get(state.opt_state, "relative_update"))
        relative = {layer: relative[layer] for layer in weights}
        update_norms = [relative[layer] * weights[layer] for layer in weights]
        results = {
            "train_loss": state.loss_sum / jnp.maximum(state.num_losses, 1),
            "train_accuracy": train_accuracy,
            "test_accuracy": self._test_accuracy(params, arrays),
            "num_available": num_available,
            **changes,
            "dormant_fraction": metrics.dormant_fraction(features),
            "weight_norm": optax.tree.norm(list(weights.values())),
            "update_norm": optax.tree.norm(update_norms),
            "learning_rate": optax.tree.get(state.opt_state, "last_learning_rate"),
            "num_rewarms": optax.tree.get(state.opt_state, "num_rewarms"),
            "last_rewarm_step": optax.tree.get(state.opt_state, "last_rewarm_step"),
            **{f"weight_norm.{layer}": norm for layer, norm in weights.items()},
            **{f"relative_update.{layer}": ratio for layer, ratio in relative.items()},
        }
        state = state._replace(
            loss_sum=jnp.zeros_like(state.loss_sum),
            num_losses=jnp.zeros_like(state.num_losses),
            reference=features,
        )
        return state, results

    def changes(
        self,
        state: TrainState,
        split: Split,
        arrays: Arrays,
        num_available: Any = NUM_FIXED_POINTS,
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Accuracy on the fixed points, their features, and how these changed.

        A part of `evaluate`, whose time `benchmarks.images.metrics` measures.
        """
        accuracy, features = self._fixed_points(
            state.params, split, arrays, num_available
        )
        results = {
            "feature_covariance_change": metrics.feature_covariance_change(
                _pooled(state.reference), _pooled(features)
            ),
            "activation_pattern_change": metrics.activation_pattern_change(
                _flat(state.reference), _flat(features)
            ),
        }
        return accuracy, features, results

    def _new_model(self, rngs: nnx.Rngs) -> ImageClassifier:
        config = self.config
        sizes = config.spec.image_shape, config.spec.num_classes
        match config.model:
            case "cnn":
                return CifarCNN(
                    *sizes,
                    **DOWNSAMPLING[config.downsampling],
                    normalize_hidden=config.normalize_hidden,
                    offsets=config.offsets,
                    rngs=rngs,
                )
            case "resnet18":
                return ResNet18(*sizes, rngs=rngs)

    def _fresh_params(self, key: jax.Array, hyper: Hyperparameters) -> Any:
        model = self._new_model(nnx.Rngs(key))
        return scaled_matrices(
            nnx.to_pure_dict(nnx.state(model, nnx.Param)), hyper.radius_multiplier
        )

    def _model(self, params: Any) -> ImageClassifier:
        return nnx.merge(self._graphdef, params)

    def _inputs(self, images: jax.Array) -> jax.Array:
        return task.to_inputs(images, self.config.spec.mean, self.config.spec.std)

    def _loss(self, params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
        logits = self._model(params).apply_in_slices(
            self._inputs(images), backend.examples_at_once(len(images))
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    def _fixed_points(
        self,
        params: Any,
        split: Split,
        arrays: Arrays,
        num_available: Any = NUM_FIXED_POINTS,
    ) -> tuple[jax.Array, jax.Array]:
        """Accuracy on the fixed points that are available, and the features of all."""
        points = min(NUM_FIXED_POINTS, self.config.num_train)
        images = arrays.train_images[split.rows[:points]]
        logits, features = self._forward(params, images)
        right = jnp.argmax(logits, -1) == split.labels[:points]
        available = jnp.arange(points) < num_available
        return (
            jnp.sum(right & available) / jnp.sum(available),
            features,
        )

    def _test_accuracy(self, params: Any, arrays: Arrays) -> jax.Array:
        logits, _ = self._forward(params, arrays.test_images)
        return jnp.mean(jnp.argmax(logits, -1) == arrays.test_labels)

    def _forward(self, params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logits, and features for the measure of change, some images at a time."""
        model = self._model(params)

        def some(images: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits, features = model.logits_and_features(self._inputs(images))
            return logits, features[FEATURES[self.config.model]]

        return sweep.in_slices(
            some, (images,), size=EVALUATED_AT_ONCE, has_convolutions=True
        )


def _pooled(features: jax.Array) -> jax.Array:
    """The inputs of the output layer: the mean over positions, if there are any."""
    return jnp.mean(features, axis=tuple(range(1, features.ndim - 1)))


def _flat(features: jax.Array) -> jax.Array:
    return features.reshape(len(features), -1)
