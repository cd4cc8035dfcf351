"""A small convolutional network of three convolutions for images such as CIFAR's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from models.images import Features, ImageClassifier, check_image_shape, check_size
from models.layers import conv, conv_norm, identity, linear, relu
from models.normalization import ChannelNorm

__all__ = ["CifarCNN"]

KERNEL_SIZES = (5, 3, 3)


class CifarCNN(ImageClassifier):
    r"""Three convolutions, one hidden layer, and logits, without biases.

    .. math::

        h_i &= \operatorname{relu}(\operatorname{norm}_i(W_i * h_{i-1})),
        \quad i = 0, 1, 2, \qquad h_{-1} = \text{images} \\
        g &= \operatorname{relu}(W_\text{hidden} \operatorname{flatten}(h_2)) \\
        \text{logits} &= W_\text{logits}\, g

    The kernels are 5 x 5, 3 x 3 and 3 x 3, padded so that a stride s turns a side n
    into ⌈n / s⌉ (``SAME``). Each normalisation is a LayerNorm over the channels of one
    position, with ``scale`` and ``bias``. Every ``kernel`` starts as a truncated normal
    with variance 1 / (inputs), so that its squared Frobenius norm is about the number
    of its outputs.

    With ``normalize_hidden`` there is a LayerNorm over the units before the hidden
    layer's ReLU too. The paper's appendix names none there, but its section 2.3 says
    that Normalize-and-Project has one before each nonlinearity.

    The paper gives neither strides nor the hidden width. Under projection, its Figure 4
    shows a parameter norm of 20.1 throughout. With 300 hidden units the norm of all
    kernels is √(3 · 32 + 300 + 10) = 20.15, so we take 300. The strides do not show in
    the norm; 2, 2 and 1 are our choice. Nor does the paper say whether maxima over
    windows of positions are taken (``windows``). By default none are.

    A convolution's kernel can be multiplied by c > 0 without changing the function, if
    the following variance is far above ε = 1e-6. So can a normalisation's ``scale`` and
    ``bias`` together, if a normalised layer follows. Multiplying the last kernel by c
    multiplies the logits by c; so does the hidden kernel, unless it is normalised.

    :meth:`features` are ``conv_0``, ``conv_1`` and ``conv_2``, shape ``(n, height,
    width, channels)`` after the strides and windows so far, and ``hidden``, shape ``(n,
    hidden_dim)``.

    Args:
      image_shape: height, width and channels of an image.
      num_classes: number of classes.
      channels: output channels of each convolution.
      strides: strides of the three convolutions.
      windows: sides of the squares of positions whose maxima are taken after each
        convolution, and their strides; padded as the convolutions are.
      hidden_dim: units of the hidden layer.
      normalize: whether to have the three normalisations; if not, each is the identity
        and has no parameters.
      normalize_hidden: whether to normalise the hidden layer as well.
      offsets: whether normalisations have ``bias``.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size, stride or window is not an int of at least 1 (``channels``
        and ``hidden_dim``: of at least 2 if normalised, because one alone is normalised
        to 0), or ``image_shape``, ``strides`` or ``windows`` does not have three; when
        called, if the images are not floating or of another shape.

    Examples:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import CifarCNN
      >>> def logits(images):
      ...     return CifarCNN((28, 28, 1), rngs=nnx.Rngs(0))(images)
      >>> jax.eval_shape(logits, jnp.ones((2, 28, 28, 1))).shape  # computes nothing
      (2, 10)

    References:
      Lyle et al., `What Can Grokking Teach Us About Learning Under Nonstationarity?
      <https://arxiv.org/abs/2507.20057>`_, 2025, section 5 and appendix A.2
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (32, 32, 3),
        num_classes: int = 10,
        *,
        channels: int = 32,
        strides: Sequence[int] = (2, 2, 1),
        windows: Sequence[int] = (1, 1, 1),
        hidden_dim: int = 300,
        normalize: bool = True,
        normalize_hidden: bool = False,
        offsets: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        check_image_shape(image_shape)
        check_size("num_classes", num_classes)
        check_size("channels", channels, 2 if normalize else 1)
        check_size("hidden_dim", hidden_dim, 2 if normalize_hidden else 1)
        _check_three("strides", strides)
        _check_three("windows", windows)
        height, width, inputs = image_shape
        for stride in (*strides, *windows):
            height, width = math.ceil(height / stride), math.ceil(width / stride)
        self.image_shape = tuple(image_shape)
        self.windows = tuple(windows)
        layer = partial(_layer, normalize=normalize, offsets=offsets, rngs=rngs)
        first, second, third = zip(KERNEL_SIZES, strides, strict=True)
        self.conv_0, self.norm_0 = layer(inputs, channels, *first)
        self.conv_1, self.norm_1 = layer(channels, channels, *second)
        self.conv_2, self.norm_2 = layer(channels, channels, *third)
        normal = nnx.initializers.lecun_normal()
        self.hidden = linear(height * width * channels, hidden_dim, normal, rngs)
        self.logits = linear(hidden_dim, num_classes, normal, rngs)
        # Last, so that the kernels do not depend on it.
        self.norm_hidden = (
            ChannelNorm(hidden_dim, use_bias=offsets, rngs=rngs)
            if normalize_hidden
            else identity
        )

    def _trunk(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """The three convolutions."""
        first, second, third = self.windows
        # Maxima before a ReLU are those after it, and leave it fewer positions.
        conv_0 = relu(_maxima(self.norm_0(self.conv_0(images)), first))
        conv_1 = relu(_maxima(self.norm_1(self.conv_1(conv_0)), second))
        conv_2 = relu(_maxima(self.norm_2(self.conv_2(conv_1)), third))
        return conv_2, {"conv_0": conv_0, "conv_1": conv_1, "conv_2": conv_2}

    def _head(self, hidden: jax.Array) -> tuple[jax.Array, Features]:
        """The hidden layer and the logits."""
        units = self.norm_hidden(self.hidden(hidden.reshape(len(hidden), -1)))
        units = jax.nn.relu(units)
        return self.logits(units), {"hidden": units}


def _layer(
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    *,
    normalize: bool,
    offsets: bool,
    rngs: nnx.Rngs,
) -> tuple[nnx.Conv, Callable[[jax.Array], jax.Array]]:
    """A convolution, and the function that follows it."""
    sizes = inputs, outputs, size, stride
    if normalize:
        return conv_norm(*sizes, padding="SAME", use_bias=offsets, rngs=rngs)
    return conv(*sizes, padding="SAME", rngs=rngs), identity


def _maxima(inputs: jax.Array, side: int) -> jax.Array:
    """`nnx.max_pool` over squares side by side, padded as "SAME".

    As a maximum over axes it has a derivative without a scatter.
    """
    if side == 1:
        return inputs
    n, height, width, channels = inputs.shape
    down, right = math.ceil(height / side), math.ceil(width / side)
    (top, bottom), (left, end) = jax.lax.padtype_to_pads(
        (height, width), (side, side), (side, side), "SAME"
    )
    padded = jnp.pad(
        inputs, [(0, 0), (top, bottom), (left, end), (0, 0)], constant_values=-jnp.inf
    )
    squares = padded.reshape(n, down, side, right, side, channels)
    return jnp.max(squares, axis=(2, 4))


def _check_three(name: str, sizes: Any) -> None:
    if not isinstance(sizes, Sequence) or len(sizes) != len(KERNEL_SIZES):
        raise ValueError(f"{name} must be three ints, got {sizes!r}.")
    for size in sizes:
        check_size(f"each of {name}={sizes!r}", size)
