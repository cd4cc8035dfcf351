"""The examples that are drawn in each phase."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.warm_start import task


def draw_batches(num_available, steps, batch_size=3, size=10, draw=None):
    """The batches of some steps, the first of which begins a phase."""
    draw = task.start(size) if draw is None else draw
    batches = []
    for step in range(steps):
        draw, batch = task.next_batch(
            draw,
            jax.random.fold_in(jax.random.key(1), 100 * num_available + step),
            jnp.asarray(num_available),
            is_new_phase=jnp.asarray(step == 0),
            batch_size=batch_size,
        )
        batches.append(np.asarray(batch))
    return draw, batches


def test_a_pass_visits_each_available_example_once_in_another_order():
    _, batches = draw_batches(num_available=6, steps=4)
    first, second = np.concatenate(batches[:2]), np.concatenate(batches[2:])
    np.testing.assert_array_equal(np.sort(first), np.arange(6))
    np.testing.assert_array_equal(np.sort(second), np.arange(6))
    assert first.tolist() != second.tolist()


def test_what_fills_no_batch_is_left_out():
    _, batches = draw_batches(num_available=5, steps=3)
    for batch in batches:  # each is a pass of its own
        assert len(set(batch.tolist())) == 3
        assert batch.max() < 5


def test_a_new_phase_draws_from_the_new_examples_at_once():
    draw, _ = draw_batches(num_available=6, steps=1)
    _, batches = draw_batches(num_available=10, steps=3, draw=draw)
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == 9
    assert seen.max() >= 6


def arrays(num=40):
    images = jnp.arange(num * 4, dtype=jnp.uint8).reshape(num, 2, 2, 1)
    labels = jnp.arange(num, dtype=jnp.int32) % 4
    return task.Arrays(images, labels, images, labels)


def split(seed=0, label_noise=0.0, num_train=30):
    return task.make_split(
        jax.random.key(seed),
        arrays(),
        num_train=num_train,
        num_classes=4,
        label_noise=label_noise,
    )


@pytest.mark.slow
def test_a_split_draws_examples_once_with_their_labels():
    own, other = split(0), split(1)
    assert len(set(own.rows.tolist())) == 30
    np.testing.assert_array_equal(own.labels, arrays().train_labels[own.rows])
    assert own.rows.tolist() != other.rows.tolist()
    # A smaller set is the beginning of a larger one.
    np.testing.assert_array_equal(split(num_train=10).rows, own.rows[:10])


def test_noise_replaces_a_share_of_the_labels_for_good():
    clean = arrays().train_labels[split().rows]
    noisy = split(label_noise=1.0)
    np.testing.assert_array_equal(noisy.labels, split(label_noise=1.0).labels)
    changed = float(jnp.mean(noisy.labels != clean))
    assert 0.5 < changed < 1  # a quarter of the random labels are right by chance
    assert int(noisy.labels.max()) < 4


def test_inputs_are_standardised_by_channel():
    images = jnp.asarray([[[[0, 255]]]], jnp.uint8)
    inputs = task.to_inputs(images, (0.5, 0.25), (0.5, 0.25))
    np.testing.assert_allclose(inputs, [[[[-1.0, 3.0]]]], rtol=1e-6)


@pytest.mark.slow
def test_augmented_images_are_shifted_and_mirrored():
    image = np.zeros((12, 12, 1), np.uint8)
    image[5, 4] = 7
    images = jnp.asarray(np.stack([image] * 64))
    shifted = np.asarray(task.augment(jax.random.key(0), images))
    assert shifted.dtype == np.uint8
    spots = np.argwhere(shifted[..., 0] == 7)
    assert len(spots) == 64  # at most 4 pixels: never out of this image
    rows, columns = spots[:, 1], spots[:, 2]
    assert set(rows.tolist()) == set(range(1, 10))
    # Column 4 or, mirrored, 7: each shifted by -4 to 4.
    assert {columns.min(), columns.max()} == {0, 11}


@pytest.mark.slow
@pytest.mark.parametrize("label_noise", [0.0, 0.5])
def test_a_split_can_be_traced_and_mapped(label_noise):
    keys = jax.vmap(jax.random.key)(jnp.arange(2))
    mapped = jax.vmap(
        lambda key: task.make_split(
            key, arrays(), num_train=30, num_classes=4, label_noise=label_noise
        )
    )(keys)
    np.testing.assert_array_equal(mapped.rows[1], split(1).rows)
    np.testing.assert_array_equal(mapped.labels[1], split(1, label_noise).labels)
