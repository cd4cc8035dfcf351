"""`explain` says what happens to each leaf, and why."""

from __future__ import annotations

import io
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import nap_optax
from nap_optax import masks

PARAMS = {
    "attention": {"bias": jnp.ones((2, 3)), "kernel": jnp.ones((4, 2, 3))},
    "count": jnp.arange(3),
    "head": {"kernel": jnp.zeros((3, 2))},
    "layers": {"kernel": jnp.stack([jnp.eye(2), 3 * jnp.eye(2)])},
    "norm": {"bias": jnp.zeros(3), "scale": jnp.ones(3)},
}
AXES = masks.by_path([("layers/.*", 0), (".*", ())])


def explained(tx: Any, params: Any = PARAMS) -> tuple[dict[str, list[str]], list[str]]:
    """The cells of each row by path, and the lines below the table."""
    printed = io.StringIO()
    nap_optax.explain(tx, params, file=printed)
    lines = printed.getvalue().splitlines()
    rows = [line.split("  ") for line in lines if not line.startswith("warning: ")]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    below = [line for line in lines if line.startswith("warning: ")]
    return {row[0]: row[1:] for row in cells}, below


def test_why_each_leaf_is_projected_or_not() -> None:
    tx = nap_optax.project_weights(
        layer_axes=AXES, groups=masks.siblings("norm/.*"), granularity="leaf"
    )
    rows, below = explained(tx)
    assert rows == {
        "leaf": ["shape", "project_weights"],
        "attention/bias": ["(2, 3)", "no: named bias"],
        "attention/kernel": ["(4, 2, 3)", "norm 4.899"],
        "count": ["(3,)", "no: not floating point"],
        "head/kernel": ["(3, 2)", "free: zero"],
        "layers/kernel": ["(2, 2, 2)", "2 norms, 1.414 to 4.243"],
        "norm/bias": ["(3,)", "norm 1.732, group 'norm'"],
        "norm/scale": ["(3,)", "norm 1.732, group 'norm'"],
    }
    assert len(below) == 1
    assert "'head/kernel' is zero" in below[0]


def test_the_reason_is_the_mask_where_there_is_one() -> None:
    tx = nap_optax.hold_elr(mask=masks.by_path([("head/.*", False), (".*", True)]))
    rows, _ = explained(tx, {"body": jnp.ones(2), "head": {"kernel": jnp.ones((2, 2))}})
    assert rows["body"] == ["(2,)", "yes"]
    assert rows["head/kernel"] == ["(2, 2)", "no: mask"]


def test_wrappers_hide_leaves_and_not_transformations() -> None:
    labels = {"a": "ours", "b": "rest", "norm": {"scale": "ours"}}
    inner = optax.chain(
        nap_optax.nap(optax.scale_by_adam(), 0.1, scale_decay=0.3, radius=2.0),
        nap_optax.scale_by_layer(0.5),
    )
    tx = optax.partition({"ours": inner, "rest": optax.sgd(0.1)}, labels)
    params = {"a": jnp.ones((2, 2)), "b": jnp.eye(2), "norm": {"scale": jnp.ones(2)}}
    rows, below = explained(tx, params)
    assert rows == {
        "leaf": ["shape", "decay_scales", "project_weights", "scale_by_layer"],
        "a": ["(2, 2)", "no: not named scale", "norm 2", "times 0.5"],
        "b": ["(2, 2)", "-", "-", "-"],
        "norm/scale": ["(2,)", "decay 0.3", "no: 1 dimension", "times 0.5"],
    }
    assert below == []


def test_leaves_that_a_wrapper_makes_have_rows() -> None:
    rows, _ = explained(optax.flatten(nap_optax.scale_by_layer(0.5)), {"a": W})
    assert rows["a"] == ["(2, 2)", "-"]
    assert "times 0.5" in {cell for row in rows.values() for cell in row}


def test_shapes_alone_have_no_norms_yet() -> None:
    shapes = jax.eval_shape(lambda: PARAMS)
    tx = nap_optax.nap(optax.scale_by_adam(), 0.1, layer_axes=AXES)
    rows, _ = explained(tx, shapes)
    assert rows["attention/kernel"][-1] == "norm of init"


def test_a_module_has_rows_for_what_is_no_array() -> None:
    module = {"w": W, "activation": jax.nn.relu}
    rows, _ = explained(nap_optax.project_weights(), module)
    assert rows["activation"] == ["-", "no: not floating point"]


def test_what_has_no_norm_says_why() -> None:
    params = {"a": jnp.full((2, 2), jnp.inf), "b": jnp.zeros((2, 2))}
    rows, _ = explained(nap_optax.project_weights(), params)
    assert rows["a"][-1] == "free: not finite"
    assert rows["b"][-1] == "free: zero"


def test_numbers_that_are_traced_are_not_shown() -> None:
    def of(factor: Any) -> Any:
        printed = io.StringIO()
        nap_optax.explain(nap_optax.scale_by_layer(factor), {"a": W}, file=printed)
        texts.append(printed.getvalue())
        return factor

    texts: list[str] = []
    jax.jit(of)(2.0)
    assert "times a traced number" in texts[0]


def test_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    nap_optax.explain(optax.adam(0.1), {"a": W})
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "no transformation of nap_optax in it chooses leaves"
    with pytest.raises(ValueError, match="tx="):
        nap_optax.explain(optax.adam, {"a": W})  # type: ignore[arg-type]


W = jnp.eye(2)
