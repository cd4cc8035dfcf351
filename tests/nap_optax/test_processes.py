"""Data-parallel training by two processes: both see the same alarms and hold the norms.

The detector's loss has to be that of the whole batch, as one program over all devices
computes it. Then all devices decide alike.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import nap_optax

NUM_STEPS, CHANGE = 60, 40
BATCH, WIDTH = 8, 4
ONE_DEVICE = "--xla_force_host_platform_device_count=1"
SECONDS = 180
"""A process that has not ended by then is killed: a test must not hang."""

# Argument: the number of the process, and where the first one listens.
_PROCESS = """
import importlib.util, json, sys
import jax
path, number, address = sys.argv[1:]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, 2, int(number), initialization_timeout=60)
spec = importlib.util.spec_from_file_location("in_process", path)
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
print(json.dumps(module.train()))
jax.distributed.shutdown()
"""


def batches() -> tuple[np.ndarray, np.ndarray]:
    """Inputs, shape (steps, batch, width), and targets that change once."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(NUM_STEPS, BATCH, WIDTH)).astype(np.float32)
    weights = np.where(np.arange(NUM_STEPS) < CHANGE, 1.0, -5.0).astype(np.float32)
    # The rows of the two processes differ: only one sees the loss rise by much.
    shares = np.where(np.arange(BATCH) < BATCH // 2, 0.1, 1.9).astype(np.float32)
    return inputs, inputs.sum(-1) * weights[:, None] * shares


def train(devices: Sequence[jax.Device] | None = None) -> dict[str, Any]:
    """Trains on devices, by default all; a process gives its rows of each batch."""
    mesh = Mesh(np.asarray(devices or jax.devices()), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    tx = nap_optax.nap(
        optax.scale_by_adam(b2=0.95),
        optax.linear_schedule(0.02, 0.005, 30),
        detector=nap_optax.cusum(threshold=10.0, warmup_steps=20, horizon=20.0),
    )

    def loss_fn(params: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        hidden = jnp.tanh(inputs @ params["inner"])
        return jnp.mean(jnp.square(hidden @ params["outer"] - targets))

    @jax.jit
    def step(params: Any, state: Any, inputs: jax.Array, targets: jax.Array) -> Any:
        loss, grads = jax.value_and_grad(loss_fn)(params, inputs, targets)
        updates, state = tx.update(grads, state, params, value=loss)
        return optax.apply_updates(params, updates), state, loss

    @jax.jit
    def init() -> Any:
        keys = jax.random.split(jax.random.key(0))
        params = {
            "inner": jax.random.normal(keys[0], (WIDTH, 8)),
            "outer": jax.random.normal(keys[1], (8,)),
        }
        return jax.lax.with_sharding_constraint(params, everywhere)

    def placed(array: np.ndarray) -> jax.Array:
        share = BATCH // jax.process_count()
        own = array[jax.process_index() * share :][:share]
        return jax.make_array_from_process_local_data(rows, own, array.shape)

    params = init()
    norm = float(optax.tree.norm(params["inner"]))
    state = jax.jit(tx.init)(params)
    alarms, losses = [], []
    for number, (inputs, targets) in enumerate(zip(*batches(), strict=True)):
        before = int(optax.tree.get(state, "num_rewarms"))
        params, state, loss = step(params, state, placed(inputs), placed(targets))
        losses.append(float(loss))
        if int(optax.tree.get(state, "num_rewarms")) > before:
            alarms.append(number)
    leaves = {name: np.asarray(leaf).tolist() for name, leaf in params.items()}
    return {
        "alarms": alarms,
        "losses": losses,
        "params": leaves,
        "norm_change": float(optax.tree.norm(params["inner"])) / norm - 1,
        "num_processes": jax.process_count(),
    }


def in_two_processes() -> list[Mapping[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        # One device each, whatever is forced here: the last flag holds.
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {ONE_DEVICE}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, __file__, str(number), address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert [process.returncode for process in started] == [0, 0], said
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


@pytest.mark.slow
def test_two_processes_see_the_same_alarms_and_hold_the_same_norms() -> None:
    first, second = in_two_processes()
    (cpu, *_) = jax.local_devices(backend="cpu")
    # Optax's Adam promotes.
    with jax.default_device(cpu), jax.numpy_dtype_promotion("standard"):
        alone = train([cpu])
    assert (first["num_processes"], alone["num_processes"]) == (2, 1)
    assert first == second  # to the bit
    assert first["alarms"]
    assert CHANGE <= first["alarms"][-1] < CHANGE + 5
    assert first["alarms"] == alone["alarms"]
    assert abs(first["norm_change"]) < 1e-5
    np.testing.assert_allclose(first["losses"], alone["losses"], rtol=1e-4)
    for name, leaf in alone["params"].items():
        np.testing.assert_allclose(first["params"][name], leaf, rtol=1e-3, atol=1e-4)
