"""Grokking on demand, at the paper's size: `python -m experiments.grokking.demo`.

A network with normalisation layers and projected weights memorises the training pairs
at a low learning rate. Then one run becomes three, which differ only in the learning
rate: it stays low, or is re-warmed to one of two peaks and falls back at the end.
(Lyle et al., 2025, figure 3.)
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.grokking.config import Config
from experiments.harness.command_line import check, check_range, parse, run

PROG = "python -m experiments.grokking.demo"


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """Memorises at a low learning rate, then re-warms to several peaks.

    An interrupted demo continues where it was; a finished one is shown again.
    """

    memorise_steps: int = 2000
    """Updates at the low learning rate."""
    rewarm_steps: int = 700
    """Updates after the re-warm."""
    cooldown_steps: int = 200
    """The last of them, in which the rate falls back to the low one."""
    low_learning_rate: float = 1e-4
    """The rate of the first part, and of the arm that stays low."""
    peak_learning_rates: tuple[float, ...] = (1e-3, 1e-2)
    """One arm for each."""
    modulus: int = 117
    """p: the network learns x + y mod p from all pairs 0 <= x, y < p."""
    train_fraction: float = 0.2
    """Share of the pairs to train on."""
    scale_decay: float = 1.0
    """Decoupled decay, times the learning rate, of the normalisation scales."""
    eval_every: int = 50
    """Updates between evaluations."""
    seed: int = 0
    """Seed of the split and of the initial weights."""
    run_directory: Path = Path("runs/demo")
    """Where the demo is kept."""

    def __post_init__(self) -> None:
        """Checks what the arms' own configs do not.

        Raises:
          ValueError: names the field, the value and what is allowed.
        """
        check_range("memorise_steps", self.memorise_steps, at_least=1)
        check_range("rewarm_steps", self.rewarm_steps, at_least=1)
        check(
            "memorise_steps",
            self.memorise_steps,
            self.memorise_steps % max(1, self.eval_every) == 0,
            f"a multiple of eval_every={self.eval_every}",
        )
        check(
            "peak_learning_rates",
            self.peak_learning_rates,
            bool(self.peak_learning_rates),
            "one or more",
        )
        for peak in self.peak_learning_rates:
            self.arm(peak)

    def arm(self, peak: float) -> Config:
        """The run of `python -m experiments.grokking` that one arm equals."""
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
            seed=self.seed,
        )


def demo(config: DemoConfig) -> None:
    """Runs, or continues, both parts; prints a table and the figure's path."""
    from experiments.grokking import figures

    names, memorise, arms = _train(config)
    by_name = {name: [r for r in arms if r["arm"] == name] for name in names}
    path = config.run_directory / "grokking_on_demand.png"
    figures.draw_arms(memorise, by_name, config.memorise_steps, config.eval_every, path)
    print(_table(memorise[-1], by_name))
    print(path)


def _train(
    config: DemoConfig,
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """The arms' names, and the metrics of both parts."""
    import numpy as np

    from experiments.grokking import train
    from experiments.harness import sweep
    from experiments.harness.run_directory import RunDirectory

    first = config.arm(config.peak_learning_rates[0])
    experiment = train.Experiment(first)
    hypers = [
        # The delay never ends: the arm that stays low.
        train.hyperparameters(first)._replace(delay_steps=np.asarray(first.num_steps)),
        *(
            train.hyperparameters(config.arm(peak))
            for peak in config.peak_learning_rates
        ),
    ]
    names = [f"stay at {config.low_learning_rate:g}"]
    names += [f"re-warm to {peak:g}" for peak in config.peak_learning_rates]
    directory, ignored = config.run_directory, ("run_directory",)

    with RunDirectory(directory / "memorise", config, ignored=ignored) as part:
        members = train.init_members(experiment, [config.seed], hypers[:1])
        if part.summary is None:
            print("Memorising at a low learning rate:", file=sys.stderr)
            labels = [{"seed": config.seed}]
            _, totals = train.run_members(
                part, experiment, members, labels, num_steps=config.memorise_steps
            )
            part.finish(totals)
        state, _ = part.restore(members.state)
        memorise = part.rows()

    with RunDirectory(directory / "arms", config, ignored=ignored) as part:
        if part.summary is None:
            print(f"The same network, {len(names)} times:", file=sys.stderr)
            forked = train.Members(
                state=sweep.fork(sweep.unstack(state)[0], len(names)),
                hyper=sweep.stack(hypers),
                split=sweep.fork(sweep.unstack(members.split)[0], len(names)),
            )
            arm_labels = [{"seed": config.seed, "arm": name} for name in names]
            _, totals = train.run_members(
                part,
                experiment,
                forked,
                arm_labels,
                start_step=config.memorise_steps,
                num_steps=first.num_steps,
            )
            part.finish(totals)
        return names, memorise, part.rows()


def _table(before: Mapping[str, Any], arms: Mapping[str, Sequence[Any]]) -> str:
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
        crossings = [row["step"] for row in rows if row["test_accuracy"] >= 0.99]
        lines.append(
            (
                f"{name}, update {rows[-1]['step']}",
                f"{rows[-1]['train_accuracy']:.3f}",
                f"{rows[-1]['test_accuracy']:.3f}",
                str(crossings[0]) if crossings else "never",
            )
        )
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in (header, *lines)
    )


if __name__ == "__main__":
    sys.exit(run(lambda: demo(parse(DemoConfig, prog=PROG))))
