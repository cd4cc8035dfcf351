"""How corpora are read, divided and kept apart."""

import ast

import pytest

from experiments.continual_pretraining import corpora
from experiments.harness.messages import UserError

LONG = "This paragraph has more than eighty characters, so it may be in one part only. "
LONG += "Shorter ones, such as an import, may be in both."


@pytest.fixture
def fresh():
    """Reads again, here and by what comes after."""
    corpora.load.cache_clear()
    yield
    corpora.load.cache_clear()


def test_whole_files_are_set_aside_by_their_digests():
    files = [f"file {number} " + "x" * 50 for number in range(40)]
    one = corpora.divided(files)
    assert corpora.divided(reversed(files)) == one
    held = one.validation.decode().split("\n\n\n")
    kept = one.train.decode().split("\n\n\n")
    assert sorted(held + kept) == sorted(files)
    assert len(held) == 4
    # Another file takes its own place, and moves no other by much.
    other = corpora.divided([*files, "another file"]).validation.decode()
    assert len(set(held) - set(other.split("\n\n\n"))) <= 1


def test_a_long_paragraph_is_in_one_part_only():
    files = [f"{LONG}\n\nimport os\n\nnumber {number:02}" for number in range(20)]
    train, validation = corpora.divided(files)
    assert LONG.encode() in validation
    assert LONG.encode() not in train
    assert train.count(b"import os") == 18
    assert validation.count(b"import os") == 2


def test_files_that_are_equal_or_empty_count_once_or_not():
    train, validation = corpora.divided(["a", "a\n", "", " ", "b"])
    assert sorted((train, validation)) == [b"a", b"b"]


def test_code_has_no_docstrings_and_no_comments():
    tree = ast.parse(
        '"""Module."""\n# a comment\ndef f():\n    """Only this."""\n'
        'class C:\n    """Class."""\n    x = "not one"  # two\n'
    )
    assert corpora.without_docstrings(tree) == (
        "def f():\n    pass\n\nclass C:\n    x = 'not one'"
    )


def test_this_python_has_both():
    read = corpora.load()
    assert len(read.digest) == 16
    for text in read.texts.values():
        assert len(text.train) > 5 * len(text.validation) > 100_000
    prose, code = read.texts["prose"], read.texts["code"]
    assert code.train.count(b"\ndef ") > 100 > prose.train.count(b"\ndef ")
    assert corpora.load() is read


def test_a_python_without_sources_is_one_line(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(UserError, match=r"no text found: .* has no source files"):
        corpora.load()


def test_the_digest_is_that_of_the_texts(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    digests = []
    for source in ("x = 1", "x = 2", "x = 1  # a comment"):
        (tmp_path / "os.py").write_text(source)
        (tmp_path / "not_of_python.py").write_text("raise")
        corpora.load.cache_clear()
        digests.append(corpora.load().digest)
    assert digests[0] == digests[2] != digests[1]
