import inspect

import pytest

import nap_optax
from experiments.continual_pretraining.config import Config
from experiments.continual_pretraining.family import DETECTOR_WARMUP_STEPS, cautions


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(schedule="cusum", phase_steps=400), "cannot see the change"),
        (Config(optimizer="adamw"), "adamw without decay is Adam"),
    ],
)
def test_what_a_user_may_not_have_meant_is_said(config, words):
    (caution,) = cautions(config)
    assert words in caution


def test_usual_settings_need_no_caution():
    assert not list(cautions(Config()))
    assert not list(cautions(Config(schedule="cusum", phase_steps=401)))
    assert not list(cautions(Config(optimizer="adamw", weight_decay=0.1)))


def test_the_detector_learns_for_as_long_as_is_said():
    default = inspect.signature(nap_optax.cusum).parameters["warmup_steps"].default
    assert default == DETECTOR_WARMUP_STEPS
