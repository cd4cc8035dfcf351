"""Every field of every command with extreme and wrong values.

A value is either refused in one line or accepted, so that the run would begin.
"""

import collections
import dataclasses
import itertools
import random
import types
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from experiments.atari.family import FAMILY as ATARI
from experiments.continual_pretraining.family import FAMILY as CONTINUAL_PRETRAINING
from experiments.detectors import __main__ as detectors
from experiments.detectors.config import Config as Detectors
from experiments.export import __main__ as export
from experiments.grokking import demo
from experiments.grokking.family import FAMILY as GROKKING
from experiments.harness import family
from experiments.harness.argument_errors import flag_of
from experiments.harness.command_line import parse, run
from experiments.launch import __main__ as launch
from experiments.lazy_rich.tasks import FAMILIES as LAZY_RICH
from experiments.reproduce import __main__ as reproduce
from experiments.runs import __main__ as runs
from experiments.warm_start.family import FAMILY as WARM_START
from helpers.checkout import family_cases
from helpers.checkout.image_files import make_images, write_halves

pytestmark = pytest.mark.slow

NUMBERS = [
    *("nan", "inf", "-inf", "-1", "0", "1", "0.5", "-0.5", "1e-50", "1e40", "1e400"),
    *("2147483647", "2147483648", "100000", "1000000000", str(10**12), str(10**30)),
]
VARIANTS = [f"lazy_rich {own.name}" for own in family_cases.VARIANTS]
TEXTS = ["", "x", "nan", "-", "--", "\n", "ü", "x" * 5000, "None"]


class Survived(BaseException):
    """Raised where computing would begin; nothing catches it."""


class Command(NamedTuple):
    """A command line, up to what it computes."""

    config: type
    begin: Callable[[], object]
    needed: Sequence[str] = ()
    """Flags without which there is nothing to do."""


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
    monkeypatch.setattr("experiments.harness.found_runs.find", survive)
    monkeypatch.setattr("experiments.harness.trackers.registry.require", id)
    monkeypatch.setattr("experiments.launch.engines.by_name", survive)
    return {
        "grokking": Command(GROKKING.config_class, begin_family(GROKKING)),
        "warm_start": Command(WARM_START.config_class, begin_family(WARM_START)),
        "continual_pretraining": Command(
            CONTINUAL_PRETRAINING.config_class, begin_family(CONTINUAL_PRETRAINING)
        ),
        "atari": Command(ATARI.config_class, begin_family(ATARI)),
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
        "runs": Command(runs.Options, runs.main),
        "export": Command(export.Options, export.main, ["--to", "wandb"]),
        "launch": Command(launch.Options, launch.main, ["lyle2025/fig3"]),
    }


def values(kind: Any) -> list[str]:
    """What is tried for a field of some type."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return values(typing.get_args(kind)[0])
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return [*NUMBERS, *TEXTS] if inner in (int, float) else values(inner)
    if kind in (int, float):
        return [*NUMBERS, *TEXTS]
    if kind is Path:
        return [*TEXTS, "/dev/null", "/dev/null/x", "/proc/x", "~nobody/x"]
    return TEXTS  # of a choice, a flag without a value or a name


def arguments(
    config: type, names: Collection[str] | None = None, *, in_all_forms: bool = True
) -> Iterator[list[str]]:
    """One field at a time, of those of some names or of all.

    A flag and its value are one word or two: each value in one of these forms, in turn,
    or in both. What a word may look like is not a matter of the field.
    """
    forms = itertools.cycle([True, False])
    hints = typing.get_type_hints(config, include_extras=False)
    annotated = typing.get_type_hints(config, include_extras=True)
    for field in dataclasses.fields(config):
        if names is not None and field.name not in names:
            continue
        is_positional = "Positional" in repr(annotated[field.name])
        for value in values(hints[field.name]):
            if is_positional and not value.startswith("-"):
                yield [value]
            may_be_apart = not value.startswith("-")
            is_one_word = next(forms) or not may_be_apart
            if is_one_word or in_all_forms:
                yield [f"{flag_of(field.name)}={value}"]
            if may_be_apart and (in_all_forms or not is_one_word):
                yield [flag_of(field.name), value]


def tried(command, argv, monkeypatch, capsys) -> Literal["accepted", "refused"]:
    """What became of some arguments; fails where it is neither."""
    is_flag = argv[0].startswith("-")
    order = (command.needed, argv) if is_flag else (argv, command.needed)
    monkeypatch.setattr("sys.argv", ["program", *order[0], *order[1]])
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
    "is_thorough", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize(
    "name",
    [
        *("grokking", "warm_start", "atari", "demo", "detectors", "reproduce"),
        *("launch", "continual_pretraining"),
        *(f"lazy_rich {own.name}" for own in LAZY_RICH),
        *("runs", "export"),
    ],
)
def test_a_bad_value_is_one_line(commands, name, is_thorough, monkeypatch, capsys):
    own, names = commands[name], None
    if not is_thorough and name in VARIANTS:
        names = own.config.__annotations__  # others have what it inherits
    cases = (
        (own, argv) for argv in arguments(own.config, names, in_all_forms=is_thorough)
    )
    said = count(cases, monkeypatch, capsys)
    with capsys.disabled():
        print(f"\n{name}, of {said.total()}: {dict(said)}")
    assert min(said["refused"], said["accepted"]) > 0
    # A text may name any column or directory.
    assert name == "runs" or said["refused"] > said["accepted"]
    # The study of detectors makes sure first that it can keep what it finds.
    assert name == "detectors" or not list(Path().iterdir())


def test_a_bad_value_beside_a_folder_is_one_line(
    commands, monkeypatch, capsys, tmp_path
):
    """How many images there are is known later than from other data sets."""
    write_halves(tmp_path / "own", make_images())
    own = ["--dataset=folder", "--batch-size=5", f"--data-directory={tmp_path / 'own'}"]
    few = arguments(WARM_START.config_class, in_all_forms=False)
    cases = [[*own, *argv] for argv in [[], *few]]
    command = commands["warm_start"]
    assert tried(command, own, monkeypatch, capsys) == "accepted"
    said = count(((command, argv) for argv in cases), monkeypatch, capsys)
    with capsys.disabled():
        print(f"\nwarm_start on a folder, of {said.total()}: {dict(said)}")
    assert said["refused"] > said["accepted"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.thorough
def test_two_bad_values_are_one_line(commands, monkeypatch, capsys):
    for name, own in commands.items():
        pairs = list(itertools.combinations(arguments(own.config), 2))
        chosen = random.Random(0).sample(pairs, min(3000, len(pairs)))
        cases = ((own, [*first, *second]) for first, second in chosen)
        said = count(cases, monkeypatch, capsys)
        with capsys.disabled():
            print(f"\n{name}, two at a time, of {said.total()}: {dict(said)}")
        assert name == "runs" or said["refused"] > said["accepted"]
