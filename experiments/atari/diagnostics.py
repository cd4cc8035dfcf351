"""Metrics besides scores, which show a collapse."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.atari import exploration, scores
from experiments.atari.agent import Learned
from experiments.atari.config import Config
from experiments.atari.learner import LearnerState
from experiments.atari.scores import Scores
from experiments.harness.matrices import of_matrices
from models.images import Features
from nap_optax import masks, metrics

NUM_DIAGNOSED = 256
"""Number of observations on which features are measured."""


class Sums(NamedTuple):
    """Sums over the updates since metrics were logged."""

    num_updates: jax.Array  # () float32
    loss: jax.Array  # () float32: sum of the updates' means
    td_error: jax.Array  # () float32: likewise, of its size
    value: jax.Array  # () float32: likewise, of actions that were taken


def no_sums() -> Sums:
    """Sums of no updates, with a buffer for each because they are donated."""
    return Sums(*(jnp.zeros([]) for _ in Sums._fields))


def added(sums: Sums, learned: Learned) -> Sums:
    """The sums with one more update."""
    return Sums(
        num_updates=sums.num_updates + 1,
        loss=sums.loss + jnp.mean(learned.losses),
        td_error=sums.td_error + jnp.mean(jnp.abs(learned.td_errors)),
        value=sums.value + jnp.mean(learned.values),
    )


def of_run(
    config: Config,
    round_: jax.Array,
    learner: LearnerState,
    played: Scores,
    sums: Sums,
    *,
    features: Features,
) -> dict[str, jax.Array]:
    """Scores, and metrics that show whether the network has collapsed."""
    return {
        "frames": round_ * config.round_frames,
        "updates": learner.num_updates,
        "mean_return_last_100_episodes": scores.mean_of_last(played),
        "num_episodes": played.num_episodes,
        "epsilon": exploration.epsilon(config, round_),
        **of_updates(sums),
        **of_weights(learner.params, learner.opt_state),
        **of_features(features),
    }


def of_updates(sums: Sums) -> dict[str, jax.Array]:
    """Means over the updates since metrics were logged; 0 without updates."""
    num = jnp.maximum(sums.num_updates, 1)
    return {
        "train_loss": sums.loss / num,
        "td_error": sums.td_error / num,
        "value": sums.value / num,
    }


def of_weights(params: Any, opt_state: Any) -> dict[str, jax.Array]:
    """Norms of the matrices, and the relative size of the last update of each."""
    norms = _by_layer(jax.tree.map(optax.tree.norm, of_matrices(params, params)))
    relative = _by_layer(
        of_matrices(params, optax.tree.get(opt_state, "relative_update"))
    )
    return {
        "learning_rate": optax.tree.get(opt_state, "last_learning_rate"),
        "num_rewarms": optax.tree.get(opt_state, "num_rewarms"),
        "weight_norm": optax.tree.norm(list(norms.values())),
        **{f"weight_norm.{layer}": norm for layer, norm in norms.items()},
        **{f"relative_update.{layer}": ratio for layer, ratio in relative.items()},
    }


def of_features(features: Features) -> dict[str, jax.Array]:
    """Norms, dormant units and effective rank of the layers on some observations."""
    results = {}
    for name, units in features.items():
        rows = units.reshape(len(units), -1)
        results[f"feature_norm.{name}"] = jnp.mean(jnp.linalg.norm(rows, axis=1))
        results[f"dormant_fraction.{name}"] = metrics.dormant_fraction(units)
        if units.ndim == 2:
            results[f"effective_rank.{name}"] = metrics.effective_rank(units)
    return results


def _by_layer(tree: Any) -> dict[str, jax.Array]:
    """Leaves by the names of their layers: `conv_0`, `advantages.hidden.noise`."""
    return {
        masks.path_name(path)
        .removeprefix("torso/")
        .replace("/kernel", "")
        .replace("/noise_kernel", "/noise")
        .replace("/", "."): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
