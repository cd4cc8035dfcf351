"""Perceptrons: one of any layers, and one of two layers that adds modulo p."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from models.images import check_size
from models.layers import linear

__all__ = ["MLP", "ModularMLP"]


class MLP(nnx.Module):
    r"""Linear layers with biases, and an activation between them.

    .. math::

        h \leftarrow \phi(W_l h + b_l) \quad\text{for all but the last}, \qquad
        f = W_L h + b_L

    All weights and biases of a layer start uniform in
    :math:`\pm\,\text{scale} / \sqrt{\text{inputs}}`. With ``init_scale`` 1 that is the
    default of PyTorch's linear layers; a larger scale makes a network lazier. The
    layers are ``layers/0`` and so on, with ``kernel`` and ``bias``.

    The grokking literature has tanh students and teachers,
    ``MLP(5, (100, 100), 5, activation=jnp.tanh)``, students with ``init_scale=2``. It
    also has classifiers of images, ``MLP(784, (200, 200), 10, init_scale=8)``.

    Args:
      inputs: number of inputs in an example of any shape; each channel of a pixel
        counts.
      hidden_sizes: units of each hidden layer.
      outputs: number of outputs.
      activation: a function of an array, element by element.
      init_scale: scale of the initial weights and biases. May be traced.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size is not an int of at least 1; when called, if the examples
        have another number of inputs.

    Examples:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import MLP
      >>> model = MLP(28 * 28, (200, 200), 10, init_scale=8.0, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((3, 28, 28, 1))).shape
      (3, 10)

    References:
      Liu et al., `Omnigrok: Grokking Beyond Algorithmic Data
      <https://arxiv.org/abs/2210.01117>`_, 2022; Kumar et al., `Grokking as the
      Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024
    """

    def __init__(
        self,
        inputs: int,
        hidden_sizes: Sequence[int],
        outputs: int,
        *,
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        init_scale: float | jax.Array = 1.0,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = (inputs, *hidden_sizes, outputs)
        for size in sizes:
            check_size("each size", size)
        self.activation = activation
        self.layers = nnx.List(
            _uniform_linear(before, after, init_scale, rngs)
            for before, after in itertools.pairwise(sizes)
        )

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Outputs of the examples.

        Args:
          inputs: shape ``(n, ...)``, floating; the axes of an example are joined.

        Returns:
          Outputs, shape ``(n, outputs)``.
        """
        return self.features(inputs)[-1]

    def features(self, inputs: jax.Array) -> list[jax.Array]:
        """The values of each layer after its activation; the last are the outputs.

        Args:
          inputs: as in ``__call__``.

        Returns:
          Arrays of shape ``(n, units)``.
        """
        *hidden_layers, last = self.layers
        h = jnp.reshape(inputs, (len(inputs), -1))
        if h.shape[1] != self.layers[0].in_features:
            raise ValueError(
                f"inputs must have {self.layers[0].in_features} numbers in each "
                f"example, got shape {jnp.shape(inputs)}."
            )
        features = []
        for layer in hidden_layers:
            h = self.activation(layer(h))
            features.append(h)
        return [*features, last(h)]


class ModularMLP(nnx.Module):
    r"""Adds two numbers modulo p with one hidden layer, on two one-hot vectors.

    .. math::

        f = \frac{1}{\sqrt N} W_2 \, \phi\Bigl(\frac{1}{\sqrt{2p}} W_1
        \begin{pmatrix} e_x \\ e_y \end{pmatrix}\Bigr), \qquad
        \phi(h) = h^2 \text{ or } \max(h, 0)

    without biases; all weights start as standard normals. This is the scaling of the
    tangent kernel's theory. With ``scaling="mean_field"`` the hidden units are
    averaged, by 1 / N in place of :math:`1 / \sqrt N`. It is trained on the mean
    squared error of one-hot sums. Numbers must lie in 0..modulus - 1; this is not
    checked.

    Args:
      modulus: p, the number of numbers.
      width: N, the number of hidden units.
      activation: ``"quadratic"`` or ``"relu"``.
      scaling: ``"ntk"`` or ``"mean_field"``.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if ``modulus`` is below 2, ``width`` is below 1, or another argument
        is unknown.

    Examples:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import ModularMLP
      >>> model = ModularMLP(7, 20, rngs=nnx.Rngs(0))
      >>> model(jnp.array([1, 2, 3]), jnp.array([6, 0, 5])).shape
      (3, 7)

    References:
      Gromov, `Grokking modular arithmetic <https://arxiv.org/abs/2301.02679>`_, 2023;
      Kumar et al., `Grokking as the Transition from Lazy to Rich Training Dynamics
      <https://arxiv.org/abs/2310.06110>`_, 2024, figure 2
    """

    def __init__(
        self,
        modulus: int,
        width: int,
        *,
        activation: Literal["quadratic", "relu"] = "quadratic",
        scaling: Literal["ntk", "mean_field"] = "ntk",
        rngs: nnx.Rngs,
    ) -> None:
        check_size("modulus", modulus, 2)
        check_size("width", width)
        self.modulus = modulus
        self.activation = _choice(
            "activation", activation, {"quadratic": jnp.square, "relu": jax.nn.relu}
        )
        self.output_scale = _choice(
            "scaling", scaling, {"ntk": width**-0.5, "mean_field": 1 / width}
        )
        standard = nnx.initializers.normal(1.0)
        self.hidden = linear(2 * modulus, width, standard, rngs)
        self.readout = linear(width, modulus, standard, rngs)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The outputs for each sum.

        Args:
          x: first numbers, shape ``(n,)``, integers.
          y: second numbers, shape ``(n,)``, integers.

        Returns:
          Outputs, shape ``(n, modulus)``.
        """
        return self.output_scale * self.readout(self.features(x, y))

    def features(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The hidden units after their activation, shape ``(n, width)``."""
        return self.activation(self.preactivations(x, y))

    def preactivations(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The hidden units before their activation, shape ``(n, width)``."""
        table = self.hidden.kernel[...]
        hidden = table[x] + table[self.modulus + y]
        return hidden * (2 * self.modulus) ** -0.5


def _uniform_linear(
    inputs: int, outputs: int, scale: float | jax.Array, rngs: nnx.Rngs
) -> nnx.Linear:
    def init(key: jax.Array, shape: Sequence[int], dtype: Any = float) -> jax.Array:
        uniform = jax.random.uniform(key, shape, dtype, -1, 1)
        return scale * inputs**-0.5 * uniform

    return nnx.Linear(inputs, outputs, kernel_init=init, bias_init=init, rngs=rngs)


def _choice(name: str, value: Any, choices: dict[str, Any]) -> Any:
    if not isinstance(value, str) or value not in choices:
        known = " or ".join(map(repr, choices))
        raise ValueError(f"{name} must be {known}, got {value!r}.")
    return choices[value]
