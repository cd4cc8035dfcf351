"""The IDX files: read, and refused where they are damaged."""

import gzip
import os
import tracemalloc

import numpy as np
import pytest

from experiments.harness.images import fashion_mnist
from experiments.harness.images.data_sets import SPECS, Labelled
from experiments.harness.messages import UserError
from helpers.checkout.image_files import idx, write_idx

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"


def test_files_are_read_as_they_are(idx_directory, images):
    loaded = fashion_mnist.load(idx_directory)
    for own, expected in zip(loaded, images, strict=True):
        np.testing.assert_array_equal(own.images, expected.images)
        np.testing.assert_array_equal(own.labels, expected.labels)
        assert own.images.dtype == np.uint8
        assert own.labels.dtype == np.int32


def test_a_file_of_the_original_size_must_be_the_original(idx_directory):
    name = "t10k-labels-idx1-ubyte.gz"
    other = gzip.compress(idx(np.zeros(10_000, np.uint8)))
    (idx_directory / name).write_bytes(other)
    with pytest.raises(UserError, match=rf"{name} is not Fashion-MNIST's.*checksum"):
        fashion_mnist.load(idx_directory)


def test_a_folder_instead_of_a_file_is_one_line(idx_directory):
    path = idx_directory / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        fashion_mnist.load(idx_directory)


def test_a_pipe_instead_of_a_file_is_one_line(idx_directory):
    path = idx_directory / TRAIN_IMAGES
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="it is not a file"):
        fashion_mnist.load(idx_directory)


def test_no_more_is_unpacked_than_the_header_says(idx_directory):
    path = idx_directory / TRAIN_IMAGES
    start = idx(np.zeros((60, 28, 28)))
    path.write_bytes(gzip.compress(start + bytes(10**8), 1))
    tracemalloc.start()
    with pytest.raises(UserError, match="not an IDX file"):
        fashion_mnist.load(idx_directory)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10**7
    huge = start[:4] + np.asarray([2**31, 28, 28], ">u4").tobytes()
    path.write_bytes(gzip.compress(huge + bytes(100)))
    with pytest.raises(UserError, match="says to hold 1,683,627,180,032 bytes"):
        fashion_mnist.load(idx_directory)


def test_one_missing_file_is_named(idx_directory):
    (idx_directory / TRAIN_IMAGES).unlink()
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz is missing"):
        fashion_mnist.load(idx_directory)


def test_files_of_another_data_set_are_refused(idx_directory, images):
    train = images.train
    others = (
        Labelled(train.images[:, :27], train.labels),
        Labelled(train.images, train.labels + 1),
    )
    for other in others:
        write_idx(idx_directory, images._replace(train=other))
        with pytest.raises(UserError, match=r"Fashion-MNIST has 28 x 28 and 9"):
            fashion_mnist.load(idx_directory)


@pytest.mark.parametrize("cut", [0, 5, -9, -1])
def test_a_file_that_is_cut_short_is_refused(idx_directory, cut):
    path = idx_directory / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"train-images.* is (damaged|not an IDX)"):
        fashion_mnist.load(idx_directory)


def test_a_changed_byte_is_noticed_by_the_checksum(idx_directory):
    path = idx_directory / TRAIN_LABELS
    contents = bytearray(path.read_bytes())
    contents[-8] ^= 1  # of the checksum
    path.write_bytes(bytes(contents))
    with pytest.raises(UserError, match="damaged"):
        fashion_mnist.load(idx_directory)


def test_what_is_no_idx_file_is_refused(idx_directory):
    path = idx_directory / TRAIN_IMAGES
    for contents in (b"\0\0\x08\x01" + bytes(20), b"\0\0\x08\x03\0\0", b""):
        path.write_bytes(gzip.compress(contents))
        with pytest.raises(UserError, match="not an IDX file of 3-dimensional bytes"):
            fashion_mnist.load(idx_directory)


def test_images_and_labels_must_be_as_many(idx_directory):
    test_labels = idx_directory / "t10k-labels-idx1-ubyte.gz"
    (idx_directory / TRAIN_LABELS).write_bytes(test_labels.read_bytes())
    with pytest.raises(UserError, match=r"60 images .* and 20 labels"):
        fashion_mnist.load(idx_directory)


@pytest.mark.slow
@pytest.mark.skipif(
    not fashion_mnist.DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist"
)
def test_the_real_data_are_whole():
    images = fashion_mnist.load()
    spec = SPECS["fashion_mnist"]
    for labelled, num in zip(images, (spec.num_train, spec.num_test), strict=True):
        assert labelled.images.shape == (num, *spec.image_shape)
        np.testing.assert_array_equal(
            np.bincount(labelled.labels), [num // spec.num_classes] * spec.num_classes
        )
    pixels = images.train.images / np.float32(255)
    assert pixels.mean() == pytest.approx(spec.mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(spec.std[0], abs=5e-5)
