"""What the figures of agents compute, on made-up runs."""

import numpy as np
import pytest

from experiments.atari.environments.games import MINATAR_CHANCE
from experiments.atari.optimizers import make_schedule
from experiments.harness import arm_groups
from experiments.harness.members import hyperparameters
from experiments.harness.messages import UserError
from experiments.reproduce import claims, registry
from experiments.reproduce.cycling_agents import scores, sizes
from experiments.reproduce.figures.lyle2025 import fig6, fig7, fig12
from experiments.reproduce.runs import Runs

PROGRAM = "many updates, free"
ARMS = sizes.arms(sizes.LAPTOP, (PROGRAM,))
BETTER = {fig7.HIGH: (0.5, 0.25), fig7.STOPPED: (0.5, 0.75), fig7.CYCLIC: (0, 1)}


def made_up(arms, lines, scale=10, num_seeds=2):
    """Seeds that agree; a line's scores at two evaluations, in all games."""
    return Runs(
        {
            "arm": name,
            "seed": seed,
            "step": step,
            scores.SCORE: MINATAR_CHANCE[config.game] + scale * score,
        }
        for name, config in arms.items()
        for seed in range(num_seeds)
        for step, score in zip(
            (500, 1000),
            lines.get(name.removesuffix(f", {config.game}"), (0, 0)),
            strict=True,
        )
    )


def test_frames_may_be_on_the_device_where_they_could_be_elsewhere():
    apart = {"replay_on_device": True, "data_directory": None}
    figure = registry.find("lyle2025/fig7")
    arms = figure.preset("paper", apart).arms
    assert all(config.replay_on_device for config in arms.values())
    with pytest.raises(UserError, match="left out with suite=minatar"):
        figure.preset("laptop", apart)


def test_a_score_is_relative_to_chance_and_to_the_best_line():
    runs = made_up(ARMS, {fig7.HIGH: (3, 0.5), fig7.CYCLIC: (0, 1)})
    frames, curves = scores.score_curves(runs, ARMS, fig7.HIGH)
    assert frames.tolist() == [500, 1000]
    assert curves.shape == (2, 5, 2)
    np.testing.assert_allclose(curves, np.broadcast_to([3, 0.5], curves.shape))


@pytest.mark.parametrize(
    ("num_seeds", "level", "cell"),
    [(1, "", "0.50"), (2, " [95 %]", "0.50 [0.50, 0.50]")],
)
def test_one_seed_has_no_interval(num_seeds, level, cell):
    pytest.importorskip("rliable", reason="the extra [atari] is not installed")
    preset = registry.find("lyle2025/fig7").presets["laptop"]
    runs = made_up(preset.arms, {fig7.HIGH: (0, 0.5), fig7.LOW: (0, 1)}, 10, num_seeds)
    lines = scores.table(runs, preset, [fig7.HIGH]).splitlines()
    assert lines[0].startswith(f"| line | IQM, 1 being the game's best line{level} |")
    assert lines[2].startswith(f"| {fig7.HIGH} | {cell} |")


def test_where_nobody_has_learned_a_score_is_in_rewards():
    runs = made_up(ARMS, {fig7.HIGH: (0, 0.2), fig7.CYCLIC: (0, 0.4)}, scale=1)
    _, curves = scores.score_curves(runs, ARMS, fig7.HIGH)
    np.testing.assert_allclose(curves[..., -1], 0.2)


def test_a_program_for_each_game_runs_all_lines():
    for name in ("lyle2025/fig7", "lyle2025/fig6", "nap/minatar_cycles"):
        figure = registry.known()[name]
        preset = figure.presets["laptop"]
        groups = arm_groups.groups(figure.family, preset.arms, range(5))
        programs = {arm.rpartition(", ")[0].rpartition(", ")[0] for arm in preset.arms}
        assert len(groups) == 5 * len(programs)


def test_figures_share_the_runs_of_a_directory():
    known = registry.known()

    def digests(name):
        figure = known[name]
        arms = figure.presets["laptop"].arms
        groups = arm_groups.groups(figure.family, arms, range(5))
        return {group.digest for group in groups}

    assert digests("lyle2025/fig7") == digests("lyle2025/fig10")
    assert digests("lyle2025/fig6") == digests("lyle2025/fig12")
    assert digests("lyle2025/fig7") < digests("nap/minatar_cycles")


def rates(line, updates):
    config = ARMS[f"{sizes.line_name(PROGRAM, line)}, Breakout"]
    schedule = make_schedule(config, hyperparameters(config))
    return [float(schedule(np.int32(update))) for update in updates]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # At the first peak, at the end of the first cycle, in the second one, in the
        # sixth, at the end.
        ("constant high", [1e-3, 1e-3, 1e-3, 1e-3, 1e-3]),
        ("constant low", [1.6e-5, 1.6e-5, 1.6e-5, 1.6e-5, 1.6e-5]),
        ("cyclic", [1e-3, 1.6e-5, 1e-3, 1e-3, 1.6e-5]),
        ("stopped soon", [1e-3, 1.6e-5, 1.6e-5, 1.6e-5, 1.6e-5]),
        ("stopped later", [1e-3, 1.6e-5, 1e-3, 1.6e-5, 1.6e-5]),
        ("stopped late", [1e-3, 1.6e-5, 1e-3, 1.6e-5, 1.6e-5]),
    ],
)
def test_rates_of_the_lines(line, expected):
    found = rates(line, (240, 2_400, 2_640, 5 * 2_400 + 240, 24_000))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_line_stops_late_after_five_cycles():
    np.testing.assert_allclose(rates("stopped late", [4 * 2_400 + 240]), [1e-3])


def test_one_cycle_lasts_until_the_end():
    arms = sizes.arms(sizes.LAPTOP, fig6.PROGRAMS)
    config = arms[f"{fig6.ONE_CYCLE}, Asterix"]
    schedule = make_schedule(config, hyperparameters(config))
    last = config.updates(config.num_frames - config.sizes.learning_starts_frames)
    np.testing.assert_allclose(schedule(last - 1), 1.6e-5, rtol=1e-3)
    assert schedule(last // 2) > 5e-4


def test_better_is_the_first_less_the_second():
    runs = made_up(ARMS, BETTER)
    claim = scores.better_claim(ARMS, fig7.STOPPED, fig7.HIGH, "")
    verdict = claims.judge(claim, runs)
    np.testing.assert_allclose(verdict.measured, 0.5)
    assert verdict.holds


def test_what_is_lost_is_the_best_less_the_end():
    runs = made_up(ARMS, BETTER)
    claim = scores.lost_claim(ARMS, fig7.HIGH, "", at_least=0.2)
    np.testing.assert_allclose(claims.judge(claim, runs).measured, 0.25)


def test_a_share_of_the_games():
    preset = fig12.FIGURE.presets["laptop"]
    runs = made_up(preset.arms, {fig6.ONE_CYCLE: (0, 1), fig6.CONSTANT: (2, 0.5)})
    one, four = (claims.judge(claim, runs) for claim in preset.claims)
    assert one.measured == (1, 1)
    assert four.measured == (0, 0)
