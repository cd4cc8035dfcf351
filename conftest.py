"""Runs the Python examples of README.md and of `docs/`; sets the compiler's effort."""

from __future__ import annotations

import atexit
import doctest
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterable
from importlib.metadata import version

import pytest
from sybil import Document, Region, Sybil
from sybil.example import Example
from sybil.parsers.myst import PythonCodeBlockParser

# Tests compile thousands of small programs, each run a few times. The library's tests
# on the wheel (`.ci/run wheel`, `oldest`) have the optimisation that users have.
FLAGS = ["--xla_backend_optimization_level=0"]
# With XLA's older code for fused loops they compile three times as fast. A later jaxlib
# may not know the flag any more, and an unknown one ends the process.
if tuple(map(int, version("jaxlib").split(".")[:2])) <= (0, 10):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))
# A shell lets what it starts in the background ignore Ctrl-C. The processes of tests,
# some of which are interrupted, would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# What two tests, or the processes that they start, compile alike is compiled once. The
# processes of xdist inherit the folder, which lasts as long as the tests.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


def sections(document: Document) -> Iterable[Region]:
    """A fresh namespace at each heading: every section is complete in itself."""
    for heading in re.finditer(r"^##+ .*$", document.text, re.MULTILINE):
        yield Region(heading.start(), heading.end(), heading.group(), _clear)


def _clear(example: Example) -> None:
    example.document.namespace.clear()


blocks = PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)
collect_ignore = ["docs/conf.py", "docs/mathml.py"]  # they need Sphinx
SLOW_PAGES = {"why_nothing_happens.md"}
FOLDERS = ("tutorials", "in_your_loop", "how_to", "transformations", "explanation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the pages that take more than a few seconds."""
    for item in items:
        if item.path.name in SLOW_PAGES or item.path.parent.name in FOLDERS:
            item.add_marker("slow")


# A recipe, a notebook and README.md are complete in themselves: one namespace for each.
WHOLE = ["README.md", *(f"docs/{folder}/*.md" for folder in FOLDERS)]
pytest_collect_file = (
    Sybil([blocks, sections], pattern="docs/*.md") + Sybil([blocks], patterns=WHOLE)
).pytest()
