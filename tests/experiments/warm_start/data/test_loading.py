"""A data set by its name, whatever files it is in."""

import numpy as np

from experiments.harness.images.data_sets import Images, Labelled
from experiments.warm_start import data
from helpers.checkout.image_files import write_idx


def test_examples_come_in_an_order_of_their_own(idx_directory, images):
    loaded = data.load("fashion_mnist", idx_directory)
    backwards = Images(*(Labelled(*(a[::-1] for a in labelled)) for labelled in images))
    write_idx(idx_directory, backwards)
    again = data.load("fashion_mnist", idx_directory)
    for own, other, original in zip(loaded, again, images, strict=True):
        np.testing.assert_array_equal(own.images, other.images)
        np.testing.assert_array_equal(own.labels, other.labels)
        assert sorted(own.labels) == sorted(original.labels)
        assert own.labels.tolist() != original.labels.tolist()
        # Each image keeps its label: its brightest row.
        rows = own.images[..., 0].mean(axis=2).argmax(axis=1)
        np.testing.assert_array_equal(rows, 2 * own.labels + 3)
