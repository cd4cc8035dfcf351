"""Grokking on demand, at the paper's size: `python -m experiments.grokking.demo`.

A network with normalisation layers and projected weights memorises the training pairs
at a low learning rate. Then one run becomes three, which differ only in the learning
rate: it stays low, or is re-warmed to one of two peaks, held and lowered again. (Lyle
et al., 2025, figure 3.)
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.grokking import outcomes
from experiments.grokking.config import Config
from experiments.grokking.family import FAMILY
from experiments.harness import files
from experiments.harness.checks import INT32_MAX, check, check_numbers, check_range
from experiments.harness.command_line import parse, run
from experiments.harness.config import settings
from experiments.harness.family import figure_may_fail, require_machine
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory
from experiments.harness.run_files import (
    CONFIG,
    default_path,
    is_finished,
    read_rows,
)

if TYPE_CHECKING:
    from experiments.grokking.experiment import Experiment
    from experiments.harness.members import Members

PROG = "python -m experiments.grokking.demo"
WARMUP_STEPS = 100


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """Memorises at a low learning rate, then re-warms to several peaks.

    The same command continues an interrupted demo, and shows a finished demo again.
    """

    memorise_steps: int = 700
    """Number of updates of memorising, at the low learning rate."""
    rewarm_steps: int = 1000
    """Number of updates after the re-warm."""
    cooldown_steps: int = 300
    """Number of updates at the end over which the rate falls back to the low one."""
    low_learning_rate: float = 1e-4
    """Learning rate while memorising; one arm keeps it."""
    peak_learning_rates: tuple[float, ...] = (1e-3, 1e-2)
    """Peak learning rates of the re-warm, with one arm for each."""
    modulus: int = 117
    """The p of the task: the network learns x + y mod p from pairs 0 <= x, y < p."""
    train_fraction: float = 0.2
    """Share of the pairs in the training set."""
    scale_decay: float = 1.0
    """Decay of the normalisation scales, decoupled and times the learning rate."""
    eval_every: int = 50
    """Number of updates between two evaluations of the network."""
    seed: int = 0
    """Seed of the split and of the initial weights."""
    run_directory: Path | None = None
    """Directory of the demo; by default runs/demo/<digest of the settings>."""

    def __post_init__(self) -> None:
        """Checks the fields that the arms' own configs do not check.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_numbers(self, apart=("seed",))
        check_range("eval_every", self.eval_every, at_least=1)
        check_range("cooldown_steps", self.cooldown_steps, at_least=0)
        for name in ("memorise_steps", "rewarm_steps"):
            check_range(name, getattr(self, name), at_least=1)
            check(
                name,
                getattr(self, name),
                getattr(self, name) % self.eval_every == 0,
                f"a multiple of eval_every={self.eval_every}",
            )
        check(
            "rewarm_steps",
            self.rewarm_steps,
            self.memorise_steps + self.rewarm_steps <= INT32_MAX,
            f"such that both parts have at most {INT32_MAX} updates",
        )
        shortest = WARMUP_STEPS + self.cooldown_steps
        check(
            "rewarm_steps",
            self.rewarm_steps,
            self.rewarm_steps >= shortest,
            f"at least {shortest}: {WARMUP_STEPS} of warm-up and the cool-down",
        )
        check_range("low_learning_rate", self.low_learning_rate, above=0)
        peaks = self.peak_learning_rates
        check(
            "peak_learning_rates",
            peaks,
            0 < len(peaks) <= 5 and all(peak > 0 for peak in peaks),
            "one to five positive numbers",
        )
        check(
            "peak_learning_rates",
            peaks,
            len(self.arms) == len(peaks) + 1,
            "different numbers",
        )

    @property
    def arms(self) -> dict[str, Config]:
        """The config of `experiments.grokking` that each arm equals, by name."""
        # To stay low is to memorise for all updates but one.
        last = self.memorise_steps + self.rewarm_steps - 1
        low = dataclasses.replace(
            self._arm(self.low_learning_rate), cooldown_steps=0, warmup_steps=0
        )
        stay = dataclasses.replace(low, delay_steps=last)
        return {f"left at {self.low_learning_rate:g}": stay} | {
            f"re-warmed to {peak:g}": self._arm(peak)
            for peak in self.peak_learning_rates
        }

    @property
    def path(self) -> Path:
        """The directory of the demo."""
        return self.run_directory or default_path("demo", self.recorded, ())

    @property
    def recorded(self) -> "Recorded":
        """The settings that decide the results."""
        ignored = ("run_directory",)
        return Recorded(
            settings=settings(self, ignored),
            arms={name: settings(arm, ignored) for name, arm in self.arms.items()},
        )

    def _arm(self, peak: float) -> Config:
        return Config(
            modulus=self.modulus,
            train_fraction=self.train_fraction,
            num_steps=self.memorise_steps + self.rewarm_steps,
            delay_steps=self.memorise_steps,
            learning_rate=peak,
            cooldown_steps=self.cooldown_steps,
            low_learning_rate=self.low_learning_rate,
            normalize=True,
            scale_decay=self.scale_decay,
            eval_every=self.eval_every,
            warmup_steps=WARMUP_STEPS,
            seed=self.seed,
        )


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A demo as its directory keeps it, with all settings of its arms.

    The arms' defaults may change later, and the demo's own settings do not have them.
    """

    settings: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]


def demo(config: DemoConfig) -> None:
    """Runs or continues both parts; prints a table, a path and a sentence."""
    from experiments.grokking import figures

    if files.is_there(config.path / CONFIG):
        raise UserError(
            f"{config.path} holds a run of something else: name another directory"
        )
    if not is_finished(config.path / "arms"):
        first, *_ = config.arms.values()
        require_machine(FAMILY, first, len(config.arms))
    memorise, arms = _train(config)
    path = config.path / "grokking_on_demand.png"
    ends = _ends(arms)
    with figure_may_fail(path):
        figures.draw_arms(
            memorise, arms, config.memorise_steps, path, title=outcomes.title(ends)
        )
    print(_table(memorise[-1], arms, ends))
    print(path)
    for line in _verdict(memorise[-1], ends, config.memorise_steps):
        print(line)


def _train(
    config: DemoConfig,
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """The metrics of the first part, and of each arm by its name."""
    from experiments.grokking.experiment import Experiment
    from experiments.harness import sweep
    from experiments.harness.members import (
        Members,
        hyperparameters,
        train_members,
    )

    arms = config.arms
    with _part(config, "arms") as part:
        if part.summary is None:
            first, *_ = arms.values()
            experiment = Experiment(first)
            memorised = _memorise(config, experiment)
            print(
                f"The same network, {len(arms)} times (mean [lowest, highest]):",
                file=sys.stderr,
            )
            forked = Members(
                state=sweep.fork(sweep.unstack(memorised.state)[0], len(arms)),
                hyper=sweep.stack([hyperparameters(arm) for arm in arms.values()]),
                fixed=sweep.fork(sweep.unstack(memorised.fixed)[0], len(arms)),
            )
            totals = train_members(
                part,
                experiment,
                forked,
                labels=[{"seed": config.seed, "arm": name} for name in arms],
                start_step=config.memorise_steps,
                num_steps=config.memorise_steps + config.rewarm_steps,
                eval_every=config.eval_every,
            )
            ends = _ends(_by_arm(config, part.rows()))
            said = outcomes.sentence(ends, config.memorise_steps)
            part.finish({**totals, "outcome": said})
        rows = part.rows()
    if not is_finished(config.path / "memorise"):  # it was removed later
        _memorise(config, Experiment(next(iter(arms.values()))))
    memorise = read_rows(config.path / "memorise")
    return memorise, _by_arm(config, rows)


def _by_arm(
    config: DemoConfig, rows: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    return {name: [r for r in rows if r["arm"] == name] for name in config.arms}


def _ends(arms: Mapping[str, Sequence[Any]]) -> dict[str, outcomes.Outcome]:
    return {name: outcomes.outcome(rows) for name, rows in arms.items()}


def _verdict(
    before: Mapping[str, Any], ends: Mapping[str, outcomes.Outcome], rewarm_step: int
) -> Iterator[str]:
    """The last lines: the outcome, and whether it is what the demo promises."""
    yield outcomes.sentence(ends, rewarm_step)
    if before["train_accuracy"] < outcomes.LEVEL:
        yield (
            "This is not what the demo promises: the network had not memorised "
            f"(train accuracy {before['train_accuracy']:.2f}). Give it more updates or "
            "another rate."
        )
    elif not outcomes.is_as_promised(ends):
        yield (
            "This is not what the demo promises, that the highest peak alone "
            "generalises for good: docs/grokking.md has its odds. Try another "
            "--seed (make demo ARGS='--seed 1')."
        )


def _memorise(config: DemoConfig, experiment: "Experiment") -> "Members":
    """The first part: one network at the end of the low learning rate."""
    from experiments.harness.members import init_members, train_members

    start = init_members(experiment, [experiment.config])
    with _part(config, "memorise") as part:
        if part.summary is None:
            print("Memorising at a low learning rate:", file=sys.stderr)
            totals = train_members(
                part,
                experiment,
                start,
                labels=[{"seed": config.seed}],
                num_steps=config.memorise_steps,
                eval_every=config.eval_every,
            )
            part.finish({**totals, "outcome": outcomes.in_words(part.rows())})
        state, step = part.restore(start.state)
        if step != config.memorise_steps:
            raise UserError(
                f"{part.path} has lost the checkpoint of its last update: remove that "
                "directory, and the same command memorises again"
            )
    return start._replace(state=state)


def _part(config: DemoConfig, name: str) -> RunDirectory:
    num_steps = config.memorise_steps + config.rewarm_steps * (name == "arms")
    return RunDirectory(
        config.path / name,
        config.recorded,
        about={"experiment": "demo", "num_steps": num_steps},
        checkpoint_seconds=5.0,
    )


def _table(
    before: Mapping[str, Any],
    arms: Mapping[str, Sequence[Any]],
    ends: Mapping[str, outcomes.Outcome],
) -> str:
    header = ("", "train accuracy", "test accuracy", "test >= .99 at update")
    lines = [
        (
            f"memorised, update {before['step']}",
            f"{before['train_accuracy']:.3f}",
            f"{before['test_accuracy']:.3f}",
            "",
        )
    ]
    for name, rows in arms.items():
        first = ends[name].first_step
        lines.append(
            (
                f"{name}, update {rows[-1]['step']}",
                f"{rows[-1]['train_accuracy']:.3f}",
                f"{rows[-1]['test_accuracy']:.3f}",
                "never" if first is None else str(first),
            )
        )
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in (header, *lines)
    )


if __name__ == "__main__":
    sys.exit(run(lambda: demo(parse(DemoConfig, prog=PROG))))
