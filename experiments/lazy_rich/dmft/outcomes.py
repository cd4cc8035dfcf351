"""What became of one seed of the theory."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.lazy_rich import outcomes
from experiments.lazy_rich.dmft.config import Config

_FINAL = (
    "train_loss_error",
    "test_loss_error",
    "gap",
    "gap_error",
    "leading_gap",
    "online_loss",
    "target_overlap",
    "kernel_alignment_scaled",
)


def summarize(rows: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """Losses as of the other tasks, and where the theory's own metrics end."""
    ends = {f"final_{name}": rows[-1][name] for name in _FINAL}
    return outcomes.losses(rows) | ends


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    train, test = (
        f"{entry[f'final_{name}_loss']:.3g} ± {entry[f'final_{name}_loss_error']:.1g}"
        for name in ("train", "test")
    )
    limit = entry["final_online_loss"]
    return f"train {train}, test {test} ({limit:.3g} with infinitely many examples)"
