"""The order of the examples: the same from every source, and found once."""

import hashlib
import shutil
import zipfile

import numpy as np
import pytest

from experiments.harness.images.data_sets import SPECS, Images, Labelled
from experiments.warm_start.data import arrays_file, order, prepared

FASHION = SPECS["fashion_mnist"]


def shuffled(images, seed):
    rng = np.random.default_rng(seed)
    return Images(
        *(
            Labelled(*(array[rows] for array in labelled))
            for labelled in images
            for rows in (rng.permutation(len(labelled.labels)),)
        )
    )


def check_equal(own, other):
    for one, another in zip(own, other, strict=True):
        np.testing.assert_array_equal(one.images, another.images)
        np.testing.assert_array_equal(one.labels, another.labels)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


def keep_as_before(path, images):
    """As files were before they said anything of their arrays."""
    np.savez(
        path,
        train_images=images.train.images,
        train_labels=images.train.labels,
        test_images=images.test.images,
        test_labels=images.test.labels,
    )


def refuse(*args):
    raise AssertionError("sorted again")


def test_the_order_is_that_of_the_digests_of_pixels_and_label():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    labels = np.asarray([1, 0, 1, 0], np.int32)
    digests = [
        hashlib.blake2b(bytes([pixel, label, 0, 0, 0]), digest_size=8).digest()
        for pixel, label in enumerate(labels)
    ]
    expected = sorted(range(4), key=lambda index: digests[index])
    found = order.by_digest(Labelled(images, labels))
    np.testing.assert_array_equal(found.images.ravel(), expected)
    np.testing.assert_array_equal(found.labels, labels[expected])


def test_arrays_of_before_are_put_into_order_once(path, images, monkeypatch):
    keep_as_before(path, shuffled(images, 1))
    expected = order.in_order(shuffled(images, 2))
    check_equal(prepared._kept(path, FASHION), expected)
    monkeypatch.setattr(order, "in_order", refuse)
    check_equal(prepared._kept(path, FASHION), expected)


def test_others_in_their_place_are_put_into_order_again(path, images):
    expected = order.in_order(images)
    arrays_file.write(path, expected, order="digests")
    with zipfile.ZipFile(path) as archive:
        said = archive.read("about.json")
    keep_as_before(path, shuffled(images, 1))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("about.json", said)
    check_equal(prepared._kept(path, FASHION), expected)
    assert arrays_file.read_about(path) == {"order": "digests"}


def test_what_cannot_be_kept_is_sorted_each_time(path, images, monkeypatch):
    def full(*args, **said):
        raise OSError(28, "No space left on device")

    keep_as_before(path, shuffled(images, 1))
    before = path.read_bytes()
    monkeypatch.setattr(arrays_file, "write", full)
    check_equal(prepared._kept(path, FASHION), order.in_order(images))
    assert path.read_bytes() == before


def test_arrays_are_found_without_tensorflow_datasets(tmp_path, images, monkeypatch):
    def missing(*args):
        raise LookupError("asked tensorflow-datasets")

    monkeypatch.setattr(prepared, "_builder", missing)
    with pytest.raises(LookupError):
        prepared.load("fashion_mnist", tmp_path)
    first, second = (tmp_path / "fashion_mnist" / name for name in ("3.0.1", "3.0.2"))
    first.mkdir(parents=True)
    arrays_file.write(first / "arrays.npz", images)
    check_equal(prepared.load("fashion_mnist", tmp_path), order.in_order(images))
    shutil.copytree(first, second)
    with pytest.raises(LookupError):  # which knows the right version
        prepared.load("fashion_mnist", tmp_path)
