"""Several arms and seeds of grokking as few batches, one for each program they need.

Arms that differ in numbers only (`optimizers.Hyperparameters`) share a compiled program
and a run directory; it is continued after an interruption like that of a single run.
"""

import dataclasses
import hashlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.grokking.config import Config
from experiments.harness import files
from experiments.harness.command_line import UserError

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
)
# What the batch says instead.
_SET_BY_BATCH = ("seed", "num_seeds", "run_directory", "checkpoint_seconds")
CHECKPOINT_SECONDS = 60.0
STEP_SECONDS = 0.02
"""Of an update at the paper's size on 2 cores; see `benchmarks/grokking_step.py`."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arms that one program runs; the config of their directory."""

    arms: Mapping[str, Mapping[str, Any]]
    """By name, the settings that differ from the defaults: so a field that is added
    later, with a default that changes nothing, does not part a run from its config."""
    seeds: tuple[int, ...]
    """Every arm is run with each."""
    all_settings: Mapping[str, Mapping[str, Any]]
    """By name, every setting, for the reader."""

    @property
    def name(self) -> str:
        """Of the directory: some words and a digest of what decides the results."""
        text = files.dump_json({"arms": self.arms, "seeds": self.seeds})
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.config.optimizer}-{self.config.num_steps}-updates-{digest}"

    @property
    def config(self) -> Config:
        """Whatever shapes the program: the first arm's, which the others share."""
        return Config(**next(iter(self.arms.values())))


def cost(arms: Mapping[str, Config], num_seeds: int) -> tuple[int, float]:
    """Updates of all arms and seeds together, and an estimate of the seconds.

    A step costs in proportion to the training pairs, and an evaluation one more step
    and a forward pass of the other pairs.
    """
    reference = Config().num_train_pairs
    updates, weighted = 0, 0.0
    for config in arms.values():
        train, pairs = config.num_train_pairs, config.num_elements**2
        step, evaluation = train / reference, (train + (pairs - train) / 3) / reference
        updates += config.num_steps * num_seeds
        evaluations = -(-config.num_steps // config.eval_every)
        weighted += (config.num_steps * step + evaluations * evaluation) * num_seeds
    return updates, weighted * STEP_SECONDS


def batches(arms: Mapping[str, Config], seeds: Sequence[int]) -> list[Batch]:
    """Sorts arms by the program they need, in the order of their first arms."""
    groups: dict[tuple[Any, ...], dict[str, Config]] = {}
    for name, config in arms.items():
        shape = tuple(
            getattr(config, field.name)
            for field in dataclasses.fields(config)
            if field.name not in BATCHED + _SET_BY_BATCH
        )
        groups.setdefault(shape, {})[name] = config
    return [
        Batch(
            arms={
                name: _settings(config, changed=True) for name, config in own.items()
            },
            seeds=tuple(seeds),
            all_settings={
                n: _settings(config, changed=False) for n, config in own.items()
            },
        )
        for own in groups.values()
    ]


def run(arms: Mapping[str, Config], seeds: Sequence[int], directory: Path) -> None:
    """Trains every arm with every seed, or what of it is left to do."""
    todo = batches(arms, seeds)
    for number, batch in enumerate(todo, start=1):
        if _is_finished(batch, directory):
            continue
        with _open(batch, directory) as part:
            print(
                f"part {number} of {len(todo)}: {len(batch.arms)} arms x "
                f"{len(batch.seeds)} seeds, {batch.config.num_steps} updates each",
                file=sys.stderr,
            )
            if part.summary is None:  # another process may have been quicker
                _train(part, batch)


def rows(
    arms: Mapping[str, Config], seeds: Sequence[int], directory: Path
) -> Iterator[dict[str, Any]]:
    """The metrics of finished runs, one row for each evaluation, arm and seed.

    Raises:
      UserError: some are not finished.
    """
    for batch in batches(arms, seeds):
        path = directory / batch.name
        if not _is_finished(batch, directory):
            names = ", ".join(batch.arms)
            raise UserError(f"{path} ({names}) has not been run to its end")
        yield from files.read_json_lines(path / "metrics.jsonl")


def step_seconds(
    arms: Mapping[str, Config], *, num_rounds: int = 5, num_steps: int = 10
) -> dict[str, float]:
    """Measures the time of one step of each arm.

    The arms take turns, and the fastest of their rounds counts, so that what else the
    machine does hits all alike and none for long.

    Args:
      arms: what to measure, by name.
      num_rounds: how often each has its turn.
      num_steps: steps of one turn.

    Returns:
      Seconds by name.
    """
    import jax

    chunks = {name: _compiled_steps(config, num_steps) for name, config in arms.items()}
    best = dict.fromkeys(arms, float("inf"))
    for _ in range(num_rounds):
        for name, chunk in chunks.items():
            started = time.perf_counter()
            jax.block_until_ready(chunk())
            best[name] = min(best[name], (time.perf_counter() - started) / num_steps)
    return best


def _compiled_steps(config: Config, num_steps: int) -> Any:
    import jax

    from experiments.grokking import train

    experiment = train.Experiment(config)
    members = train.init_members(experiment, [0], [train.hyperparameters(config)])
    state, *inputs = jax.tree.map(lambda leaf: leaf[0], members)

    def steps(state: Any, *inputs: Any) -> Any:
        return jax.lax.scan(
            lambda carry, _: (experiment.step(carry, *inputs), None),
            state,
            length=num_steps,
        )[0]

    compiled = jax.jit(steps).lower(state, *inputs).compile()
    return lambda: compiled(state, *inputs)


def _train(part: "RunDirectory", batch: Batch) -> None:
    from experiments.grokking import train

    members = [(name, seed) for name in batch.arms for seed in batch.seeds]
    hypers = {
        name: train.hyperparameters(Config(**own)) for name, own in batch.arms.items()
    }
    experiment = train.Experiment(batch.config)
    _, totals = train.run_members(
        part,
        experiment,
        train.init_members(
            experiment, [seed for _, seed in members], [hypers[n] for n, _ in members]
        ),
        [{"arm": name, "seed": seed} for name, seed in members],
        num_steps=batch.config.num_steps,
    )
    part.finish(totals)


def _is_finished(batch: Batch, directory: Path) -> bool:
    return (directory / batch.name / "summary.json").exists()


def _open(batch: Batch, directory: Path) -> "RunDirectory":
    from experiments.harness.run_directory import RunDirectory

    return RunDirectory(
        directory / batch.name,
        batch,
        ignored=("all_settings",),
        checkpoint_seconds=CHECKPOINT_SECONDS,
    )


def _settings(config: Config, *, changed: bool) -> dict[str, Any]:
    """What an arm sets itself, or all that it runs with."""
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _SET_BY_BATCH
        and not (changed and getattr(config, field.name) == field.default)
    }
