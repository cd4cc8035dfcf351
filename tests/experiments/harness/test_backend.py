"""What each backend is given; what it costs is measured in `benchmarks/`."""

import jax
import jax.numpy as jnp
import pytest

from experiments.harness import backend


@pytest.fixture
def on_backend(monkeypatch):
    return lambda name: monkeypatch.setattr(jax, "default_backend", lambda: name)


def compiled(options):
    def convolve(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    shapes = (jnp.ones((8, 16, 16, 64)), jnp.ones((3, 3, 64, 64)))
    program = jax.jit(convolve, compiler_options=options).lower(*shapes).compile()
    return program.as_text()


def test_wide_convolutions_leave_ynnpack_and_narrow_ones_stay(on_backend):
    on_backend("cpu")
    narrow = backend.convolution_options(backend.WIDE - 1)
    wide = backend.convolution_options(backend.WIDE)
    if not wide:
        pytest.skip("this XLA has no such option")
    assert "ynn_fusion" in compiled(narrow)
    assert "ynn_fusion" not in compiled(wide)


def test_accelerators_and_other_versions_of_xla_get_no_options(on_backend, monkeypatch):
    on_backend("gpu")
    assert backend.convolution_options(8) == {}
    on_backend("cpu")
    monkeypatch.setattr(backend, "YNNPACK", "xla_cpu_no_such_option")
    assert backend.convolution_options(8) == {}


@pytest.mark.parametrize(("name", "size"), [("cpu", backend.CPU_SLICE), ("tpu", 100)])
def test_only_a_cpu_takes_slices_of_a_batch(on_backend, name, size):
    on_backend(name)
    assert backend.examples_at_once(100) == size
    assert backend.examples_at_once(3) == 3
