"""The residual network of 18 layers, for small images and with LayerNorm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from models.images import Features, ImageClassifier, check_image_shape, check_size
from models.layers import conv_norm, linear, relu
from models.normalization import CenteredChannelNorm

__all__ = ["ResNet18"]

BLOCKS_IN_STAGE = 2
NUM_BLOCKS = 4 * BLOCKS_IN_STAGE
FIRST_OF_HEAD = NUM_BLOCKS - BLOCKS_IN_STAGE


class ResNet18(ImageClassifier):
    r"""Four stages of two residual blocks, then an average and a linear layer.

    .. math::

        h &= \operatorname{relu}(\operatorname{norm}(W_\text{stem} * \text{images})) \\
        h &\leftarrow \operatorname{relu}(\operatorname{norm}_1(W_1 *
        \operatorname{relu}(\operatorname{norm}_0(W_0 * h))) +
        \operatorname{shortcut}(h)) \quad\text{for each of 8 blocks} \\
        \text{logits} &= W_\text{logits} \operatorname{mean}_\text{positions}(h)

    The stages have w, 2w, 4w and 8w channels. Each stage but the first begins with a
    convolution of stride 2; there the shortcut is a normalised 1 x 1 convolution, and
    elsewhere it is the identity. As usual for small images (28 x 28, 32 x 32), the stem
    is a 3 x 3 convolution with stride 1, without pooling. All convolutions are padded
    by half their size on each side, so with a stride both ways of a block look at the
    same positions.

    Unlike in the original, linear layers have no biases. Each normalisation is a
    LayerNorm over the channels of one position (ε = 1e-6), with ``scale`` and ``bias``,
    in place of batch normalisation. So examples do not depend on each other, and the
    parameters are the only state. Every ``kernel`` starts as a truncated normal with
    variance 1 / (inputs), so its squared Frobenius norm is about the number of its
    outputs.

    A convolution's kernel can be multiplied by c > 0 without changing the function, if
    the following variance is far above ε. Multiplying the last kernel by c multiplies
    the logits by c.

    :meth:`features` are ``stem`` and ``block_0`` to ``block_7``, after their last ReLU,
    each of shape ``(n, height, width, channels)`` after the strides so far.

    Args:
      image_shape: height, width and channels of an image.
      num_classes: number of classes.
      width: w, the channels of the first stage.
      rngs: random number generators for the initial parameters.

    Raises:
      ValueError: if a size is not an int of at least 1 (``width``: of at least 2,
        because one channel alone is normalised to 0) or ``image_shape`` does not have
        three; when called, if the images are not floating or of another shape.

    Examples:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from models import ResNet18
      >>> def logits(images):
      ...     return ResNet18(rngs=nnx.Rngs(0))(images)
      >>> jax.eval_shape(logits, jnp.ones((2, 32, 32, 3))).shape  # computes nothing
      (2, 10)

    References:
      He et al., `Deep Residual Learning for Image Recognition
      <https://arxiv.org/abs/1512.03385>`_, 2015; Lyle et al., `What Can Grokking Teach
      Us About Learning Under Nonstationarity? <https://arxiv.org/abs/2507.20057>`_,
      2025, appendix A.2
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (32, 32, 3),
        num_classes: int = 10,
        *,
        width: int = 64,
        rngs: nnx.Rngs,
    ) -> None:
        check_image_shape(image_shape)
        check_size("num_classes", num_classes)
        check_size("width", width, 2)
        self.image_shape = tuple(image_shape)
        self.stem_conv, self.stem_norm = _convolution(image_shape[2], width, 3, 1, rngs)
        inputs = width
        for index in range(NUM_BLOCKS):
            stage, block_of_stage = divmod(index, BLOCKS_IN_STAGE)
            outputs = width * 2**stage
            stride = 2 if stage > 0 and block_of_stage == 0 else 1
            # Attributes, not a list, so that the paths of parameters are plain names.
            setattr(self, f"block_{index}", Block(inputs, outputs, stride, rngs=rngs))
            inputs = outputs
        self.logits = linear(inputs, num_classes, nnx.initializers.lecun_normal(), rngs)

    def _trunk(self, images: jax.Array) -> tuple[jax.Array, Features]:
        """The stem and all stages but the last."""
        stem = relu(self.stem_norm(self.stem_conv(images)))
        h, features = self._blocks(stem, range(FIRST_OF_HEAD))
        return h, {"stem": stem} | features

    def _head(self, hidden: jax.Array) -> tuple[jax.Array, Features]:
        """The last stage and the logits.

        A slice of the batch has too few positions for the stage's large kernels.
        """
        h, features = self._blocks(hidden, range(FIRST_OF_HEAD, NUM_BLOCKS))
        return self.logits(jnp.mean(h, axis=(1, 2))), features

    def _blocks(
        self, h: jax.Array, indices: Iterable[int]
    ) -> tuple[jax.Array, Features]:
        features = {}
        for name in (f"block_{index}" for index in indices):
            features[name] = h = getattr(self, name)(h)
        return h, features


class Block(nnx.Module):
    """Two normalised 3 x 3 convolutions beside a shortcut.

    Args:
      inputs: channels of the inputs.
      outputs: channels of the outputs.
      stride: stride of the first convolution; above 1, the shortcut is a normalised 1 x
        1 convolution.
      rngs: random number generators for the initial parameters.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs
    ) -> None:
        self.conv_0, self.norm_0 = _convolution(inputs, outputs, 3, stride, rngs)
        self.conv_1, self.norm_1 = _convolution(outputs, outputs, 3, 1, rngs)
        self.has_projection = stride > 1
        if self.has_projection:
            self.shortcut_conv, self.shortcut_norm = _convolution(
                inputs, outputs, 1, stride, rngs
            )

    def __call__(self, h: jax.Array) -> jax.Array:
        """The block's outputs, shape ``(n, height, width, outputs)``, not negative."""
        residual = relu(self.norm_0(self.conv_0(h)))
        residual = self.norm_1(self.conv_1(residual))
        if self.has_projection:
            h = self.shortcut_norm(self.shortcut_conv(h))
        return relu(h + residual)


def _convolution(
    inputs: int, outputs: int, size: int, stride: int, rngs: nnx.Rngs
) -> tuple[nnx.Conv, CenteredChannelNorm]:
    # Not "SAME": with stride 2 on an even side that would look one pixel further than
    # the 1 x 1 convolution of the shortcut.
    return conv_norm(inputs, outputs, size, stride, padding=size // 2, rngs=rngs)
