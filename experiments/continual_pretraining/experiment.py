"""One config of continual pretraining as pure functions: initialise, step, evaluate."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.continual_pretraining.config import EVALUATED_AT_ONCE, Config
from experiments.continual_pretraining.optimizers import (
    make_optimizer,
    rewarms_with_corpus,
)
from experiments.continual_pretraining.task import Texts, draw
from experiments.harness import sweep
from experiments.harness.matrices import layer_values, of_matrices
from experiments.harness.members import Hyperparameters
from models import ByteTransformer


class TrainState(NamedTuple):
    """What changes from step to step."""

    params: Any
    opt_state: Any
    step: jax.Array  # () int32
    loss_sum: jax.Array  # () of the batches since the last evaluation
    num_losses: jax.Array  # () int32


class Experiment:
    """One config as pure functions of (state, hyper-parameters, key, texts)."""

    has_convolutions = False
    compiler_options: Mapping[str, Any] = {}

    def __init__(self, config: Config):
        self.config = config
        self._graphdef = nnx.graphdef(
            nnx.eval_shape(lambda: self._new_model(nnx.Rngs(0)))
        )

    def init(
        self, seed: jax.Array, hyper: Hyperparameters, texts: Texts
    ) -> tuple[TrainState, jax.Array]:
        """The state of step 0, and the key of a seed's batches."""
        del texts
        batch_key, params_key = jax.random.split(jax.random.key(seed))
        model = self._new_model(nnx.Rngs(params_key))
        params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        state = TrainState(
            params=params,
            opt_state=make_optimizer(self.config, hyper).init(params),
            step=jnp.zeros([], jnp.int32),
            loss_sum=jnp.zeros([]),
            num_losses=jnp.zeros([], jnp.int32),
        )
        return state, batch_key

    def step(
        self,
        state: TrainState,
        hyper: Hyperparameters,
        batch_key: jax.Array,
        texts: Texts,
    ) -> TrainState:
        """One update on pieces of the corpus that is there by now."""
        config, step = self.config, state.step
        pieces = draw(
            jax.random.fold_in(batch_key, step),
            texts,
            step // config.phase_steps,
            number=config.batch_size,
            length=config.context + 1,
        )
        loss, grads = jax.value_and_grad(self._loss)(state.params, pieces)
        is_new = step == config.phase_steps
        updates, opt_state = make_optimizer(config, hyper).update(
            grads,
            state.opt_state,
            state.params,
            value=loss,
            rewarm=is_new if rewarms_with_corpus(config) else False,
        )
        return TrainState(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=step + 1,
            loss_sum=state.loss_sum + loss,
            num_losses=state.num_losses + 1,
        )

    def evaluate(
        self,
        state: TrainState,
        hyper: Hyperparameters,
        batch_key: jax.Array,
        texts: Texts,
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """Scalars that describe a state."""
        del hyper, batch_key
        params, opt_state = state.params, state.opt_state
        weights = jax.tree.map(optax.tree.norm, of_matrices(params, params))
        relative = of_matrices(params, optax.tree.get(opt_state, "relative_update"))
        old_loss, new_loss = self._validation_losses(params, texts.validation)
        results = {
            "train_loss": state.loss_sum / jnp.maximum(state.num_losses, 1),
            "old_loss": old_loss,
            "new_loss": new_loss,
            "learning_rate": optax.tree.get(opt_state, "last_learning_rate"),
            "relative_update": jnp.median(jnp.stack(jax.tree.leaves(relative))),
            "weight_norm": optax.tree.norm(jax.tree.leaves(weights)),
            "num_rewarms": optax.tree.get(opt_state, "num_rewarms"),
            "last_rewarm_step": optax.tree.get(opt_state, "last_rewarm_step"),
        }
        for name, tree in {"relative_update": relative, "weight_norm": weights}.items():
            of_layers = layer_values(tree)
            results |= {f"{name}.{layer}": of_layers[layer] for layer in of_layers}
        state = state._replace(
            loss_sum=jnp.zeros_like(state.loss_sum),
            num_losses=jnp.zeros_like(state.num_losses),
        )
        return state, results

    def _new_model(self, rngs: nnx.Rngs) -> ByteTransformer:
        config = self.config
        return ByteTransformer(
            config.context,
            num_blocks=config.num_blocks,
            num_heads=config.num_heads,
            head_dim=config.head_dim,
            mlp_dim=config.mlp_dim,
            rngs=rngs,
        )

    def _loss(self, params: Any, pieces: jax.Array) -> jax.Array:
        return jnp.mean(self._losses(params, pieces))

    def _losses(self, params: Any, pieces: jax.Array) -> jax.Array:
        """Mean cross-entropy of each piece's bytes but the first, shape (n,)."""
        pieces = pieces.astype(jnp.int32)
        logits = nnx.merge(self._graphdef, params)(pieces[:, :-1])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, pieces[:, 1:])
        return jnp.mean(losses, axis=-1)

    def _validation_losses(self, params: Any, pieces: jax.Array) -> jax.Array:
        """Of each corpus, in the order of the run: shape (2,)."""
        of_all = sweep.in_slices(
            lambda some: self._losses(params, some),
            (pieces.reshape(-1, pieces.shape[-1]),),
            size=EVALUATED_AT_ONCE,
            has_convolutions=False,
        )
        return jnp.mean(of_all.reshape(pieces.shape[:2]), axis=1)
