"""What the family computes: see `harness.family.Code`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.atari.config import Config
from experiments.atari.emulated import training
from experiments.atari.emulated.programs import Programs
from experiments.atari.experiment import Experiment
from experiments.atari.figures import draw_run
from experiments.atari.outcomes import must_be_finite, require_finite, summarize
from experiments.harness import sweep
from experiments.harness.members import ArrayCode
from experiments.harness.messages import UserError, tell
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
        tell_of_long_exploration(configs[0])
        if configs[0].suite == "ale":
            (programs,) = loaded
            totals = training.train(run, programs, configs, labels, self.shown)
        else:
            totals = super().train(run, configs, labels, loaded)
        rate = totals["steps_per_second"]
        own = None if rate is None else round(rate * configs[0].round_steps, 1)
        return totals | {"agent_steps_per_second": own}

    def acceptance(
        self, configs: Sequence[Any]
    ) -> Callable[[Mapping[str, Any]], None] | None:
        """The seeds of one setting must be finite."""
        if not must_be_finite(configs):
            return None

        def accept(metrics: Mapping[str, Any]) -> None:
            for config, own in zip(configs, sweep.unstack(metrics), strict=True):
                require_finite(config, own)

        return accept


def tell_of_long_exploration(config: Config) -> None:
    """Says so if most actions are random until the end."""
    sizes = config.sizes
    last = sizes.learning_starts_frames + sizes.exploration_frames
    if not config.switches.noisy and last > config.num_frames:
        tell(
            f"exploration falls until frame {last:,}, beyond the run's end: lower "
            "--exploration-frames, or on Atari take --budget short"
        )


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
