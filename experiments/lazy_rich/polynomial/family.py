"""The polynomial task as a family of runs."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from experiments.harness.family import Family, Rows
from experiments.harness.memory import Needs
from experiments.lazy_rich import outcomes
from experiments.lazy_rich.families import DISPATCH_SECONDS, OPERATIONS_PER_SECOND
from experiments.lazy_rich.polynomial.config import MOST_IN_KERNEL, Config

if TYPE_CHECKING:
    from experiments.harness.members import ArrayCode


def run_seconds(config: Config) -> float:
    """An estimate of the time."""
    d, p, n = config.dimension, config.num_train, config.width
    operations = 4 * p * d * min(n, d + 1) if config.by_moments else 8 * p * d * n
    one = DISPATCH_SECONDS + operations / OPERATIONS_PER_SECOND
    return config.num_steps * one


def memory(config: Config) -> Needs:
    """The least memory: a member's inputs, its state, and an update or the kernel."""
    d, p, n = config.dimension, config.num_train, config.width
    data = 4 * p * d
    kernel = 4 * p**2 if p <= MOST_IN_KERNEL else 0
    if config.by_moments:
        few = min(n, d + 1)
        own = p * few + 2 * d * few + d**2
        update = 4 * (p + d) * few
        return Needs(member=data + 4 * own, step=max(update, kernel))
    update = 4 * (2 * p * n + d * n)
    return Needs(member=data + 4 * 2 * d * n, step=max(update, kernel))


def describe(entry: Mapping[str, Any], config: Config) -> str:
    """A seed's summary in words."""
    lazy = entry["lazy_test_loss"]
    beside = "" if lazy is None else f" (lazy limit {lazy:.3g})"
    return (
        f"train {entry['final_train_loss']:.3g}, test {entry['final_test_loss']:.3g}"
        f"{beside}, weight norm times {entry['final_weight_norm_ratio']:.3g}"
    )


def in_words(rows: Rows, config: Config) -> str:
    """Whether a seed fitted and generalised, and when."""
    start = outcomes.start_loss(rows, config.zero_loss, center=config.center)
    return outcomes.in_words_of_losses(rows, start_loss=start)


def _cautions(config: Config) -> Iterable[str]:
    if config.width == 1:
        yield "width=1: one unit cannot cancel its linear part, so it cannot be solved"
    if config.epsilon == 0:
        yield "epsilon=0: units without curvature cannot learn the target"
    from experiments.lazy_rich.polynomial.outcomes import cautions

    yield from cautions(config)


def _code() -> "ArrayCode[Config]":
    from experiments.harness.members import ArrayCode
    from experiments.lazy_rich.polynomial.experiment import experiment
    from experiments.lazy_rich.polynomial.figures import draw_run
    from experiments.lazy_rich.polynomial.outcomes import summarize

    return ArrayCode(
        experiment=experiment,
        summarize=summarize,
        draw=draw_run,
        shown=("train_loss", "test_loss"),
    )


FAMILY = Family(
    name="polynomial",
    package="lazy_rich",
    config_class=Config,
    code=_code,
    group_name=lambda config: f"{config.optimizer}-{config.num_steps}-updates",
    run_seconds=run_seconds,
    cost=f"{OPERATIONS_PER_SECOND:.0e} operations a second",
    describe=describe,
    in_words=in_words,
    cautions=_cautions,
    memory=memory,
)
