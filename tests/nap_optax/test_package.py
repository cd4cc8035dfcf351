"""The package as a whole: names, sources and what importing it costs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import nap_optax

SOURCES = sorted(Path(nap_optax.__file__).parent.rglob("*.py"))
MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(nap_optax.__path__, "nap_optax.")
    if not module.name.rpartition(".")[2].startswith("_")
]


def own_names(module: ModuleType) -> set[str]:
    """The public names that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    }


def test_all_is_sorted_and_complete() -> None:
    assert nap_optax.__all__ == sorted(nap_optax.__all__)
    public = {
        name
        for name, value in vars(nap_optax).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    # The modules that only define what the package re-exports are not its interface.
    interfaces = {"detectors", "masks", "metrics", "schedules"}
    assert set(nap_optax.__all__) == public | interfaces


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_modules_list_what_they_define(module: ModuleType) -> None:
    assert list(module.__all__) == sorted(module.__all__)
    assert own_names(module) <= set(module.__all__)
    assert all(getattr(module, name).__doc__ for name in module.__all__)


def test_state_fields_are_unique_in_the_library() -> None:
    states = {
        value
        for module in MODULES
        for name, value in vars(module).items()
        if name.endswith("State") and value.__module__.startswith("nap_optax")
    }
    assert len(states) >= 3
    assert {state.__name__ for state in states} <= set(nap_optax.__all__)
    fields = Counter(field for state in states for field in state._fields)
    assert [field for field, count in fields.items() if count > 1] == []


def test_states_are_called_after_their_factories() -> None:
    for state in (name for name in nap_optax.__all__ if name.endswith("State")):
        words = (
            f"_{letter.lower()}" if letter.isupper() else letter
            for letter in state.removesuffix("State")
        )
        assert "".join(words).lstrip("_") in nap_optax.__all__


def test_sources_use_public_names_of_optax_only() -> None:
    assert len(SOURCES) >= 8
    for source in SOURCES:
        text = source.read_text()
        for private in ("optax._src", "jax._src", "optax.tree_utils"):
            assert private not in text, source


@pytest.mark.slow
def test_importing_loads_nothing_but_jax_and_optax(
    run_python: Callable[..., str],
) -> None:
    code = "import sys, json; from {} import *; print(json.dumps(sorted(sys.modules)))"
    ours, optax_alone = (
        {
            name.partition(".")[0]
            for name in json.loads(run_python(code.format(package)))
        }
        for package in ("nap_optax", "optax")
    )
    assert ours - optax_alone - sys.stdlib_module_names == {"nap_optax"}
    assert not ours & {"flax", "matplotlib", "orbax", "tyro", "models", "experiments"}


@pytest.mark.slow
def test_importing_initialises_no_device(run_python: Callable[..., str]) -> None:
    code = (
        "from nap_optax import *; import jax; from jax.extend import backend; "
        "jax.config.update('jax_num_cpu_devices', 3); print(jax.device_count())"
    )
    assert run_python(code, XLA_FLAGS="").strip() == "3"
