"""The matrices among the parameters, which have norms and are projected."""

from typing import Any

import jax

from nap_optax import masks


def scaled_matrices(params: Any, factor: Any) -> Any:
    """Parameters with each matrix multiplied by a number."""
    return jax.tree.map(
        lambda leaf, is_matrix: leaf * factor if is_matrix else leaf,
        params,
        masks.matrices(params),
    )


def of_matrices(params: Any, tree: Any) -> Any:
    """A tree of the parameters' structure, with None for those that are no matrices."""
    return jax.tree.map(
        lambda is_matrix, leaf: leaf if is_matrix else None,
        masks.matrices(params),
        tree,
    )


def layer_values(tree: Any) -> dict[str, jax.Array]:
    """The leaves of the matrices by layer: `conv_0`, not `conv_0/kernel`."""
    return {
        masks.path_name(path).removesuffix("/kernel").removesuffix("/embedding"): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
