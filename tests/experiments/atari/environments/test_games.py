"""Names and scores of the games."""

import pytest

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


def test_each_game_of_minatar_has_a_score_of_chance():
    assert set(games.MINATAR_CHANCE) == set(games.MINATAR_GAMES)
