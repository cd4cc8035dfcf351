"""Every public function with every argument wrong: one line of refusal, or it works."""

from __future__ import annotations

import inspect
import io
import re
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from nap_optax import detectors, masks, metrics, schedules

pytestmark = pytest.mark.slow

LIBRARY = str(Path(nap_optax.__file__).parent)
LONGEST = 400
TRACED = object()  # stands for a value that is traced

PARAMS = {
    "dense": {
        "kernel": jnp.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]]),
        "bias": jnp.array([0.5, -0.5, 1.0]),
    },
    "norm": {"scale": jnp.array([1.0, 2.0, 0.5])},
}
GRADS = jax.tree.map(lambda leaf: 0.1 * leaf + 0.01, PARAMS)
FRESH = jax.tree.map(lambda leaf: 0.5 * leaf, PARAMS)
HEAD = {"dense": False, "norm": True}
FEATURES = jnp.array([[1.0, -2.0], [0.5, 1.0], [3.0, 0.0]])
TARGETS = jnp.array([1.0, -2.0, 0.5, 0.0])
KERNEL = jnp.diag(jnp.array([1.0, 2.0, 3.0, 4.0])) + 0.5
MOMENTUM = optax.trace(0.9)
RISING = schedules.warmup_constant(0.1, warmup_steps=2)


def outputs_of(params: Any, inputs: jax.Array) -> jax.Array:
    """A network, for what takes one."""
    return inputs @ params["dense"]["kernel"] + params["dense"]["bias"][None]


# What is wrong for most arguments; for some of them it is right.
BAD: dict[str, Any] = {
    "none": None,
    "true": True,
    "word": "yes",
    "empty string": "",
    "empty dict": {},
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": -float("inf"),
    "-1": -1.0,
    "0": 0,
    "1": 1,
    "10**30": 10**30,
    "2**40": 2**40,
    "1e40": 1e40,
    "array": np.ones((2, 3)),
    "traced": TRACED,
}
MORE: dict[str, Any] = {
    "false": False,
    "list": [],
    "pair": (1, 2),
    "tree": {"a": 1.0},
    "nested": [{"b": "no"}],
    "object": object(),
    "class": dict,
    "complex": 1j,
    "bytes": b"\xff",
    "-2**40": -(2**40),
    "-10**30": -(10**30),
    "half": 0.5,
    "tiny": 1e-320,
    "text of many lines": "a\nb\n" * 300,
    "large array": np.ones((50, 50)),
    "nan array": np.full((2, 3), np.nan),
    "vector": jnp.ones(3),
    "integers": np.arange(3),
    "empty array": np.zeros(0),
    "array of objects": np.array([None, "a"], object),
    "date": np.datetime64("2020-01-01"),
    "function of nothing": lambda: 1.0,
    "function that gives a word": lambda *_: "yes",
    "shape": jax.ShapeDtypeStruct((2, 3), jnp.float32),
    "key": jax.random.key(0),
    "transformation": optax.identity(),
    "tuple of a transformation": optax.EmptyState(),
}

# The arguments that each function needs, and those without which another has no effect.
VALID: dict[Callable[..., Any], dict[str, Any]] = {
    nap_optax.clip_weights: {"multiplier": 1.0},
    nap_optax.cusum: {},
    nap_optax.decay_scales: {"decay": 0.1},
    nap_optax.effective_learning_rate: {"updates": GRADS, "params": PARAMS},
    nap_optax.even_ratio: {},
    nap_optax.every: {"period": 2},
    nap_optax.explain: {
        "tx": nap_optax.project_weights(),
        "params": PARAMS,
        "file": io.StringIO(),
    },
    nap_optax.fast_features: {"output_layer": HEAD},
    nap_optax.hold_elr: {},
    nap_optax.hyperball: {"inner": MOMENTUM, "learning_rate": RISING},
    nap_optax.l2_init: {"strength": 0.1},
    nap_optax.leaf_by_leaf: {"inner": nap_optax.project_weights()},
    nap_optax.limit_elr: {"max_elr": 0.1},
    nap_optax.measure_elr: {},
    nap_optax.nap: {"inner": MOMENTUM, "learning_rate": RISING},
    nap_optax.nominal_effective_learning_rate: {
        "learning_rate": 0.1,
        "params": PARAMS,
    },
    nap_optax.on_signal: {},
    nap_optax.page_hinkley: {},
    nap_optax.project_weights: {},
    nap_optax.reset_leaves: {
        "tx": MOMENTUM,
        "params": PARAMS,
        "opt_state": MOMENTUM.init(PARAMS),
        "fresh_params": FRESH,
    },
    nap_optax.restart: {"inner": MOMENTUM},
    nap_optax.scale_by_layer: {"factors": 0.5},
    nap_optax.scale_by_rewarming: {"schedule": RISING},
    nap_optax.shrink_and_perturb: {
        "params": PARAMS,
        "fresh_params": FRESH,
        "shrink": 0.5,
        "perturb": 0.1,
    },
    nap_optax.slow_features: {"output_layer": HEAD},
    nap_optax.spectral_regularization: {"strength": 0.1},
    detectors.observe: {
        "detector": nap_optax.every(2),
        "state": nap_optax.every(2).init(),
        "step": jnp.int32(3),
    },
    detectors.resolve: {"detector": None},
    masks.axes_named: {"names": "layers"},
    masks.by_path: {"rules": [(".*", True)]},
    masks.complement: {"mask": True},
    masks.floating: {"tree": PARAMS},
    masks.matrices: {"tree": PARAMS},
    masks.path_name: {"path": ()},
    masks.paths: {"tree": PARAMS},
    masks.scales: {"tree": PARAMS},
    masks.siblings: {"pattern": "dense/.*"},
    metrics.activation_pattern_change: {"features_a": FEATURES, "features_b": FEATURES},
    metrics.attention_entropy: {"weights": jnp.full((2, 4), 0.25)},
    metrics.dormant_fraction: {"activations": FEATURES},
    metrics.effective_rank: {"features": FEATURES},
    metrics.empirical_ntk: {
        "apply": outputs_of,
        "params": PARAMS,
        "inputs": FEATURES[:, :2],
    },
    metrics.feature_covariance_change: {"features_a": FEATURES, "features_b": FEATURES},
    metrics.kernel_alignment: {"kernel": KERNEL, "other": KERNEL**2},
    metrics.kernel_descent: {
        "kernel": KERNEL,
        "targets": TARGETS,
        "step_size": 0.1,
        "num_steps": 3,
    },
    metrics.kernel_regression: {"kernel": KERNEL, "targets": TARGETS},
    metrics.kernel_target_alignment: {"kernel": KERNEL, "targets": TARGETS},
    metrics.linearize: {"apply": outputs_of, "params": PARAMS},
    metrics.parameter_movement: {"params": PARAMS, "initial_params": FRESH},
    metrics.stable_rank: {"features": FEATURES},
    metrics.task_difficulty: {"kernel": KERNEL, "targets": TARGETS},
    schedules.cyclic: {"peak_value": 1.0, "cycle_steps": 4, "warmup_steps": 2},
    schedules.delayed: {"schedule": RISING, "delay_steps": 2, "init_value": 0.1},
    schedules.growing_cycles: {
        "peak_value": 1.0,
        "growth": 1.5,
        "cycle_steps": 4,
        "warmup_steps": 2,
    },
    schedules.warmup_constant: {"peak_value": 1.0, "warmup_steps": 2},
    schedules.warmup_cosine_decay: {
        "peak_value": 1.0,
        "warmup_steps": 2,
        "decay_steps": 4,
    },
    schedules.warmup_stable_decay: {
        "peak_value": 1.0,
        "warmup_steps": 2,
        "stable_steps": 2,
        "cooldown_steps": 2,
    },
}
# Arguments that are measured, and may be measured to be NaN.
DATA = {
    *("activations", "features", "features_a", "features_b", "params", "weights"),
    *("inputs", "other_inputs", "initial_params", "kernel", "other", "targets"),
}
TALLY: Counter[str] = Counter()


def public_functions() -> set[Callable[..., Any]]:
    return {
        value
        for module in (nap_optax, schedules, detectors, masks, metrics)
        for value in (getattr(module, name) for name in module.__all__)
        if inspect.isfunction(value)
    }


def arguments() -> list[Any]:
    """Every function with every argument of its own."""
    found = [
        (function, argument)
        for function in sorted(public_functions(), key=lambda f: f.__name__)
        for argument in inspect.signature(function).parameters
    ]
    return [pytest.param(f, a, id=f"{f.__name__}-{a}") for f, a in found]


@pytest.fixture(scope="module", autouse=True)
def counts() -> Iterator[None]:
    """Prints, with ``-s``, how many values were tried and what became of them."""
    yield
    print(f"\n{dict(TALLY)}")


def call(function: Callable[..., Any], argument: str, value: Any) -> Any:
    """Calls it with one argument replaced, and uses what it returns once."""
    kinds = inspect.signature(function).parameters
    given = VALID[function] | {argument: value}
    positional = [
        given.pop(name)
        for name, parameter in kinds.items()
        if parameter.kind is parameter.VAR_POSITIONAL and name in given
    ]
    result = function(*positional, **given)
    returns = str(inspect.signature(function).return_annotation)
    if "GradientTransformation" in returns:
        state = result.init(PARAMS)
        return result.update(GRADS, state, PARAMS, value=jnp.float32(1))[0]
    if returns.endswith("Schedule"):
        return [result(count) for count in (0, 3, 4, 40, 10**6, -1)]
    if returns == "Detector":
        return result.update(result.init(), jnp.float32(1))[1]
    if returns.startswith("Callable"):
        # No parameter here has axes with names.
        return result({} if function is masks.axes_named else PARAMS)
    return result


def outcome(function: Callable[..., Any], argument: str, value: Any) -> str:
    """``""`` if it worked, the message if it refused in one line, else an error."""
    try:
        # Warnings are not what is asked for here.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if value is TRACED:
                jax.eval_shape(
                    lambda x: [call(function, argument, x), None][1],
                    jnp.float32(0.5),
                )
                return ""
            result = call(function, argument, value)
    except (ValueError, TypeError) as error:
        names = {argument, function.__name__}
        # What an `init` inside says of its parameters is of these.
        names |= {"parameters"} if argument == "params" else set()
        fault = fault_of(error, names)
        if fault:
            raise AssertionError(f"{fault}: {type(error).__name__}: {error}") from error
        return str(error)
    if isinstance(value, float | np.ndarray) and argument in DATA:
        return ""  # NaN there gives NaN
    for leaf in jax.tree.leaves(result):
        is_number = isinstance(leaf, jax.Array) and jnp.issubdtype(
            leaf.dtype, jnp.inexact
        )
        assert not is_number or np.all(np.isfinite(leaf)), f"not finite: {leaf}"
    return ""


def fault_of(error: Exception, names: set[str]) -> str:
    """What is wrong with a refusal; nothing if it is one line that says what to "
    "mend."""
    message = str(error)
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
    if "\n" in message or len(message) > LONGEST:
        return f"{len(message.splitlines())} lines, {len(message)} characters"
    if not any(re.search(rf"\b{name}\b", message) for name in names):
        return "names neither the argument nor the function"
    if not raised_in.startswith(LIBRARY):
        return f"raised in {raised_in}"
    return ""


def check(
    function: Callable[..., Any], argument: str, values: dict[str, Any]
) -> list[str]:
    """What went wrong, a line for each value."""
    default = inspect.signature(function).parameters[argument].default
    wrong = []
    for name, value in values.items():
        if value is default:
            continue
        TALLY["tried"] += 1
        try:
            refused = outcome(function, argument, value)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            wrong.append(f"{name}: {type(error).__name__}: {text}")
            TALLY["wrong"] += 1
        else:
            TALLY["refused" if refused else "accepted"] += 1
    return wrong


def test_every_public_function_is_tried() -> None:
    assert public_functions() == set(VALID)
    for function, given in VALID.items():
        assert set(given) <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("function", VALID, ids=lambda f: f.__name__)
def test_the_right_arguments_work(function: Callable[..., Any]) -> None:
    for argument, value in list(VALID[function].items())[:1]:
        assert outcome(function, argument, value) == ""


@pytest.mark.parametrize(("function", "argument"), arguments())
def test_works_or_is_refused_in_one_line(
    function: Callable[..., Any], argument: str
) -> None:
    assert check(function, argument, BAD) == []


@pytest.mark.thorough
@pytest.mark.parametrize(("function", "argument"), arguments())
def test_works_or_is_refused_in_one_line_for_odder_values(
    function: Callable[..., Any], argument: str
) -> None:
    assert check(function, argument, MORE) == []
