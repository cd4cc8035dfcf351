"""Runs that do not fit are refused before they take memory; others are not."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from experiments.continual_pretraining.config import Config as Pretraining
from experiments.continual_pretraining.family import FAMILY as PRETRAINING
from experiments.continual_pretraining.task import Texts
from experiments.grokking.config import Config as Grokking
from experiments.grokking.family import FAMILY as GROKKING
from experiments.harness import backend, family, memory
from experiments.harness.members import hyperparameters
from experiments.harness.memory import Needs
from experiments.harness.messages import UserError
from experiments.warm_start.config import Config as WarmStart
from experiments.warm_start.family import FAMILY as WARM_START
from experiments.warm_start.task import Arrays


@pytest.fixture
def has(monkeypatch):
    """Sets the bytes that are available."""
    return lambda size: monkeypatch.setattr(memory, "available", lambda **_: size)


def test_what_does_not_fit_is_one_line_with_both_numbers(has):
    needs = Needs(shared=1_000_000_000, member=500_000_000, step=2_000_000_000)
    has(8_000_000_000)
    memory.require(needs, 10)  # exactly
    with pytest.raises(UserError) as caught:
        memory.require(needs, 11)
    assert str(caught.value) == (
        "this run of 11 members needs at least 8.5 GB of memory (1.0 GB for data, "
        "5.5 GB for the state, 2.0 GB for an update), and 8.0 GB are available: ask "
        "for fewer or smaller ones"
    )
    has(None)
    memory.require(needs, 10**6)


@pytest.mark.parametrize(
    ("platform", "has_convolutions", "fit"),
    [("cpu", False, 10), ("gpu", False, 2), ("gpu", True, 10)],
)
def test_members_at_once_need_their_updates_at_once(
    has, monkeypatch, platform, has_convolutions, fit
):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    needs = Needs(member=1, step=4, has_convolutions=has_convolutions)
    has(14)
    memory.require(needs, fit)
    with pytest.raises(UserError, match="of memory"):
        memory.require(needs, fit + 1)


@pytest.mark.parametrize(
    ("platform", "gigabytes", "refused"),
    [
        ("cpu", (30, 0), None),
        ("cpu", (29, 99), "30.0 GB of memory"),
        ("gpu", (10, 20), None),
        ("gpu", (9, 99), "10.0 GB of the devices' memory .10.0 GB for the state., and"),
        ("gpu", (99, 19), "20.0 GB of the host's memory .20.0 GB for files .* and 19"),
    ],
)
def test_the_host_of_an_accelerator_has_its_own_memory(
    has, monkeypatch, platform, gigabytes, refused
):
    device, host = gigabytes
    devices = [SimpleNamespace(platform=platform)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(memory, "available_on_host", lambda: host * 1_000_000_000)
    has(device * 1_000_000_000)
    needs = Needs(member=5_000_000_000, host_member=10_000_000_000)
    if refused is None:
        memory.require(needs, 2)
        return
    with pytest.raises(UserError, match=refused):
        memory.require(needs, 2)


def test_the_least_of_the_machine_and_its_containers_counts(monkeypatch):
    texts = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 5 kB\nSwapFree: 2 kB\n",
        "/proc/self/cgroup": "5:cpu,memory:/a\n0::/b/c\n",
        "/sys/fs/cgroup/b/memory.max": "6000\n",
        "/sys/fs/cgroup/b/c/memory.max": "max\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
    }
    monkeypatch.setattr(memory, "_read", lambda path: texts.get(str(path), ""))
    assert memory.available() == 6000
    del texts["/sys/fs/cgroup/b/memory.max"]
    assert memory.available() == 7 * 1024
    texts["/sys/fs/cgroup/memory/a/memory.limit_in_bytes"] = "5000"
    assert memory.available() == 5000
    texts.clear()
    assert memory.available() is None


def test_an_accelerator_says_what_it_has(monkeypatch):
    class Device:
        platform = "gpu"
        stats = {"bytes_limit": 7}  # noqa: RUF012

        def memory_stats(self):
            if self.stats == "unknown":
                raise jax.errors.JaxRuntimeError("unimplemented")
            return self.stats

    monkeypatch.setattr(jax, "devices", lambda: [Device(), Device()])
    assert memory.available() == 14
    assert memory.available(on_one_device=True) == 7
    for stats in (None, "unknown"):
        monkeypatch.setattr(Device, "stats", stats)
        assert memory.available() is None


def test_a_platform_that_is_not_here_is_one_line(run_python):
    said = run_python(
        "from experiments.harness import backend, messages\n"
        "try: backend.require_platform()\n"
        "except messages.UserError as error: print(error)\n",
        JAX_PLATFORMS="bogus",
    )
    assert said == (
        "JAX_PLATFORMS=bogus: there is no such platform here (available: cpu); unset "
        "it, or name what is here\n"
    )
    backend.require_platform()


@pytest.mark.parametrize(
    "own", [GROKKING, WARM_START, PRETRAINING], ids=lambda own: own.name
)
def test_the_machine_is_asked_before_data_are_read(own, has, tmp_path, monkeypatch):
    has(10)
    monkeypatch.setattr(type(own.code()), "train", pytest.fail)
    path = tmp_path / "run"
    with pytest.raises(UserError, match="needs at least"):
        family.run(own, own.config_class(run_directory=path))
    assert not path.exists()


def bytes_of(tree):
    return sum(
        int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)
    )


def check_the_estimate(own, config, *shared):
    """It is not above what XLA takes, and not far below."""
    experiment, hyper = own.code().experiment(config), hyperparameters(config)
    start = jax.eval_shape(experiment.init, np.uint32(0), hyper, *shared)
    state, fixed = start
    step = jax.jit(experiment.step, donate_argnums=0)
    taken = step.lower(state, hyper, fixed, *shared).compile().memory_analysis()
    needs = own.memory(config)
    assert bytes_of(start) / 3 < needs.member <= bytes_of(start)
    assert taken.temp_size_in_bytes / 5 < needs.step <= taken.temp_size_in_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"train_fraction": 0.5, "mlp_dim": 64},
        pytest.param({"train_fraction": 0.8}, marks=pytest.mark.thorough),
        pytest.param({"optimizer": "sgd"}, marks=pytest.mark.thorough),
        pytest.param({"mlp_dim": 4096}, marks=pytest.mark.thorough),
        pytest.param({"num_heads": 8, "head_dim": 64}, marks=pytest.mark.thorough),
        pytest.param({"modulus": 200, "num_blocks": 1}, marks=pytest.mark.thorough),
    ],
)
def test_grokking_takes_no_less_than_it_is_said_to(changes):
    config = dataclasses.replace(Grokking(train_fraction=0.6), **changes)
    check_the_estimate(GROKKING, config)


@pytest.mark.thorough
def test_warm_start_takes_no_less_than_it_is_said_to():
    config = WarmStart(dataset="fashion_mnist", batch_size=500)
    spec, shape = config.spec, jax.ShapeDtypeStruct
    arrays = Arrays(
        shape((spec.num_train, *spec.image_shape), np.uint8),
        shape((spec.num_train,), np.int32),
        shape((spec.num_test, *spec.image_shape), np.uint8),
        shape((spec.num_test,), np.int32),
    )
    check_the_estimate(WARM_START, config, arrays)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "changes",
    [{}, {"context": 256}, {"optimizer": "adamw", "mlp_dim": 2048, "batch_size": 2}],
)
def test_continual_pretraining_takes_no_less_than_it_is_said_to(changes):
    config = Pretraining(**changes)
    pieces = (2, config.validation_windows, config.context + 1)
    texts = Texts(
        jax.ShapeDtypeStruct((2_000_000,), np.uint8),
        jax.ShapeDtypeStruct((2,), np.int32),
        jax.ShapeDtypeStruct((2,), np.int32),
        jax.ShapeDtypeStruct(pieces, np.uint8),
    )
    check_the_estimate(PRETRAINING, config, texts)
