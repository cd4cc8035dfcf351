"""The definition of a figure: arms at several scales, their drawing and claims."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from experiments.harness.family import Family
from experiments.harness.messages import UserError
from experiments.reproduce.claims import Claim
from experiments.reproduce.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Scale = Literal["laptop", "fashion", "ale-short", "paper"]
"""Sizes and lengths: every figure has laptop and paper."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A figure at one scale."""

    arms: Mapping[str, Any]
    """The config of each arm, by a name that the claims and the drawing use."""
    num_seeds: int
    """Number of seeds of every arm, by default."""
    claims: tuple[Claim, ...]
    """The claims at this scale."""
    note: str = ""
    """Differences from the paper's figure, and what is left out."""
    first_seed: int = 0
    """The seeds are this one, the next, …"""

    def seeds(self, number: int | None = None) -> range:
        """The seeds of every arm; by default as many as is usual."""
        return range(self.first_seed, self.first_seed + (number or self.num_seeds))

    def with_settings(self, apart: Mapping[str, Any]) -> "Preset":
        """The preset with settings that change no result, in arms that have them.

        Raises:
          UserError: an arm cannot have one of them.
        """
        arms = {}
        for name, config in self.arms.items():
            own = {field: apart[field] for field in apart if hasattr(config, field)}
            try:
                arms[name] = dataclasses.replace(config, **own)
            except ValueError as error:
                raise UserError(str(error)) from None
        return dataclasses.replace(self, arms=arms)


class _Size(Protocol):
    """The sizes of several figures at one scale."""

    @property
    def num_seeds(self) -> int: ...

    @property
    def note(self) -> str: ...


SizeT = TypeVar("SizeT", bound=_Size)


def presets(
    sizes: Mapping[Scale, SizeT],
    arms_of: Callable[[SizeT], Mapping[str, Any]],
    claims_of: Callable[[Mapping[str, Any]], tuple[Claim, ...]],
    note: str,
) -> dict[Scale, Preset]:
    """A preset for each size, for figures that share their sizes.

    Args:
      sizes: sizes by scale.
      arms_of: makes the arms of a size.
      claims_of: makes the claims from the arms of a scale.
      note: differences from the paper's figure that are not of a size.
    """

    def preset(size: SizeT) -> Preset:
        own = arms_of(size)
        return Preset(
            arms=own,
            num_seeds=size.num_seeds,
            claims=claims_of(own),
            note=" ".join(filter(None, (size.note, note))),
        )

    return {scale: preset(size) for scale, size in sizes.items()}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a paper, or a study of our own, that can be run.

    To add one, write a module in `figures/` with a `FIGURE`.
    """

    name: str
    """Its name on the command line, such as `lyle2025/fig3`."""
    title: str
    """Its main claim, in a line."""
    family: Family[Any]
    """The family of its arms."""
    presets: Mapping[Scale, Preset]
    """A preset for each scale."""
    draw: Callable[[Runs, Preset], "Drawing"]
    """Draws the metrics, with the paper's numbers over them."""
    table: Callable[[Runs, Preset], str] | None = None
    """Makes a Markdown table of results, if lines are not enough."""
    measure: Callable[[Preset], Mapping[str, Any]] | None = None
    """Measures, once, results beside the runs, such as times: `Runs.extra`."""

    def preset(self, scale: Scale, apart: Mapping[str, Any]) -> Preset:
        """A preset as it is run here.

        Args:
          scale: of the preset.
          apart: as of `Preset.with_settings`.

        Returns:
          The preset, its arms with what is only known when data are looked at.

        Raises:
          UserError: as of `Preset.with_settings` and `Family.resolve`.
        """
        own = self.presets[scale].with_settings(apart)
        arms = {name: self.family.resolve(own.arms[name]) for name in own.arms}
        return dataclasses.replace(own, arms=arms)
