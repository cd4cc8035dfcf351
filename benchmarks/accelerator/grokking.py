"""The grokking network at the paper's size: speed and reproducibility of batches."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import jax
import numpy as np

from benchmarks.accelerator.figures import Figures, digits, milliseconds
from benchmarks.grokking_step import minimal_flops
from benchmarks.machine import matmul_flops, matmul_seconds
from benchmarks.sweep import at_once, compiled, grokking_members
from experiments.grokking.config import Config
from experiments.grokking.experiment import Experiment
from experiments.harness import loop
from experiments.harness.timing import seconds_in_turns

DETERMINISTIC = {"xla_gpu_deterministic_ops": True}
"""XLA's option for GPUs that forbids sums in a random order."""
HOST = ("infeed", "outfeed", " send(", " recv(", "callback", "S(5)")
"""Words in a compiled text where a program waits for its host; S(5) is host memory."""


def _config(small: bool, num_steps: int) -> Config:
    modulus = 11 if small else 117
    return Config(modulus=modulus, num_steps=num_steps, eval_every=num_steps // 2)


def speed(small: bool) -> Figures:
    """Measures updates per second of batches, as shares of the rate of products."""
    num_steps = 4 if small else 100
    config = _config(small, num_steps)
    experiment = Experiment(config)
    sizes = {f"members: {num}": num for num in ((1, 2) if small else (1, 8, 64))}
    runs = {
        name: compiled(experiment, grokking_members(config, num), at_once, num_steps)
        for name, num in sizes.items()
    }
    seconds_in_turns(runs, num_rounds=1)  # warms up
    times = seconds_in_turns(runs, num_rounds=5)
    side = 512 if small else 8192
    shape = (side, side, side)
    rate = matmul_flops(shape) / min(matmul_seconds(shape))
    flops = minimal_flops(round(config.train_fraction * config.modulus**2))
    found: Figures = {}
    for name, seconds in times.items():
        per_second = sizes[name] * num_steps / median(seconds)
        found[f"{name}, ms a step"] = milliseconds(seconds, num_steps)
        found[f"{name}, updates/s"] = digits(per_second)
        found[f"{name}, share of the rate of products"] = digits(
            flops * per_second / rate
        )
    return found


def bits(small: bool) -> Figures:
    """Checks whether seeds give the same bits twice, and alone and in a batch."""
    config = _config(small, 10 if small else 200)
    found: Figures = {}
    for name, options in (("as it is", {}), ("deterministic", DETERMINISTIC)):
        if name == "deterministic" and jax.default_backend() != "gpu":
            continue
        chunk = _chunk(config, options)
        first, second = (_trained(config, chunk, 8) for _ in range(2))
        found[f"{name}: the same bits twice"] = _are_equal(first, second)
        alone = _trained(config, chunk, 1)
        found[f"{name}: the same bits alone"] = _are_equal(
            alone, [leaf[:1] for leaf in first]
        )
    found["a chunk waits for its host"] = [
        word for word in HOST if word in _chunk_text(config)
    ]
    return found


def _chunk(config: Config, options: Mapping[str, Any]) -> loop.ChunkFn:
    experiment = Experiment(config)
    return loop.compile_chunk(
        experiment.step,
        experiment.evaluate,
        in_axes=(0, 0, 0),
        compiler_options=options,
    )


def _trained(config: Config, chunk: loop.ChunkFn, num: int) -> list[np.ndarray]:
    """All numbers after a run with the harness."""
    state, *inputs = grokking_members(config, num)
    for _ in range(config.num_steps // config.eval_every):
        state, metrics = chunk(state, *inputs, num_steps=config.eval_every)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, metrics))]


def _are_equal(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _chunk_text(config: Config) -> str:
    """The text of a chunk's program, compiled as by the harness."""
    chunk = partial(_chunk(config, {}), num_steps=config.eval_every)
    return jax.jit(chunk).lower(*grokking_members(config, 2)).compile().as_text() or ""
