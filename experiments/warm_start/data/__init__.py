"""The image data sets: read, checked and put on the device as they are, in uint8."""

from experiments.warm_start.data.images import SPECS, Images, Labelled, Spec
from experiments.warm_start.data.loading import load

__all__ = ["SPECS", "Images", "Labelled", "Spec", "load"]
