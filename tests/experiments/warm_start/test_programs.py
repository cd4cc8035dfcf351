"""The programs for XLA: one step on a CPU, a whole chunk on accelerators."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from experiments.harness import backend, loop
from experiments.harness.backend import CPU_SLICE
from experiments.harness.members import hyperparameters
from experiments.warm_start.config import Config
from experiments.warm_start.experiment import Experiment
from experiments.warm_start.task import Arrays

CONFIG = Config(
    dataset="fashion_mnist",
    num_train_examples=200,
    num_test_examples=20,
    batch_size=2 * CPU_SLICE,
    initial_fraction=0.8,
)
FORWARD = 3  # convolutions of the CNN
STEP = FORWARD + 3 + 2  # for the kernels, and for the inputs of all but the first
NUM_MEMBERS = 3
EVALUATION = 2 * FORWARD  # of the fixed points and of the test set


@pytest.fixture
def on_backend(monkeypatch):
    return lambda name: monkeypatch.setattr(jax, "default_backend", lambda: name)


def abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def make(experiment):
    def images(count):
        return jnp.zeros((count, *CONFIG.spec.image_shape), jnp.uint8)

    arrays = Arrays(
        images(CONFIG.num_train),
        jnp.zeros(CONFIG.num_train, jnp.int32),
        images(CONFIG.num_test),
        jnp.zeros(CONFIG.num_test, jnp.int32),
    )
    hyper = hyperparameters(CONFIG)
    state, split = jax.eval_shape(experiment.init, jnp.asarray(0), hyper, arrays)
    one = (state, abstract(hyper), split)
    members = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((NUM_MEMBERS, *x.shape), x.dtype), one
    )
    return one, members, abstract(arrays)


def convolutions(jaxpr, *, in_loop=False):
    """For each convolution whether it is inside a loop."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield in_loop
        loops = in_loop or equation.primitive.name in ("scan", "while")
        for inner in jaxprs_in_params(equation.params):
            yield from convolutions(inner, in_loop=loops)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_get_one_program_a_chunk_and_whole_batches(on_backend, platform):
    on_backend("gpu" if platform == "cuda" else platform)
    experiment = Experiment(CONFIG)
    _, members, arrays = make(experiment)
    chunk = loop.compile_chunk(  # as `members.train_members` has it
        experiment.step,
        experiment.evaluate,
        in_axes=(0, 0, 0, None),
        has_convolutions=True,
        compiler_options=experiment.compiler_options,
    )
    program = jax.jit(chunk, static_argnames="num_steps")
    traced = program.trace(*members, arrays, num_steps=7)
    takes_turns = platform == "cuda"  # there members that convolve are in a loop
    where = list(convolutions(traced.jaxpr.jaxpr))
    assert sorted(where) == [takes_turns] * EVALUATION + [True] * STEP
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == EVALUATION + STEP
    members = "" if takes_turns else f"{NUM_MEMBERS}x"
    assert f"tensor<{members}{CONFIG.batch_size}x28x28x1xf32>" in text
    assert "stablehlo.while" in text


@pytest.mark.slow
def test_a_cpu_gets_no_convolution_in_a_loop_and_slices_of_a_batch(on_backend):
    on_backend("cpu")
    experiment = Experiment(CONFIG)
    one, _, arrays = make(experiment)
    arguments = (*one, arrays)
    for fn, expected in (
        (experiment.step, 2 * STEP),
        (experiment.evaluate, EVALUATION),
    ):
        where = list(convolutions(jax.make_jaxpr(fn)(*arguments).jaxpr))
        assert where == [False] * expected
    text = jax.jit(experiment.step).lower(*arguments).compile().as_text()
    assert f"f32[{CPU_SLICE},14,14,32]" in text  # the first convolution
    assert f"f32[{CONFIG.batch_size},14,14,32]" not in text
    assert f"f32[{CONFIG.batch_size},300]" in text  # the hidden layer, all at once
    assert f"f32[{CPU_SLICE},300]" not in text


@pytest.mark.parametrize(("model", "channels"), [("cnn", 32), ("resnet18", 64)])
def test_steps_are_compiled_for_the_width_of_the_model(on_backend, model, channels):
    on_backend("cpu")
    experiment = Experiment(dataclasses.replace(CONFIG, model=model))
    assert experiment.compiler_options == backend.convolution_options(channels)


@pytest.mark.slow
def test_slices_give_the_gradient_of_the_whole_batch(on_backend):
    experiment = Experiment(CONFIG)
    params = jax.jit(
        lambda key: experiment._fresh_params(key, hyperparameters(CONFIG))
    )(jax.random.key(0))
    images = jax.random.randint(
        jax.random.key(1), (CONFIG.batch_size, *CONFIG.spec.image_shape), 0, 256
    ).astype(jnp.uint8)
    labels = jnp.arange(CONFIG.batch_size) % 10
    gradients = {}
    for name in ("cpu", "gpu"):
        on_backend(name)
        gradient = jax.jit(jax.grad(experiment._loss))
        gradients[name] = gradient(params, images, labels)
    chex.assert_trees_all_close(
        gradients["cpu"], gradients["gpu"], rtol=1e-4, atol=1e-6
    )
