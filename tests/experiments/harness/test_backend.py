"""The choices for each backend; `benchmarks/` measures their times."""

import jax
import jax.numpy as jnp
import pytest

from experiments.harness import backend


@pytest.fixture
def on_backend(monkeypatch):
    return lambda name: monkeypatch.setattr(jax, "default_backend", lambda: name)


def convolution(images, kernel):
    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def goes_to_ynnpack(fn, shapes, options):
    arguments = [jnp.ones(shape) for shape in shapes]
    program = jax.jit(fn, compiler_options=options).lower(*arguments).compile()
    return "ynn_fusion" in program.as_text()


@pytest.mark.parametrize(
    ("fn", "shapes"),
    [
        (convolution, [(8, 16, 16, 64), (3, 3, 64, 64)]),
        (jnp.dot, [(128, 2048), (2048, 300)]),
    ],
)
def test_wide_networks_leave_ynnpack_and_narrow_ones_stay(on_backend, fn, shapes):
    on_backend("cpu")
    if not goes_to_ynnpack(fn, shapes, {}):
        pytest.skip("this XLA does not use YNNPACK for it")
    narrow = backend.convolution_options(backend.WIDE - 1)
    wide = backend.convolution_options(backend.WIDE)
    assert goes_to_ynnpack(fn, shapes, narrow)
    assert not goes_to_ynnpack(fn, shapes, wide)


def test_accelerators_and_other_versions_of_xla_get_no_options(on_backend, monkeypatch):
    on_backend("gpu")
    assert backend.convolution_options(8) == {}
    on_backend("cpu")
    monkeypatch.setattr(backend, "YNNPACK", "xla_cpu_no_such_option")
    assert backend.convolution_options(8) == {}


def test_updates_of_agents_multiply_with_eigen_and_sum_with_ynnpack(
    on_backend, monkeypatch
):
    on_backend("gpu")
    assert backend.update_options() == {}
    on_backend("cpu")
    product = (jnp.dot, [(32, 3136), (3136, 512)])
    convolved = (convolution, [(8, 16, 16, 64), (3, 3, 64, 64)])
    summed = (lambda x: jnp.sum(x * x), [(3136, 512)])
    options = backend.update_options()
    assert goes_to_ynnpack(*summed, options) == goes_to_ynnpack(*summed, {})
    assert not goes_to_ynnpack(*product, options)
    assert not goes_to_ynnpack(*convolved, options)
    monkeypatch.setattr(backend, "YNNPACK", "xla_cpu_no_such_option")
    assert backend.update_options() == {}


@pytest.mark.parametrize(("name", "size"), [("cpu", backend.CPU_SLICE), ("tpu", 100)])
def test_only_a_cpu_takes_slices_of_a_batch(on_backend, name, size):
    on_backend(name)
    assert backend.examples_at_once(100) == size
    assert backend.examples_at_once(3) == 3


@pytest.mark.parametrize(
    ("platform", "has_convolutions", "at_once"),
    [
        ("cpu", False, False),
        ("cpu", True, False),
        ("gpu", False, True),
        ("gpu", True, False),
        ("tpu", True, True),
    ],
)
def test_where_members_are_vectorised(on_backend, platform, has_convolutions, at_once):
    on_backend(platform)
    assert backend.members_at_once(has_convolutions=has_convolutions) == at_once


def test_the_narrowest_convolution_counts():
    shapes = [(5, 5, 3, 32), (3, 3, 32, 16), (1024, 10), (8,)]
    params = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    assert backend.narrowest_convolution(params) == 16
