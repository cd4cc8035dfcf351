"""The image data sets: read, checked and put on the device as they are, in uint8."""

from experiments.harness.images.data_sets import (
    SPECS,
    FoundSpec,
    Images,
    Labelled,
    Spec,
)
from experiments.warm_start.data.loading import load

__all__ = ["SPECS", "FoundSpec", "Images", "Labelled", "Spec", "load"]
