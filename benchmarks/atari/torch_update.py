"""An update of DQN in PyTorch, with our weights and on our batches.

It has channels last, float32 and the fused Adam, and is not compiled. PyTorch is
imported when an update is made.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.atari.setting import Setting


def torch_update(
    params: Any, setting: Setting, batch: tuple[np.ndarray, ...]
) -> Callable[[int], np.ndarray]:
    """Updates on one batch, which is handed over each time.

    Args:
      params: ours, of which the target network is a copy that stays.
      setting: of a DQN.
      batch: observations of shape ``(n, height, width, 4)``, uint8, actions, rewards,
        discounts and the observations that follow.

    Returns:
      A function from a number of updates to the values of the actions in the last one,
      before it; shape ``(n,)``.
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    online, target = torch_network(params), torch_network(params)
    optimizer = torch.optim.Adam(
        online.parameters(),
        lr=setting.learning_rate,
        eps=setting.switches.adam_eps,
        fused=True,
    )

    def images(observations: np.ndarray) -> torch.Tensor:
        # In memory, channels are already the last axis.
        return torch.from_numpy(observations).permute(0, 3, 1, 2).float() / 255

    def run(num_updates: int) -> np.ndarray:
        for _ in range(num_updates):
            observations, actions, rewards, discounts, following = batch
            with torch.no_grad():
                best = target(images(following)).max(1).values
                targets = torch.from_numpy(rewards) + torch.from_numpy(discounts) * best
            taken = torch.from_numpy(actions.astype(np.int64))[:, None]
            values = online(images(observations)).gather(1, taken)[:, 0]
            loss = functional.huber_loss(values, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        shown: np.ndarray = values.detach().numpy()
        return shown

    return run


def torch_network(params: Any) -> Any:
    """The plain network of DQN, with our weights."""
    import torch
    from torch import nn

    torso, stream = params["torso"], params["action_values"]
    layers: list[nn.Module] = []
    for name, stride in (("conv_0", 4), ("conv_1", 2), ("conv_2", 1)):
        kernel = np.array(torso[name]["kernel"])
        size, _, inputs, outputs = kernel.shape
        layer: Any = nn.Conv2d(inputs, outputs, size, stride)
        _fill(layer, kernel.transpose(3, 2, 0, 1), torso[name]["bias"])
        layers += [layer, nn.ReLU()]
    for name in ("hidden", "output"):
        kernel = np.array(stream[name]["kernel"])
        layer = nn.Linear(*kernel.shape)
        _fill(layer, kernel.T, stream[name]["bias"])
        layers += [layer, nn.ReLU()]
    convolutions, dense = layers[:6], layers[6:-1]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.torso = nn.Sequential(*convolutions)
            self.torso.to(memory_format=torch.channels_last)
            self.stream = nn.Sequential(*dense)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            # Our order of features: positions, then channels.
            features = self.torso(images).permute(0, 2, 3, 1).flatten(1)
            values: torch.Tensor = self.stream(features)
            return values

    return Network()


def _fill(layer: Any, weight: np.ndarray, bias: Any) -> None:
    import torch

    layer.weight = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight)))
    layer.bias = torch.nn.Parameter(torch.from_numpy(np.array(bias)))
