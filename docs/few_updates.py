"""What permuted labels cost a network: by updates for each permutation, and by rate.

    python -m docs.few_updates       # about a minute of one core

A network classifies points as a fixed random network does. Six times in turn, names of
classes are permuted. Adam at a constant rate, and the same under `nap` with `cusum`.
The numbers are those of `docs/explanation/when_it_helps.md`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import nap_optax

INPUTS, WIDTH, CLASSES = 32, 64, 10
PERMUTATIONS, EXAMPLES, BATCH, SEEDS = 6, 2000, 64, 3
SETTINGS = ((500, 1e-3), (500, 1e-2), (2500, 1e-3))  # updates of each, and the rate


def init(key: jax.Array) -> dict[str, Any]:
    sizes = {
        "first": (INPUTS, WIDTH),
        "second": (WIDTH, WIDTH),
        "output": (WIDTH, CLASSES),
    }
    keys = jax.random.split(key, len(sizes))
    return {
        name: {
            "kernel": jax.random.normal(key, size) * (2 / size[0]) ** 0.5,
            "bias": jnp.zeros(size[1]),
        }
        for key, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def logits(params: Any, x: jax.Array) -> jax.Array:
    for name in ("first", "second"):
        x = jax.nn.relu(x @ params[name]["kernel"] + params[name]["bias"])
    return x @ params["output"]["kernel"] + params["output"]["bias"]


def classes(x: jax.Array) -> jax.Array:
    scores = logits(init(jax.random.key(99)), x)
    return jnp.argmax(scores - scores.mean(0), axis=-1)  # all classes occur


def train(tx: Any, num_updates: int, seed: jax.Array) -> dict[str, jax.Array]:
    """Accuracy on new points after each permutation, growth of norms, and re-warms."""
    keys = jax.random.split(jax.random.key(seed), 5)
    x = jax.random.normal(keys[0], (EXAMPLES, INPUTS))
    new_x = jax.random.normal(keys[1], (1000, INPUTS))
    y, new_y = classes(x), classes(new_x)
    tx = optax.with_extra_args_support(tx)

    def learn(carry: Any, task: Any) -> Any:
        names, key = task

        def step(carry: Any, key: jax.Array) -> Any:
            params, state = carry
            rows = jax.random.randint(key, (BATCH,), 0, EXAMPLES)

            def loss_fn(params: Any) -> jax.Array:
                return optax.softmax_cross_entropy_with_integer_labels(
                    logits(params, x[rows]), names[y[rows]]
                ).mean()

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, state = tx.update(grads, state, params, value=loss)
            return (optax.apply_updates(params, updates), state), None

        carry, _ = jax.lax.scan(step, carry, jax.random.split(key, num_updates))
        return carry, (logits(carry[0], new_x).argmax(-1) == names[new_y]).mean()

    params = init(keys[2])
    names = jax.vmap(lambda key: jax.random.permutation(key, CLASSES))(
        jax.random.split(keys[3], PERMUTATIONS)
    )
    tasks = (names, jax.random.split(keys[4], PERMUTATIONS))
    (last, state), accuracy = jax.lax.scan(learn, (params, tx.init(params)), tasks)
    norms = [
        optax.tree.norm([layer["kernel"] for layer in tree.values()])
        for tree in (last, params)
    ]
    rewarms = optax.tree.get(state, "num_rewarms", jnp.int32(0))
    return {"accuracy": accuracy, "growth": norms[0] / norms[1], "rewarms": rewarms}


def main() -> None:
    """Prints the table."""
    print("| updates, rate | | first | last | mean | norms grew by | re-warms |")
    print("|---|---|---|---|---|---|---|")
    for num_updates, rate in SETTINGS:
        schedule = nap_optax.schedules.warmup_constant(rate, warmup_steps=50)
        direction = optax.scale_by_adam(b2=0.95)
        arms = {
            "Adam": optax.adam(schedule, b2=0.95),
            "`nap`, `cusum`": nap_optax.nap(
                direction, schedule, detector=nap_optax.cusum()
            ),
        }
        for name, tx in arms.items():
            run = functools.partial(train, tx, num_updates)
            got = jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(jnp.arange(SEEDS)))
            accuracy = got["accuracy"]
            cells = [
                spread(numbers)
                for numbers in (accuracy[:, 0], accuracy[:, -1], accuracy.mean(1))
            ]
            growth = f"{np.median(got['growth']):.1f}"
            print(
                f"| {num_updates}, {rate:g} | {name} | {' | '.join(cells)} | {growth} "
                f"| {', '.join(str(n) for n in got['rewarms'])} |",
                flush=True,
            )


def spread(numbers: np.ndarray) -> str:
    low, middle, high = np.sort(numbers)[[0, len(numbers) // 2, -1]]
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
