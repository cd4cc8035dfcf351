"""The models of images in ordinary PyTorch, with our weights.

They have channels last, LayerNorm on a view and the fused Adam, and are not compiled.
PyTorch is imported when a model is made.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from models import CifarCNN, ResNet18


def torch_step(
    model: CifarCNN | ResNet18,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    learning_rate: float,
    num_threads: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Callable[[int], float]:
    """Makes a function that trains some steps and returns the loss before the last."""
    import torch
    from torch.nn import functional

    if num_threads is not None:
        torch.set_num_threads(num_threads)
    if isinstance(model, CifarCNN):
        module = torch_cifar_cnn(model)
        images = images[:, ::-1, ::-1]
    else:
        module = torch_resnet(model)
    precision = getattr(torch, dtype)
    module = module.to(device, precision, memory_format=torch.channels_last)
    inputs = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    inputs = inputs.to(device, precision)
    targets = torch.from_numpy(labels.astype(np.int64)).to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, fused=True)

    def run(num_steps: int) -> float:
        for _ in range(num_steps):
            optimizer.zero_grad()
            loss = functional.cross_entropy(module(inputs), targets)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def torch_convolution(source: nnx.Conv, mirrored: bool = False) -> Any:
    """A layer with the same kernel, mirrored if asked, and PyTorch's usual padding."""
    import torch

    kernel = np.array(source.kernel[...])
    if mirrored:
        kernel = kernel[::-1, ::-1]
    size, _, inputs, outputs = kernel.shape
    strides: Any = source.strides
    layer = torch.nn.Conv2d(
        inputs, outputs, size, strides[0], padding=size // 2, bias=False
    )
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    layer.weight = torch.nn.Parameter(weight)
    return layer


def torch_linear(kernel: np.ndarray) -> Any:
    import torch

    layer = torch.nn.Linear(*kernel.shape, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(kernel.T.copy()))
    return layer


def torch_layer_norm(channels: int) -> Any:
    import torch

    class ChannelNorm(torch.nn.LayerNorm):
        """LayerNorm over the channels, the last axis in memory, without copies."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return ChannelNorm(channels, eps=1e-6)


def torch_cifar_cnn(model: CifarCNN) -> Any:
    """The network of the defaults, which alone is timed."""
    import torch
    from torch import nn

    convolutions = (model.conv_0, model.conv_1, model.conv_2)
    layers: list[nn.Module] = []
    for source in convolutions:
        convolution = torch_convolution(source, mirrored=True)
        norm = torch_layer_norm(convolution.out_channels)
        layers.extend([convolution, norm, nn.ReLU()])
    hidden = np.array(model.hidden.kernel[...])
    channels = convolutions[-1].out_features
    side = math.isqrt(len(hidden) // channels)
    mirrored = hidden.reshape(side, side, channels, -1)[::-1, ::-1]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.torso = nn.Sequential(*layers)
            self.hidden = torch_linear(mirrored.reshape(hidden.shape))
            self.logits = torch_linear(np.array(model.logits.kernel[...]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = self.torso(images).permute(0, 2, 3, 1).flatten(1)
            return self.logits(torch.relu(self.hidden(flat)))

    return Network()


def torch_resnet(model: ResNet18) -> Any:
    import torch
    from torch import nn

    class Normalised(nn.Sequential):
        def __init__(self, source: nnx.Conv) -> None:
            convolution = torch_convolution(source)
            super().__init__(convolution, torch_layer_norm(convolution.out_channels))

    class Block(nn.Module):
        def __init__(self, source: Any) -> None:
            super().__init__()
            self.first = Normalised(source.conv_0)
            self.second = Normalised(source.conv_1)
            self.shortcut = (
                Normalised(source.shortcut_conv)
                if source.has_projection
                else nn.Identity()
            )

        def forward(self, h: torch.Tensor) -> torch.Tensor:
            residual = self.second(torch.relu(self.first(h)))
            return torch.relu(self.shortcut(h) + residual)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = Normalised(model.stem_conv)
            self.blocks = nn.Sequential(
                *(Block(getattr(model, f"block_{index}")) for index in range(8))
            )
            self.logits = torch_linear(np.array(model.logits.kernel[...]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            h = self.blocks(torch.relu(self.stem(images)))
            return self.logits(h.mean((2, 3)))

    return Network()
