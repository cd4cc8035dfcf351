"""Runs the Python examples of README.md and of the pages under `docs/`."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterable
from typing import Any

from sybil import Document, Region, Sybil
from sybil.example import Example
from sybil.parsers.myst import PythonCodeBlockParser


def sections(document: Document) -> Iterable[Region]:
    """A fresh namespace at each heading: every section is complete in itself."""
    for heading in re.finditer(r"^##+ .*$", document.text, re.MULTILINE):
        yield Region(heading.start(), heading.end(), heading.group(), _clear)


def _clear(example: Example) -> None:
    example.document.namespace.clear()


def a_readers_project(namespace: dict[str, Any]) -> None:
    """What the README leaves to the reader: a network, its loss and a schedule."""
    import jax
    import jax.numpy as jnp
    import optax

    import nap_optax

    namespace.update(jax=jax, jnp=jnp, optax=optax, nap_optax=nap_optax)
    namespace["params"] = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    namespace["grads"] = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    namespace["loss"] = jnp.float32(1.0)
    namespace["schedule"] = nap_optax.schedules.warmup_constant(0.1, warmup_steps=2)


blocks = PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)
collect_ignore = ["docs/conf.py"]
pytest_collect_file = (
    Sybil([blocks, sections], pattern="docs/*.md")
    + Sybil([blocks], pattern="README.md", setup=a_readers_project)
).pytest()
