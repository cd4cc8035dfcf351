"""Every field of every command with values that it may not bear.

A value is refused in one line, or what is computed with it would begin: nothing else.
"""

import collections
import dataclasses
import itertools
import random
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from experiments.detectors import __main__ as detectors
from experiments.detectors.config import Config as Detectors
from experiments.grokking import demo
from experiments.grokking.family import FAMILY as GROKKING
from experiments.harness import family
from experiments.harness.argument_errors import flag_of
from experiments.harness.command_line import parse, run
from experiments.lazy_rich.tasks import FAMILIES as LAZY_RICH
from experiments.reproduce import __main__ as reproduce
from experiments.warm_start.family import FAMILY as WARM_START

pytestmark = pytest.mark.slow

NUMBERS = [
    *("nan", "inf", "-inf", "-1", "0", "1", "0.5", "-0.5", "1e-50", "1e40", "1e400"),
    *("2147483647", "2147483648", "100000", "1000000000", str(10**12), str(10**30)),
]
TEXTS = ["", "x", "nan", "-", "--", "\n", "ü", "x" * 5000, "None"]


class Survived(BaseException):
    """Raised where computing would begin; nothing catches it."""


class Command(NamedTuple):
    """A command line, up to what it computes."""

    config: type
    begin: Callable[[], object]


def survive(*args: Any, **options: Any) -> Any:
    raise Survived


def begin_family(own):
    code = dataclasses.replace(own.code(), load=survive)
    return lambda: family.main(dataclasses.replace(own, code=lambda: code))


@pytest.fixture
def commands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_train", survive)
    monkeypatch.setattr("experiments.detectors.streams.simulate", survive)
    monkeypatch.setattr("experiments.detectors.methods.peers", dict)
    monkeypatch.setattr("experiments.harness.arm_groups.run", survive)
    return {
        "grokking": Command(GROKKING.config_class, begin_family(GROKKING)),
        "warm_start": Command(WARM_START.config_class, begin_family(WARM_START)),
        **{
            f"lazy_rich {own.name}": Command(own.config_class, begin_family(own))
            for own in LAZY_RICH
        },
        "demo": Command(
            demo.DemoConfig,
            lambda: demo.demo(parse(demo.DemoConfig, prog=demo.PROG)),
        ),
        "detectors": Command(Detectors, detectors.main),
        "reproduce": Command(reproduce.Options, reproduce.main),
    }


def values(kind: Any) -> list[str]:
    """What is tried for a field of some type."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return values(typing.get_args(kind)[0])
    if typing.get_origin(kind) is tuple:
        return [*NUMBERS, *TEXTS]
    if kind in (int, float):
        return [*NUMBERS, *TEXTS]
    if kind is Path:
        return [*TEXTS, "/dev/null", "/dev/null/x", "/proc/x", "~nobody/x"]
    return TEXTS  # of a choice, a flag without a value or a name


def arguments(config: type) -> Iterator[list[str]]:
    """One field at a time."""
    hints = typing.get_type_hints(config, include_extras=False)
    for field in dataclasses.fields(config):
        for value in values(hints[field.name]):
            yield [f"{flag_of(field.name)}={value}"]
            if not value.startswith("-"):
                yield [flag_of(field.name), value]


def tried(command, argv, monkeypatch, capsys) -> Literal["accepted", "refused"]:
    """What became of some arguments; fails where it is neither."""
    monkeypatch.setattr("sys.argv", ["program", *argv])
    try:
        code = run(command.begin)
    except Survived:
        code = 0
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        raise AssertionError(f"{argv}: {type(error).__name__}: {error}") from error
    _, err = capsys.readouterr()
    if code == 0:
        return "accepted"
    assert code in (1, 2), (argv, code)
    assert err.count("\n") == 1, (argv, err)
    assert len(err) < 12_000, argv
    return "refused"


def count(cases, monkeypatch, capsys):
    return collections.Counter(tried(*case, monkeypatch, capsys) for case in cases)


@pytest.mark.parametrize(
    "name",
    [
        *("grokking", "warm_start", "demo", "detectors", "reproduce"),
        *(f"lazy_rich {own.name}" for own in LAZY_RICH),
    ],
)
def test_a_bad_value_is_one_line(commands, name, monkeypatch, capsys, tmp_path):
    own = commands[name]
    said = count(((own, argv) for argv in arguments(own.config)), monkeypatch, capsys)
    with capsys.disabled():
        print(f"\n{name}, of {said.total()}: {dict(said)}")
    assert said["refused"] > said["accepted"] > 0
    # The study of detectors makes sure first that it can keep what it finds.
    assert name == "detectors" or not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_two_bad_values_are_one_line(commands, monkeypatch, capsys):
    for name, own in commands.items():
        pairs = list(itertools.combinations(arguments(own.config), 2))
        chosen = random.Random(0).sample(pairs, 3000)
        cases = ((own, [*first, *second]) for first, second in chosen)
        said = count(cases, monkeypatch, capsys)
        with capsys.disabled():
            print(f"\n{name}, two at a time, of {said.total()}: {dict(said)}")
        assert said["refused"] > said["accepted"]
