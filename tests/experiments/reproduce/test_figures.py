"""Every shipped figure, on metrics that no training made."""

import collections
import importlib

import numpy as np
import pytest

from experiments.atari.config import Config as Atari
from experiments.atari.family import FAMILY as ATARI
from experiments.harness import arm_groups
from experiments.reproduce import claims, drawing, first_losses, listing, registry
from experiments.reproduce.figures.nap import collapse, reading, time_to_grok
from experiments.reproduce.runs import Runs
from experiments.warm_start.config import Config as WarmStart

FIGURES = registry.known()
METRICS = (
    "test_accuracy",
    "train_accuracy",
    "gradient_over_memory",
    "largest_relative_update",
    "update_rms",
    "activation_pattern_change",
    "attention_output_rank",
    "attention_output_stable_rank",
    "relative_update",
    "dormant_fraction",
    "feature_covariance_change",
    "learning_rate",
    "last_rewarm_step",
    "num_rewarms",
    "update_norm",
    "weight_norm",
    # Of lazy and rich training.
    "gap",
    "train_loss",
    "test_loss",
    "test_variance",
    "test_misalignment",
    "test_linear",
    "kernel_alignment",
    "kernel_change",
    "kernel_rotation",
    "kernel_target_alignment",
    "parameter_movement",
    "weight_norm_ratio",
    "mean_return_last_100_episodes",
    # Of a language model.
    "old_loss",
    "new_loss",
)


@pytest.fixture(
    params=[
        pytest.param(
            (name, scale),
            id=f"{name} {scale}",
            # Scales differ in sizes, of which these tests see the names of arms.
            marks=pytest.mark.thorough if scale != "laptop" else (),
        )
        for name, figure in FIGURES.items()
        for scale in figure.presets
    ],
)
def shipped(request):
    """A figure, a preset and made-up metrics for it."""
    name, scale = request.param
    figure = FIGURES[name]
    if figure.family is ATARI:
        pytest.importorskip("rliable", reason="the extra [atari] is not installed")
    preset = figure.presets[scale]
    random = np.random.default_rng(0)
    rows = [
        {"arm": arm, "seed": seed, "step": round(share * config.num_steps)}
        | dict(zip(METRICS, random.uniform(0.01, 1, len(METRICS)), strict=True))
        for share in np.linspace(0.002, 1, 12)
        for arm, config in preset.arms.items()
        for seed in range(2)
    ]
    seconds = collections.defaultdict(lambda: 0.02)
    curve = [0.5] * 2001
    losses = collections.defaultdict(lambda: collections.defaultdict(lambda: curve))
    extra = {"step_seconds": seconds, "simulated": losses}
    extra[first_losses.KEY] = collections.defaultdict(lambda: [0.5, 0.5])
    return figure, preset, Runs(rows, extra)


def lines_of(preset):
    """What arms are called, but for their game."""
    return {
        name.removesuffix(f", {getattr(config, 'game', '')}")
        for name, config in preset.arms.items()
    }


@pytest.mark.slow
def test_each_preset_can_be_judged_drawn_and_tabled(shipped):
    figure, preset, runs = shipped
    verdicts = [claims.judge(claim, runs) for claim in preset.claims]
    assert verdicts
    assert all(len(verdict.measured) == 2 for verdict in verdicts)
    assert all(verdict.expected for verdict in verdicts)
    drawing_ = figure.draw(runs, preset)
    lines = [line for ax in drawing_.axes for line in ax.lines]
    # Those of agents show games in aggregate as well.
    assert len(lines) >= min(len(preset.arms), len(lines_of(preset)))
    if figure.table:
        rows = [line.split("|") for line in figure.table(runs, preset).splitlines()]
        assert len(rows) > 4
        assert len({len(row) for row in rows}) == 1
        assert len({row[1] for row in rows[2:]}) == len(rows) - 2


@pytest.mark.parametrize("name", ["lyle2025/fig2a", "lyle2025/fig2b", "lyle2025/fig3"])
def test_the_papers_numbers_lie_over_ours(name):
    figure = FIGURES[name]
    preset = figure.presets["laptop"]
    rows = [
        {"arm": arm, "seed": 0, "step": step} | dict.fromkeys(METRICS, 0.5)
        for arm in preset.arms
        for step in (1, 2)
    ]
    axes = figure.draw(Runs(rows), preset).axes
    marks = [line for ax in axes for line in ax.lines if line.get_marker() == "o"]
    drawn = {tuple(point) for line in marks for point in line.get_xydata().tolist()}
    # Of the first arm that generalises; in figure 3, 10,000 updates after a re-warm.
    expected = {
        "lyle2025/fig2a": (3000, 0.992),
        "lyle2025/fig2b": (13_000, 0.508),
        "lyle2025/fig3": (10_000, 0.9956),
    }
    assert expected[name] in drawn
    labels = [text.get_text() for ax in axes for text in _legend(ax)]
    assert drawing.PAPER_LABEL in labels


def _legend(ax):
    return ax.get_legend().get_texts() if ax.get_legend() else []


def test_laptop_presets_fit_a_laptop():
    seconds = {
        name: arm_groups.cost(
            figure.family,
            figure.presets["laptop"].arms,
            figure.presets["laptop"].num_seeds,
        )[1]
        for name, figure in FIGURES.items()
    }
    assert all(value < 3 * 60 * 60 for value in seconds.values())


def test_a_name_is_a_path():
    for name, figure in FIGURES.items():
        module = f"experiments.reproduce.figures.{name.replace('/', '.')}"
        assert importlib.import_module(module).FIGURE is figure


def test_the_papers_sizes_are_the_papers():
    for name, figure in FIGURES.items():
        if not name.startswith("lyle2025/"):
            continue
        preset = figure.presets["paper"]
        for config in preset.arms.values():
            if isinstance(config, Atari):
                assert (config.suite, config.num_frames) == ("ale", 200_000_000)
                assert config.agent == ("dqn" if config.round_steps == 1 else "rainbow")
                assert config.project == (config.agent == "rainbow")
                rates = {config.learning_rate, config.low_learning_rate}
                assert rates <= {6.25e-5, 1e-6}
            elif isinstance(config, WarmStart):
                assert preset.num_seeds == 5
                assert (config.dataset, config.num_train) == ("cifar10", 50_000)
                assert (config.model, config.num_steps) == ("cnn", 28_000)
            else:
                assert preset.num_seeds == 3
                assert (config.modulus, config.train_fraction) == (117, 0.2)
                assert (config.num_steps, config.warmup_steps) == (1_000_000, 1000)


def test_the_list_has_every_figure_of_both_papers():
    text = listing.overview()
    lyle = ("2a", "2b", "3", "4", "5a", "5b", *map(str, range(6, 14)))
    kumar = ("1", "2", "3a", "3b", "4", "5a", "5b", "5c", "6", "11", "13")
    papers = {"lyle2025": lyle, "kumar2024": kumar}
    for name in (*FIGURES, *(f"{p}/fig{n}" for p, of in papers.items() for n in of)):
        assert f"  {name} " in text
    assert "lyle2025/fig3                re-warming" in text
    assert "laptop    8 arms x 3 seeds, 60,600 updates, about 21 minutes" in text
    places = [text.index(f"  lyle2025/fig{n} ") for n in lyle]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((20, "20 s"), (60, "1 minute"), (90, "2 minutes"), (7200, "2 hours")),
        *((1e6, "12 days"), (1e9, "32 years")),
    ],
)
def test_durations_are_rounded(seconds, words):
    assert listing.duration(seconds) == words


def curves(**metrics):
    """Runs of one arm, `arm`, from a list of seeds' values for each metric."""
    seeds = range(len(next(iter(metrics.values()))))
    steps = range(len(next(iter(metrics.values()))[0]))
    return Runs(
        {"arm": "arm", "seed": seed, "step": 100 * (step + 1)}
        | {name: values[seed][step] for name, values in metrics.items()}
        for seed in seeds
        for step in steps
    )


def test_whether_a_seed_stays_generalised():
    stays = [0.2, 0.99] + 8 * [1.0]
    falls = [0.2, 0.99] + 4 * [1.0] + 4 * [0.1]
    late = 9 * [0.2] + [1.0]
    never = 10 * [0.2]
    runs = curves(test_accuracy=[stays, falls, late, never])
    shares = collapse.share_generalised(runs, "arm")
    np.testing.assert_allclose(shares, [1, 5 / 9, np.nan, 0])


def test_the_share_at_95_counts_from_the_first_at_99_on():
    runs = curves(test_accuracy=[[0.5, 0.99, 0.9, 0.95], [0.5, 0.6, 0.7, 0.98]])
    np.testing.assert_allclose(runs.share_generalised("arm"), [2 / 3, 0])


def test_what_is_lost_of_the_training_set():
    runs = curves(train_accuracy=[[0.1, 0.95, 0.3, 1.0], [0.1, 0.2, 0.3, 0.2]])
    lowest = collapse.lowest_after_memorising(runs, "arm")
    np.testing.assert_allclose(lowest, [0.3, np.nan])


def test_the_lag_is_that_after_the_first_projection():
    runs = curves(gradient_over_memory=[[9.0, 2.0, 4.0, 3.0]])
    steps, _ = runs.curve("arm", "gradient_over_memory")
    assert steps[0] == collapse.PROJECT_EVERY
    np.testing.assert_allclose(collapse.largest_lag(runs, "arm"), [4])


def made_up(figure, value):
    """Runs of a figure, with the accuracies that a function of arm and step gives."""
    preset = figure.presets["laptop"]
    return Runs(
        {"arm": arm, "seed": 0, "step": step, "test_accuracy": value(arm, step)}
        for arm in preset.arms
        for step in range(100, 3100, 100)
    )


def test_the_best_rate_is_the_soonest():
    figure = FIGURES["nap/time_to_grok"]
    soonest = {"Adam, projected, rate 0.01": 300, "Adam, projected, rate 0.003": 400}
    soonest |= {"AdamW, decay 1, rate 0.03": 600}
    runs = made_up(figure, lambda arm, step: float(step >= soonest.get(arm, 9999)))
    assert time_to_grok.best_rate(runs, "Adam, projected") == 0.01
    first, ratio, _ = figure.presets["laptop"].claims
    assert claims.judge(first, runs).measured == (300,)
    assert claims.judge(ratio, runs).measured == (0.5,)
    # Where neither generalises there is no ratio, so the claim does not hold.
    runs = made_up(figure, lambda *_: 0.1)
    assert not claims.judge(ratio, runs).holds


def test_the_distance_of_a_reading_is_that_from_the_papers_numbers():
    figure = FIGURES["nap/reading"]
    runs = made_up(figure, lambda *_: 0.5)
    off = [
        np.mean([abs(0.5 - y) for y in setting.paper.values()])
        for setting in reading.SETTINGS.values()
    ]
    got = reading.distance(runs, reading.DEFAULT)
    np.testing.assert_allclose(got, [np.mean(off)])
    assert set(reading.GRID) < set(reading.in_all_settings())
    assert reading.TWO_BLOCKS not in reading.in_all_settings()
