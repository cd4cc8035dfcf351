"""The cost of the metrics of feature change in a warm-start run at the paper's size.

    python -m benchmarks.images.metrics [--model cnn | resnet18]

Every `eval_every` updates (500 by default) the features of 1000 fixed images are
computed and compared with the last ones: the change of their covariance (equation 3)
and the share of ReLUs that flipped (equation 4). An update, that comparison and a whole
evaluation take turns on random images of CIFAR-10's shape. (Most of an evaluation is
the accuracy on 10,000 test images.) The cost is a share of the updates' time between
two evaluations. Compilation is not counted.
"""

import functools
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.options import Parser, count
from experiments.harness import command_line
from experiments.harness.members import hyperparameters
from experiments.harness.timing import seconds_in_turns
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.task import Arrays


def random_images(config: Config, num_train: int) -> Arrays:
    """Random images of the data set's shape."""
    generator = np.random.default_rng(0)

    def images(count: int) -> jax.Array:
        shape = (count, *config.spec.image_shape)
        return jnp.asarray(generator.integers(256, size=shape, dtype=np.uint8))

    def labels(count: int) -> jax.Array:
        drawn = generator.integers(config.spec.num_classes, size=count)
        return jnp.asarray(drawn, jnp.int32)

    return Arrays(
        images(num_train), labels(num_train), images(config.num_test),
        labels(config.num_test),
    )  # fmt: skip


def turns(config: Config, num_updates: int) -> dict[str, Callable[[], Any]]:
    """The compiled functions to time."""
    arrays = random_images(config, config.num_train)
    experiment, hyper = Experiment(config), hyperparameters(config)
    jit = functools.partial(jax.jit, compiler_options=experiment.compiler_options)
    state, split = jit(experiment.init)(jnp.asarray(0), hyper, arrays)
    step, changes = jit(experiment.step), jit(experiment.changes)
    evaluate = jit(experiment.evaluate)

    def updates() -> Any:
        after = state
        for _ in range(num_updates):
            after = step(after, hyper, split, arrays)
        return after

    runs = {
        "updates": updates,
        "changes": lambda: changes(state, split, arrays),
        "evaluation": lambda: evaluate(state, hyper, split, arrays),
    }
    for run in runs.values():
        jax.block_until_ready(run())
    return runs


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("benchmarks.images.metrics", __doc__)
    parser.add_argument("--model", choices=("cnn", "resnet18"), default="cnn")
    parser.add_argument("--rounds", type=count(), default=9)
    parser.add_argument("--updates", type=count(), default=5, help="updates in a round")
    args = parser.parsed(argv)
    config = Config(model=args.model)
    times = seconds_in_turns(turns(config, args.updates), num_rounds=args.rounds)
    interval = [s / args.updates * config.eval_every for s in times["updates"]]
    print(
        f"{config.model}, batch {config.batch_size}: "
        f"{1e3 * statistics.median(interval) / config.eval_every:.1f} ms an update, "
        f"an evaluation every {config.eval_every}"
    )
    for name in ("changes", "evaluation"):
        shares = [a / b for a, b in zip(times[name], interval, strict=True)]
        print(
            f"{name}: {1e3 * statistics.median(times[name]):.0f} ms, "
            f"{statistics.median(shares):.2%} of the updates' time "
            f"[{min(shares):.2%}, {max(shares):.2%}]"
        )


if __name__ == "__main__":
    sys.exit(command_line.run(main))
