"""Reads and checks the image data sets, as arrays of uint8."""

from experiments.harness.images.data_sets import (
    SPECS,
    FoundSpec,
    Images,
    Labelled,
    Spec,
)
from experiments.warm_start.data.loading import load

__all__ = ["SPECS", "FoundSpec", "Images", "Labelled", "Spec", "load"]
