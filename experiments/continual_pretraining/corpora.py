"""Two corpora that come with Python: English prose about it, and its own source code.

They are read from the standard library of the Python that runs, so there is nothing to
fetch, and they differ a little from version to version: see `Corpora.digest`.
"""

import ast
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from experiments.harness.messages import UserError

Name = Literal["prose", "code"]
NAMES: tuple[Name, ...] = get_args(Name)
MOST_SOURCE_BYTES = 2_000_000
"""Modules are read up to this much, which is more text than short runs see."""
HELD_OUT = 0.1
"""At least this share of the bytes of each corpus is for validation, in whole files."""
SHORT = 80
"""Characters of a paragraph up to which it may be in training and validation text, such
as an import."""
_RULES = 1
"""Of reading and of setting aside; part of the digest."""
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Corpus(NamedTuple):
    """A text to train on, and one to validate on, which share no longer paragraph."""

    train: bytes
    validation: bytes


class Corpora(NamedTuple):
    """All that is read."""

    texts: Mapping[Name, Corpus]
    digest: str
    """A digest of all bytes."""


@functools.cache
def load() -> Corpora:
    """Reads both corpora.

    Raises:
      UserError: this Python has no source files.
    """
    modules = dict(_modules(Path(sysconfig.get_path("stdlib"))))
    if not modules:
        raise UserError(
            f"no text found: {sysconfig.get_path('stdlib')} has no source files of the "
            "standard library, which the corpora are made of; use a Python that has"
        )
    trees = {name: ast.parse(source) for name, source in modules.items()}
    prose = {name: "\n\n".join(_docstrings(tree)) for name, tree in trees.items()}
    texts: dict[Name, Corpus] = {
        "prose": divided([*_topics(), *prose.values()]),
        "code": divided(without_docstrings(tree) for tree in trees.values()),
    }
    digest = hashlib.sha256(f"{_RULES}".encode())
    for part in (part for corpus in texts.values() for part in corpus):
        digest.update(hashlib.sha256(part).digest())
    return Corpora(texts, digest.hexdigest()[:16])


def divided(files: Iterable[str]) -> Corpus:
    """Sets whole files aside for validation, and joins the files of each part.

    Files come in the order of their digests, so that neither names nor places count.
    A paragraph of more than `SHORT` characters that is in a file set aside is left out
    of the others: many texts of Python's documentation contain one another.

    Args:
      files: their texts; empty ones are left out.

    Returns:
      The two parts.
    """
    ordered = sorted({text.strip() for text in files} - {""}, key=_digest)
    wanted = HELD_OUT * sum(map(len, ordered))
    held: list[str] = []
    while ordered and sum(map(len, held)) < wanted:
        held.append(ordered.pop(0))
    known = {part for text in held for part in _paragraphs(text) if len(part) > SHORT}
    kept = (
        "\n\n".join(part for part in _paragraphs(text) if part not in known)
        for text in ordered
    )
    return Corpus(_joined(kept), _joined(held))


def without_docstrings(tree: ast.Module) -> str:
    """The code of a module as `ast` writes it, which leaves out comments as well.

    The tree loses its docstrings.
    """
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _modules(directory: Path) -> Iterator[tuple[str, str]]:
    """Modules of the top level by name, in the order of their digests."""
    found = {
        path.stem: path.read_text("utf-8", "replace")
        for path in directory.glob("*.py")
        if path.stem in sys.stdlib_module_names  # not what a distribution adds
        and not path.stem.startswith("_sysconfigdata")  # of one machine
    }
    size = 0
    for name in sorted(found, key=lambda name: _digest(found[name])):
        size += len(found[name])
        if size > MOST_SOURCE_BYTES:
            return
        yield name, found[name]


def _topics() -> list[str]:
    """The language reference that `help` shows; the Python may come without."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return []
    return list(topics.values())


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and (text := ast.get_docstring(node)):
            yield text


def _paragraphs(text: str) -> list[str]:
    return [part.strip("\n") for part in text.split("\n\n") if part.strip()]


def _joined(files: Iterable[str]) -> bytes:
    return "\n\n\n".join(filter(None, files)).encode("utf-8", "replace")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
