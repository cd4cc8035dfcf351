"""The harness's decisions that depend on the backend; a model's are in its layers.

Accelerators are fastest with one large program and batched operators, except for
convolutions with a kernel for each member. These become grouped convolutions, which are
slow on a GPU: an update of the small CNN takes .48 ms for each of 30 members one after
the other and .68 at once (an H200, `benchmarks/accelerator`).

XLA's CPU backend differs in measured ways. Inside a `while` body (`lax.scan`,
`lax.map`) it runs convolutions more than ten times slower than outside (a training step
of a small CNN: 367 ms against 26 ms on 2 cores). Mapping over the members of a sweep
one after the other keeps each member in cache: eight seeds took 0.98 times eight single
runs by `lax.map` and 1.17 times by `vmap` (`benchmarks/sweep.py`). Slices of a batch do
not depend on each other, so they use several cores and stay in cache. XLA has two
libraries for convolutions: YNNPACK takes up to three times as long as Eigen for the
gradients of wide kernels, but is faster with few channels
(`benchmarks/images/convolutions.py`). It is also faster for sums over large arrays.
"""

import functools
import logging
import os
from typing import Any

import jax

from experiments.harness.messages import UserError

CPU_SLICE = 16
WIDE = 64
"""Number of channels from which on Eigen's convolutions are faster."""
YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
"""XLA's option for the kinds of operators that go to YNNPACK."""


_CHOOSING = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_NUM_CPU_DEVICES")
"""Environment variables that choose the devices."""


def require_platform() -> None:
    """Raises `UserError` if the platform that the user asks for is missing.

    Call it before a directory is made. It is the first to use the devices.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError, ValueError) as error:
        # A missing plugin raises either of the first two.
        asked = {name: os.environ[name] for name in _CHOOSING if os.environ.get(name)}
        if not asked:
            raise
        shown = ", ".join(f"{name}={value}" for name, value in asked.items())
        if set(asked) == {"JAX_PLATFORMS"}:
            here = ", ".join(_platforms_here())
            reason = f"there is no such platform here (available: {here})"
        else:
            reason = f"JAX has no such devices here ({str(error).splitlines()[0]})"
        raise UserError(f"{shown}: {reason}; unset it, or name what is here") from None


def _platforms_here() -> list[str]:
    """The platforms that JAX finds if it may choose."""
    logging.getLogger("jax").setLevel(logging.ERROR)
    jax.config.update("jax_platforms", None)
    try:
        return list(dict.fromkeys([jax.default_backend(), "cpu"]))
    except (RuntimeError, AssertionError):
        return ["cpu"]


def loops_in_program(*, has_convolutions: bool) -> bool:
    """Whether steps and members are looped over inside one compiled program."""
    return jax.default_backend() != "cpu" or not has_convolutions


def members_at_once(*, has_convolutions: bool) -> bool:
    """Whether the members of a sweep are vectorised (else one after the other)."""
    backend = jax.default_backend()
    return backend != "cpu" and not (backend == "gpu" and has_convolutions)


def examples_at_once(num_examples: int) -> int:
    """Number of examples of a batch that go through convolutions at a time."""
    return (
        min(num_examples, CPU_SLICE) if jax.default_backend() == "cpu" else num_examples
    )


def narrowest_convolution(params: Any) -> int:
    """Outputs of the narrowest convolution of a network.

    Args:
      params: a pytree of arrays or of their shapes. Arrays with four axes are kernels
        of convolutions; the last axis is that of the outputs.
    """
    shapes = (leaf.shape for leaf in jax.tree.leaves(params))
    return min(shape[-1] for shape in shapes if len(shape) == 4)


def convolution_options(channels: int) -> dict[str, str]:
    """Options of the compiler for a program that is mostly convolutions.

    Args:
      channels: number of outputs of the narrowest convolution.

    Returns:
      `compiler_options` for `jax.jit`; empty if the backend has no choice.
    """
    if jax.default_backend() != "cpu":
        return {}
    kinds = () if channels >= WIDE else ("INDIVIDUAL_CONVOLUTION", "INDIVIDUAL_DOT")
    return _with_ynnpack(*kinds)


def update_options() -> dict[str, str]:
    """Options to compile an update of an agent on Atari with.

    On a CPU its products go to Eigen: the convolutions, which stride over large images,
    and the dense layers, where `models.layers.matmul_small_batch` avoids the one
    gradient that is slow there. Sums go to YNNPACK, which takes a quarter of the time
    for the norm of a large gradient.

    Returns:
      As of `convolution_options`.
    """
    if jax.default_backend() != "cpu":
        return {}
    return _with_ynnpack("REDUCE")


def _with_ynnpack(*kinds: str) -> dict[str, str]:
    """The option by which these kinds of operators go to YNNPACK, and no others."""
    value = ",".join(f"LIBRARY_FUSION_TYPE_{kind}" for kind in kinds)
    return {YNNPACK: value} if _is_known(YNNPACK, value) else {}


@functools.cache
def _is_known(option: str, value: str) -> bool:
    """Whether this version of XLA has an option; experimental options come and go."""
    try:
        jax.jit(lambda: 0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
