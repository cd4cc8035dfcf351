"""Which values in states are references to the first parameters."""

from typing import Any

FIELDS = frozenset({"initial_weights", "reference_norm", "target_norm"})
"""Fields of this library's states that keep values of the first parameters."""


def is_reference(path: Any) -> bool:
    """Whether a leaf of a state, given by its path in jax, lies in such a field."""
    return any(getattr(key, "name", None) in FIELDS for key in path)
