"""Runs optax's own tests of its optimizers on ours, and on the port under `contrib/`.

`.ci/run optax` calls it with the folder of optax's unpacked source distribution. The
tests stay there: of each module, the list of optimizers is replaced before the rest of
it runs. Tests that cannot apply are in `LEFT_OUT`, with the reason. They run too, and
must fail: one that passes does not belong there.
"""

# No `from __future__ import annotations`: optax's tests look at the annotations.
import argparse
import ast
import collections
import importlib.metadata
import inspect
import math
import re
import sys
import unittest
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import optax

import nap_optax
from helpers import contract_cases, port
from nap_optax import schedules

Tx = optax.GradientTransformationExtraArgs

# The lists of optimizers in each module, as they are named there.
MODULES = {
    "optax/_src/alias_test.py": ("_OPTIMIZERS_UNDER_TEST",),
    "optax/contrib/_common_test.py": (
        "_MAIN_OPTIMIZERS_UNDER_TEST",
        "_ALL_OPTIMIZERS_UNDER_TEST",
    ),
    "optax/_src/sharding_test.py": ("OPTIMIZERS",),
}
# The functions that look an optimizer up by its name.
LOOK_UPS: dict[str, Callable[..., Any]] = {
    "_get_opt": lambda _, name: OPTIMIZERS[name],
    "_get_opt_factory": lambda name: OPTIMIZERS[name],
}


def norms_of_the_optimum(params: Any) -> Any:
    """The norms at the optima of optax's targets, which it tells apart by shape."""
    shapes = tuple(leaf.shape for leaf in jax.tree.leaves(params))
    is_complex = any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(params))
    squares = {
        ((3,),): [6 if is_complex else 3],  # the parabola
        ((2,),): [6 if is_complex else 2],  # Rosenbrock's function
        ((2, 2),): [30],  # the parabola of a matrix
        ((3,), (2, 2)): [6, 3],  # the sum of two
    }.get(shapes, [1] * len(shapes))
    return jax.tree.unflatten(jax.tree.structure(params), map(math.sqrt, squares))


def last_leaf(params: Any) -> Any:
    """The output layer of a tree without names."""
    treedef = jax.tree.structure(params)
    return jax.tree.unflatten(
        treedef, [i == treedef.num_leaves - 1 for i in range(treedef.num_leaves)]
    )


def with_adam(
    build: Callable[..., Tx], *, first: bool = False, **numbers: float
) -> Callable[..., Tx]:
    """A factory of Adam and ours, before it or after, with numbers to inject."""

    def factory(learning_rate: optax.ScalarOrSchedule, **injected: Any) -> Tx:
        parts = [optax.adam(learning_rate), build(*(numbers | injected).values())]
        return optax.chain(*(reversed(parts) if first else parts))

    # `inject_hyperparams` takes the numbers from the signature.
    signature = inspect.signature(factory)
    parameters = [signature.parameters["learning_rate"]]
    for name, value in numbers.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=value))
    vars(factory)["__signature__"] = signature.replace(parameters=parameters)
    return factory


def leaf_by_leaf(learning_rate: float) -> Tx:
    return nap_optax.leaf_by_leaf(optax.adam(learning_rate))


def scale_by_rewarming(learning_rate: float) -> Tx:
    schedule = schedules.warmup_constant(learning_rate, warmup_steps=10)
    return optax.chain(
        optax.scale_by_adam(),
        nap_optax.scale_by_rewarming(schedule, nap_optax.every(3_000)),
    )


def restart(learning_rate: optax.ScalarOrSchedule) -> Tx:
    return optax.chain(
        nap_optax.restart(optax.scale_by_adam(), nap_optax.every(3_000)),
        optax.scale_by_learning_rate(learning_rate),
    )


def nap(learning_rate: optax.ScalarOrSchedule) -> Tx:
    return nap_optax.nap(
        optax.scale_by_adam(), learning_rate, mask=True, radius=norms_of_the_optimum
    )


def nap_rewarming(learning_rate: float) -> Tx:
    return nap_optax.nap(
        optax.scale_by_adam(),
        schedules.warmup_constant(learning_rate, warmup_steps=10),
        detector=nap_optax.every(3_000),
        mask=True,
        radius=norms_of_the_optimum,
        reset_inner=True,
    )


def hyperball(learning_rate: float) -> Tx:
    schedule = schedules.warmup_cosine_decay(
        learning_rate, warmup_steps=0, decay_steps=9_000
    )
    return nap_optax.hyperball(optax.scale_by_adam(), schedule, mask=True)


def project_weights(**options: Any) -> Callable[..., Tx]:
    return with_adam(lambda: nap_optax.project_weights(mask=True, **options))


ported = port.load("_project_weights").project_weights
ported_rewarming = port.load("_scale_by_rewarming").scale_by_rewarming


def port_rewarming(learning_rate: float) -> Tx:
    schedule = schedules.warmup_constant(learning_rate, warmup_steps=10)
    return optax.chain(optax.scale_by_adam(), ported_rewarming(schedule, 3_000))


# Masks that select vectors too, wherever a transformation takes these: most parameters
# of optax's tests are vectors, and the default mask would leave them alone.
OPTIMIZERS: Mapping[str, Callable[..., Tx]] = {
    "project_weights": project_weights(radius=norms_of_the_optimum),
    "project_weights_init": project_weights(),
    "project_weights_every": project_weights(radius=norms_of_the_optimum, every=4),
    "scale_by_rewarming": scale_by_rewarming,
    "leaf_by_leaf": leaf_by_leaf,
    "restart": restart,
    "decay_scales": with_adam(
        lambda decay: nap_optax.decay_scales(decay, mask=True), first=True, decay=1e-4
    ),
    "l2_init": with_adam(
        lambda strength: nap_optax.l2_init(strength, mask=True),
        first=True,
        strength=1e-4,
    ),
    "spectral_regularization": with_adam(
        nap_optax.spectral_regularization, first=True, strength=1e-4
    ),
    "clip_weights": with_adam(nap_optax.clip_weights, multiplier=20.0),
    "measure_elr": with_adam(nap_optax.measure_elr),
    "hold_elr": with_adam(
        lambda power: nap_optax.hold_elr(power, mask=True), power=1.0
    ),
    "limit_elr": with_adam(
        lambda max_elr: nap_optax.limit_elr(max_elr, mask=True), max_elr=0.5
    ),
    "scale_by_layer": with_adam(nap_optax.scale_by_layer, factors=0.5),
    "fast_features": with_adam(
        lambda factor: nap_optax.fast_features(last_leaf, factor), factor=2.0
    ),
    "slow_features": with_adam(
        lambda factor: nap_optax.slow_features(last_leaf, factor), factor=2.0
    ),
    "even_ratio": with_adam(lambda: nap_optax.even_ratio(mask=True)),
    "hyperball": hyperball,
    "nap": nap,
    "nap_rewarming": nap_rewarming,
    "port": with_adam(lambda: ported(mask=True)),
    "port_rewarming": port_rewarming,
    "port_radius": with_adam(
        lambda radius: ported(radius, mask=True), radius=math.sqrt(3)
    ),
}


class LeftOut(NamedTuple):
    """Tests that cannot apply to some transformation."""

    optimizers: str  # regular expression
    tests: str  # regular expression: the test and its other parameters
    reason: str


LEFT_OUT = [
    LeftOut(
        "project_weights_init|hyperball|port",
        "test_optimiz.*setup_parabola",
        "held at the norm of the start, which is not that of the optimum",
    ),
    LeftOut(
        "port_radius",
        "test_optimization.*complex|test_optimiz.*(rosenbrock|matrix|mixed)",
        "held at one number, which is not the norm of this optimum",
    ),
    LeftOut(
        "(fast|slow)_features",
        "^(?!.*(inject_hyperparams|mixed_tensor))",
        "refused: of one leaf, none is the output layer's beside others",
    ),
    LeftOut(
        "port|port_radius",
        "test_init_with_abstract_input",
        "its state starts from values; for shapes, jax.eval_shape(tx.init, params)",
    ),
]


def ours(module: str, name: str) -> Any:
    """Our optimizers, in the form of one of optax's lists."""
    if name == "OPTIMIZERS":
        return {opt: make(learning_rate=0.1) for opt, make in OPTIMIZERS.items()}
    rows = [
        {"opt_name": opt, "opt_kwargs": {"learning_rate": 0.1}} for opt in OPTIMIZERS
    ]
    if module == "_common_test":
        rows = [row | {"wrapper_name": None, "wrapper_kwargs": None} for row in rows]
    return tuple(rows)


def load(root: Path, path: str) -> ModuleType:
    """Runs a test module of optax with our optimizers in place of its own."""
    tree = ast.parse((root / path).read_text())
    module = ModuleType(Path(path).stem)
    sys.modules[module.__name__] = module
    vars(module)["ours"] = {}
    for name in MODULES[path]:
        vars(module)["ours"][name] = ours(module.__name__, name)
        last = max(i for i, node in enumerate(tree.body) if _assigns(node, name))
        tree.body[last + 1 : last + 1] = ast.parse(f"{name} = ours[{name!r}]").body
    exec(compile(tree, root / path, "exec"), vars(module))
    for name in LOOK_UPS.keys() & vars(module).keys():
        setattr(module, name, LOOK_UPS[name])
    return module


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


class Test(NamedTuple):
    """One test of optax on one optimizer."""

    case: unittest.TestCase
    optimizer: str
    name: str  # with its other parameters


def tests_of(module: ModuleType) -> Iterator[Test]:
    """Those that are given an optimizer; not those of optax's own alone."""
    pending: list[Any] = [unittest.defaultTestLoader.loadTestsFromModule(module)]
    while pending:
        item = pending.pop(0)
        if isinstance(item, unittest.TestSuite):
            pending = [*item, *pending]
            continue
        name = item.id().partition(".")[2]
        optimizer = re.search(r"opt_name='(\w+)'", name)
        by_name = [opt for opt in OPTIMIZERS if name.endswith(f"_{opt}")]
        if optimizer and optimizer[1] in OPTIMIZERS:
            yield Test(item, optimizer[1], name)
        elif by_name:
            yield Test(item, max(by_name, key=len), name)


def reason_to_leave_out(test: Test) -> str | None:
    for entry in LEFT_OUT:
        if re.fullmatch(entry.optimizers, test.optimizer) and re.search(
            entry.tests, test.name
        ):
            return entry.reason
    return None


def _comparable(version: str) -> str:
    """A version that as a string, too, is greater than those it is greater than."""
    return "1" if jax.__version_info__ >= (0, 10) else version


def missing() -> set[str]:
    """The public transformations that no optimizer here is named after."""
    return contract_cases.public_transformations() - OPTIMIZERS.keys()


def check(root: Path, only: str) -> bool:
    """Runs them all, prints what came of each, and says whether all is well."""
    print("optax", importlib.metadata.version("optax"), "jax", jax.__version__)
    total: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    wrong = [f"{name}: give it an entry in OPTIMIZERS" for name in missing()]
    for path in MODULES:
        counts: dict[str, collections.Counter[str]] = {
            opt: collections.Counter() for opt in OPTIMIZERS
        }
        for test in tests_of(load(root, path)):
            if not re.search(only, f"{path} {test.name}"):
                continue
            reason, result = reason_to_leave_out(test), unittest.TestResult()
            # optax compares versions as strings, so jax 0.10 skips what needs 0.7.2.
            with mock.patch.object(jax, "__version__", _comparable(jax.__version__)):
                test.case.run(result)
            failed = not result.wasSuccessful()
            if reason:
                outcome = "left out" if failed else "left out but passes"
                reasons[reason] += 1
            elif failed:
                outcome = "failed"
            else:
                outcome = "skipped by optax" if result.skipped else "passed"
            if outcome in ("failed", "left out but passes"):
                text = [trace for _, trace in result.failures + result.errors]
                wrong.append(f"{outcome}: {path} {test.name}\n{''.join(text)}")
            counts[test.optimizer][outcome] += 1
        print(path)
        for optimizer, counter in counts.items():
            print(f"  {optimizer:24}", dict(counter))
            total += counter
    print(*wrong, sep="\n")
    print("\nleft out:")
    for reason, number in reasons.items():
        print(f"  {number:4}  {reason}")
    print("run:", total["passed"] + total["failed"], "of", total.total(), dict(total))
    return not wrong and total["passed"] > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="optax's unpacked source distribution")
    parser.add_argument("--only", default="", help="regular expression: which tests")
    options = parser.parse_args()
    # What init says of parameters that are zero, as most of optax's are.
    warnings.simplefilter("ignore", UserWarning)
    sys.exit(not check(options.root, options.only))
