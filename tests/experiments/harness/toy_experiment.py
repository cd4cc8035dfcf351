"""The smallest whole experiment on the harness: noisy descent on a quadratic.

Run as a program by the tests, and imported by them through the `toy` fixture.
"""

import dataclasses
import sys
import time

from experiments.harness import checks, command_line

PROG = "python toy_experiment.py"


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How to descend."""

    learning_rate: float = 0.05
    """Step size."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The toy's command line."""

    run_dir: str = "runs/toy"
    """Directory of the run."""
    num_steps: int = 27
    """Steps in all."""
    steps_per_chunk: int = 5
    """Steps between two evaluations."""
    num_seeds: int = 3
    """Members of the sweep."""
    width: int = 6
    """Parameters of each member."""
    noise: float = 0.1
    """Standard deviation of the gradient's noise."""
    has_convolutions: bool = False
    """Dispatch step by step, as a convolutional model would on a CPU."""
    pause_seconds: float = 0.0
    """Sleep before each chunk, to give a test time to kill the run."""
    checkpoint_seconds: float = 0.0
    """Two checkpoints are at least this many seconds apart."""
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)

    def __post_init__(self):
        checks.check_range("num_steps", self.num_steps, at_least=1)
        checks.check_range("noise", self.noise, above=0, below=1)


def init(config, key):
    import jax
    import jax.numpy as jnp
    import optax

    params = {"w": jax.random.normal(key, (config.width,)), "absent": None}
    return {
        "params": params,
        "opt": optax.chain(optax.clip(10.0), optax.scale_by_adam()).init(params),
        "key": jax.random.fold_in(key, 1),
        "step": jnp.int32(0),
    }


def build(config):
    """Returns the chunk, the state of step 0 and the shared input."""
    import jax
    import jax.numpy as jnp
    import optax

    from experiments.harness import loop

    tx = optax.chain(optax.clip(10.0), optax.scale_by_adam())

    def step_fn(state, target):
        key, noise_key = jax.random.split(state["key"])
        noise = jax.random.normal(noise_key, (config.width,))
        grads = {
            "w": state["params"]["w"] - target + config.noise * noise,
            "absent": None,
        }
        updates, opt = tx.update(grads, state["opt"], state["params"])
        updates = optax.tree.scale(-config.optimizer.learning_rate, updates)
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "opt": opt, "key": key, "step": state["step"] + 1}

    def evaluate_fn(state, target):
        loss = jnp.mean(jnp.square(state["params"]["w"] - target))
        # The second metric is the state's own buffer.
        return state, {"loss": loss, "updates": state["step"]}

    chunk = loop.compile_chunk(
        step_fn,
        evaluate_fn,
        in_axes=(0, None),
        has_convolutions=config.has_convolutions,
    )
    keys = jax.vmap(jax.random.key)(jnp.arange(config.num_seeds))
    state = jax.vmap(lambda key: init(config, key))(keys)
    return chunk, state, jnp.linspace(-1.0, 1.0, config.width)


def train(config):
    from experiments.harness.run_directory import RunDirectory
    from experiments.harness.session import run_to_end

    with RunDirectory(
        config.run_dir,
        config,
        ignored=("run_dir", "pause_seconds", "checkpoint_seconds"),
        checkpoint_seconds=config.checkpoint_seconds,
        saving_share=float("inf"),
    ) as run:
        if run.summary is not None:
            print(f"{run.path} is finished: loss {run.summary['loss']}")
            return None
        chunk, state, target = build(config)

        def paused(*args, **kwargs):
            time.sleep(config.pause_seconds)
            return chunk(*args, **kwargs)

        state, totals = run_to_end(
            run,
            paused,
            state,
            target,
            num_steps=config.num_steps,
            steps_per_chunk=config.steps_per_chunk,
            labels=[{"seed": seed} for seed in range(config.num_seeds)],
            shown=["loss"],
        )
        draw(run)
        losses = [row["loss"] for row in run.rows() if row["step"] == config.num_steps]
        run.finish({"loss": max(losses), **totals})
        return state


def draw(run):
    from experiments.harness import plots

    figure, ((ax,),) = plots.figure()
    x, ys = plots.by_group(run.rows(), "step", "loss")
    plots.line_with_spread(ax, x, ys, label="noisy descent")
    plots.label(ax, x="time (steps)", y="loss")
    plots.save(figure, run.path / "loss.png")


def main():
    train(command_line.parse(Config, prog=PROG))


if __name__ == "__main__":
    sys.exit(command_line.run(main))
