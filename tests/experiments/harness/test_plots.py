import sys

import numpy as np
import pytest

from experiments.harness import plots


def drawn():
    figure, ((ax,),) = plots.figure()
    plots.line_with_spread(ax, [1, 2], [[1.0, 4.0], [2.0, 6.0], [9.0, 5.0]], label="a")
    plots.line_with_spread(ax, [1, 2], [[1.0, np.nan]], label="b", color="black")
    plots.label(ax, title="t", x="time (steps)", y="loss (nats)")
    return figure, ax


def test_seeds_are_faint_and_their_median_is_bold():
    _, ax = drawn()
    bold, *faint, alone = ax.lines
    assert list(bold.get_ydata()) == [2.0, 5.0]
    assert bold.get_color() == plots.PALETTE[0]
    assert bold.get_linewidth() > faint[0].get_linewidth()
    assert [list(line.get_ydata()) for line in faint] == [[1, 4], [2, 6], [9, 5]]
    assert {line.get_color() for line in faint} == {plots.PALETTE[0]}
    assert {line.get_alpha() for line in faint} == {0.35}
    assert np.isnan(alone.get_ydata()[1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (steps)", "loss (nats)")


def test_saving_gives_equal_bytes_and_leaves_nothing_else(tmp_path):
    for name in ("a.png", "b.png"):
        plots.save(drawn()[0], tmp_path / name)
    a, b = sorted(tmp_path.iterdir())
    assert a.read_bytes()[:4] == b"\x89PNG"
    assert a.read_bytes() == b.read_bytes()
    assert (a.name, b.name) == ("a.png", "b.png")


def test_pyplot_is_not_touched():
    before = "matplotlib.pyplot" in sys.modules
    drawn()
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_rows_become_lines_by_group():
    rows = [
        {"step": step, "seed": seed, "loss": 10 * seed + step}
        for step in (1, 2, 3)
        for seed in (0, 1)
    ]
    x, ys = plots.by_group(rows, "step", "loss")
    assert x.tolist() == [1, 2, 3]
    assert ys.tolist() == [[1, 2, 3], [11, 12, 13]]
    rows[0]["step"] = 7
    with pytest.raises(ValueError, match="different values of step"):
        plots.by_group(rows, "step", "loss")
