"""Every decision that depends on the backend, in one place.

Accelerators want one large program and batched operators. XLA's CPU backend differs
in three measured ways. Inside a `while` body (`lax.scan`, `lax.map`) it runs
convolutions more than ten times slower than outside (a training step of a small CNN:
367 ms against 26 ms on 2 cores). Mapping over the members of a sweep one after the
other keeps each member in cache: eight seeds took 0.98 times eight single runs by
`lax.map` and 1.17 times by `vmap` (`benchmarks/sweep.py`). And a convolution occupies
one core: slices of a batch, which do not depend on each other, occupy several. With 32
examples in a slice a training step on 128 images took 0.7 times as long for the small
CNN and 0.75 times as long for ResNet-18 on 2 cores, and 0.8 times as long for the CNN
on one (`benchmarks/image_step.py`).
"""

import jax

CPU_SLICE = 32


def loops_in_program(*, has_convolutions: bool) -> bool:
    """Whether steps and members are looped over inside one compiled program."""
    return jax.default_backend() != "cpu" or not has_convolutions


def members_at_once() -> bool:
    """Whether the members of a sweep are vectorised (else one after the other)."""
    return jax.default_backend() != "cpu"


def examples_at_once(num_examples: int) -> int:
    """Into slices of how many a batch is divided that goes through convolutions."""
    return (
        min(num_examples, CPU_SLICE) if jax.default_backend() == "cpu" else num_examples
    )
