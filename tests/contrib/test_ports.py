"""What is offered to optax passes its own tests, and its examples run."""

from __future__ import annotations

import doctest
import unittest

import optax
import pytest

from helpers import port

pytestmark = pytest.mark.slow

if not port.FOLDER.exists():
    pytest.skip(
        "the port is not here: these are the tests of a wheel", allow_module_level=True
    )
NAMES = ["project_weights", "scale_by_rewarming"]


def test_every_file_is_tested() -> None:
    files = {path.stem for path in port.FOLDER.glob("*.py")}
    assert files == {f"_{name}{end}" for name in NAMES for end in ("", "_test")}


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_its_own_test(name: str) -> None:
    pytest.importorskip("absl.testing")
    port.load(f"_{name}")
    module = port.load(f"_{name}_test")
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun > 10
    assert result.wasSuccessful(), result.failures + result.errors


@pytest.mark.parametrize("name", NAMES)
def test_its_example_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ported = port.load(f"_{name}")
    monkeypatch.setattr(optax.contrib, name, getattr(ported, name), raising=False)
    result = doctest.testmod(ported)
    assert result.attempted > 5
    assert not result.failed
