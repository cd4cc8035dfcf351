"""The families, and the facts that the tests of all families need of each.

The last family is a test's own: what it needs is what a new experiment has to bring.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.atari.config import Config as AtariConfig
from experiments.atari.family import FAMILY as ATARI
from experiments.continual_pretraining.family import FAMILY as CONTINUAL_PRETRAINING
from experiments.grokking.family import FAMILY as GROKKING
from experiments.harness.family import Family
from experiments.lazy_rich.dmft.family import FAMILY as DMFT
from experiments.lazy_rich.eigenvector_labels.family import FAMILY as EIGENVECTOR
from experiments.lazy_rich.hermite.family import FAMILY as HERMITE
from experiments.lazy_rich.images.family import FAMILY as IMAGES
from experiments.lazy_rich.modular.family import FAMILY as MODULAR
from experiments.lazy_rich.polynomial.family import FAMILY as POLYNOMIAL
from experiments.lazy_rich.student_teacher.family import FAMILY as STUDENT_TEACHER
from experiments.lazy_rich.transformer.family import FAMILY as TRANSFORMER
from experiments.warm_start.family import FAMILY as WARM_START
from helpers.checkout import grokking_runs, image_files, text_runs
from helpers.checkout.parity.family import FAMILY as PARITY


class Case(NamedTuple):
    """A family and what the tests ask of it."""

    family: Family[Any]
    module: str
    """Of its command."""
    tiny: Any
    """A config that takes a second."""
    long: Mapping[str, Any]
    """What is changed for a run that can be killed several times.

    Numbers of updates need no program but that of `tiny`."""
    num_kills: int
    """How often; each costs the start of a process and a compilation."""
    per_member: str
    """A number in which members may differ."""
    differing: Sequence[Mapping[str, Any]]
    """Changes of all numbers in which members may differ, some at a time."""
    other_program: Mapping[str, Any]
    """What needs another program."""
    mistakes: Sequence[tuple[Sequence[str], str]]
    """Arguments, and what the one line says."""
    command: Sequence[str] = ()
    """The words between the module and the flags."""


CASES = [
    Case(
        family=GROKKING,
        module="experiments.grokking",
        tiny=grokking_runs.TINY,
        long={"num_steps": 2_000},
        num_kills=1,
        per_member="learning_rate",
        differing=[
            {
                **{"learning_rate": 0.3, "low_learning_rate": 0.2, "warmup_steps": 3},
                **{"delay_steps": 1, "cooldown_steps": 1, "weight_decay": 0.3},
                **{"scale_decay": 0.4, "radius_multiplier": 2.0, "adam_b2": 0.9},
                **{"adam_eps": 1e-6, "position_scale": 0.5},
            }
        ],
        other_program={"project": False},
        mistakes=[
            (["--train-fraction", "1.5"], "train_fraction=1.5: must be greater than"),
            (["--modulus", "1"], "modulus=1: must be at least 2"),
            (["--num-steps", "-4"], "num_steps=-4: must be at least 1"),
            (["--modulos", "5"], "unknown flag --modulos (did you mean --modulus?)"),
            (["--num-steps", "many"], "--num-steps many: must be an integer"),
            (["--schedule", "linear"], "invalid choice 'linear'"),
        ],
    ),
    Case(
        family=WARM_START,
        module="experiments.warm_start",
        tiny=image_files.TINY,
        long={"epochs_per_phase": 30, "eval_every": 10, "method": "last_layer_reset"},
        num_kills=1,
        per_member="initial_fraction",
        differing=[
            {
                **{"learning_rate": 0.3, "low_learning_rate": 0.2, "label_noise": 0.1},
                **{"radius_multiplier": 2.0, "initial_fraction": 0.75},
            },
            {
                **{"schedule": "growing", "growth": 3.0},
                **{"method": "l2_init", "strength": 0.3},
            },
        ],
        other_program={"project": False},
        mistakes=[
            (["--initial-fraction", "2"], "initial_fraction=2.0: must be greater than"),
            (["--model", "vgg"], "invalid choice 'vgg'"),
            (
                ["--batch-size", "100", "--initial-fraction", "0.001"],
                "it leaves 50 of 50000 examples, and batch_size is 100",
            ),
        ],
    ),
    Case(
        family=CONTINUAL_PRETRAINING,
        module="experiments.continual_pretraining",
        tiny=text_runs.TINY,
        long={"phase_steps": 4000, "eval_every": 40},
        num_kills=1,
        per_member="learning_rate",
        differing=[
            {
                **{"learning_rate": 0.3, "low_learning_rate": 0.2},
                **{"warmup_steps": 3, "adam_b2": 0.9},
            },
            {"optimizer": "adamw", "weight_decay": 0.3},
        ],
        other_program={"optimizer": "hyperball"},
        mistakes=[
            (["--context", "0"], "context=0: must be at least 1"),
            (["--learning-rate", "0"], "learning_rate=0.0: must be greater than 0"),
            (["--first", "poems"], "invalid choice 'poems'"),
            (["--weight-decay", "1"], "must be 0 without --optimizer adamw"),
            (["--optimizer", "adamw", "--no-project-readout"], "must be left on with"),
            (["--warmup-steps", "1000"], "less than the 1000 updates of a cosine"),
        ],
    ),
    Case(
        family=POLYNOMIAL,
        module="experiments.lazy_rich",
        command=("polynomial",),
        tiny=POLYNOMIAL.config_class(
            dimension=6, num_train=12, width=8, num_steps=40, eval_every=10
        ),
        long={"dimension": 20, "num_train": 60, "num_steps": 60_000, "eval_every": 200},
        num_kills=1,
        per_member="epsilon",
        differing=[
            {
                **{"alpha": 3.0, "learning_rate": 0.3, "epsilon": 0.4},
                **{"weight_scale": 2.0, "label_scale": 0.5, "solution_share": 0.1},
            },
            {
                **{"optimizer": "momentum", "momentum": 0.5},
                **{"num_rewarms": 2, "rewarm_factor": 3.0, "project": True},
            },
            {
                **{"optimizer": "adamw", "weight_decay": 0.1, "adam_b2": 0.9},
                "readouts": True,
            },
        ],
        other_program={"center": False},
        mistakes=[
            (["--alpha", "0"], "alpha=0.0: must be at least 1e-06"),
            (["--width", "0"], "width=0: must be at least 1"),
            (["--weight-decay", "1"], "0 without --optimizer adamw"),
            (
                ["--solution-share", "0.1", "--readouts"],
                "solution_share=0.1: must be 0 unless a solution is known",
            ),
            (["--dimension", "100000"], "fewer than 2**31 weights"),
            (["--optimizer", "sgd"], "invalid choice 'sgd'"),
        ],
    ),
    Case(
        family=MODULAR,
        module="experiments.lazy_rich",
        command=("modular",),
        tiny=MODULAR.config_class(
            modulus=5, width=6, num_steps=40, eval_every=10, learning_rate=1.0
        ),
        long={"modulus": 11, "width": 50, "num_steps": 30_000, "eval_every": 200},
        num_kills=1,
        per_member="alpha",
        differing=[
            {"alpha": 3.0, "learning_rate": 0.3},
            {
                **{"optimizer": "momentum", "momentum": 0.5},
                **{"num_rewarms": 2, "rewarm_factor": 3.0, "project": True},
            },
            {"optimizer": "adamw", "weight_decay": 0.1, "adam_b2": 0.9},
        ],
        other_program={"center": False},
        mistakes=[
            (["--modulus", "1"], "modulus=1: must be at least 2"),
            (["--modulus", "2", "--train-fraction", "0.99"], "there are 4 in all"),
            (["--delay-steps", "5"], "delay_steps=5: must be 0 without re-warming"),
            (["--momentum", ".5"], "momentum=0.5: must be left out without --optimize"),
            (["--adam-b2", ".5"], "adam_b2=0.5: must be left out without --optimizer"),
            (["--rewarm-factor", "5"], "must be left out without --num-rewarms"),
            (["--num-rewarms", "2000"], "at most a tenth of the 10000 updates"),
            (["--tangential"], "tangential=True: must be off without projection"),
            (["--scaling", "linear"], "invalid choice 'linear'"),
        ],
    ),
    Case(
        family=STUDENT_TEACHER,
        module="experiments.lazy_rich",
        command=("student_teacher",),
        tiny=STUDENT_TEACHER.config_class(
            num_train=6, num_test=8, width=4, num_steps=40, eval_every=10
        ),
        long={"num_train": 100, "width": 40, "num_steps": 20_000, "eval_every": 200},
        num_kills=1,
        per_member="init_scale",
        differing=[
            {
                **{"alpha": 3.0, "learning_rate": 0.3, "weight_decay": 0.1},
                **{"adam_b2": 0.9, "init_scale": 3.0, "tolerance": 0.1},
                **{"num_rewarms": 2, "rewarm_factor": 3.0},
            },
            {"optimizer": "momentum", "momentum": 0.5, "weight_decay": 0.0},
        ],
        other_program={"center": True},
        mistakes=[
            (["--width", "0"], "width=0: must be at least 1"),
            (["--optimizer", "gd"], "weight_decay=0.05: must be 0 without"),
            (["--tolerance", "0"], "tolerance=0.0: must be greater than 0"),
        ],
    ),
    Case(
        family=TRANSFORMER,
        module="experiments.lazy_rich",
        command=("transformer",),
        tiny=TRANSFORMER.config_class(
            **{"modulus": 5, "num_heads": 2, "head_dim": 4, "mlp_dim": 8},
            **{"num_steps": 40, "eval_every": 10},
        ),
        long={"modulus": 11, "num_steps": 10_000, "eval_every": 100},
        num_kills=1,
        per_member="alpha",
        differing=[
            {
                **{"alpha": 3.0, "learning_rate": 0.3, "weight_decay": 0.1},
                **{"adam_b2": 0.9, "num_rewarms": 2, "rewarm_factor": 3.0},
            },
            {"optimizer": "momentum", "momentum": 0.5, "weight_decay": 0.0},
        ],
        other_program={"center": True},
        mistakes=[
            (["--modulus", "1"], "modulus=1: must be at least 2"),
            (["--num-heads", "0"], "num_heads=0: must be at least 1"),
        ],
    ),
    Case(
        family=EIGENVECTOR,
        module="experiments.lazy_rich",
        command=("eigenvector_labels",),
        tiny=EIGENVECTOR.config_class(
            **{"dimension": 6, "num_train": 8, "num_test": 5, "eigenvector": 3},
            **{"width": 4, "num_steps": 40, "eval_every": 10},
        ),
        long={"num_train": 50, "width": 40, "num_steps": 20_000, "eval_every": 200},
        num_kills=1,
        per_member="alpha",
        differing=[
            {"alpha": 3.0, "learning_rate": 0.3, "epsilon": 0.4},
            {
                **{"optimizer": "momentum", "momentum": 0.5},
                **{"num_rewarms": 2, "rewarm_factor": 3.0, "project": True},
            },
            {"optimizer": "adamw", "weight_decay": 0.1, "adam_b2": 0.9},
        ],
        other_program={"center": False},
        mistakes=[
            (["--eigenvector", "0"], "eigenvector=0: must be one of the 240"),
            (["--num-train", "0"], "num_train=0: must be at least 1"),
        ],
    ),
    Case(
        family=HERMITE,
        module="experiments.lazy_rich",
        command=("hermite",),
        tiny=HERMITE.config_class(
            **{"dimension": 5, "num_train": 12, "num_test": 9, "width": 6},
            **{"num_steps": 40, "eval_every": 10},
        ),
        long={"width": 40, "num_steps": 20_000, "eval_every": 200},
        num_kills=1,
        per_member="epsilon",
        differing=[
            {"alpha": 3.0, "learning_rate": 0.3, "epsilon": 0.4},
            {
                **{"optimizer": "momentum", "momentum": 0.5},
                **{"num_rewarms": 2, "rewarm_factor": 3.0, "project": True},
            },
            {"optimizer": "adamw", "weight_decay": 0.1, "adam_b2": 0.9},
        ],
        other_program={"degree": 4},
        mistakes=[
            (["--degree", "1"], "degree=1: must be at least 2"),
            (["--num-test", "0"], "num_test=0: must be at least 1"),
        ],
    ),
    Case(
        family=DMFT,
        module="experiments.lazy_rich",
        command=("dmft",),
        tiny=DMFT.config_class(
            **{"num_steps": 4, "eval_every": 2, "num_samples": 20, "num_replicas": 2}
        ),
        long={"num_steps": 300, "num_samples": 2},
        num_kills=1,
        per_member="epsilon",
        differing=[
            {
                **{"nu": 2.0, "alpha": 3.0, "epsilon": 0.4, "time_step": 0.3},
                "power": 0.7,
            }
        ],
        other_program={"center": True},
        mistakes=[
            (["--nu", "0"], "nu=0.0: must be greater than 0"),
            (["--nu", "inf"], "nu=inf: must be at most 3.4e+38"),
            (["--overlaps", "0.3"], "overlaps=0.3: must be from 2 to 100 numbers"),
            (["--alpha", "0"], "alpha=0.0: must be at least 0.001"),
            (["--time-step", "-1"], "time_step=-1.0: must be greater than 0"),
            (["--power", "0.05"], "power=0.05: must be at least the sum"),
            (["--num-samples", "1"], "num_samples=1: must be at least 2"),
            (["--num-replicas", "1"], "num_replicas=1: must be at least 2"),
        ],
    ),
    Case(
        family=IMAGES,
        module="experiments.lazy_rich",
        command=("images",),
        tiny=IMAGES.config_class(
            **{"num_train": 12, "num_test": 8, "batch_size": 6, "width": 4},
            **{"num_steps": 40, "eval_every": 10},
        ),
        long={"width": 40, "num_steps": 20_000, "eval_every": 200},
        num_kills=1,
        per_member="init_scale",
        differing=[
            {
                **{"alpha": 3.0, "learning_rate": 0.3, "weight_decay": 0.2},
                **{"adam_b2": 0.9, "init_scale": 3.0},
                **{"num_rewarms": 2, "rewarm_factor": 3.0},
            },
            {"optimizer": "momentum", "momentum": 0.5, "weight_decay": 0.0},
        ],
        other_program={"center": True},
        mistakes=[
            (["--batch-size", "300"], "a divisor of num_train, which is 1000"),
            (["--num-train", "60001"], "num_train=60001: must be at least 1 and at"),
        ],
    ),
    Case(
        family=ATARI,
        module="experiments.atari",
        tiny=AtariConfig(
            num_frames=400,
            eval_every=25,
            learning_starts_frames=40,
            target_period_frames=40,
            exploration_frames=100,
            replay_steps=100,
            seed=3,
        ),
        long={
            **{"agent": "rainbow", "exploration_frames": None},
            **{"num_frames": 60_000, "eval_every": 500},
        },
        num_kills=1,
        per_member="learning_rate",
        differing=[
            {
                **{"learning_rate": 0.3, "low_learning_rate": 0.2, "weight_decay": 0.1},
                "stop_cycling_frames": 300,
            },
            {
                **{"learning_rate_schedule": "cyclic", "cycle_frames": 120},
                "stop_cycling_frames": 200,
            },
        ],
        other_program={"project": True},
        mistakes=[
            (["--game", "Pong"], "game=Pong: must be one of Asterix, Breakout"),
            (["--agent", "sarsa"], "invalid choice 'sarsa'"),
            (
                ["--agent-steps-per-update", "2.5"],
                "agent_steps_per_update=2.5: must be a multiple or a whole part",
            ),
        ],
    ),
    Case(
        family=PARITY,
        module="helpers.checkout.parity",
        tiny=PARITY.config_class(num_steps=40, eval_every=10, seed=3),
        # A kill takes up to .4 seconds of it; its evaluations make it last.
        long={"num_steps": 30_000},
        num_kills=2,
        per_member="learning_rate",
        differing=[{"learning_rate": 0.3}],
        other_program={"width": 8},
        mistakes=[(["--width", "0"], "width=0: must be at least 1")],
    ),
]
ALIKE = tuple(case.family for case in CASES if case.family not in (GROKKING, PARITY))
"""Families whose killed runs others stand for."""
COMMON = [
    (["--seed", "-1"], "seed=-1: must be at least 0"),
    (["--seed", "4294967295", "--num-seeds", "2"], "seed + num_seeds is at most 2**32"),
    (["--num-seeds", "0"], "num_seeds=0: must be at least 1"),
    (["--num-seeds", "1000000000"], "must be at least 1 and at most 10000"),
    (["--eval-every", "0"], "eval_every=0: must be at least 1"),
    (["--checkpoint-seconds", "-1"], "checkpoint_seconds=-1.0: must be at least 0"),
]
VARIANTS = (MODULAR, STUDENT_TEACHER, TRANSFORMER, EIGENVECTOR, HERMITE, IMAGES)
"""Of one kind with POLYNOMIAL; left to the thorough tests."""
MISTAKES = [(case, *own) for case in CASES for own in (*case.mistakes, *COMMON)]
(_ATARI,) = (case for case in CASES if case.family is ATARI)
KILLED_OFTEN = _ATARI._replace(
    long={**_ATARI.long, "num_envs": 2, "eval_every": 250, "agent_steps_per_update": 4},
    num_kills=10,
)
"""The agent with most that is random: a game, noise, and a replay with priorities."""
