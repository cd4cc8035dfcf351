"""Times of functions that take turns."""

import time

import pytest

from experiments.harness import timing


def test_the_fastest_round_counts_and_all_take_turns(monkeypatch):
    clock = iter([0, 3, 10, 12, 20, 21, 30, 35])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls = []
    seconds = timing.fastest_in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, num_rounds=2
    )
    assert calls == ["a", "b", "a", "b"]
    assert seconds == pytest.approx({"a": 1, "b": 2})
