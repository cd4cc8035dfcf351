"""Whether the API pages are complete."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import nap_optax

API = Path(__file__).parent / "api"
DIRECTIVE = re.compile(r"^\.\. (currentmodule|autofunction|autoclass):: (\S+)$", re.M)


def entries(page: str) -> Iterator[str]:
    """The full names that a page documents."""
    prefix = ""
    for directive, name in DIRECTIVE.findall(page):
        if directive == "currentmodule":
            prefix = f"{name}."
        else:
            yield name if name.startswith("nap_optax.") else prefix + name


@pytest.mark.parametrize("module", ["", "detectors", "masks", "metrics", "schedules"])
def test_every_public_name_has_one_entry(module: str) -> None:
    """Where the package exports it, or else in its module."""
    documented = [
        name for page in API.glob("*.rst") for name in entries(page.read_text())
    ]
    parent = getattr(nap_optax, module) if module else nap_optax
    for name in parent.__all__:
        if not isinstance(getattr(parent, name), ModuleType):
            home = nap_optax if name in nap_optax.__all__ else parent
            assert documented.count(f"{home.__name__}.{name}") == 1, name
