"""A tiny run directory, and one that was stopped with rows after its checkpoints."""

import dataclasses

import jax.numpy as jnp

from experiments.harness.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 3
    quiet: bool = False
    delay: float = float("inf")
    widths: tuple[int, ...] = (1, 2)
    inner: Inner = dataclasses.field(default_factory=Inner)


def opened(path, config=None, **options):
    return RunDirectory(path, config or Config(), ignored=("quiet",), **options)


def state_at(step):
    return {"x": jnp.full(3, step, jnp.float32)}


def stopped_at_2(path):
    """A run with two checkpoints, and rows after them."""
    with opened(path) as run:
        run.restore(state_at(0))
        for step in (1, 2):
            run.record(step, [{"a": step}], state_at(step))
        run.record(3, [{"a": 3}])
