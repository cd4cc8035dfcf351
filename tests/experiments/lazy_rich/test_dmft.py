"""The mean-field theory against networks, derivatives and averages of samples."""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lazy_rich.dmft import (
    averages,
    basis,
    datum,
    fixed_point,
    linear,
    online,
    paths,
    simulate,
    solver,
)
from experiments.lazy_rich.dmft.config import Config
from experiments.lazy_rich.dmft.family import FAMILY
from experiments.lazy_rich.dmft.setting import Setting
from experiments.lazy_rich.polynomial import moments, theory

WIDTH = 2
CENTERS = pytest.mark.parametrize("center", [False, True], ids=["plain", "centred"])
# For tests of the whole solver, of which others have what is left out.
THOROUGH = pytest.mark.thorough
ONE_PLAIN, ONE_CENTRED = (
    pytest.mark.parametrize(
        "center",
        [
            pytest.param(own, id=name, marks=THOROUGH if own is not center else ())
            for own, name in ((False, "plain"), (True, "centred"))
        ],
    )
    for center in (False, True)
)


def setting(nu=2.0, **changes):
    numbers = {"alpha": 1.0, "epsilon": 1.0, "time_step": 0.1, "power": 0.5}
    numbers |= {"overlaps": jnp.array([0.3, 0.1])}
    return Setting(nu=nu, **numbers | changes)


def solve(nu, *, num_steps, num_samples, center=False, num_replicas=1, **changes):
    """Curves of some replicas, compiled once."""
    one = partial(
        solver.solve, num_steps=num_steps, num_samples=num_samples, center=center
    )
    keys = jax.random.split(jax.random.key(0), num_replicas)
    own = setting(nu, **changes)
    return jax.jit(lambda keys: jax.lax.map(lambda key: one(key, own), keys))(keys)


def simulated(nu, *, dimension, num_runs, num_steps, center=False, **changes):
    one = partial(
        simulate.simulate,
        setting=setting(nu, **changes),
        dimension=dimension,
        num_train=round(nu * dimension),
        num_steps=num_steps,
        center=center,
    )
    keys = jax.random.split(jax.random.key(1), num_runs)
    return jax.jit(lambda keys: jax.lax.map(one, keys))(keys)


def mean_and_error(values):
    values = np.asarray(values)
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / len(values) ** 0.5


@pytest.mark.slow
@ONE_CENTRED
def test_losses_are_those_of_finite_networks(center):
    theory_ = solve(2.0, num_steps=20, num_samples=2000, center=center, num_replicas=3)
    network = simulated(2.0, dimension=200, num_runs=24, num_steps=20, center=center)
    for ours, theirs in (
        (theory_.train_loss, network.train_loss),
        (theory_.test_loss, network.test_loss),
    ):
        mean, error = mean_and_error(ours)
        want, want_error = mean_and_error(theirs)
        assert np.linalg.norm(mean - want) < 0.06 * np.linalg.norm(want)
        # The first step has no error but what few dimensions do.
        allowed = 4 * np.hypot(error, want_error) + 0.005
        assert np.all(np.abs(mean - want) < allowed)


FOUR_UNITS = {"overlaps": jnp.array([0.3, 0.1, 0.0, -0.2]), "time_step": 0.12}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("nu", "dimension", "num_samples", "num_steps", "changes"),
    [
        *((nu, 400, 6000, 60, {}) for nu in (1.0, 2.0, 5.0, 20.0)),
        (5.0, 300, 3000, 50, FOUR_UNITS),
    ],
    ids=["P=D", "P=2D", "P=5D", "P=20D", "four units"],
)
def test_whole_curves_are_those_of_40_networks(
    nu, dimension, num_samples, num_steps, changes
):
    """In the norm of a curve: the table of the page on lazy and rich training."""
    found = solve(
        nu,
        num_steps=num_steps,
        num_samples=num_samples,
        num_replicas=4,
        **changes,
    )
    network = simulated(
        nu, dimension=dimension, num_runs=40, num_steps=num_steps, **changes
    )
    for ours, theirs in zip((found.train_loss, found.test_loss), network, strict=True):
        (mean, error), (want, want_error) = map(mean_and_error, (ours, theirs))
        norm = np.linalg.norm(want)
        away, own, others = (
            np.linalg.norm(curve) / norm for curve in (mean - want, error, want_error)
        )
        print(f"{away:.4f} ({others:.4f}, {own:.4f})", mean[[20, -1]], want[[20, -1]])
        assert away < 0.06
        assert away < 3 * np.hypot(own, others)


@pytest.mark.slow
@ONE_PLAIN
def test_with_many_examples_it_is_the_closed_recursion(center):
    found = solve(1e7, num_steps=10, num_samples=200, center=center)
    limit = online.solve(setting(), num_steps=10, center=center)
    np.testing.assert_allclose(found.test_loss[0], limit.loss, rtol=1e-5)
    np.testing.assert_allclose(found.train_loss[0], limit.loss, rtol=1e-5)
    assert limit.loss[-1] < 0.9 * limit.loss[0]


@pytest.mark.slow
@pytest.mark.parametrize("nu", [200.0, pytest.param(1000.0, marks=THOROUGH)])
def test_the_gap_is_its_leading_part_where_examples_are_many(nu):
    found = solve(nu, num_steps=10, num_samples=4000)
    gap = (found.test_loss - found.train_loss)[0]
    # Of the first order: what is left falls as the square.
    np.testing.assert_allclose(gap[5:], found.leading_gap[0, 5:], rtol=0.06)


@pytest.mark.slow
def test_the_iteration_of_all_times_ends_there():
    found = solve(5.0, num_steps=12, num_samples=2000, num_replicas=3)
    ended = jax.jit(
        partial(
            fixed_point.solve,
            num_steps=12,
            num_samples=2000,
            num_iterations=14,
            damping=0.6,
            center=False,
        )
    )(jax.random.key(5), setting(5.0))
    assert ended.changes[-1] < 1e-3 < ended.changes[0]
    for ours, theirs in (
        (found.train_loss, ended.train_loss),
        (found.test_loss, ended.test_loss),
    ):
        np.testing.assert_allclose(theirs, np.mean(ours[:, :-1], axis=0), rtol=0.07)


def draw(num_steps, num_samples, **changes):
    return datum.draw_samples(
        jax.random.key(3),
        setting(**changes),
        num_steps=num_steps,
        num_samples=num_samples,
    )


@pytest.mark.slow
def test_samples_have_the_overlaps_of_the_units():
    samples = draw(1, 100_000)
    np.testing.assert_allclose(jnp.mean(samples.target**2), 1, rtol=1e-5)
    rows = jnp.concatenate([samples.target[None], samples.initial])
    want = [[1, 0.3, 0.1], [0.3, 0.5, 0], [0.1, 0, 0.5]]
    np.testing.assert_allclose(rows @ rows.T / rows.shape[1], want, atol=0.01)


@pytest.mark.slow
@CENTERS
def test_means_without_memory_are_those_of_samples(center):
    numbers = setting(alpha=1.5, epsilon=0.7)
    num_samples = 200_000
    samples = draw(1, num_samples, alpha=1.5, epsilon=0.7)
    carried, along = jnp.array([[-0.3, 0.2], [0.1, 0.4]]), jnp.array([0.5, -0.2])
    overlaps = linear.overlaps_of(carried, along, numbers)
    change = carried @ samples.initial + jnp.outer(along, samples.target)
    found = datum.gradients(change, samples, numbers, center=center)
    known = [
        averages.loss_terms(overlaps, numbers, center=center).total,
        averages.mean_residual(overlaps, numbers, center=center),
        averages.mean_response(overlaps, numbers, center=center),
        averages.mean_target_response(overlaps, numbers),
        averages.mean_initial_response(overlaps, numbers) * center,
    ]
    sampled = [
        *(found.residual**2, found.residual),
        *(found.to_now, found.to_target, found.to_first),
    ]
    for values, want in zip(sampled, known, strict=True):
        error = jnp.std(values, axis=-1) / num_samples**0.5
        assert jnp.all(jnp.abs(jnp.mean(values, axis=-1) - want) <= 4 * error + 1e-6)


@CENTERS
def test_the_test_loss_is_that_of_the_units(center):
    dimension = 7
    initial, change, direction = (
        jax.random.normal(key, shape)
        for key, shape in zip(
            jax.random.split(jax.random.key(2), 3),
            [(WIDTH, dimension), (WIDTH, dimension), (dimension,)],
            strict=True,
        )
    )
    direction *= dimension**0.5 / jnp.linalg.norm(direction)
    overlaps = simulate.measured(initial + change, initial, direction)
    numbers = setting(alpha=1.5, epsilon=0.7)
    now, first = (moments.moments_of(own.T) for own in (initial + change, initial))
    seen = jax.tree.map(lambda own, less: own - less * center, now, first)
    target = jnp.outer(direction, direction)
    want = theory.loss_terms(seen, target, 1.5, 0.7)
    found = averages.loss_terms(overlaps, numbers, center=center)
    np.testing.assert_allclose(found.variance, want.variance, rtol=1e-5)
    np.testing.assert_allclose(found.misalignment, want.misalignment, rtol=1e-5)
    np.testing.assert_allclose(found.linear, want.linear, rtol=1e-5)


@pytest.mark.slow
def test_the_alignment_is_that_of_many_dimensions():
    dimension = 4000
    numbers = setting(epsilon=0.8)
    direction, weights = simulate.units(jax.random.key(0), numbers, dimension)
    weights += 0.3 * direction[None]
    overlaps = simulate.measured(weights, weights, direction)
    exact = theory.alignment(
        moments.moments_of(weights.T),
        jnp.outer(direction, direction),
        0.8,
        centered=True,
    )
    found = averages.scaled_alignment(overlaps, numbers)
    np.testing.assert_allclose(found, dimension**0.5 * exact, rtol=2e-3)


def test_units_begin_with_their_overlaps():
    direction, weights = simulate.units(jax.random.key(0), setting(), 30)
    np.testing.assert_allclose(weights @ direction / 30, [0.3, 0.1], atol=1e-6)
    np.testing.assert_allclose(weights @ weights.T / 30, np.eye(2) / 2, atol=1e-6)


@pytest.mark.slow
@CENTERS
def test_responses_are_derivatives_of_the_path(center):
    """Of each gradient by each pre-activation before, and by the target."""
    num_steps, num_samples = 3, 2
    numbers = setting(nu=0.5, alpha=1.5, epsilon=0.7)
    samples = draw(num_steps, num_samples, alpha=1.5, epsilon=0.7)
    shape = (num_steps + 1, WIDTH, num_steps, WIDTH)
    memory = jax.random.normal(jax.random.key(4), shape)
    causal = jnp.tril(jnp.ones((num_steps + 1, num_steps)), -1)
    memory = (memory * causal[:, None, :, None]).reshape(-1, num_steps * WIDTH)
    weights = linear.no_change(num_steps, WIDTH)._replace(memory=memory)
    added = jax.random.normal(jax.random.key(5), (num_steps, WIDTH, num_samples))

    def run(added, target):
        """Gradients and responses of pre-activations `initial + added`."""
        own = samples._replace(target=target, initial=samples.initial + added[0])
        before = jnp.zeros((num_steps * WIDTH, num_samples))
        found = paths.no_paths(num_steps, WIDTH, num_samples)
        for time in range(num_steps):
            kernel = datum.memory_kernel(weights, time, numbers)
            change = (added[time] - added[0]) * (time > 0) + kernel @ before
            now = datum.gradients(change, own, numbers, center=center)
            row = paths.row(found, kernel, now, jnp.asarray(time))
            before = linear.put(before, now.gradients, time)
            found = linear.put(found, row, time)
        return before, found

    _, found = run(added, samples.target)
    by_added, by_target = jax.jacobian(lambda *args: run(*args)[0], (0, 1))(
        added, samples.target
    )
    for sample in range(num_samples):
        own = by_added[:, sample, :, :, sample].reshape(num_steps * WIDTH, -1)
        np.testing.assert_allclose(found[:, 1:, sample], own, rtol=1e-4, atol=1e-5)
        own = by_target[:, sample, sample]
        np.testing.assert_allclose(found[:, 0, sample], own, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_weights_are_linear_as_they_say():
    num_steps = 4
    n, numbers = num_steps * WIDTH, setting()
    keys = jax.random.split(jax.random.key(0), 5)
    causal = jnp.kron(jnp.tril(jnp.ones((num_steps, num_steps))), jnp.ones((2, 2)))
    responses = linear.Responses(
        causal * jax.random.normal(keys[0], (n, n)),
        jax.random.normal(keys[1], (n,)),
        jnp.tril(jax.random.normal(keys[2], (n, n))),
    )
    first, normals = (
        jax.random.normal(keys[3], (2,)),
        jax.random.normal(keys[4], (n,)),
    )
    found, direction = linear.no_change(num_steps, WIDTH), 0.7

    def run(sources):
        path = [first]
        for time in range(num_steps):
            rows = slice(2 * time, 2 * time + 2)
            gained = responses.to_weights[rows, : 2 * time + 2] @ jnp.concatenate(path)
            gained += responses.to_target[rows] * direction + sources[rows]
            path.append(path[-1] + numbers.time_step * gained)
        return jnp.concatenate(path)

    for time in range(num_steps):
        found = linear.extend(found, responses, time, numbers)
    sources = responses.noise @ normals / numbers.nu**0.5
    want = run(sources) - jnp.tile(first, num_steps + 1)
    ours = found.initial @ first + found.target * direction + found.noise @ normals
    np.testing.assert_allclose(ours, want, rtol=1e-5, atol=1e-6)
    memory = jax.jacobian(run)(sources) / numbers.time_step
    np.testing.assert_allclose(found.memory, memory, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_basis_gives_the_root_of_the_covariance_of_nearly_equal_rows():
    common, small = jax.random.normal(jax.random.key(0), (2, 1000))
    values = jnp.stack([common, common + 1e-3 * small, common])
    axes, root = basis.extend(jnp.zeros((3, 1000)), values[:1], 0)
    axes, more = basis.extend(axes, values[1:], 1)
    root = jnp.concatenate([root, more])
    np.testing.assert_allclose(root @ axes, values, atol=1e-5)
    np.testing.assert_allclose(axes[:2] @ axes[:2].T / 1000, np.eye(2), atol=1e-5)
    assert root[1, 1] == pytest.approx(1e-3, rel=0.1)
    assert root[2, 2] == 0  # nothing of it is new


def test_memory_is_known_before_it_is_taken():
    config = Config(num_steps=60, num_samples=6000)
    size = jax.eval_shape(lambda: paths.no_paths(60, 2, 6000)).size
    assert 4 * size <= FAMILY.memory(config).step < 1.2 * 4 * size


LIBRARY = pytest.mark.parametrize(
    "solve_of",
    [
        partial(solver.solve, num_steps=60, num_samples=6000, center=False),
        partial(
            fixed_point.solve,
            num_steps=60,
            num_samples=6000,
            num_iterations=2,
            damping=0.5,
            center=False,
        ),
    ],
    ids=["solver", "fixed_point"],
)


@LIBRARY
def test_memory_is_looked_for_before_it_is_taken(solve_of, monkeypatch):
    monkeypatch.setattr(paths.memory, "available", lambda **_: 10**8)
    with pytest.raises(ValueError, match=r"take 0\.3 GB .* 0\.1 GB are") as error:
        solve_of(jax.random.key(0), setting())
    assert "\n" not in str(error.value)


@LIBRARY
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nu": 0.0}, "nu=0.0: must be finite and greater than 0"),
        ({"nu": -1.0}, "nu=-1.0: must be"),
        ({"time_step": math.nan}, "time_step=nan: must be"),
        ({"alpha": math.inf}, "alpha=inf: must be"),
        ({"epsilon": -1.0}, "epsilon=-1.0: must be finite and at least 0"),
        ({"power": 0.05}, "the sum of their squares, 0.1, must be at most the power"),
        ({"overlaps": jnp.array([0.3])}, "at least 2 units, got (1,)"),
        ({"overlaps": jnp.array([0.3, math.nan])}, "overlaps: the sum of"),
    ],
)
def test_a_setting_of_nothing_is_refused(solve_of, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        solve_of(jax.random.key(0), setting()._replace(**changes))
