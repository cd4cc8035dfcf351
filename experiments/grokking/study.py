"""Several arms and seeds of grokking, for the figures; and what they cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.grokking.config import CHANGED, Config
from experiments.harness.study import Batch, Study

if TYPE_CHECKING:
    from experiments.harness.run_directory import RunDirectory

# What a batch's members may differ in; a test compares it with `Hyperparameters`.
BATCHED = (
    "learning_rate",
    "low_learning_rate",
    "warmup_steps",
    "delay_steps",
    "cooldown_steps",
    "weight_decay",
    "scale_decay",
    "radius_multiplier",
    "adam_b2",
    "adam_eps",
    "position_scale",
)
STEP_SECONDS = 0.02
"""Of an update at the paper's size on 2 cores; see `benchmarks/grokking_step.py`."""


def cost(arms: Mapping[str, Config], num_seeds: int) -> tuple[int, float]:
    """Updates of all arms and seeds together, and an estimate of the seconds.

    A step costs in proportion to the training pairs, and an evaluation one more step
    and a forward pass of the other pairs.
    """
    reference = Config().num_train_pairs
    updates, weighted = 0, 0.0
    for config in arms.values():
        # One block is needed at one position, more of them at five, attention included.
        relative = (1 + 8 * (config.num_blocks - 1)) / reference
        train, pairs = config.num_train_pairs, config.num_elements**2
        step, evaluation = train * relative, (train + (pairs - train) / 3) * relative
        updates += config.num_steps * num_seeds
        evaluations = -(-config.num_steps // config.eval_every)
        weighted += (config.num_steps * step + evaluations * evaluation) * num_seeds
    return updates, weighted * STEP_SECONDS


def step_seconds(
    arms: Mapping[str, Config], *, num_rounds: int = 5, num_steps: int = 10
) -> dict[str, float]:
    """Measures the time of one step of each arm.

    Args:
      arms: what to measure, by name.
      num_rounds: how often each has its turn.
      num_steps: steps of one turn.

    Returns:
      Seconds by name.
    """
    from experiments.harness.timing import fastest_in_turns

    chunks = {name: _compiled_steps(config, num_steps) for name, config in arms.items()}
    turns = fastest_in_turns(chunks, num_rounds=num_rounds)
    return {name: seconds / num_steps for name, seconds in turns.items()}


def _compiled_steps(config: Config, num_steps: int) -> Any:
    import jax

    from experiments.grokking import train
    from experiments.harness.members import init_members

    experiment = train.Experiment(config)
    one = init_members(experiment, [0], [train.hyperparameters(config)])
    state, *inputs = jax.tree.map(lambda leaf: leaf[0], one)

    def steps(state: Any, *inputs: Any) -> Any:
        return jax.lax.scan(
            lambda carry, _: (experiment.step(carry, *inputs), None),
            state,
            length=num_steps,
        )[0]

    compiled = jax.jit(steps).lower(state, *inputs).compile()
    return lambda: compiled(state, *inputs)


def _train(
    part: "RunDirectory", configs: Sequence[Config], batch: Batch, loaded: None
) -> Any:
    from experiments.grokking import train
    from experiments.harness.members import init_members, train_members

    del loaded
    seeds = batch.seeds * len(configs)
    hypers = [train.hyperparameters(config) for config in configs for _ in batch.seeds]
    experiment = train.Experiment(configs[0])
    return train_members(
        part,
        experiment,
        init_members(experiment, seeds, hypers),
        labels=batch.members,
        num_steps=configs[0].num_steps,
        eval_every=configs[0].eval_every,
    )


STUDY = Study(
    config_class=Config,
    batched=BATCHED,
    unused=("seed", "num_seeds", "run_directory", "checkpoint_seconds"),
    name=lambda config: f"{config.optimizer}-{config.num_steps}-updates",
    num_steps=lambda config: config.num_steps,
    train=_train,
    before=CHANGED,
)
run, rows = STUDY.run, STUDY.rows
