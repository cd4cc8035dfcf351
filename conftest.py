"""Runs the Python examples of README.md and of `docs/`; sets the compiler's effort."""

from __future__ import annotations

import doctest
import os
import re
from collections.abc import Iterable

import pytest
from sybil import Document, Region, Sybil
from sybil.example import Example
from sybil.parsers.myst import PythonCodeBlockParser

# Tests compile thousands of small programs, each run a few times. The library's tests
# on the wheel (`.ci/run wheel`, `oldest`) have the optimisation that users have.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def sections(document: Document) -> Iterable[Region]:
    """A fresh namespace at each heading: every section is complete in itself."""
    for heading in re.finditer(r"^##+ .*$", document.text, re.MULTILINE):
        yield Region(heading.start(), heading.end(), heading.group(), _clear)


def _clear(example: Example) -> None:
    example.document.namespace.clear()


blocks = PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)
collect_ignore = ["docs/conf.py"]
SLOW_PAGES = {"pipelines.md", "why_nothing_happens.md"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the pages that take more than a few seconds."""
    for item in items:
        if item.path.name in SLOW_PAGES:
            item.add_marker("slow")


pytest_collect_file = (
    Sybil([blocks, sections], pattern="docs/*.md")
    + Sybil([blocks], pattern="README.md")
).pytest()
