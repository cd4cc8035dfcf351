"""Networks that estimate the values of actions in Atari games and in MinAtar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from models.images import Features, check_image_shape, check_images, check_size
from models.layers import (
    conv,
    conv_norm,
    convolve,
    convolve_small,
    identity,
    matmul_small_batch,
    relu,
)
from models.normalization import ChannelNorm

__all__ = ["AtariQNetwork", "Dense", "MinAtarTorso", "NatureTorso"]

Convolution = Callable[..., jax.Array]
# Uniform in ±1 / √(inputs).
uniform = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class AtariQNetwork(nnx.Module):
    r"""A torso of convolutions, then a hidden layer and the values of the actions.

    By default it is the network of DQN. Rainbow has ``dueling=True``,
    ``noise_scale=0.1`` and ``num_atoms=51``. With ``torso="minatar"`` the network is
    that of MinAtar's authors.

    **Streams.** A *stream* is a hidden layer and an output layer,
    ``output(relu(hidden(x)))``. There is one stream, ``action_values``. With
    ``dueling`` there are two, ``state_value`` (V) and ``advantages`` (A), which are
    combined as

    .. math::

        Q(a) = V + A(a) - \frac{1}{|\mathcal A|} \sum_{a'} A(a').

    If values are distributions, this holds for the logits of each atom. With
    ``noise_scale`` every layer of a stream is noisy (:class:`Dense`).

    **Normalize-and-Project.** With ``normalize`` a LayerNorm stands before each ReLU,
    over the channels of a position or over the units of a hidden layer. Its offset
    replaces the bias in front of it. Projection holds all kernels but those of the
    output layers, in paths ``<stream>/output/...``. So its mask is
    ``masks.by_path([(".*/output/.*", False), (".*/kernel", True), (".*", False)])``.
    The mask also leaves out ``noise_kernel``; otherwise the noise would never shrink.

    Every kernel and bias starts uniform in ±1/√(inputs of a unit), as in DQN.

    Args:
      observation_shape: height, width and channels of an observation.
      num_actions: number of actions.
      torso: ``"nature"`` (:class:`NatureTorso`) or ``"minatar"``
        (:class:`MinAtarTorso`).
      hidden_dim: units of each hidden layer; by default 512, or 128 with MinAtar.
      num_atoms: number of atoms of a value's distribution, with logits as outputs;
        ``None`` for values as outputs.
      dueling: whether there are two streams.
      noise_scale: initial scale of the noise behind the torso, times
        √(inputs of a unit); ``None`` for layers without noise.
      normalize: whether to normalise, for Normalize-and-Project.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size is not an int of at least 1 (``num_atoms``: 2), the torso is
        another word, or an observation is smaller than the torso's kernels; when
        called, if the observations are not floating or of another shape.

    Examples:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import AtariQNetwork
      >>> def values(observations):
      ...     model = AtariQNetwork((84, 84, 4), num_actions=6, rngs=nnx.Rngs(0))
      ...     return model(observations)
      >>> jax.eval_shape(values, jnp.ones((2, 84, 84, 4))).shape  # computes nothing
      (2, 6)

    References:
      - Mnih et al., `Human-level control through deep reinforcement learning
        <https://www.nature.com/articles/nature14236>`_, 2015
      - Wang et al., `Dueling Network Architectures for Deep Reinforcement Learning
        <https://arxiv.org/abs/1511.06581>`_, 2016
      - Hessel et al., `Rainbow: Combining Improvements in Deep Reinforcement Learning
        <https://arxiv.org/abs/1710.02298>`_, 2018
      - Lyle et al., `Normalization and effective learning rates in reinforcement
        learning <https://arxiv.org/abs/2407.01800>`_, 2024
    """

    def __init__(
        self,
        observation_shape: Sequence[int] = (84, 84, 4),
        num_actions: int = 18,
        *,
        torso: Literal["nature", "minatar"] = "nature",
        hidden_dim: int | None = None,
        num_atoms: int | None = None,
        dueling: bool = False,
        noise_scale: float | None = None,
        normalize: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        if torso not in _TORSOS:
            raise ValueError(f"torso must be nature or minatar, got {torso!r}.")
        check_image_shape(observation_shape, "observation_shape")
        check_size("num_actions", num_actions)
        new_torso, default_dim = _TORSOS[torso]
        hidden_dim = default_dim if hidden_dim is None else hidden_dim
        check_size("hidden_dim", hidden_dim, 2 if normalize else 1)
        if num_atoms is not None:
            check_size("num_atoms", num_atoms, 2)
        self.observation_shape = tuple(observation_shape)
        self.num_actions = num_actions
        self.num_atoms = num_atoms
        self.torso = new_torso(observation_shape, normalize=normalize, rngs=rngs)
        stream = partial(
            _Stream,
            self.torso.num_features,
            hidden_dim,
            noise_scale=noise_scale,
            normalize=normalize,
            rngs=rngs,
        )
        atoms = num_atoms or 1
        self.streams = ("state_value", "advantages") if dueling else ("action_values",)
        if dueling:
            self.state_value = stream(atoms)
            self.advantages = stream(num_actions * atoms)
        else:
            self.action_values = stream(num_actions * atoms)

    def __call__(
        self, observations: jax.Array, noise_key: jax.Array | None = None
    ) -> jax.Array:
        """Values of the actions, or logits of their distributions.

        Args:
          observations: a batch of observations, shape ``(n, height, width, channels)``,
            floating; images in 0..1.
          noise_key: key of one draw of noise, the same for the batch; ``None`` for no
            noise. A network without noisy layers ignores it.

        Returns:
          Shape ``(n, num_actions)``, or ``(n, num_actions, num_atoms)``.
        """
        return self.outputs_and_features(observations, noise_key)[0]

    def outputs_and_features(
        self, observations: jax.Array, noise_key: jax.Array | None = None
    ) -> tuple[jax.Array, Features]:
        """Outputs, and the features of each layer but the last, after its ReLU.

        Args:
          observations: as in ``__call__``.
          noise_key: as in ``__call__``.

        Returns:
          The outputs as in ``__call__``, and a dictionary: ``conv_0`` and so on, shape
          ``(n, height, width, channels)``, and the hidden layer of each stream under
          its name, shape ``(n, hidden_dim)``.
        """
        check_images(observations, self.observation_shape, "observations")
        features, of_torso = self.torso(observations)
        outputs, hidden = {}, {}
        for index, name in enumerate(self.streams):
            key = None if noise_key is None else jax.random.fold_in(noise_key, index)
            outputs[name], hidden[name] = getattr(self, name)(features, key)
        values = self._combined(**outputs)
        if self.num_atoms is None:
            values = values[..., 0]
        return values, of_torso | hidden

    def _combined(
        self,
        *,
        action_values: jax.Array | None = None,
        state_value: jax.Array | None = None,
        advantages: jax.Array | None = None,
    ) -> jax.Array:
        """Combines the streams' outputs: shape (n, num_actions, atoms)."""
        if action_values is not None:
            return self._by_action(action_values)
        assert state_value is not None
        assert advantages is not None
        by_action = self._by_action(advantages)
        mean = jnp.mean(by_action, axis=1, keepdims=True)
        return state_value[:, None, :] + by_action - mean

    def _by_action(self, outputs: jax.Array) -> jax.Array:
        return outputs.reshape(len(outputs), self.num_actions, -1)


class NatureTorso(nnx.Module):
    """The three convolutions of DQN (Mnih et al., 2015), without padding.

    They have 32 kernels of 8 x 8 with stride 4, 64 of 4 x 4 with stride 2 and 64 of 3 x
    3 with stride 1, each with a ReLU. 84 x 84 pixels become 7 x 7 positions.
    """

    def __init__(
        self, observation_shape: Sequence[int], *, normalize: bool, rngs: nnx.Rngs
    ) -> None:
        height, width, inputs = observation_shape
        for size, stride in ((8, 4), (4, 2), (3, 1)):
            height, width = ((side - size) // stride + 1 for side in (height, width))
        _check_positions(observation_shape, height, width, smallest=36)
        self.num_features = height * width * 64
        layer = partial(_layer, convolve, normalize=normalize, rngs=rngs)
        self.conv_0, self.norm_0 = layer(inputs, 32, 8, 4)
        self.conv_1, self.norm_1 = layer(32, 64, 4, 2)
        self.conv_2, self.norm_2 = layer(64, 64, 3, 1)

    def __call__(self, observations: jax.Array) -> tuple[jax.Array, Features]:
        """Flat features, shape ``(n, num_features)``, and those of each layer."""
        conv_0 = relu(self.norm_0(self.conv_0(observations)))
        conv_1 = relu(self.norm_1(self.conv_1(conv_0)))
        conv_2 = relu(self.norm_2(self.conv_2(conv_1)))
        features = {"conv_0": conv_0, "conv_1": conv_1, "conv_2": conv_2}
        return conv_2.reshape(len(conv_2), -1), features


class MinAtarTorso(nnx.Module):
    """One convolution, 16 kernels of 3 x 3, with a ReLU and without padding.

    It is written as a product of matrices, because it is small and runs inside a
    compiled loop of agent and environment.

    References:
      Young and Tian, `MinAtar: An Atari-Inspired Testbed for Thorough and Reproducible
      Reinforcement Learning Experiments <https://arxiv.org/abs/1903.03176>`_, 2019
    """

    def __init__(
        self, observation_shape: Sequence[int], *, normalize: bool, rngs: nnx.Rngs
    ) -> None:
        height, width, inputs = observation_shape
        height, width = height - 2, width - 2
        _check_positions(observation_shape, height, width, smallest=3)
        self.num_features = height * width * 16
        self.conv_0, self.norm_0 = _layer(
            convolve_small, inputs, 16, 3, 1, normalize=normalize, rngs=rngs
        )

    def __call__(self, observations: jax.Array) -> tuple[jax.Array, Features]:
        """Flat features, shape ``(n, num_features)``, and those of the layer."""
        conv_0 = relu(self.norm_0(self.conv_0(observations)))
        return conv_0.reshape(len(conv_0), -1), {"conv_0": conv_0}


_TORSOS: dict[str, tuple[Any, int]] = {
    "nature": (NatureTorso, 512),
    "minatar": (MinAtarTorso, 128),
}


class Dense(nnx.Module):
    r"""A matrix, perhaps with a bias and with factorised Gaussian noise on both.

    .. math::

        y = (W + \Sigma \odot \epsilon_\text{in} \epsilon_\text{out}^\top)^\top x
        + b + \sigma \odot \epsilon_\text{out}, \qquad
        \epsilon = \operatorname{sign}(z) \sqrt{|z|}, \quad z \sim \mathcal N(0, 1),

    where W and b start uniform in ±1/√inputs and Σ and σ at ``noise_scale`` / √inputs.
    A call with several examples builds the noisy matrix. For one example that would
    move more memory than a second product does: there, the noise multiplies inputs and
    outputs. Both give the same but for rounding.

    Args:
      inputs: number of inputs.
      outputs: number of outputs.
      use_bias: whether there is a bias, and noise on it.
      noise_scale: scale of the initial noise; ``None`` for no noise.
      rngs: random number generators for the initial parameters.

    References:
      Fortunato et al., `Noisy Networks for Exploration
      <https://arxiv.org/abs/1706.10295>`_, 2018, equations 10 and 11
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        use_bias: bool = True,
        noise_scale: float | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        matrix, vector = (inputs, outputs), (outputs,)
        noise = None if noise_scale is None else noise_scale / inputs**0.5
        self.kernel = nnx.Param(uniform(rngs.params(), matrix))
        self.bias = (
            nnx.Param(_bias_init(inputs)(rngs.params(), vector)) if use_bias else None
        )
        self.noise_kernel = _constant(noise, matrix)
        self.noise_bias = _constant(noise, vector) if use_bias else None

    def __call__(
        self, inputs: jax.Array, noise_key: jax.Array | None = None
    ) -> jax.Array:
        """Outputs, shape ``(n, outputs)``, of inputs of shape ``(n, inputs)``.

        Without a key there is no noise.
        """
        kernel = self.kernel[...]
        if noise_key is None or self.noise_kernel is None:
            return self._plus_bias(matmul_small_batch(inputs, kernel))
        in_key, out_key = jax.random.split(noise_key)
        dtype = jnp.result_type(inputs, kernel)
        noise_in = _noise(in_key, inputs.shape[-1], dtype)
        noise_out = _noise(out_key, kernel.shape[-1], dtype)
        noise_kernel = self.noise_kernel[...]
        if len(inputs) == 1:  # as when an agent acts
            noisy = (inputs * noise_in) @ noise_kernel * noise_out
            outputs = inputs @ kernel + noisy
        else:
            noisy_kernel = kernel + noise_kernel * (noise_in.T * noise_out)
            outputs = matmul_small_batch(inputs, noisy_kernel)
        if self.noise_bias is not None:
            outputs += self.noise_bias[...][None] * noise_out
        return self._plus_bias(outputs)

    def _plus_bias(self, outputs: jax.Array) -> jax.Array:
        return outputs if self.bias is None else outputs + self.bias[...][None]


class _Stream(nnx.Module):
    """A hidden layer, perhaps normalised, with a ReLU; and an output layer."""

    def __init__(
        self,
        inputs: int,
        hidden_dim: int,
        outputs: int,
        *,
        noise_scale: float | None,
        normalize: bool,
        rngs: nnx.Rngs,
    ) -> None:
        dense = partial(Dense, noise_scale=noise_scale, rngs=rngs)
        self.hidden = dense(inputs, hidden_dim, use_bias=not normalize)
        self.norm = ChannelNorm(hidden_dim, rngs=rngs) if normalize else identity
        self.output = dense(hidden_dim, outputs)

    def __call__(
        self, inputs: jax.Array, noise_key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """Outputs, shape ``(n, outputs)``, and the hidden units after the ReLU."""
        keys = (None, None) if noise_key is None else jax.random.split(noise_key)
        hidden = relu(self.norm(self.hidden(inputs, keys[0])))
        return self.output(hidden, keys[1]), hidden


def _layer(
    convolution: Convolution,
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    *,
    normalize: bool,
    rngs: nnx.Rngs,
) -> tuple[nnx.Conv, Callable[[jax.Array], jax.Array]]:
    """A convolution without padding, and the function that follows it."""
    sizes = inputs, outputs, size, stride
    options: dict[str, Any] = {
        "padding": "VALID",
        "convolution": convolution,
        "kernel_init": uniform,
        "rngs": rngs,
    }
    if normalize:
        return conv_norm(*sizes, **options)
    bias_init = _bias_init(size * size * inputs)
    return conv(*sizes, **options, bias_init=bias_init), identity


def _bias_init(inputs: int) -> nnx.Initializer:
    """Initializes uniformly in ±1 / √inputs, with the inputs of one unit."""

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Any:
        bound = inputs**-0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _constant(value: float | None, shape: Sequence[int]) -> nnx.Param | None:
    return None if value is None else nnx.Param(jnp.full(shape, value))


def _noise(key: jax.Array, size: int, dtype: Any) -> jax.Array:
    z = jax.random.normal(key, (1, size), dtype)
    return jnp.sign(z) * jnp.sqrt(jnp.abs(z))


def _check_positions(
    observation_shape: Sequence[int], height: int, width: int, *, smallest: int
) -> None:
    if min(height, width) < 1:
        raise ValueError(
            f"observation_shape must have at least {smallest} rows and columns for "
            f"this torso, got {observation_shape!r}."
        )
