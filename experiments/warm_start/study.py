"""Several arms and seeds of warm-starting, for the figures; and what they cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.harness.study import Batch, Study
from experiments.warm_start.config import Config

if TYPE_CHECKING:
    from experiments.harness.run_directory import RunDirectory

# What a batch's members may differ in; a test compares it with `Hyperparameters`.
BATCHED = (
    "learning_rate",
    "low_learning_rate",
    "growth",
    "strength",
    "label_noise",
    "radius_multiplier",
    "initial_fraction",
)
EXAMPLE_SECONDS = {"cnn": 1.2e-4, "resnet18": 1.7e-2}
"""Of an update, for each example, on 2 cores; see `benchmarks/image_step.py`."""
FORWARD_SHARE = 1 / 3
"""Of an update's time."""


def cost(arms: Mapping[str, Config], num_seeds: int) -> tuple[int, float]:
    """Updates of all arms and seeds together, and an estimate of the seconds.

    An evaluation is a forward pass of the test set and of the fixed points.
    """
    updates, seconds = 0, 0.0
    for config in arms.values():
        evaluations = -(-config.num_steps // config.eval_every)
        examples = config.num_steps * config.batch_size + FORWARD_SHARE * (
            evaluations * (config.num_test + 1000)
        )
        updates += config.num_steps * num_seeds
        seconds += examples * num_seeds * EXAMPLE_SECONDS[config.model]
    return updates, seconds


def step_seconds(
    arms: Mapping[str, Config], *, num_rounds: int = 5, num_steps: int = 10
) -> dict[str, float]:
    """Measures the time of one step of each arm.

    Args:
      arms: what to measure, by name; on one data set.
      num_rounds: how often each has its turn.
      num_steps: steps of one turn.

    Returns:
      Seconds by name.
    """
    from experiments.harness.timing import fastest_in_turns

    arrays = _load(next(iter(arms.values())))
    turns = {name: _steps(config, arrays, num_steps) for name, config in arms.items()}
    for run in turns.values():
        run()  # compiles
    times = fastest_in_turns(turns, num_rounds=num_rounds)
    return {name: seconds / num_steps for name, seconds in times.items()}


def _load(config: Config) -> Any:
    from experiments.warm_start import train

    return train.load_arrays(config)


def _steps(config: Config, arrays: Any, num_steps: int) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    from experiments.warm_start import train

    experiment = train.Experiment(config)
    hyper = train.hyperparameters(config)
    state, split = experiment.init(jnp.asarray(0), hyper, arrays)
    step = jax.jit(experiment.step, compiler_options=experiment.compiler_options)

    def run() -> Any:
        after = state
        for _ in range(num_steps):  # a loop, as the harness has on a CPU
            after = step(after, hyper, split, arrays)
        return after

    return run


def _train(
    part: "RunDirectory", configs: Sequence[Config], batch: Batch, arrays: Any
) -> Any:
    from experiments.harness.members import init_members, train_members
    from experiments.warm_start import train

    experiment = train.Experiment(configs[0])
    hypers = [train.hyperparameters(config) for config in configs for _ in batch.seeds]
    return train_members(
        part,
        experiment,
        init_members(experiment, batch.seeds * len(configs), hypers, arrays),
        arrays,
        labels=batch.members,
        num_steps=configs[0].num_steps,
        eval_every=configs[0].eval_every,
    )


STUDY = Study(
    config_class=Config,
    batched=BATCHED,
    unused=(
        "seed",
        "num_seeds",
        "run_directory",
        "checkpoint_seconds",
        "data_directory",
        "download",
    ),
    name=lambda config: f"{config.model}-{config.schedule}-{config.num_steps}-updates",
    num_steps=lambda config: config.num_steps,
    train=_train,
    load=_load,
)
run, rows = STUDY.run, STUDY.rows
