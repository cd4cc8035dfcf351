"""The transformations that the contract suite checks, each with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import optax

import nap_optax
from nap_optax import masks, schedules

Tx = optax.GradientTransformationExtraArgs


@dataclass(frozen=True)
class Case:
    """A public transformation, with the arguments to try it with."""

    name: str
    factory: Callable[..., Tx]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    # Extra arguments of `update`.
    update_kwargs: Mapping[str, Any] = field(default_factory=dict)
    # What `optax.inject_hyperparams` must be told not to turn into arrays.
    static_args: tuple[str, ...] = ()
    # The transformation as a function of one number, which may be traced.
    sweep: Callable[[Any], Tx] | None = None
    needs_params: bool = True
    # Communication of one update when parameters are sharded, at the most: operations,
    # not leaves.
    all_reduces: int = 0
    skips: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> Tx:
        return self.factory(**self.arguments)


def public_transformations() -> set[str]:
    """The names of all functions of the library that return a transformation."""
    return {
        name
        for name in nap_optax.__all__
        if inspect.isfunction(function := getattr(nap_optax, name))
        and "GradientTransformation"
        in str(inspect.signature(function).return_annotation)
    }


def standard_promotion() -> Any:
    """For optax's and flax's own arithmetic, which mixes dtypes."""
    return jax.numpy_dtype_promotion("standard")


def relaxed_adam() -> optax.GradientTransformation:
    inner = optax.scale_by_adam(eps_root=1e-8)  # without, no derivative at zero

    def update_fn(updates: Any, state: Any, params: Any = None) -> Any:
        with standard_promotion():
            return inner.update(updates, state, params)

    return optax.GradientTransformation(inner.init, update_fn)


def decaying(peak_value: Any) -> optax.Schedule:
    return schedules.warmup_cosine_decay(peak_value, warmup_steps=0, decay_steps=8)


NO_NUMBER = {
    "concrete_hyperparameter_under_jit": "it has no numeric argument",
    "vmap_over_hyperparameters": "it has no numeric argument",
    "donation_spares_hyperparameters": "it has no numeric argument",
}
ADAM = {"none_gradients": "optax.scale_by_adam refuses a gradient that is None"}
NO_MEMBER = "a group is projected as one: refused, with its own test"
NO_VALUE = {"linen_train_state": "TrainState cannot pass the value it needs"}
PROJECTION_STATIC = ("granularity", "mask", "groups", "layer_axes", "every")
REWARMING_STATIC = ("schedule", "detector", "flip_sign")
NAP_STATIC = (
    "inner",
    "learning_rate",
    "detector",
    "mask",
    "every",
    "radius",
    "granularity",
    "groups",
    "layer_axes",
    "reset_inner",
)
HYPERBALL_STATIC = (
    *("inner", "detector", "mask", "every"),
    *("granularity", "groups", "layer_axes"),
)
LEAF_BY_LEAF_STATIC = ("inner", "leaves_at_once")
SIGNAL = {"value": 1.5, "rewarm": True}
# Some leaves, but not all, of every tree that the checks use.
OUTPUT = masks.by_path([(".*bias|.*gain", True), (".*", False)])

CASES = [
    Case(
        "project_weights-leaf",
        nap_optax.project_weights,
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "project_weights-unit",
        nap_optax.project_weights,
        {"granularity": "unit"},
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "project_weights-axes",
        nap_optax.project_weights,
        {
            "granularity": masks.by_path(
                [(".*kernel", (0, -1)), (".*", "leaf")], strict=False
            )
        },
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "project_weights-groups",
        nap_optax.project_weights,
        {"groups": lambda tree: jax.tree.map(lambda _: "all", tree)},
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER | {"none_gradients": NO_MEMBER},
    ),
    Case(
        "project_weights-siblings",
        nap_optax.project_weights,
        {"groups": masks.siblings(".*(bias|scale|gain)"), "granularity": "unit"},
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "project_weights-every4",
        nap_optax.project_weights,
        {"every": 4},
        static_args=PROJECTION_STATIC,
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "project_weights-radius",
        nap_optax.project_weights,
        {"radius": 2.0},
        static_args=PROJECTION_STATIC,
        sweep=nap_optax.project_weights,
        all_reduces=1,
    ),
    Case(
        "project_weights-by_path",
        nap_optax.project_weights,
        {
            "radius": 2.0,
            "mask": masks.by_path(
                [(".*kernel", True), (".*gain", True), (".*", False)], strict=False
            ),
        },
        static_args=PROJECTION_STATIC,
        sweep=lambda radius: nap_optax.project_weights(
            radius, mask=masks.by_path([("block/.*", True), ("head/.*", False)])
        ),
        all_reduces=1,
    ),
    Case(
        "scale_by_rewarming-none",
        nap_optax.scale_by_rewarming,
        {"schedule": decaying(0.1)},
        SIGNAL,
        REWARMING_STATIC,
        sweep=lambda peak: nap_optax.scale_by_rewarming(decaying(peak)),
        needs_params=False,
    ),
    Case(
        "scale_by_rewarming-every",
        nap_optax.scale_by_rewarming,
        {"schedule": decaying(0.1), "detector": nap_optax.every(2)},
        {"value": 1.5},
        REWARMING_STATIC,
        sweep=lambda period: nap_optax.scale_by_rewarming(
            decaying(0.1), nap_optax.every(period)
        ),
        needs_params=False,
    ),
    Case(
        "scale_by_rewarming-on_signal",
        nap_optax.scale_by_rewarming,
        {
            "schedule": decaying(0.1),
            "detector": nap_optax.on_signal(),
            "flip_sign": False,
        },
        SIGNAL,
        REWARMING_STATIC,
        sweep=lambda rate: nap_optax.scale_by_rewarming(
            optax.constant_schedule(rate), flip_sign=False
        ),
        needs_params=False,
    ),
    Case(
        "scale_by_rewarming-cusum",
        nap_optax.scale_by_rewarming,
        {"schedule": decaying(0.1), "detector": nap_optax.cusum()},
        {"value": 1.5},
        REWARMING_STATIC,
        sweep=lambda threshold: nap_optax.scale_by_rewarming(
            decaying(0.1), nap_optax.cusum(threshold)
        ),
        needs_params=False,
        skips=NO_VALUE,
    ),
    Case(
        "restart-page_hinkley",
        nap_optax.restart,
        {
            "inner": relaxed_adam(),
            "detector": nap_optax.page_hinkley(direction="both"),
        },
        {"value": 1.5},
        ("inner", "detector"),
        sweep=lambda threshold: nap_optax.restart(
            relaxed_adam(), nap_optax.page_hinkley(threshold)
        ),
        skips=ADAM | NO_VALUE,
    ),
    Case(
        "restart-every",
        nap_optax.restart,
        {"inner": relaxed_adam(), "detector": nap_optax.every(2)},
        {"value": 1.5},
        ("inner", "detector"),
        sweep=lambda period: nap_optax.restart(relaxed_adam(), nap_optax.every(period)),
        skips=ADAM,
    ),
    Case(
        "restart-on_signal",
        nap_optax.restart,
        {"inner": relaxed_adam()},
        SIGNAL,
        ("inner", "detector"),
        skips=NO_NUMBER | ADAM,
    ),
    Case(
        "decay_scales",
        nap_optax.decay_scales,
        {"decay": 0.3},
        static_args=("mask",),
        sweep=nap_optax.decay_scales,
    ),
    Case(
        "l2_init",
        nap_optax.l2_init,
        {"strength": 0.3},
        static_args=("mask",),
        sweep=nap_optax.l2_init,
    ),
    Case(
        "l2_init-by_path",
        nap_optax.l2_init,
        {"strength": 0.3, "mask": OUTPUT},
        static_args=("mask",),
        sweep=lambda strength: nap_optax.l2_init(strength, mask=OUTPUT),
    ),
    Case(
        "spectral_regularization",
        nap_optax.spectral_regularization,
        {"strength": 0.001},
        static_args=("mask",),
        sweep=lambda exponent: nap_optax.spectral_regularization(0.001, exponent),
        # One for each of the two products of a power iteration.
        all_reduces=2,
    ),
    Case(
        "clip_weights",
        nap_optax.clip_weights,
        {"multiplier": 1.5},
        static_args=("mask",),
        sweep=nap_optax.clip_weights,
    ),
    Case("measure_elr", nap_optax.measure_elr, all_reduces=1, skips=NO_NUMBER),
    Case(
        "hold_elr",
        nap_optax.hold_elr,
        {"power": 2.0},
        static_args=("mask",),
        sweep=nap_optax.hold_elr,
        all_reduces=1,
    ),
    Case(
        "limit_elr",
        nap_optax.limit_elr,
        {"max_elr": 0.1},
        static_args=("mask",),
        sweep=nap_optax.limit_elr,
        all_reduces=2,
    ),
    Case(
        "hold_elr-by_path",
        nap_optax.hold_elr,
        {"mask": OUTPUT},
        static_args=("mask",),
        sweep=lambda power: nap_optax.hold_elr(power, mask=OUTPUT),
        all_reduces=1,
    ),
    Case(
        "scale_by_layer",
        nap_optax.scale_by_layer,
        {"factors": 0.3},
        sweep=nap_optax.scale_by_layer,
    ),
    Case(
        "scale_by_layer-by_path",
        nap_optax.scale_by_layer,
        {"factors": masks.by_path([(".*bias|.*gain", 0.1), (".*", 1.0)])},
        static_args=("factors",),
        sweep=lambda factor: nap_optax.scale_by_layer(
            {"block": factor, "head": 1.0 / factor}
        ),
    ),
    Case(
        "fast_features",
        nap_optax.fast_features,
        {"output_layer": OUTPUT, "factor": 5.0},
        static_args=("output_layer",),
        sweep=lambda factor: nap_optax.fast_features(OUTPUT, factor),
    ),
    Case(
        "slow_features",
        nap_optax.slow_features,
        {"output_layer": OUTPUT},
        static_args=("output_layer",),
        sweep=lambda factor: nap_optax.slow_features(OUTPUT, factor),
    ),
    Case(
        "even_ratio",
        nap_optax.even_ratio,
        static_args=("mask",),
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "even_ratio-all",
        nap_optax.even_ratio,
        {"mask": True},
        static_args=("mask",),
        all_reduces=1,
        skips=NO_NUMBER,
    ),
    Case(
        "hyperball",
        nap_optax.hyperball,
        {"inner": relaxed_adam(), "learning_rate": 0.1},
        SIGNAL,
        HYPERBALL_STATIC,
        sweep=lambda rate: nap_optax.hyperball(relaxed_adam(), rate),
        # The norms of the updates come before those of the weights.
        all_reduces=2,
        skips=ADAM,
    ),
    Case(
        "hyperball-schedule",
        nap_optax.hyperball,
        {
            "inner": optax.identity(),
            "learning_rate": decaying(0.1),
            "detector": nap_optax.every(3),
        },
        SIGNAL,
        (*HYPERBALL_STATIC, "learning_rate"),
        sweep=lambda peak: nap_optax.hyperball(optax.identity(), decaying(peak)),
        all_reduces=2,
    ),
    Case(
        "hyperball-unit",
        nap_optax.hyperball,
        {
            "inner": optax.identity(),
            "learning_rate": 0.1,
            "granularity": "unit",
            "every": 4,
            "radius": 2.0,
        },
        SIGNAL,
        HYPERBALL_STATIC,
        sweep=lambda radius: nap_optax.hyperball(
            optax.identity(), 0.1, granularity="unit", radius=radius
        ),
        all_reduces=2,
    ),
    Case(
        "hyperball-groups",
        nap_optax.hyperball,
        {
            "inner": optax.identity(),
            "learning_rate": 0.1,
            "groups": lambda tree: jax.tree.map(lambda _: "all", tree),
        },
        SIGNAL,
        HYPERBALL_STATIC,
        sweep=lambda rate: nap_optax.hyperball(
            optax.identity(), rate, groups=lambda tree: jax.tree.map(lambda _: 0, tree)
        ),
        all_reduces=2,
        skips={"none_gradients": NO_MEMBER},
    ),
    Case(
        "nap",
        nap_optax.nap,
        {"inner": relaxed_adam(), "learning_rate": decaying(0.1)},
        SIGNAL,
        NAP_STATIC,
        sweep=lambda radius: nap_optax.nap(
            relaxed_adam(), decaying(0.1), radius=radius
        ),
        all_reduces=1,
        skips=ADAM,
    ),
    Case(
        "nap-cusum",
        nap_optax.nap,
        {
            "inner": optax.identity(),
            "learning_rate": decaying(0.1),
            "detector": nap_optax.cusum(direction="both"),
        },
        {"value": 1.5},
        NAP_STATIC,
        sweep=lambda drift: nap_optax.nap(
            optax.identity(), decaying(0.1), detector=nap_optax.cusum(drift=drift)
        ),
        all_reduces=1,
        skips=NO_VALUE,
    ),
    Case(
        "nap-scale_decay",
        nap_optax.nap,
        {
            "inner": optax.identity(),
            "learning_rate": decaying(0.1),
            "detector": nap_optax.every(2),
            "scale_decay": 0.3,
            "granularity": "unit",
        },
        {"value": 1.5},
        NAP_STATIC,
        sweep=lambda rate: nap_optax.nap(optax.identity(), rate, scale_decay=rate),
        all_reduces=1,
    ),
    Case(
        "nap-reset_inner",
        nap_optax.nap,
        {
            "inner": relaxed_adam(),
            "learning_rate": decaying(0.1),
            "reset_inner": True,
            "every": 4,
            "radius": 2.0,
        },
        SIGNAL,
        NAP_STATIC,
        sweep=lambda peak: nap_optax.nap(
            relaxed_adam(), decaying(peak), reset_inner=True
        ),
        all_reduces=1,
        skips=ADAM,
    ),
    Case(
        "leaf_by_leaf",
        nap_optax.leaf_by_leaf,
        {"inner": nap_optax.project_weights(granularity="unit")},
        static_args=LEAF_BY_LEAF_STATIC,
        sweep=lambda radius: nap_optax.leaf_by_leaf(nap_optax.project_weights(radius)),
        # One until jax 0.11, whose XLA moves norms past the order of the leaves.
        all_reduces=2,
    ),
    Case(
        "leaf_by_leaf-nap",
        nap_optax.leaf_by_leaf,
        {
            "inner": nap_optax.nap(
                relaxed_adam(), decaying(0.1), scale_decay=0.3, every=2
            )
        },
        SIGNAL,
        LEAF_BY_LEAF_STATIC,
        sweep=lambda radius: nap_optax.leaf_by_leaf(
            nap_optax.nap(relaxed_adam(), decaying(0.1), radius=radius)
        ),
        # Each leaf is looked at in a branch of its own.
        all_reduces=2,
        skips=ADAM,
    ),
    Case(
        "leaf_by_leaf-hyperball",
        nap_optax.leaf_by_leaf,
        {
            "inner": nap_optax.hyperball(optax.identity(), decaying(0.1)),
            "leaves_at_once": 3,
        },
        SIGNAL,
        LEAF_BY_LEAF_STATIC,
        sweep=lambda peak: nap_optax.leaf_by_leaf(
            nap_optax.hyperball(optax.identity(), decaying(peak))
        ),
        # The head's norms come after the block's two.
        all_reduces=3,
    ),
]
