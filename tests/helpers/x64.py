"""Double precision in any version of jax."""

import jax

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

__all__ = ["enable_x64"]
