"""When to re-warm: detectors of a change in the data, as pairs of pure functions."""

from nap_optax.detectors._change import (
    CusumState,
    PageHinkleyState,
    cusum,
    page_hinkley,
)
from nap_optax.detectors._protocol import Detector, observe
from nap_optax.detectors._unconditional import every, on_signal, resolve

__all__ = [
    "CusumState",
    "Detector",
    "PageHinkleyState",
    "cusum",
    "every",
    "observe",
    "on_signal",
    "page_hinkley",
    "resolve",
]
