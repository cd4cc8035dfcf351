import dataclasses

import pytest

from experiments.grokking.config import Config
from experiments.grokking.demo import DemoConfig


def test_defaults_are_the_papers_sizes():
    config = Config()
    assert (config.modulus, config.train_fraction) == (117, 0.2)
    assert (config.num_heads, config.head_dim, config.mlp_dim) == (4, 32, 512)
    assert config.num_train_pairs == 2738  # .2 * 117 * 117 = 2737.8


def test_s5_has_120_elements_whatever_the_modulus():
    config = Config(operation="s5", modulus=7, train_fraction=0.5)
    assert (config.num_elements, config.num_train_pairs) == (120, 7200)


def test_the_cycle_is_what_is_left_after_the_delay():
    config = Config(num_steps=1000, delay_steps=200, schedule="cosine")
    assert config.cycle_steps == 800
    cyclic = dataclasses.replace(config, schedule="cyclic", num_cycles=4)
    assert cyclic.cycle_steps == 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modulus": 1}, "modulus=1: must be at least 2 and at most 26754 (--modulus)"),
        (
            {"train_fraction": 1.5},
            "train_fraction=1.5: must be greater than 0 and less than 1 "
            "(--train-fraction)",
        ),
        ({"num_steps": -5}, "num_steps=-5: must be at least 1 (--num-steps)"),
        ({"project_every": 0}, "project_every=0: must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: must be a number"),
        ({"learning_rate": float("inf")}, "learning_rate=inf: must be at most 3.4e+38"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0: must be at least 0"),
        ({"train_fraction": 1e-9}, "both sets have a pair; there are 13689"),
        ({"scale_decay": 1.0}, "add --normalize"),
        ({"cooldown_steps": 1901}, "at most the 1900 updates after the warm-up"),
        (
            {"cooldown_steps": 5, "schedule": "cosine"},
            "cooldown_steps=5: must be at most",
        ),
        ({"radius_multiplier": 0.0}, "radius_multiplier=0.0: must be greater than 0"),
        ({"adam_b2": 1.0}, "adam_b2=1.0: must be at least 0 and less than 1"),
        ({"adam_b2": -0.1}, "adam_b2=-0.1: must be at least 0 and less than 1"),
        ({"adam_eps": 0.0}, "adam_eps=0.0: must be greater than 0"),
        ({"position_scale": 0.0}, "position_scale=0.0: must be greater than 0"),
        ({"position_scale": float("nan")}, "position_scale=nan: must be a number"),
        ({"num_blocks": 0}, "num_blocks=0: must be at least 1"),
        ({"max_update_rms": 0.0}, "max_update_rms=0.0: must be greater than 0"),
        ({"max_elr": -1.0}, "max_elr=-1.0: must be greater"),
        (
            {"max_elr": 1.0, "optimizer": "hyperball"},
            "max_elr=1.0: must be None with hyperball",
        ),
        (
            {"project": False, "project_tables": False},
            "project_tables=False: must be on without projection",
        ),
        ({"max_logit": 0.0}, "max_logit=0.0: must be greater than 0"),
        (
            {"diagnose": True, "optimizer": "muon"},
            "diagnose=True: must be off with sgd and muon",
        ),
        ({"grokfast_decay": 1.0}, "grokfast_decay=1.0: must be at least 0 and less"),
        ({"grokfast_amplitude": -1.0}, "grokfast_amplitude=-1.0: must be at least 0"),
        (
            {"optimizer": "hyperball", "project": False},
            "optimizer=hyperball: must be another without projection",
        ),
        (
            {"operation": "s5", "train_fraction": 1e-9},
            "both sets have a pair; there are 14400",
        ),
        ({"seed": 2**32}, "seed + num_seeds is at most 2**32"),
        (
            {"schedule": "cyclic", "num_cycles": 30, "num_steps": 17},
            "num_cycles=30: must be at most the 17 updates after the delay",
        ),
        ({"delay_steps": 2000}, "less than num_steps=2000"),
        (
            {"schedule": "cosine", "warmup_steps": 2000},
            "less than the 2000 updates of the cosine schedule",
        ),
        (
            {"schedule": "cyclic", "warmup_steps": 400},
            "less than the 400 updates of the cyclic schedule in each cycle",
        ),
    ],
)
def test_impossible_values_are_named(fields, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- the text is compared
        Config(**fields)
    assert message in str(raised.value)


def test_every_arm_of_the_demo_is_a_run_of_the_experiment():
    stay, _, highest = DemoConfig().arms.values()
    assert stay == Config(
        normalize=True,
        scale_decay=1.0,
        delay_steps=1699,
        num_steps=1700,
        learning_rate=1e-4,
        warmup_steps=0,
    )
    assert highest == Config(
        normalize=True,
        scale_decay=1.0,
        delay_steps=700,
        num_steps=1700,
        learning_rate=1e-2,
        cooldown_steps=300,
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"memorise_steps": 30}, "a multiple of eval_every=50"),
        ({"rewarm_steps": 730}, "a multiple of eval_every=50"),
        ({"rewarm_steps": 350}, "at least 400: 100 of warm-up and the cool-down"),
        ({"peak_learning_rates": (-1.0,)}, "must be one to five positive numbers"),
        ({"peak_learning_rates": ()}, "must be one to five positive numbers"),
        ({"peak_learning_rates": (0.1, 0.1)}, "must be different numbers"),
        ({"modulus": 0}, "modulus=0"),
        ({"low_learning_rate": 0.0}, "low_learning_rate=0.0: must be greater than 0"),
    ],
)
def test_impossible_demos_are_named(fields, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 -- the text is compared
        DemoConfig(**fields)
    assert message in str(raised.value)
