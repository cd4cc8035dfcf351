"""Loads what `contrib/` offers to optax, as if optax had taken it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import optax

FOLDER = Path(__file__).parents[2] / "contrib" / "optax"


def load(name: str) -> ModuleType:
    """Imports a file of the port as the module of `optax.contrib` that it would be."""
    full_name = f"optax.contrib.{name}"
    if full_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(full_name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full_name] = module
        spec.loader.exec_module(module)
        setattr(optax.contrib, name, module)
    return sys.modules[full_name]
