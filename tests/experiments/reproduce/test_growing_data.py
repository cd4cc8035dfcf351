"""The measures of the warm-start figures' claims, on made-up runs."""

import numpy as np
import pytest

from experiments.reproduce import claims, growing_data, registry
from experiments.reproduce.figures.lyle2025 import fig4, fig5b
from experiments.reproduce.figures.nap import warm_start_methods
from experiments.reproduce.runs import Runs

STEPS = (100, 200)


def made_up(finals, **others):
    """Two seeds a tenth of a point apart; the evaluation before the last is lower."""
    return Runs(
        {
            "arm": arm,
            "seed": seed,
            "step": step,
            "test_accuracy": final + 0.001 * seed - 0.3 * (step == STEPS[0]),
            **{metric: values.get(arm, 0) for metric, values in others.items()},
        }
        for arm, final in finals.items()
        for seed in range(2)
        for step in STEPS
    )


def test_a_gap_is_the_full_start_less_the_small_one():
    runs = made_up({"free, 10%": 0.5, "free, 100%": 0.75})
    np.testing.assert_allclose(growing_data.gap(runs, "free"), 0.25)
    np.testing.assert_allclose(growing_data.final(runs, "free", 0.1), [0.5, 0.501])


def test_better_is_the_first_less_the_second():
    runs = made_up({"free, 10%": 0.5, "projected, 10%": 0.625})
    claim = growing_data.better_claim("projected", "free", 0.1, "")
    verdict = claims.judge(claim, runs)
    np.testing.assert_allclose(verdict.measured, 0.125)
    assert verdict.holds
    assert not claims.judge(
        growing_data.better_claim("free", "projected", 0.1, ""), runs
    ).holds


def test_a_method_is_compared_with_a_start_from_all_data():
    preset = registry.find("nap/warm_start_methods").presets["laptop"]
    finals = dict.fromkeys(preset.arms, 0.5)
    finals |= {"none, free, 100%": 0.75, "none, projected, 100%": 0.625}
    rows = [
        {"arm": arm, "seed": 0, "step": step, "test_accuracy": finals[arm]}
        for arm, config in preset.arms.items()
        for step in (config.phase_steps, config.num_steps)
    ]
    runs = Runs(rows, {"step_seconds": dict.fromkeys(preset.arms, 2.0)})
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in warm_start_methods.table(runs, preset).splitlines()
    ]
    gaps = {row[0]: row[4] for row in cells}
    assert gaps["spectral, free, 10%"] == "0.250 [0.250, 0.250]"
    assert gaps["spectral, projected, 10%"] == "0.125 [0.125, 0.125]"
    assert gaps["none, free, 100%"] == "0.000 [0.000, 0.000]"


def test_norm_growth_is_the_free_norm_over_the_projected_one():
    finals = {"free, 10%": 0.5, "projected, 10%": 0.5}
    runs = made_up(finals, weight_norm={"free, 10%": 60, "projected, 10%": 20})
    np.testing.assert_allclose(fig4.norm_growth(runs), 3)


@pytest.mark.parametrize(
    ("count", "last", "expected"),
    [(1, 125, 25), (1, 99, np.inf), (2, 125, np.inf), (0, -1, np.inf)],
)
def test_a_delay_counts_from_the_change_to_the_only_alarm(count, last, expected):
    arm = "projected, cusum, 10%"
    runs = made_up({arm: 0.5}, num_rewarms={arm: count}, last_rewarm_step={arm: last})
    np.testing.assert_array_equal(fig5b.delay(runs, "projected, cusum", 100), expected)


def test_a_doubled_peak_narrows_the_gap():
    figure = registry.known()["lyle2025/fig13"]
    claim = figure.presets["laptop"].claims[0]
    finals = {
        "to init, 0.001, 10%": 0.70,
        "to init, 0.001, 100%": 0.80,
        "to 2x init, 0.001, 10%": 0.78,
        "to 2x init, 0.001, 100%": 0.80,
    }
    verdict = claims.judge(claim, made_up(finals))
    np.testing.assert_allclose(verdict.measured, 0.02 - 0.10)
    assert verdict.holds
