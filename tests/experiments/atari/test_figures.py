"""The figure of a run, on made-up rows."""

import pytest

from experiments.atari import figures
from experiments.atari.config import Config
from experiments.harness import plots

STATE = (
    "relative_update.action_values.hidden",
    "dormant_fraction.action_values",
    "effective_rank.action_values",
)


def row(frames, **others):
    names = ("mean_return_last_100_episodes", "td_error", "value", "learning_rate")
    values = dict.fromkeys((*names, "weight_norm", *STATE), 1.0)
    return {"frames": frames, "seed": 0, **values, **others}


@pytest.mark.parametrize(
    ("config", "others", "lines"),
    [
        (Config(), {}, 1),
        (Config(suite="ale"), {"mean_return_evaluation": 7.0}, 2),
    ],
    ids=["minatar", "ale"],
)
def test_evaluations_are_drawn_where_there_are_any(config, others, lines, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, _: drawn.append(figure))
    rows = [row(frames, **others) for frames in (1000, 2000)]
    figures.draw_run(rows, config, "unused")
    returns = drawn[0].axes[0]
    assert [list(line.get_ydata()) for line in returns.lines] == [[1, 1], [7, 7]][
        :lines
    ]
    assert ("of 3 evaluations" in str(returns.get_legend_handles_labels())) == (
        lines > 1
    )
