import io
import json

import pytest

from experiments.harness.progress import Progress


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


def test_the_rate_leaves_compilation_out(clock):
    progress = Progress(100, quiet=True, now=clock)
    assert progress.steps_per_second is None
    for step, seconds, compiled in [(10, 30, True), (20, 2, False), (30, 3, False)]:
        clock.seconds += seconds
        progress.update(step, includes_compilation=compiled)
    assert progress.steps_per_second == 20 / 5
    assert progress.totals() == {"steps_per_second": 4.0, "wall_seconds": 35.0}


def test_a_plain_line_at_most_every_ten_seconds(clock):
    stream = io.StringIO()
    with Progress(1000, stream=stream, now=clock) as progress:
        for step in range(1, 26):
            clock.seconds += 1
            progress.update(step, "loss 0.5")
    assert stream.getvalue() == (
        "step 10/1000, 1 steps/s, 16:30 left, loss 0.5\n"
        "step 20/1000, 1 steps/s, 16:20 left, loss 0.5\n"
    )


def test_what_is_counted_has_a_name(clock):
    stream = io.StringIO()
    with Progress(100, unit="image", stream=stream, now=clock) as progress:
        clock.seconds += 12
        progress.update(12)
    assert stream.getvalue() == "image 12/100, 1 images/s, 1:28 left\n"


def test_quiet_shows_nothing(clock):
    stream = Terminal()
    with Progress(10, quiet=True, stream=stream, now=clock) as progress:
        clock.seconds += 60
        progress.update(5)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar(clock):
    stream = Terminal()
    with Progress(10_000, stream=stream, now=clock) as progress:
        clock.seconds += 1
        progress.update(1, "loss 0.5")
    assert "1/10000, 1 steps/s, 2:46:39 left, loss 0.5" in stream.getvalue()


def test_the_clock_adds_up_sessions(clock, tmp_path):
    path = tmp_path / "clock.jsonl"
    for session in (1, 2):
        with Progress(10, quiet=True, clock_path=path, now=clock) as progress:
            clock.seconds += 5
            progress.update(session)
            clock.seconds += 2
            progress.update(session + 1)
        with path.open("a") as file:
            file.write('{"session": 7, "ste')  # as a kill leaves it
    assert progress.wall_seconds == 14
    lines = path.read_text().splitlines()[:-1]
    assert [json.loads(line) for line in lines] == [
        {"session": 1, "step": 1, "seconds": 5.0},
        {"session": 1, "step": 2, "seconds": 7.0},
        {"session": 2, "step": 2, "seconds": 5.0},
        {"session": 2, "step": 3, "seconds": 7.0},
    ]


def test_no_clock_stops_a_run(clock, tmp_path, capsys):
    path = tmp_path / "clock.jsonl"
    right = b'{"session": 1, "step": 1, "seconds": 5.0}\n'
    for wrong in (
        *(b"5", b"{}", b"\0\0", b"[" * 9999, b'{"session": "1", "seconds": 2}'),
        *(b'{"session": 1, "seconds": NaN}', b'{"session": 1, "seconds": null}'),
    ):
        path.write_bytes(right + wrong + b"\n")
        with Progress(10, quiet=True, clock_path=path, now=clock) as progress:
            clock.seconds += 2
            progress.update(2)
        assert progress.wall_seconds == 7
        assert path.read_bytes().startswith(right + wrong)
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert f"{path} is damaged" in err


def test_a_closed_terminal_stops_no_run(clock):
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    with Progress(10, stream=Closed(), now=clock) as progress:
        clock.seconds += 60
        progress.update(5)
    assert progress.steps_per_second is not None
