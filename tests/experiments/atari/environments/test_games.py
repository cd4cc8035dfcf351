"""Names and scores of the games."""

import pytest

from experiments.atari import outcomes
from experiments.atari.config import Config
from experiments.atari.environments import games


def test_there_are_57_and_five():
    assert len(games.ATARI_GAMES) == 57
    assert len(games.MINATAR_GAMES) == 5


@pytest.mark.parametrize(
    ("game", "rom"),
    [
        ("SpaceInvaders", "space_invaders"),
        ("UpNDown", "up_n_down"),
        ("Qbert", "qbert"),
        ("MsPacman", "ms_pacman"),
    ],
)
def test_roms_have_names_with_underscores(game, rom):
    assert games.snake_case(game) == rom


def test_chance_is_0_and_a_person_1():
    assert games.human_normalized("Pong", -20.7) == 0
    assert games.human_normalized("Pong", 14.6) == 1
    # (16 - 1.7) / (30.5 - 1.7)
    assert games.human_normalized("Breakout", 16.1) == pytest.approx(0.5)
    assert "no-op" in games.BASELINE


@pytest.mark.parametrize("game", games.ATARI_GAMES)
def test_each_game_has_both_scores_that_others_are_normalised_by(game):
    chance, human = games.ATARI_SCORES[game]
    assert human > chance
    assert games.human_normalized(game, chance) == 0
    assert games.human_normalized(game, human) == pytest.approx(1)
    numbers = ("frames", "updates", "num_episodes")
    score = {"mean_return_last_100_episodes": chance + (human - chance) / 4}
    summary = outcomes.summarize(
        [score | dict.fromkeys(numbers, 1)], Config(suite="ale", game=game)
    )
    assert summary["normalized_return"] == pytest.approx(0.25)
    assert summary["normalized_by"] == games.BASELINE


def test_each_game_of_minatar_has_a_score_of_chance():
    assert set(games.MINATAR_CHANCE) == set(games.MINATAR_GAMES)
