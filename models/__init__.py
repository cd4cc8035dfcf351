"""Flax models of the experiments: no optimiser, no data, no training code."""

from models.grokking_transformer import GrokkingTransformer

__all__ = ["GrokkingTransformer"]
