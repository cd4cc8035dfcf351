"""Flax models of the experiments: no optimiser, no data, no training code."""

from models.atari_q_networks import AtariQNetwork
from models.cifar_cnn import CifarCNN
from models.committee import CommitteeMachine
from models.grokking_transformer import GrokkingTransformer
from models.mlp import MLP, ModularMLP
from models.resnet import ResNet18

__all__ = [
    "MLP",
    "AtariQNetwork",
    "CifarCNN",
    "CommitteeMachine",
    "GrokkingTransformer",
    "ModularMLP",
    "ResNet18",
]
