"""Learning rates that differ from layer to layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nap_optax import _checks, _layers, _leaves, _masks, _norms, _report

__all__ = ["even_ratio", "fast_features", "scale_by_layer", "slow_features"]


def scale_by_layer(factors: Any) -> optax.GradientTransformationExtraArgs:
    """Multiplies each leaf's updates by a number of its own.

    Place it after the direction: an optimizer that does not depend on the scale of
    gradients, such as Adam, would undo it. A projection may follow.

    Args:
      factors: a number of 0 or more for all leaves, a tree of numbers, a prefix of one,
        or a function from the parameters to any of these, such as one made by
        :func:`nap_optax.masks.by_path`. Numbers may be traced.

    Returns:
      A transformation whose ``update`` needs ``params``. It has no state.

    Raises:
      ValueError: from ``init`` if ``factors`` does not fit the parameters or one is
        not a finite number of 0 or more; in ``update`` if ``params`` is missing. Under
        ``optax.inject_hyperparams``, pass ``static_args=("factors",)`` unless it is one
        number.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import masks, scale_by_layer
      >>> tx = scale_by_layer(masks.by_path([("head/.*", 0.1), (".*", 1.0)]))
      >>> params = {"body": {"kernel": jnp.ones(2)}, "head": {"kernel": jnp.ones(2)}}
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> print(updates["body"]["kernel"], updates["head"]["kernel"])
      [1. 1.] [0.1 0.1]
    """
    return _reported("scale_by_layer", lambda params: _factors(factors, params))


def fast_features(
    output_layer: Any, factor: float | jax.Array = 10.0
) -> optax.GradientTransformationExtraArgs:
    """Divides the output layer's updates, so that features change faster than it does.

    Args:
      output_layer: which leaves are the output layer's: a tree of booleans, a prefix of
        one, or a function from the parameters to one, such as
        ``masks.by_path([("head/.*", True), (".*", False)])``.
      factor: the divisor; may be traced.

    Returns:
      A transformation whose ``update`` needs ``params``. It has no state.

    Raises:
      ValueError: if ``factor`` is not a positive number; from ``init`` if
        ``output_layer`` does not fit the parameters or selects none or all of them; in
        ``update`` if ``params`` is missing. Under ``optax.inject_hyperparams``, pass
        ``static_args=("output_layer",)``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import fast_features
      >>> params = {"body": jnp.ones(2), "head": jnp.ones(2)}
      >>> tx = fast_features({"body": False, "head": True})
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> print(updates["body"], updates["head"])
      [1. 1.] [0.1 0.1]

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 5 and figure 5
    """
    return _divided("fast_features", output_layer, factor, divide_output=True)


def slow_features(
    output_layer: Any, factor: float | jax.Array = 10.0
) -> optax.GradientTransformationExtraArgs:
    """Divides the updates of all layers but the output layer.

    The opposite of :func:`nap_optax.fast_features`; arguments, errors and reference are
    the same.

    Args:
      output_layer: which leaves are the output layer's; their updates stay as they are.
      factor: the divisor of the other layers' updates; may be traced.

    Returns:
      A transformation whose ``update`` needs ``params``. It has no state.

    Raises:
      ValueError: as in :func:`nap_optax.fast_features`.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import slow_features
      >>> params = {"body": jnp.ones(2), "head": jnp.ones(2)}
      >>> tx = slow_features({"body": False, "head": True})
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> print(updates["body"], updates["head"])
      [0.1 0.1] [1. 1.]
    """
    return _divided("slow_features", output_layer, factor, divide_output=False)


def even_ratio(
    *, mask: Any = None, layer_axes: Any = None
) -> optax.GradientTransformationExtraArgs:
    r"""Makes each leaf's rate proportional to the mean magnitude of its weights.

    .. math::

        u_\ell \to \frac{m_\ell}{\bar m}\, u_\ell, \qquad
        m_\ell = \operatorname{mean} |w_\ell|, \qquad
        \bar m = \frac{\sum_\ell n_\ell m_\ell}{\sum_\ell n_\ell}

    with :math:`n_\ell` the number of weights of leaf :math:`\ell` and sums over the
    selected leaves that are not zero. The entries of an update of Adam or sign descent
    have about one size, so the update is then the same share of each leaf's L1 norm.
    The rate averaged over these weights is that of the schedule. Weights are measured
    at each update. Leaves that are not selected, all zero or not finite have a factor
    of 1.

    Args:
      mask: which leaves: a tree of booleans, a prefix of one, or a function from the
        parameters to one. Default: floating-point leaves with two or more dimensions
        that are not named ``scale`` or ``bias`` (:func:`nap_optax.masks.matrices`).
      layer_axes: which axes enumerate layers that are stacked into one leaf; see
        :func:`nap_optax.project_weights`. Each layer counts as a leaf.

    Returns:
      A transformation whose ``update`` needs ``params``. It has no state.

    Raises:
      ValueError: from ``init`` if ``mask`` or ``layer_axes`` does not fit the
        parameters; in ``update`` if ``params`` is missing. Under
        ``optax.inject_hyperparams``, pass ``static_args=("mask", "layer_axes")``.

    Examples:
      >>> import jax.numpy as jnp
      >>> from nap_optax import even_ratio
      >>> params = {"small": jnp.full((1, 2), 0.5), "large": jnp.full((1, 2), -1.5)}
      >>> tx = even_ratio()
      >>> ones = {"small": jnp.ones((1, 2)), "large": jnp.ones((1, 2))}
      >>> updates, _ = tx.update(ones, tx.init(params), params)
      >>> print(updates["small"], updates["large"])
      [[0.5 0.5]] [[1.5 1.5]]

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 5 ("even-ratio-abs")
    """

    def factors_of(params: optax.Params) -> list[Any]:
        stacks = _layers.of_leaves(layer_axes, params)
        chosen = _masks.chosen(mask, params, stacks)
        return _even_factors(chosen, jax.tree.leaves(params), stacks)

    def check(params: optax.Params) -> None:
        _masks.selected(mask, params, "even_ratio", layer_axes)  # for its warnings
        _layers.check_update_sees(layer_axes, params, "even_ratio")

    return _stateless("even_ratio", factors_of, check=check)


def _stateless(
    name: str,
    factors_of: Callable[[optax.Params], list[Any]],
    check: Callable[[optax.Params], Any],
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by the factors, one for each parameter, of a function."""

    @_leaves.works_on_shapes
    def init_fn(params: optax.Params) -> optax.OptState:
        check(params)
        jax.eval_shape(lambda: factors_of(params))  # only to raise its errors early
        return optax.EmptyState()

    def update_fn(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        del extra_args
        _checks.has_params(name, params)
        treedef: Any = jax.tree.structure(params)
        pairs = zip(
            _leaves.updates_of(updates, params, name), factors_of(params), strict=True
        )
        scaled = [
            update if factor is None else _norms.scaled(update, factor)
            for update, factor in pairs
        ]
        return jax.tree.unflatten(treedef, scaled), state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _reported(
    name: str, factors_of: Callable[[optax.Params], list[Any]]
) -> optax.GradientTransformationExtraArgs:
    """A transformation with factors that are known before an update."""

    def report(params: optax.Params) -> None:
        _report.add(name, params, lambda: list(map(_text, factors_of(params))))

    return _stateless(name, factors_of, check=report)


def _text(factor: Any) -> str:
    if factor is None:
        return "times 1"
    traced = isinstance(factor, jax.core.Tracer)
    return "times a traced number" if traced else f"times {float(factor):.4g}"


def _factors(factors: Any, params: optax.Params) -> list[Any]:
    values = _leaves.per_leaf(factors, params, "factors")
    for value in values:
        _checks.finite("factors", value, 0)
    return values


def _divided(
    name: str, output_layer: Any, factor: Any, *, divide_output: bool
) -> optax.GradientTransformationExtraArgs:
    _checks.positive("factor", factor)

    def factors_of(params: optax.Params) -> list[Any]:
        resolved = _masks.resolve(output_layer, params, name="output_layer")
        is_output = jax.tree.leaves(resolved)
        if is_output and set(is_output) != {True, False}:
            raise ValueError(
                f"{name}: output_layer is {is_output[0]} for every leaf; it must be "
                "True for the output layer's leaves and False for the others, of which "
                "there must be some"
            )
        return [1 / factor if out == divide_output else None for out in is_output]

    return _reported(name, factors_of)


def _even_factors(
    chosen: Sequence[bool], leaves: Sequence[Any], stacks: Sequence[tuple[int, ...]]
) -> list[Any]:
    """The mean magnitudes over their mean; ``None`` for leaves that are left out."""
    means = [
        _mean_magnitude(leaf, stacked) if is_chosen else None
        for leaf, is_chosen, stacked in zip(leaves, chosen, stacks, strict=True)
    ]
    sized = [
        (mean, jnp.size(leaf) // mean.size)  # of each layer
        for leaf, mean in zip(leaves, means, strict=True)
        if mean is not None
    ]
    zero = jnp.zeros([], float)
    total = sum((jnp.sum(mean) * size for mean, size in sized), zero)
    num_weights = sum(
        (jnp.sum(jnp.where(mean > 0, size, 0.0)) for mean, size in sized), zero
    )
    overall = _norms.ratio(total, num_weights)
    return [mean if mean is None else _norms.ratio(mean, overall) for mean in means]


def _mean_magnitude(leaf: Any, stacked: tuple[int, ...]) -> jax.Array:
    axes = _layers.axes_within(jnp.ndim(leaf), stacked)
    mean = jnp.mean(jnp.abs(_norms.widened(leaf)), axes, keepdims=axes is not None)
    # One dtype for all, because some leaves may be float32 and some float64.
    return jnp.where(jnp.isfinite(mean), mean, 0).astype(jnp.result_type(float))
