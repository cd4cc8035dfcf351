"""Every decision that depends on the backend, in one place.

Accelerators want one large program and batched operators. XLA's CPU backend differs
in two measured ways. Inside a `while` body (`lax.scan`, `lax.map`) it runs convolutions
more than ten times slower than outside (a training step of a small CNN: 367 ms against
26 ms on 2 cores). And mapping over the members of a sweep one after the other keeps
each member in cache: eight seeds took 0.85 times eight single runs by `lax.map` and
1.26 times by `vmap`.
"""

import jax


def loops_in_program(*, has_convolutions: bool) -> bool:
    """Whether steps and members are looped over inside one compiled program."""
    return jax.default_backend() != "cpu" or not has_convolutions


def members_at_once() -> bool:
    """Whether the members of a sweep are vectorised (else one after the other)."""
    return jax.default_backend() != "cpu"
