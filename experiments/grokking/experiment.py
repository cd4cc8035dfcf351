"""One config of a grokking run as pure functions: initialise, step, evaluate."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.grokking import diagnostics, losses
from experiments.grokking.config import Config
from experiments.grokking.optimizers import make_optimizer
from experiments.grokking.task import Pairs, Split, labels, split_pairs
from experiments.harness.matrices import of_matrices, scaled_matrices
from experiments.harness.members import Hyperparameters
from models import GrokkingTransformer
from nap_optax import metrics

NUM_FEATURE_PAIRS = 500


class TrainState(NamedTuple):
    """The state of a run, which changes from step to step."""

    params: Any
    opt_state: Any
    reference_params: Any  # at the last evaluation, to measure change
    train_loss: jax.Array  # () before the last update


class Experiment:
    """One config as pure functions of (state, hyper-parameters, split)."""

    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: Config):
        self.config = config
        self._graphdef = nnx.graphdef(
            nnx.eval_shape(lambda: self._new_model(nnx.Rngs(0)))
        )

    def init(self, seed: jax.Array, hyper: Hyperparameters) -> tuple[TrainState, Split]:
        """The state of step 0 and the split of one seed."""
        split_key, params_key = jax.random.split(jax.random.key(seed))
        split = split_pairs(
            split_key, self.config.num_elements, self.config.num_train_pairs
        )
        model = self._new_model(
            nnx.Rngs(params_key), position_scale=hyper.position_scale
        )
        params = scaled_matrices(
            nnx.to_pure_dict(nnx.state(model, nnx.Param)), hyper.radius_multiplier
        )
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
        """Scalars of a state and of the change since the last evaluation."""
        fixed = jax.tree.map(lambda a: a[:: self._feature_stride], split.train)
        now, before = (
            self._model(params).features(fixed.x, fixed.y)
            for params in (state.params, state.reference_params)
        )
        attention = self._model(state.params).attention_weights(fixed.x, fixed.y)
        test_loss, test_accuracy = self._loss_and_accuracy(state.params, split.test)
        matrices = jax.tree.leaves(of_matrices(state.params, state.params))
        relative = of_matrices(
            state.params, optax.tree.get(state.opt_state, "relative_update")
        )
        results = {
            "learning_rate": optax.tree.get(state.opt_state, "last_learning_rate"),
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
            "attention_output_stable_rank": metrics.stable_rank(
                now["attention_output"]
            ),
            "dormant_fraction": metrics.dormant_fraction(now["mlp_hidden"]),
            "weight_norm": optax.tree.norm(matrices),
            "relative_update": jnp.median(jnp.stack(jax.tree.leaves(relative))),
        }
        if self.config.diagnose:
            results |= diagnostics.instability(
                state.params,
                state.opt_state,
                jax.grad(self._loss)(state.params, split.train),
                self._logits(state.params, split.train),
                self._labels(split.train),
                b2=hyper.adam_b2,
                eps=hyper.adam_eps,
            )
        return state._replace(reference_params=state.params), results

    @property
    def _feature_stride(self) -> int:
        # The metrics use fixed points: evenly spaced training pairs.
        return max(1, self.config.num_train_pairs // NUM_FEATURE_PAIRS)

    def _new_model(self, rngs: nnx.Rngs, **numbers: Any) -> GrokkingTransformer:
        return GrokkingTransformer(
            self.config.num_elements,
            num_blocks=self.config.num_blocks,
            num_heads=self.config.num_heads,
            head_dim=self.config.head_dim,
            mlp_dim=self.config.mlp_dim,
            normalize=self.config.normalize,
            rngs=rngs,
            **numbers,
        )

    def _model(self, params: Any) -> GrokkingTransformer:
        return nnx.merge(self._graphdef, params)

    def _loss(self, params: Any, pairs: Pairs) -> jax.Array:
        return self._loss_and_accuracy(params, pairs)[0]

    def _loss_and_accuracy(
        self, params: Any, pairs: Pairs
    ) -> tuple[jax.Array, jax.Array]:
        logits, targets = self._logits(params, pairs), self._labels(pairs)
        cross_entropy = (
            losses.precise_cross_entropy
            if self.config.precise_loss
            else optax.softmax_cross_entropy_with_integer_labels
        )
        accuracy = jnp.mean(jnp.argmax(logits, -1) == targets)
        return cross_entropy(logits, targets).mean(), accuracy

    def _logits(self, params: Any, pairs: Pairs) -> jax.Array:
        logits = self._model(params)(pairs.x, pairs.y)
        most = self.config.max_logit
        return most * jnp.tanh(logits / most) if most else logits

    def _labels(self, pairs: Pairs) -> jax.Array:
        return labels(pairs, self.config.modulus, self.config.operation)
