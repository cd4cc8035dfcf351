"""Flax models of the experiments: no optimiser, no data, no training code."""

from models.atari_q_networks import AtariQNetwork
from models.byte_transformer import ByteTransformer
from models.cifar_cnn import CifarCNN
from models.committee import CommitteeMachine
from models.grokking_transformer import GrokkingTransformer
from models.mlp import MLP, ModularMLP
from models.resnet import ResNet18

__all__ = [
    "MLP",
    "AtariQNetwork",
    "ByteTransformer",
    "CifarCNN",
    "CommitteeMachine",
    "GrokkingTransformer",
    "ModularMLP",
    "ResNet18",
]
