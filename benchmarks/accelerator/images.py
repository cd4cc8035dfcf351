"""A training step of both models of images, against PyTorch on the same device."""

import importlib.util
from statistics import median

import jax
import jax.numpy as jnp

from benchmarks.accelerator.figures import Figures, digits, milliseconds, ratio
from benchmarks.images.peer import torch_step
from benchmarks.images.step import (
    LEARNING_RATE,
    JaxStep,
    Step,
    build,
    minimal_flops,
    random_batch,
)
from experiments.harness.timing import seconds_in_turns

SETTINGS = (
    ("float32, TF32 products", "float32", "default"),
    ("float32", "float32", "highest"),
    ("bfloat16", "bfloat16", "default"),
)
"""Names of precisions, their dtypes, and JAX's precision of products."""
PEER = "PyTorch"


def step(name: str, small: bool) -> Figures:
    """Measures milliseconds of a step, and the ratio to PyTorch's, not compiled."""
    found: Figures = {}
    batch, num_steps = (4, 1) if small else (256, 20)
    if not importlib.util.find_spec("torch"):
        found[PEER] = "not installed: ours alone"
    for setting, dtype, precision in SETTINGS:
        seconds, losses = _times(name, batch, num_steps, dtype, precision)
        own = seconds["ours"]
        found[f"{setting}, ms"] = milliseconds(own, num_steps)
        rate = minimal_flops(name, batch) * num_steps / median(own)
        found[f"{setting}, TFLOP/s"] = digits(rate / 1e12)
        if PEER in seconds:
            found[f"{setting}, {PEER}, ms"] = milliseconds(seconds[PEER], num_steps)
            found[f"{setting}, over {PEER}"] = ratio(own, seconds[PEER])
        found[f"{setting}, losses"] = losses
    return found


def _times(
    name: str, batch: int, num_steps: int, dtype: str, precision: str
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of our and PyTorch's rounds, and the losses of the first step."""
    data = random_batch(batch)
    with jax.default_matmul_precision(precision):
        steps: dict[str, Step] = {
            "ours": JaxStep(
                build(name), *data, at_once=batch, options={}, dtype=jnp.dtype(dtype)
            )
        }
    if importlib.util.find_spec("torch"):
        import torch

        is_tf32 = precision == "default"
        torch.backends.cuda.matmul.allow_tf32 = is_tf32
        torch.backends.cudnn.allow_tf32 = is_tf32
        torch.backends.cudnn.benchmark = True  # as XLA does: the fastest algorithms
        steps[PEER] = torch_step(
            build(name),
            *data,
            learning_rate=LEARNING_RATE,
            device="cuda" if torch.cuda.is_available() else "cpu",
            dtype=dtype,
        )
    losses = [digits(step(1), 6) for step in steps.values()]
    turns = {key: (lambda step=step: step(num_steps)) for key, step in steps.items()}
    seconds_in_turns(turns, num_rounds=1)  # warms up
    return seconds_in_turns(turns, num_rounds=7), losses
