"""`nap` and `hyperball` notice an inner transformation that is negated already."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from nap_optax import (
    explain,
    hyperball,
    leaf_by_leaf,
    nap,
    project_weights,
    restart,
    scale_by_rewarming,
)

pytestmark = pytest.mark.slow

PARAMS = {
    "block": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)},
    "head": {"kernel": jnp.ones((3, 2))},
}
LATE = optax.linear_schedule(0.0, 1.0, 1000)
CALLED = optax.constant_schedule(0.1)
# What cannot be made without another argument.
NEEDED = {
    "scale_by_backtracking_linesearch": {"max_backtracking_steps": 3},
    "scale_by_madgrad": {"learning_rate": 0.1},
    "scale_by_rprop": {"learning_rate": 0.1},
    "scale_by_schedule": {"step_size_fn": CALLED},
    "scale_by_zoom_linesearch": {"max_linesearch_steps": 3},
}
# Of the contributed ones these give steps, negated already.
STEPS = {"scale_by_cocob", "scale_by_madgrad"}


def aliases() -> list[str]:
    """All transformations of optax that take a learning rate and negate."""
    return [
        name
        for name, function in vars(optax).items()
        if inspect.isfunction(function)
        and "learning_rate" in inspect.signature(function).parameters
        and not name.startswith(("_", "scale_by"))
    ]


def preconditioners() -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for module in (optax.contrib, optax)
        for name, function in vars(module).items()
        if name.startswith("scale_by_") and name != "scale_by_learning_rate"
    }


def warned(inner: optax.GradientTransformation, params: Any = PARAMS) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nap(inner, 0.1).init(params)
    return any("negates gradients" in str(w.message) for w in caught)


@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:.*is deprecated")
def test_every_alias_is_noticed() -> None:
    assert len(aliases()) >= 25
    made = {
        name: getattr(optax, name)(learning_rate=1e-3, **NEEDED.get(name, {}))
        for name in aliases()
    }
    assert [name for name, tx in made.items() if not warned(tx)] == []


def test_no_preconditioner_is_taken_for_one() -> None:
    made = {
        name: function(**NEEDED.get(name, {}))
        for name, function in preconditioners().items()
    }
    assert len(made) >= 25
    assert {name for name, tx in made.items() if warned(tx)} == STEPS & set(made)


@pytest.mark.parametrize(
    "inner",
    [
        optax.identity(),
        optax.trace(0.9, nesterov=True),
        optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam()),
        optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(10.0)),
        optax.chain(optax.scale_by_rms(), optax.trace(0.9), optax.scale(1e-3)),
        optax.chain(optax.centralize(), optax.scale_by_adam()),
        optax.chain(optax.add_noise(100.0, 0.5, 0), optax.scale_by_adam()),
        optax.masked(optax.scale_by_adam(), {"block": True, "head": False}),
        optax.partition(
            {"a": optax.scale_by_adam(), "b": optax.identity()},
            {"block": "a", "head": "b"},
        ),
        optax.apply_if_finite(optax.scale_by_adam(), 3),
        optax.inject_hyperparams(optax.scale_by_adam)(b1=0.9),
        restart(optax.scale_by_adam()),
        scale_by_rewarming(CALLED, flip_sign=False),
        optax.set_to_zero(),
    ],
)
def test_no_false_alarm(inner: Any) -> None:
    assert not warned(inner)


@pytest.mark.parametrize(
    "inner",
    [
        optax.sgd(LATE),  # of a rate of 0 at first
        optax.scale(-1.0),
        optax.chain(optax.centralize(), optax.adam(1e-3)),
        optax.chain(optax.scale_by_adam(), scale_by_rewarming(CALLED)),
        optax.masked(optax.adam(1e-3), {"block": True, "head": False}),
        optax.partition(
            {"a": optax.scale_by_adam(), "b": optax.sgd(0.1)},
            {"block": "a", "head": "b"},
        ),
        optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    ],
)
def test_noticed(inner: Any) -> None:
    assert warned(inner)


def test_the_warning_says_what_to_write_and_is_the_callers() -> None:
    for make in (nap, hyperball):
        with pytest.warns(UserWarning, match="negates gradients") as caught:
            make(optax.adam(1e-3), 0.1).init(PARAMS)
        [warning] = caught
        assert f"{make.__name__}: inner negates" in str(warning.message)
        assert "optax.scale_by_adam()" in str(warning.message)
        assert warning.filename == __file__


def test_an_inner_transformation_that_cannot_be_tried_is_passed_over() -> None:
    def fail(*args: Any, **extra_args: Any) -> Any:
        raise RuntimeError

    assert not warned(optax.GradientTransformation(lambda _: (), fail))

    def needs_more(updates: Any, state: Any, params: Any = None, *, mine: Any) -> Any:
        return -mine * updates, state

    assert not warned(optax.GradientTransformationExtraArgs(lambda _: (), needs_more))


def test_tried_once_outside_jit_and_nothing_of_it_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = []

    def init(params: Any) -> Any:
        calls.append(jax.tree.map(jnp.shape, params))
        return ()

    inner = optax.GradientTransformation(init, optax.identity().update)
    tx = nap(inner, 0.1)
    jax.jit(tx.init)(PARAMS)
    jax.jit(lambda: tx.init(PARAMS))()
    assert len(calls) == 2
    tx.init(PARAMS)
    tx.init(PARAMS)
    assert len(calls) == 5  # one of them of the tiny leaves
    assert calls[2]["block"]["kernel"] == (2, 2)
    explain(nap(project_weights(), 0.1), PARAMS)
    assert capsys.readouterr().out.count("project_weights") == 2


def test_of_many_leaves_a_few_are_tried() -> None:
    sizes = []

    def init(params: Any) -> Any:
        sizes.append(len(jax.tree.leaves(params)))
        return ()

    params = {str(i): PARAMS for i in range(100)}
    nap(optax.GradientTransformation(init, optax.identity().update), 0.1).init(params)
    assert min(sizes) == 8
    assert warned(optax.adam(1e-3), params)


def test_a_transformation_around_it_still_hears_of_it() -> None:
    with pytest.warns(UserWarning, match="negates gradients"):
        leaf_by_leaf(nap(optax.sgd(0.1), 0.1)).init(PARAMS)
