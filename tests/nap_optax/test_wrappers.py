"""The rows of `docs/wrappers.md`: projection and re-warming in optax's wrappers.

Norms are read where a user would look: at the parameters after each step, or at those
that the wrapper says to evaluate. The id of each test is the name of its row.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nap_optax
from helpers.contract_cases import NAP_STATIC, standard_promotion

pytestmark = pytest.mark.slow

# A row returns norms of what its page says to evaluate, which are to be held.
Check = Callable[[], np.ndarray]
ROWS: dict[str, Check] = {}


def row(name: str) -> Callable[[Check], Check]:
    def register(test: Check) -> Check:
        assert name not in ROWS
        ROWS[name] = test
        return test

    return register


def make_tree(seed: int, dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    draw = np.random.default_rng(seed).normal
    return {
        name: jnp.asarray(
            draw(size=shape) + (1j * draw(size=shape) if dtype == "complex64" else 0.0),
            dtype,
        )
        for name, shape in (("kernel", (4, 3)), ("bias", (3,)))
    }


PARAMS = make_tree(0)
TARGET = make_tree(99)
RADIUS = float(jnp.linalg.norm(PARAMS["kernel"]))
SCHEDULE = nap_optax.schedules.warmup_constant(0.3, warmup_steps=2)
KERNEL = {"kernel": True, "bias": False}
SIGNAL_AT = 3  # the update at which the caller says that the data changed


def loss_fn(params: Any) -> jax.Array:
    return sum(
        jnp.sum(jnp.abs(a - b) ** 2)
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(TARGET), strict=True)
    )


def nap(**options: Any) -> optax.GradientTransformationExtraArgs:
    return nap_optax.nap(optax.scale_by_adam(), SCHEDULE, **options)


def direction() -> optax.GradientTransformationExtraArgs:
    """All of `nap` but the projection."""
    return optax.chain(optax.scale_by_adam(), nap_optax.scale_by_rewarming(SCHEDULE))


class Run(NamedTuple):
    """The parameters after each of some updates, and the last state."""

    params: list[Any]
    state: Any

    def norms(self, of: Callable[[Any], Any] = lambda params: params) -> np.ndarray:
        return np.array([jnp.linalg.norm(of(p)["kernel"]) for p in self.params])


def run(
    tx: Any,
    params: Any = PARAMS,
    *,
    gradients: Callable[[int], Any] = lambda step: make_tree(step + 1),
    signal_at: int | None = SIGNAL_AT,
    num_updates: int = 6,
    extra: Mapping[str, Any] | None = None,
) -> Run:
    """Trains. With `signal_at=None` no signal is passed on, not even a false one."""

    def update(grads: Any, state: Any, params: Any, arguments: Any) -> Any:
        updates, state = tx.update(grads, state, params, **arguments, **(extra or {}))
        return optax.apply_updates(params, updates), state

    with standard_promotion():
        state, after, update = tx.init(params), [], jax.jit(update)
        for step in range(num_updates):
            signal = {} if signal_at is None else {"rewarm": step == signal_at}
            params, state = update(gradients(step), state, params, signal)
            after.append(params)
    return Run(after, state)


def is_held(norms: np.ndarray) -> bool:
    return bool(np.allclose(norms, RADIUS, rtol=1e-5))


def num_rewarms(state: Any) -> int:
    return int(optax.tree.get(state, "num_rewarms"))


def assert_works(tx: Any, **options: Any) -> np.ndarray:
    """Norms are held at each step, and the signal restarts the schedule there."""
    done = run(tx, **options)
    assert is_held(done.norms())
    assert num_rewarms(done.state) == 1
    assert optax.tree.get(done.state, "last_rewarm_step") == SIGNAL_AT
    return done.norms()


def assert_order_matters(wrapper: Any, **options: Any) -> np.ndarray:
    """It works ahead of the projection; after it, it takes weights off the sphere."""
    assert not is_held(run(optax.chain(nap(), wrapper), **options).norms())
    return assert_works(
        optax.chain(direction(), wrapper, nap_optax.project_weights()), **options
    )


def assert_takes_no_signal(tx: Any, params: Any = PARAMS) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'rewarm'"):
        tx.update(PARAMS, tx.init(params), params, rewarm=True)


# Which leaves, and in what order.


@row("chain")
def check_chain() -> np.ndarray:
    for later in (optax.scale(0.5), optax.add_decayed_weights(0.1)):
        assert not is_held(run(optax.chain(nap(), later)).norms())
    return assert_works(optax.chain(direction(), nap_optax.project_weights()))


@row("named_chain")
def check_named_chain() -> np.ndarray:
    return assert_works(
        optax.named_chain(
            ("direction", direction()), ("projection", nap_optax.project_weights())
        )
    )


@row("masked")
def check_masked() -> np.ndarray:
    left_out = run(optax.masked(nap(), {"kernel": False, "bias": True}))
    assert not is_held(left_out.norms())
    of_kernel = optax.masked(nap(), KERNEL)
    with standard_promotion():  # Adam's own arithmetic
        updates, _ = of_kernel.update(TARGET, of_kernel.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["bias"], TARGET["bias"])
    return assert_works(of_kernel)


@row("partition")
def check_partition() -> np.ndarray:
    labels = {"kernel": "ours", "bias": "rest"}
    return assert_works(
        optax.partition({"ours": nap(), "rest": optax.sgd(0.1)}, labels)
    )


@row("freeze")
def check_freeze() -> np.ndarray:
    for tx in (
        optax.chain(nap(), optax.freeze(KERNEL)),
        optax.chain(optax.freeze(KERNEL), nap()),
    ):
        norms = assert_works(tx)
        assert np.allclose(run(tx).params[-1]["kernel"], PARAMS["kernel"], atol=1e-6)
    return norms


@row("selective_transform")
def check_selective_transform() -> np.ndarray:
    frozen = {"kernel": False, "bias": True}
    return assert_works(optax.selective_transform(nap(), freeze_mask=frozen))


@row("with_extra_args_support")
def check_with_extra_args_support() -> np.ndarray:
    return assert_works(optax.with_extra_args_support(nap()))


@row("monitor")
def check_monitor() -> np.ndarray:
    measures = {
        "size": optax.tree.norm,
        "mean": optax.measure_with_ema(optax.tree.norm, 0.9),
    }
    tx = optax.chain(nap(), optax.monitor(measures))
    assert optax.tree.get(run(tx).state, "size") > 0
    return assert_works(tx)


@row("snapshot")
def check_snapshot() -> np.ndarray:
    return assert_works(optax.chain(nap(), optax.snapshot("size", optax.tree.norm)))


# Whether to update.


@row("MultiSteps")
def check_multi_steps() -> np.ndarray:
    emitting, silent = 3, 2
    tx = optax.MultiSteps(nap(), 2)
    for at, rewarms in ((emitting, 1), (silent, 0)):
        done = run(tx, signal_at=at)
        assert is_held(done.norms())
        assert num_rewarms(done.state) == rewarms
    return done.norms()


def with_one_nan(step: int) -> Any:
    return jax.tree.map(lambda g: g * (jnp.nan if step == 1 else 1), make_tree(step))


@row("skip_not_finite")
def check_skip_not_finite() -> np.ndarray:
    tx = optax.MultiSteps(nap(), 1, should_skip_update_fn=optax.skip_not_finite)
    done = run(tx, gradients=with_one_nan)
    assert num_rewarms(done.state) == 1
    assert optax.tree.get(done.state, "projection_step") == 5  # of 6
    return done.norms()


@row("skip_large_updates")
def check_skip_large_updates() -> np.ndarray:
    def skip(updates: Any, step: Any, params: Any) -> Any:
        return optax.skip_large_updates(updates, step, params, 1e6)

    done = run(
        optax.MultiSteps(nap(), 1, should_skip_update_fn=skip),
        gradients=lambda step: jax.tree.map(
            lambda g: g * (1e9 if step == 1 else 1), make_tree(step)
        ),
    )
    assert num_rewarms(done.state) == 1
    assert optax.tree.get(done.state, "projection_step") == 5  # of 6
    return done.norms()


@row("apply_if_finite")
def check_apply_if_finite() -> np.ndarray:
    tx = optax.apply_if_finite(nap(), 3)
    assert_works(tx)
    done = run(tx, gradients=with_one_nan)
    assert optax.tree.get(done.state, "projection_step") == 5  # of 6
    assert num_rewarms(run(tx, gradients=with_one_nan, signal_at=1).state) == 0
    return done.norms()


@row("apply_if_finite in chain")
def check_apply_if_finite_in_chain() -> np.ndarray:
    tx = optax.chain(
        optax.apply_if_finite(optax.scale_by_adam(), 3),
        nap_optax.scale_by_rewarming(SCHEDULE),
        nap_optax.project_weights(),
    )
    assert_works(tx)
    done = run(tx, gradients=with_one_nan, signal_at=1)
    assert num_rewarms(done.state) == 1
    return done.norms()


def at_even_steps(step: Any, **_: Any) -> Any:
    return step % 2 == 0


@row("conditionally_mask")
def check_conditionally_mask() -> np.ndarray:
    tx = optax.conditionally_mask(nap(), at_even_steps)
    for at, rewarms in ((2, 1), (3, 0)):
        done = run(tx, signal_at=at)
        assert is_held(done.norms())
        assert num_rewarms(done.state) == rewarms
    return done.norms()


@row("conditionally_transform")
def check_conditionally_transform() -> np.ndarray:
    def clip_at_even_steps() -> Any:
        return optax.conditionally_transform(optax.clip(0.1), at_even_steps)

    norms = run(optax.conditionally_transform(nap(), at_even_steps)).norms()
    assert is_held(norms[::2])
    assert not is_held(norms[1::2])
    # The gradient itself was added: this ascends.
    return assert_works(optax.chain(clip_at_even_steps(), nap()))


# Arguments and layouts.


def check_injection(inject: Any) -> np.ndarray:
    arguments = {"inner": optax.scale_by_adam(), "learning_rate": SCHEDULE}
    with pytest.raises(ValueError, match="static_args"):
        inject(nap_optax.nap)(**arguments).init(PARAMS)
    return assert_works(inject(nap_optax.nap, static_args=NAP_STATIC)(**arguments))


@row("inject_hyperparams")
def check_inject_hyperparams() -> np.ndarray:
    return check_injection(optax.inject_hyperparams)


@row("inject_stateful_hyperparams")
def check_inject_stateful_hyperparams() -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return check_injection(optax.inject_stateful_hyperparams)


@row("flatten")
def check_flatten() -> np.ndarray:
    vector = run(optax.flatten(nap(mask=True))).params  # one norm of all, as asked
    assert np.allclose([optax.tree.norm(p) for p in vector], optax.tree.norm(PARAMS))
    with pytest.raises(ValueError, match="one vector"):
        optax.flatten(nap()).init(PARAMS)
    return assert_works(nap_optax.nap(optax.flatten(optax.scale_by_adam()), SCHEDULE))


@row("split_real_and_imaginary")
def check_split_real_and_imaginary() -> np.ndarray:
    split = optax.contrib.split_real_and_imaginary
    params = make_tree(0, "complex64")
    options: Any = {
        "params": params,
        "gradients": lambda step: make_tree(step + 1, "complex64"),
    }
    parts = run(split(nap()), signal_at=None, **options).params
    for part in (jnp.real, jnp.imag):
        want = jnp.linalg.norm(part(params["kernel"]))
        norms = [jnp.linalg.norm(part(p["kernel"])) for p in parts]
        assert np.allclose(norms, want)
    assert_takes_no_signal(split(nap()), params)

    whole = optax.chain(
        split(optax.scale_by_adam()),
        nap_optax.scale_by_rewarming(SCHEDULE),
        nap_optax.project_weights(),
    )
    done = run(whole, **options)
    assert num_rewarms(done.state) == 1
    reals = [jnp.linalg.norm(jnp.real(p["kernel"])) for p in done.params]
    assert not np.allclose(reals, jnp.linalg.norm(jnp.real(params["kernel"])))
    return done.norms() * RADIUS / float(jnp.linalg.norm(params["kernel"]))


# What changes updates.


@row("add_noise")
def check_add_noise() -> np.ndarray:
    return assert_order_matters(optax.add_noise(0.1, 0.5, jax.random.key(0)))


@row("differentially_private_aggregate")
def check_differentially_private_aggregate() -> np.ndarray:
    def of_examples(step: int) -> Any:
        return jax.tree.map(lambda g: jnp.stack([g, -2 * g]), make_tree(step + 1))

    private = optax.contrib.differentially_private_aggregate(
        1.0, 0.1, jax.random.key(0)
    )
    return assert_works(optax.chain(private, nap()), gradients=of_examples)


@row("zero_nans")
def check_zero_nans() -> np.ndarray:
    tx = optax.chain(optax.zero_nans(), nap())
    late = run(optax.chain(nap(), optax.zero_nans()), gradients=with_one_nan)
    # Adam has taken them in: nothing moves any more.
    assert np.allclose(late.params[1]["bias"], late.params[-1]["bias"])
    return assert_works(tx, gradients=with_one_nan)


@row("ema")
def check_ema() -> np.ndarray:
    return assert_order_matters(optax.ema(0.9))


@row("apply_every")
def check_apply_every() -> np.ndarray:
    return assert_order_matters(optax.apply_every(2))


@row("keep_params_nonnegative")
def check_keep_params_nonnegative() -> np.ndarray:
    positive = jax.tree.map(jnp.abs, PARAMS)
    nonnegative = optax.keep_params_nonnegative()
    tx = optax.chain(direction(), nonnegative, nap_optax.project_weights())
    assert all(jnp.min(p["kernel"]) > -1e-6 for p in run(tx, positive).params)
    return assert_order_matters(nonnegative, params=positive)


@row("reduce_on_plateau")
def check_reduce_on_plateau() -> np.ndarray:
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=1)
    return assert_order_matters(plateau, extra={"value": 1.0})


@row("polyak_sgd")
def check_polyak_sgd() -> np.ndarray:
    tx = optax.chain(optax.polyak_sgd(), nap_optax.project_weights())
    return run(tx, extra={"value": 1.0}).norms()


def check_linesearch(search: Any) -> np.ndarray:
    """Norms are held, but the value that it keeps is not that of where it ends."""
    tx = optax.chain(optax.sgd(1.0), search, nap_optax.project_weights())
    params, state, norms = PARAMS, tx.init(PARAMS), []
    with standard_promotion():
        for _ in range(2):
            value, grads = jax.value_and_grad(loss_fn)(params)
            updates, state = tx.update(
                grads, state, params, value=value, grad=grads, value_fn=loss_fn
            )
            params = optax.apply_updates(params, updates)
            norms.append(jnp.linalg.norm(params["kernel"]))
    assert not np.allclose(optax.tree.get(state, "value"), loss_fn(params), rtol=1e-2)
    return np.array(norms)


@row("scale_by_backtracking_linesearch")
def check_scale_by_backtracking_linesearch() -> np.ndarray:
    return check_linesearch(optax.scale_by_backtracking_linesearch(15, store_grad=True))


@row("scale_by_zoom_linesearch")
def check_scale_by_zoom_linesearch() -> np.ndarray:
    return check_linesearch(optax.scale_by_zoom_linesearch(15))


# Two sets of parameters.


@row("lookahead")
def check_lookahead() -> np.ndarray:
    pair = optax.LookaheadParams.init_synced(PARAMS)

    def train(tx: Any) -> Run:
        return run(tx, pair, signal_at=None, gradients=lambda step: make_tree(step + 1))

    inside = train(optax.lookahead(nap(), 3, 0.5))
    assert not is_held(inside.norms(lambda p: p.slow)[2:])
    assert_takes_no_signal(optax.lookahead(nap(), 3, 0.5), pair)

    around = train(
        optax.chain(
            optax.lookahead(nap(detector=nap_optax.every(4)), 3, 0.5),
            nap_optax.project_weights(),
        )
    )
    assert num_rewarms(around.state) == 1
    for step in (2, 5):  # they are one after each synchronisation
        for slow, fast in zip(*map(jax.tree.leaves, around.params[step]), strict=True):
            assert np.allclose(slow, fast, atol=1e-6)
    both = [around.norms(lambda p: p.slow), around.norms(lambda p: p.fast)]
    return np.concatenate(both)


def adversary() -> Any:
    return optax.chain(optax.contrib.normalize(), optax.sgd(0.5))


@row("sam")
def check_sam() -> np.ndarray:
    tx = optax.contrib.sam(nap(detector=nap_optax.every(2)), adversary())
    done = run(tx, signal_at=None)
    assert not is_held(done.norms()[::2])  # the points where gradients are taken
    assert num_rewarms(done.state) == 1  # at the third of the three steps that count
    assert_takes_no_signal(tx)
    return done.norms()[1::2]


@row("sam opaque")
def check_sam_opaque() -> np.ndarray:
    tx = optax.contrib.sam(
        nap(detector=nap_optax.every(4)), adversary(), opaque_mode=True
    )
    done = run(tx, signal_at=None, extra={"grad_fn": lambda p, _: jax.grad(loss_fn)(p)})
    assert num_rewarms(done.state) == 1
    assert_takes_no_signal(tx)
    return done.norms()


@row("mechanize")
def check_mechanize() -> np.ndarray:
    def mechanized(tx: Any) -> Any:
        return optax.contrib.mechanize(tx, s_init=0.3)

    assert not is_held(run(mechanized(nap())).norms())
    return assert_works(
        optax.chain(mechanized(direction()), nap_optax.project_weights())
    )


@row("schedule_free")
def check_schedule_free() -> np.ndarray:
    free = optax.contrib.schedule_free
    inside = run(free(nap(), 0.3))
    averages = [
        optax.contrib.schedule_free_eval_params(inside.state, p)
        for p in inside.params[-1:]
    ]
    assert not is_held(inside.norms())
    assert not is_held(np.array([jnp.linalg.norm(p["kernel"]) for p in averages]))
    assert num_rewarms(inside.state) == 1

    around = optax.chain(free(direction(), 0.3), nap_optax.project_weights())
    done = run(around)
    average = optax.contrib.schedule_free_eval_params(done.state[0], done.params[-1])
    assert not is_held(np.array([jnp.linalg.norm(average["kernel"])]))
    projected = project(average)
    # Where gradients are taken, and of the average.
    return np.append(done.norms(), jnp.linalg.norm(projected["kernel"]))


def project(average: Any) -> Any:
    """What the page tells to do with averages: one update of zero."""
    projection = nap_optax.project_weights()
    zeros = optax.tree.zeros_like(average)
    updates, _ = projection.update(zeros, projection.init(PARAMS), average)
    return optax.apply_updates(average, updates)


@row("incremental_update")
def check_incremental_update() -> np.ndarray:
    done = run(nap())
    average = PARAMS
    for params in done.params:
        average = optax.incremental_update(params, average, 0.3)
    assert jnp.linalg.norm(average["kernel"]) < 0.99 * RADIUS
    return np.array([jnp.linalg.norm(project(average)["kernel"])])


@row("periodic_update")
def check_periodic_update() -> np.ndarray:
    copy, norms = PARAMS, []
    for step, params in enumerate(run(nap()).params):
        copy = optax.periodic_update(params, copy, jnp.asarray(step), 2)
        norms.append(jnp.linalg.norm(copy["kernel"]))
    return np.array(norms)


# The rows themselves.


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    wrapper = name.partition(" ")[0]
    if not any(hasattr(place, wrapper) for place in (optax.contrib, optax)):
        pytest.skip("this optax does not have it")
    norms = ROWS[name]()
    assert norms.size > 0
    assert is_held(norms)


def test_the_page_has_these_rows() -> None:
    page = Path(__file__).parents[2] / "docs" / "wrappers.md"
    if not page.exists():
        pytest.skip("the documentation is not here: these are the tests of a wheel")
    on_page = re.findall(r"^\| `([^`]+)` \|", page.read_text(), re.MULTILINE)
    assert on_page == list(ROWS)
