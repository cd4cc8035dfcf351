import dataclasses
import errno
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from experiments.harness import checks, command_line
from experiments.harness.messages import UserError

ROOT = Path(__file__).parents[3]


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings."""

    learning_rate: float = 1e-3
    """Step size."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings."""

    train_fraction: float = 0.5
    """Part of the table
    that is trained on."""
    num_steps: int = 10
    """Steps in all."""
    project: bool = True
    """Whether to project."""
    mode: Literal["lazy", "rich"] = "lazy"
    """The regime."""
    widths: tuple[int, ...] = (1, 2)
    """Of each layer."""
    run_dir: str = "runs"
    """Where to."""
    data: Path | None = None
    """Where from."""
    inner: Inner = dataclasses.field(default_factory=Inner)

    def __post_init__(self):
        checks.check_range("train_fraction", self.train_fraction, above=0, below=1)
        if self.run_dir == "/":
            raise ValueError("run_dir=/: must not\nbe the root")


def test_parse_reads_every_kind_of_flag():
    argv = ["--train_fraction=0.25", "--num-steps", "3", "--no-project"]
    argv += ["--mode", "rich", "--widths", "4", "5", "--inner.learning-rate", "0.1"]
    expected = Config(0.25, 3, False, "rich", (4, 5), inner=Inner(0.1))
    assert command_line.parse(Config, argv, prog="toy") == expected
    assert command_line.parse(Config, [], prog="toy") == Config()


def test_a_home_directory_that_the_shell_left_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = command_line.parse(Config, ["--data=~/x"], prog="toy")
    assert config.data == Path("/home/someone/x")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--foo", "1"], "unknown flag --foo"),
        (["--foo"], "unknown flag --foo"),
        (
            ["--train-fractoin", "1"],
            "unknown flag --train-fractoin (did you mean --train-fraction?)",
        ),
        (["--no_projct"], "unknown flag --no-projct (did you mean --no-project?)"),
        (
            ["--inner.lerning-rate=3"],
            "unknown flag --inner.lerning-rate (did you mean --inner.learning-rate?)",
        ),
        (["stray"], "unexpected argument 'stray'"),
        (["--num-steps", "many"], "--num-steps many: must be an integer"),
        (["--num_steps=1.5"], "--num-steps 1.5: must be an integer"),
        (
            ["--inner.learning-rate", "fast"],
            "--inner.learning-rate fast: must be a number",
        ),
        (["--widths", "1", "a"], "--widths 1 a: must be [INT [INT ...]]"),
        (
            ["--mode", "wild"],
            "invalid choice 'wild' for argument '--mode'. "
            "Expected one of ('lazy', 'rich')",
        ),
        (
            ["--num-steps"],
            "Missing value for argument '--num-steps'. Expected 1 values",
        ),
        (
            ["--train-fraction", "1.5"],
            "train_fraction=1.5: must be greater than 0 and less than 1 "
            "(--train-fraction)",
        ),
        (
            ["--train-fraction", "nan"],
            "train_fraction=nan: must be greater than 0 and less than 1 "
            "(--train-fraction)",
        ),
        (["--run-dir", "/"], "run_dir=/: must not be the root"),
        (["--data", ""], "--data is empty: give it a value, or leave it out"),
        (["--data="], "--data is empty: give it a value, or leave it out"),
        (["--data=~nobody-here/x"], "Could not determine home directory."),
    ],
)
def test_every_mistake_is_one_line(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(Config, argv, prog="toy")
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"toy: {message}; see toy --help\n"


@pytest.mark.parametrize("columns", ["20", "200"])
def test_a_mistake_is_one_line_on_a_terminal_of_any_width(columns):
    script = (
        "import dataclasses\n"
        "from experiments.harness import command_line\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Config:\n"
        "    num_steps: int = 3\n"
        "command_line.parse(Config, ['--num-steps', 'x'], prog='toy')\n"
    )
    reader, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": columns, "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=terminal,
        stderr=terminal,
        env=environment,
        check=False,
    )
    shown = os.read(reader, 10_000).decode()
    os.close(reader)
    os.close(terminal)
    assert done.returncode == 2
    assert shown == "toy: --num-steps x: must be an integer; see toy --help\r\n"


def test_help_shows_the_docstring_of_each_field(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.parse(Config, ["--help"], prog="toy")
    assert stop.value.code in (None, 0)
    shown = capsys.readouterr().out
    assert "--no-project" in shown
    # One line, whatever the docstring's.
    assert "Part of the table that is trained on. (default: 0.5)" in shown


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("no\nsuch thing"), 1, ["error: no such thing\n"]),
        (KeyboardInterrupt(), 130, ["interrupted", "same command"]),
        (OSError(errno.ENOSPC, "full", "/d/m"), 1, ["full", "/d/m", "free some space"]),
        (OSError(errno.EFBIG, "too large"), 1, ["free some space", "same command"]),
        (OSError(errno.EDQUOT, "quota"), 1, ["raise the limit", "same command"]),
        (OSError(errno.EACCES, "denied", "/d"), 1, ["/d", "another directory"]),
        (OSError(errno.EROFS, "read-only", "/d"), 1, ["/d", "another directory"]),
    ],
)
def test_run_gives_one_line(error, code, words, capsys):
    assert command_line.run(raising(error)) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for word in words:
        assert word in err


def test_run_keeps_the_traceback_of_a_bug():
    with pytest.raises(ZeroDivisionError):
        command_line.run(lambda: 1 // 0)
    with pytest.raises(FileNotFoundError):
        command_line.run(raising(OSError(errno.ENOENT, "gone", "/d")))
    assert command_line.run(lambda: None) == 0


def test_run_is_silent_when_the_reader_of_stdout_leaves():
    script = (
        "import sys; from experiments.harness import command_line\n"
        "sys.exit(command_line.run(lambda: [print(i) for i in range(100000)]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


STREAMS = """
import os, sys
from experiments.harness import command_line, messages

def main():
    print("results")
    messages.warn("something")
    print(os.open(__file__, os.O_RDONLY) > 2, os.path.exists("/proc/self/fd/2"))

sys.exit(command_line.run(main))
"""


@pytest.mark.parametrize(
    ("redirected", "code", "out", "err"),
    [
        (">&-", 0, "", "stdout is closed: what would be|something"),
        ("2>&-", 0, "results\nTrue True\n", ""),
        (">&- 2>&- <&-", 0, "", ""),
        (">/dev/full", 1, "", "No space left"),
        ("2>/dev/full", 0, "results\nTrue True\n", ""),
    ],
)
def test_a_stream_that_cannot_be_written_is_no_traceback(
    redirected, code, out, err, tmp_path
):
    program = tmp_path / "program.py"
    program.write_text(STREAMS)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirected}', "sh", sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, out)
    lines = done.stderr.splitlines()
    assert len(lines) == len(err.split("|")) * bool(err)
    assert all(said in line for said, line in zip(err.split("|"), lines, strict=False))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_spelt_out(encoding):
    script = (
        "import sys; from experiments.harness import command_line\n"
        "sys.exit(command_line.run(lambda: print('\\u2265 \\udcff')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b" \\udcff\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_help_is_shown_in_any_encoding(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.grokking", "--help"],
        env={
            **os.environ,
            **{"PYTHONIOENCODING": encoding, "LC_ALL": "C"},
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--run-directory" in done.stdout


def test_import_needs_neither_jax_nor_tyro():
    script = (
        "import sys; import experiments.harness.command_line\n"
        "sys.exit(bool({'jax', 'tyro', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_setting_that_jax_refuses_is_one_line():
    for code in (
        "from experiments.harness import command_line\n"
        "def main():\n    import jax\n"
        "raise SystemExit(command_line.run(main))",
        "import sys\nsys.argv[0] = '-m'\nimport benchmarks\nimport jax",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "JAX_ENABLE_X64": "maybe"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: jax cannot start (invalid truth value")
        assert done.stderr.endswith(
            "JAX_ENABLE_X64 has a value that it does not know\n"
        )


def test_a_bug_beside_jax_keeps_its_traceback():
    def main():
        import jax

        jax.numpy.ones(2) @ jax.numpy.ones(3)

    with pytest.raises(TypeError):
        command_line.run(main)


def test_help_has_room_on_a_terminal_of_one_column(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1")
    with pytest.raises(SystemExit):
        command_line.parse(Config, ["--help"], prog="toy")
    assert "--train-fraction" in capsys.readouterr().out
