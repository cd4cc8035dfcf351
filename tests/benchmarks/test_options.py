"""Each benchmark: extreme and wrong values of each option, and the least to measure."""

import importlib
import os
import pkgutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks.options import Parser
from experiments.harness import command_line

FOUND = [
    module.name
    for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
    if "Parser("
    in (importlib.util.find_spec(module.name).loader.get_source(module.name))
    and module.name != "benchmarks.options"
]
LEAST = {
    "grokking_step": ("--rounds=1 --steps=1", "nap_optax "),
    "images.convolutions": ("--rounds=1 --batch=1", "inputs, Winograd "),
    "images.downsampling": ("--rounds=1 --updates=1 --batch=1", "ratio: "),
    "images.metrics": ("--rounds=1 --updates=1", "changes: "),
    "images.operations": ("--rounds=1 --batch=1", "all, one after the other"),
    "images.step": (
        "--models=cifar_cnn --cores=1 --rounds=1 --steps=1 --batch=1",
        "\nours ",
    ),
    "import_time": ("--rounds=1", "median "),
    "machine": ("--repeats=1", "memory bandwidth "),
    "projection": ("--rounds=1 --steps=1", "persistent state"),
    "sweep": ("--rounds=1 --steps=1 --seeds=1", "batch, vectorised: "),
}
"""The quickest options, and what is printed last or among the last, of the benchmarks
that have no test file of their own."""
BAD = ["0", "-1", "1.5", "nan", "", "x", "2147483648", str(10**12), str(10**30)]


class Survived(BaseException):
    """Raised where measuring would begin."""


def options_of(main, monkeypatch):
    """The flags that take a value."""
    parsers = []

    def keep(parser, argv):
        parsers.append(parser)
        raise Survived

    with monkeypatch.context() as patch:
        patch.setattr(Parser, "parsed", keep)
        with pytest.raises(Survived):
            main([])
    return [
        action.option_strings[0]
        for action in parsers[0]._actions
        if action.option_strings and action.nargs != 0
    ]


@pytest.mark.parametrize("name", FOUND)
def test_a_bad_value_is_one_line(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    flags = options_of(module.main, monkeypatch)

    def survive(parser, argv):
        parser.parse_args(argv)
        raise Survived

    monkeypatch.setattr(Parser, "parsed", survive)
    counts = {"refused": 0, "accepted": 0}
    for argv in [[f"{flag}={value}"] for flag in flags for value in BAD]:
        is_path = argv[0].startswith(("--out=", "--directory="))
        try:
            with pytest.raises(SystemExit) as stop:
                command_line.run(lambda argv=argv: module.main(argv))
        except Survived:
            assert is_path, argv
            counts["accepted"] += 1
            continue
        err = capsys.readouterr().err
        assert (stop.value.code, err.count("\n")) == (2, 1), (argv, err)
        assert err.startswith(f"python -m {name.removesuffix('.__main__')}: ")
        counts["refused"] += 1
    with capsys.disabled():
        print(f"\n{name}: {counts}")


def test_all_command_lines_are_known_and_measured_in_a_test():
    assert len(FOUND) == 16
    for name in FOUND:
        _, topic, *_ = name.split(".")
        own = Path(__file__).with_name(f"test_{topic}.py")
        assert name.removeprefix("benchmarks.") in LEAST or own.exists(), name


@pytest.mark.thorough
@pytest.mark.parametrize("name", LEAST)
def test_the_least_is_measured(name, capfd):
    options, printed = LEAST[name]
    importlib.import_module(f"benchmarks.{name}").main(options.split())
    assert printed in capfd.readouterr().out


def test_a_platform_that_is_not_here_is_one_line(run_python):
    said = run_python(
        "import contextlib, sys\n"
        "from benchmarks.options import Parser\n"
        "sys.stderr = sys.stdout\n"
        "with contextlib.suppress(SystemExit): Parser('b', 'A line.').parsed([])\n",
        JAX_PLATFORMS="bogus",
        PYTHONPATH=os.getcwd(),
    )
    assert said.startswith("python -m b: JAX_PLATFORMS=bogus: there is no such")
    assert said.count("\n") == 1
