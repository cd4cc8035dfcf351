"""What stops a run on MinAtar, and what it says before it begins."""

import dataclasses

import numpy as np
import pytest

from experiments.atari import code, outcomes
from experiments.atari.code import CODE
from experiments.atari.config import Config
from experiments.atari.family import FAMILY
from experiments.harness import family, files
from experiments.harness.messages import UserError

CONFIG = Config(
    num_frames=1_600,
    agent_steps_per_update=1.0,
    learning_rate=1e36,
    learning_starts_frames=1_000,
    eval_every=400,
    exploration_frames=600,
    replay_steps=500,
    checkpoint_seconds=0.0,
)


@pytest.mark.slow
def test_a_run_that_diverges_stops_and_the_checkpoint_stays(tmp_path, capsys):
    pytest.importorskip("gymnax", reason="the extra [atari] is not installed")
    config = dataclasses.replace(CONFIG, run_directory=tmp_path / "run")
    with pytest.raises(UserError) as raised:
        family.run(FAMILY, config)
    said = str(raised.value)
    assert said.startswith("seed 0: ")
    assert "is not finite between frames 800 and 1,200; the run stops" in said
    rows = files.read_json_lines(config.run_directory / "metrics.jsonl")
    assert [row["step"] for row in rows] == [400, 800]
    assert (config.run_directory / "checkpoints" / "800").is_dir()
    assert "exploration falls" not in capsys.readouterr().err


def metrics(**own):
    return {"train_loss": 0.5, "weight_norm": 3.0, "frames": 1_200.0} | own


def test_weights_are_looked_at_as_well_as_the_loss():
    outcomes.require_finite(CONFIG, metrics())
    for name, word in (("train_loss", "the loss"), ("weight_norm", "a weight")):
        with pytest.raises(UserError, match=f"seed 0: {word} is not finite between"):
            outcomes.require_finite(CONFIG, metrics(**{name: float("inf")}))


def test_of_several_settings_the_others_go_on():
    other = dataclasses.replace(CONFIG, learning_rate=1e-3)
    assert CODE.acceptance([CONFIG, other]) is None
    accept = CODE.acceptance([CONFIG, dataclasses.replace(CONFIG, seed=1)])
    accept({name: np.full(2, value) for name, value in metrics().items()})
    ones = np.ones(2)
    with pytest.raises(UserError, match="seed 1: a weight"), np.errstate(all="ignore"):
        accept({"train_loss": ones, "weight_norm": ones / [1, 0], "frames": ones})


@pytest.mark.parametrize(
    ("own", "is_told"),
    [
        ({"suite": "ale"}, True),
        ({"suite": "ale", "budget": "short"}, False),
        ({"suite": "ale", "agent": "rainbow"}, False),
        ({"num_frames": 90_000}, True),
        ({}, False),
    ],
)
def test_exploration_beyond_the_end_is_told(own, is_told, capsys):
    code.tell_of_long_exploration(Config(**own))
    assert ("exploration falls until frame" in capsys.readouterr().err) == is_told
