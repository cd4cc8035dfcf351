"""Imports run one way: experiments -> models, nap_optax."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"nap_optax", "models", "experiments", "benchmarks", "tests"}

# Which of our packages each may import, and what of others (None: anything).
LAYERS: dict[str, tuple[set[str], set[str] | None]] = {
    "nap_optax": (set(), {"jax", "optax", "numpy"}),
    "models": (set(), {"jax", "optax", "numpy", "flax"}),
    "experiments": ({"models", "nap_optax"}, None),
}


# Which packages of experiments each may import besides itself. A family knows the
# harness and no other family.
EXPERIMENTS: dict[str, set[str]] = {
    "harness": set(),
    "atari": {"harness"},
    "continual_pretraining": {"harness"},
    "grokking": {"harness"},
    "warm_start": {"harness"},
    "runs": {"harness"},
    "export": {"harness"},
    "lazy_rich": {"harness"},
    "detectors": {"harness", "grokking"},
    "reproduce": {
        *("harness", "grokking", "warm_start", "atari", "lazy_rich"),
        "continual_pretraining",
    },
    "launch": {"harness", "reproduce"},
}


def imported(source: str) -> Iterator[str]:
    """What a module imports, wherever in it, with dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(package: str, source: str) -> set[str]:
    ours, others = LAYERS[package]
    names = {name.partition(".")[0] for name in imported(source)}
    wrong = names & OURS - ours - {package}
    if others is not None:
        wrong |= names - OURS - others - sys.stdlib_module_names
    return wrong


def experiments_of(source: str) -> set[str]:
    """The packages of experiments that a module imports."""
    names = (name.split(".") for name in imported(source))
    return {parts[1] for parts in names if parts[0] == "experiments" and parts[1:]}


def test_every_package_of_experiments_has_a_rule() -> None:
    found = {path.parent.name for path in (ROOT / "experiments").glob("*/__init__.py")}
    assert found == set(EXPERIMENTS)


@pytest.mark.parametrize("package", EXPERIMENTS)
def test_experiments_know_what_they_stand_on(package: str) -> None:
    wrong = {}
    for source in sorted((ROOT / "experiments" / package).rglob("*.py")):
        names = experiments_of(source.read_text()) - EXPERIMENTS[package] - {package}
        if names:
            wrong[str(source.relative_to(ROOT))] = names
    assert wrong == {}


def test_that_rule_itself() -> None:
    source = "def f():\n    from experiments.grokking import task\nimport jax"
    assert experiments_of(source) == {"grokking"}
    assert experiments_of("from experiments import warm_start") == {"warm_start"}


@pytest.mark.parametrize("package", LAYERS)
def test_imports_run_one_way(package: str) -> None:
    sources = sorted((ROOT / package).rglob("*.py"))
    if not sources:
        pytest.skip(f"{package} has no modules here")
    wrong = {
        str(source.relative_to(ROOT)): names
        for source in sources
        if (names := forbidden(package, source.read_text()))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("package", "source", "want"),
    [
        ("nap_optax", "import jax.numpy as jnp, optax, os.path", set()),
        ("nap_optax", "from . import masks", set()),
        ("nap_optax", "def f():\n    from flax import nnx", {"flax"}),
        ("nap_optax", "import experiments.grokking", {"experiments"}),
        ("nap_optax", "if True:\n    from models.mlp import MLP", {"models"}),
        ("models", "import nap_optax", {"nap_optax"}),
        ("models", "import flax.linen, matplotlib", {"matplotlib"}),
        ("experiments", "import models, nap_optax, matplotlib", set()),
        ("experiments", "import tests", {"tests"}),
    ],
)
def test_the_rule_itself(package: str, source: str, want: set[str]) -> None:
    assert forbidden(package, source) == want
