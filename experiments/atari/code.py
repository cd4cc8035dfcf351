"""What the family computes: see `harness.family.Code`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.atari.config import Config
from experiments.atari.emulated import training
from experiments.atari.emulated.programs import Programs
from experiments.atari.experiment import Experiment
from experiments.atari.figures import draw_run
from experiments.atari.outcomes import summarize
from experiments.harness.members import ArrayCode
from experiments.harness.messages import UserError
from experiments.harness.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class AtariCode(ArrayCode[Config]):
    """The array path, with rates in steps of the agent."""

    def train(
        self,
        run: RunDirectory,
        configs: Sequence[Any],
        labels: Sequence[Mapping[str, Any]],
        loaded: Sequence[Any],
    ) -> dict[str, float | None]:
        """Trains members; the rate counts the steps of one of them."""
        if configs[0].suite == "ale":
            (programs,) = loaded
            totals = training.train(run, programs, configs, labels, self.shown)
        else:
            totals = super().train(run, configs, labels, loaded)
        rate = totals["steps_per_second"]
        own = None if rate is None else round(rate * configs[0].round_steps, 1)
        return totals | {"agent_steps_per_second": own}


def _experiment(config: Config) -> Experiment:
    if config.suite == "ale":
        raise UserError("games of Atari cannot be traced: --suite minatar")
    return Experiment(config)


def _load(config: Config) -> tuple[Any, ...]:
    """Names what is missing for this config."""
    if config.suite == "ale":
        return (Programs(config),)
    _experiment(config)
    return ()


CODE = AtariCode(
    experiment=_experiment,
    summarize=summarize,
    draw=draw_run,
    load=_load,
    shown=("mean_return_last_100_episodes", "td_error"),
)
