"""One command of several families."""

import dataclasses

import pytest

from experiments.harness import subcommands
from helpers.checkout import programs
from helpers.checkout.parity.family import FAMILY as PARITY

PROG = "python -m experiments.bits"
FAMILIES = [
    dataclasses.replace(PARITY, name=name, package="bits") for name in ("odd", "even")
]


@pytest.fixture
def run_command(monkeypatch, capsys):
    """A function from arguments to the exit code, stdout and stderr, and what ran."""

    def run(*argv):
        ran = []

        def note(family, rest):
            ran.append((family.name, rest))

        def main():
            subcommands.main(PROG, "Bits.", FAMILIES, run=note)

        return (*programs.call(main, monkeypatch, capsys, argv), ran)

    return run


def test_the_first_word_chooses_and_the_rest_is_passed_on(run_command):
    code, out, err, ran = run_command("even", "--width", "3", "--help")
    assert (code, out, err) == (0, "", "")
    assert ran == [("even", ["--width", "3", "--help"])]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "name a task first: odd, even"),
        (["--width", "3"], "name a task first: odd, even"),
        (["evem"], "unknown task 'evem' (did you mean even?)"),
        (["what"], "unknown task 'what' (there are odd, even)"),
    ],
)
def test_a_mistake_is_one_line(run_command, argv, says):
    code, out, err, ran = run_command(*argv)
    assert (code, out, ran) == (2, "", [])
    assert err == f"{PROG}: {says}; see {PROG} --help\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_tasks(run_command, flag):
    code, out, _, ran = run_command(flag)
    assert (code, ran) == (0, [])
    assert out.startswith(f"usage: {PROG} TASK [OPTIONS]\n")
    assert (
        "\n  odd   Trains a two-layer perceptron on the parity of some bits.\n" in out
    )


def test_families_of_a_package_have_commands_and_directories_of_their_own():
    assert FAMILIES[0].prog == "python -m experiments.bits odd"
    assert FAMILIES[0].directory == "bits/odd"
    assert PARITY.prog == "python -m experiments.parity"
    assert PARITY.directory == "parity"


def test_help_of_lazy_rich_leaves_jax_alone(run_python):
    code = (
        "import sys\n"
        "from experiments.harness import subcommands\n"
        "from experiments.lazy_rich.tasks import ABOUT, FAMILIES, PROG\n"
        "try:\n    subcommands.main(PROG, ABOUT, FAMILIES, ['--help'])\n"
        "except SystemExit:\n    print('jax' in sys.modules)"
    )
    assert run_python(code).splitlines()[-1] == "False"
