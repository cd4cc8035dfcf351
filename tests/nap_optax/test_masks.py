"""Masks by path and by shape, on the trees of Linen, NNX and plain JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

from nap_optax import masks, project_weights
from nap_optax._masks import resolve
from nap_optax.masks import by_path, complement, matrices, paths, scales

MATRIX, VECTOR = jnp.ones((2, 3)), jnp.ones(3)
TREE = {"dense": {"kernel": MATRIX, "bias": VECTOR}, "norm": {"scale": VECTOR}}
NAMES = ["dense/bias", "dense/kernel", "norm/scale"]
RULES = [("dense/kernel", True), ("dense/bias", False), ("norm/.*", False)]


def linen_variables() -> Any:
    linen = pytest.importorskip("flax.linen")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.Dense(3, name="dense")(x)
            return linen.LayerNorm(name="norm", use_bias=False)(x)

    return Net().init(jax.random.key(0), jnp.ones((1, 2)))


def nnx_module() -> Any:
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.dense = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
            self.norm = nnx.LayerNorm(3, use_bias=False, rngs=nnx.Rngs(0))

    return nnx, Net()


# Names.


def test_names_are_alike_in_dict_and_linen() -> None:
    assert paths(TREE) == paths({"params": TREE}) == NAMES
    with jax.numpy_dtype_promotion("standard"):
        variables = linen_variables()
    assert paths(variables) == paths(variables["params"]) == NAMES


def test_names_are_alike_in_nnx() -> None:
    nnx, net = nnx_module()
    state = nnx.state(net, nnx.Param)
    assert paths(state) == paths(nnx.to_pure_dict(state)) == NAMES


def test_names_of_other_containers() -> None:
    class Pair(NamedTuple):
        left: Any
        right: Any

    tree = {"layers": [Pair(1.0, (2.0,)), Pair(None, 3.0)]}
    assert paths(tree) == ["layers/0/left", "layers/0/right/0", "layers/1/right"]
    assert paths(1.0) == [""]
    # A leaf may be called as Linen calls its collection, and other collections stay.
    assert paths({"params": 1.0}) == ["params"]
    assert paths({"batch_stats": {"mean": 1.0}}) == ["batch_stats/mean"]
    assert paths({"value": 1.0}) == ["value"]


# Rules.


@pytest.mark.parametrize("wrap", [lambda tree: tree, lambda tree: {"params": tree}])
def test_by_path(wrap: Any) -> None:
    want = {"dense": {"kernel": True, "bias": False}, "norm": {"scale": False}}
    assert by_path(RULES)(wrap(TREE)) == wrap(want)


def test_by_path_on_nnx_and_in_its_optimizer() -> None:
    nnx, net = nnx_module()
    trees = []

    def mask(tree: Any) -> Any:
        trees.append(by_path(RULES)(tree))
        return trees[-1]

    tx = optax.chain(optax.sgd(0.1), optax.masked(project_weights(mask=True), mask))
    optimizer = nnx.Optimizer(net, tx, wrt=nnx.Param)
    radius = jnp.linalg.norm(net.dense.kernel[...])
    optimizer.update(net, jax.tree.map(jnp.ones_like, nnx.state(net, nnx.Param)))
    assert len(trees) >= 2
    assert all(jax.tree.leaves(tree) == [False, True, False] for tree in trees)
    assert jnp.allclose(jnp.linalg.norm(net.dense.kernel[...]), radius)
    assert jnp.allclose(net.dense.bias[...], -0.1)


def test_the_first_match_wins_and_must_be_whole() -> None:
    assert by_path([("dense/.*", 1), (".*/scale", 2), (".*", 3)], strict=False)(
        TREE
    ) == {"dense": {"kernel": 1, "bias": 1}, "norm": {"scale": 2}}
    with pytest.raises(ValueError, match="no rule of by_path decides 'dense/kernel'"):
        by_path(
            [("dense", True), ("kernel", True), (".*bias", False), ("norm", False)]
        )({"dense": {"kernel": MATRIX, "bias": VECTOR}, "norm": VECTOR})


def test_undecided_leaves_are_named() -> None:
    with pytest.raises(ValueError, match="decides 'dense/bias', 'norm/scale'"):
        by_path([(".*kernel", True)])(TREE)
    many = {f"layer_{i}": VECTOR for i in range(8)}
    with pytest.raises(ValueError, match="'layer_4' and 3 more"):
        by_path([("x", True)])(many)
    # Not strict is about rules only.
    with pytest.raises(ValueError, match="no rule of by_path decides"):
        by_path([(".*kernel", True)], strict=False)(TREE)


def test_unused_rules_are_named() -> None:
    rules = [*RULES, ("head/.*", True)]
    with pytest.raises(ValueError, match=r"'head/\.\*' of by_path decides no leaf of"):
        by_path(rules)(TREE)
    # Shadowed by an earlier rule is unused, too.
    with pytest.raises(ValueError, match="'dense/kernel' of by_path decides no leaf"):
        by_path([(".*", True), ("dense/kernel", False)])(TREE)
    assert by_path(rules, strict=False)(TREE) == by_path(RULES)(TREE)
    assert by_path(rules)({}) == {}


def test_by_path_inside_masked_needs_strict_false() -> None:
    rules = [("dense/.*", True), ("norm/.*", False)]
    only_dense = {"dense": True, "norm": False}
    strict = optax.masked(project_weights(mask=by_path(rules[:1])), only_dense)
    assert len(jax.tree.leaves(strict.init(TREE).inner_state.target_norm)) == 2
    with pytest.raises(ValueError, match=r"'norm/\.\*' of by_path decides no leaf"):
        optax.masked(project_weights(mask=by_path(rules)), only_dense).init(TREE)
    relaxed = project_weights(mask=by_path(rules, strict=False))
    optax.masked(relaxed, only_dense).init(TREE)


def test_labels_for_partition() -> None:
    labels = by_path([(".*kernel", "matrix"), (".*", "rest")])
    tx = optax.partition({"matrix": optax.scale(2.0), "rest": optax.scale(3.0)}, labels)
    updates, _ = tx.update(TREE, tx.init(TREE), TREE)
    assert float(updates["dense"]["kernel"][0, 0]) == 2
    assert float(updates["norm"]["scale"][0]) == 3


# By shape and by name.


def test_matrices() -> None:
    tree = {
        "matrix": MATRIX,
        "stack": jnp.ones((2, 2, 2), jnp.bfloat16),
        "complex": jnp.ones((2, 2), jnp.complex64),
        "vector": VECTOR,
        "scalar": jnp.float32(1.0),
        "counts": jnp.ones((2, 2), jnp.int32),
        "flags": jnp.ones((2, 2), bool),
        "keys": jax.random.split(jax.random.key(0), (2, 2)),
        "python": 1.0,
        "none": None,
    }
    want = dict.fromkeys(tree, False) | {"none": None}
    want |= dict.fromkeys(("matrix", "stack", "complex"), True)
    assert matrices(tree) == want
    assert matrices(jax.eval_shape(lambda: {"w": MATRIX})) == {"w": True}
    assert matrices(MATRIX) is True
    assert matrices({}) == {}


def test_scales() -> None:
    tree = TREE | {"scale": {"kernel": VECTOR}, "rescale": VECTOR, "none": None}
    assert scales(tree) == {
        "dense": {"kernel": False, "bias": False},
        "norm": {"scale": True},
        "scale": {"kernel": False},
        "rescale": False,
        "none": None,
    }
    nnx, net = nnx_module()
    assert jax.tree.leaves(scales(nnx.state(net, nnx.Param))) == [False, False, True]


def test_complement() -> None:
    want = {"dense": {"kernel": False, "bias": True}, "norm": {"scale": True}}
    assert complement(matrices)(TREE) == want
    assert complement(want)(TREE) == matrices(TREE)
    assert complement({"dense": True, "norm": False})(TREE)["norm"]["scale"] is True


def test_resolve_refuses_what_does_not_fit() -> None:
    for mask in ({"dense": True}, {"dense": {"kernel": True}, "norm": False}, [True]):
        with pytest.raises(ValueError, match="mask does not fit the parameters"):
            resolve(mask, TREE)
    for mask in (1, "yes", jnp.array(True), {"dense": 0.0, "norm": True}):
        with pytest.raises(ValueError, match="must be True or False"):
            resolve(mask, TREE)


def test_resolve_accepts_mappings_and_numpy_booleans() -> None:
    import numpy as np

    assert resolve({"dense": np.True_, "norm": np.False_}, TREE) == {
        "dense": {"kernel": True, "bias": True},
        "norm": {"scale": False},
    }


@pytest.mark.parametrize(
    "mask",
    [matrices, scales, complement(matrices), by_path([(".*", True)])],
    ids=["matrices", "scales", "complement", "by_path"],
)
def test_called_as_a_schedule(mask: Any) -> None:
    # optax.inject_hyperparams calls every callable argument with its step count.
    with pytest.raises(ValueError, match=r'static_args=\("mask",\)'):
        mask(jnp.zeros([], jnp.int32))


def test_mask_functions_agree_on_parameters_and_updates() -> None:
    halves = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), TREE)
    for mask in (matrices, scales, by_path(RULES)):
        assert mask(TREE) == mask(halves)
        assert isinstance(mask(TREE), Mapping)


def test_siblings() -> None:
    labels = masks.siblings("(norm|dense)/(scale|bias)")(TREE)
    want = {"dense": {"kernel": None, "bias": "dense"}, "norm": {"scale": "norm"}}
    assert labels == want
    with pytest.raises(ValueError, match="'head' of siblings matches none of 'dense/"):
        masks.siblings("head")(TREE)


def test_bad_patterns_and_rules() -> None:
    for make in (masks.siblings, lambda p: by_path([(p, True)])):
        with pytest.raises(ValueError, match=r"pattern='\*': must be a regular"):
            make("*")
        with pytest.raises(ValueError, match="pattern=3: must be a regular"):
            make(3)
    with pytest.raises(ValueError, match="rules=7: must be pairs"):
        by_path(7)  # type: ignore[arg-type]


def test_public_paths() -> None:
    assert masks.__all__ == sorted(masks.__all__)


def test_names_of_axes_that_no_parameter_has_are_refused() -> None:
    linen = pytest.importorskip("flax.linen")
    box = linen.Partitioned(jnp.ones((3, 2, 2)), names=("layers", None, "mlp"))
    with pytest.raises(ValueError, match="no axis is called 'layer'; Flax knows 'lay"):
        masks.axes_named("layer")({"kernel": box})
    with pytest.raises(ValueError, match="Flax names none here"):
        masks.axes_named("layers")({"kernel": MATRIX})
    for names in ((), (["layers"],)):
        with pytest.raises(ValueError, match="must be one or several strings"):
            masks.axes_named(*names)
