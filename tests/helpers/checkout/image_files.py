"""A tiny set of images, as arrays and as files: Fashion-MNIST's, and a user's own."""

import gzip

import numpy as np
from PIL import Image

from experiments.harness.images.data_sets import Images, Labelled
from experiments.warm_start.config import Config

NUM_TRAIN, NUM_TEST = 60, 20
TINY = Config(
    dataset="fashion_mnist",
    initial_fraction=0.5,
    epochs_per_phase=1,
    num_train_examples=NUM_TRAIN,
    num_test_examples=NUM_TEST,
    batch_size=10,
    learning_rate=0.01,
    eval_every=4,
)  # two phases of 6 updates, so data come between two evaluations
FILES = {
    "train-images-idx3-ubyte.gz": ("train", "images"),
    "train-labels-idx1-ubyte.gz": ("train", "labels"),
    "t10k-images-idx3-ubyte.gz": ("test", "images"),
    "t10k-labels-idx1-ubyte.gz": ("test", "labels"),
}


def make_images(seed=0):
    """Each class lights up a row of its own, in noise."""
    rng = np.random.default_rng(seed)

    def labelled(num):
        labels = rng.integers(0, 10, num).astype(np.int32)
        images = rng.integers(0, 100, (num, 28, 28, 1)).astype(np.uint8)
        images[np.arange(num), 2 * labels + 3] = 255
        return Labelled(images, labels)

    return Images(labelled(NUM_TRAIN), labelled(NUM_TEST))


def idx(array):
    """The bytes of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.asarray(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_idx(directory, images):
    """The four files of a set of images."""
    for name, (split, part) in FILES.items():
        array = getattr(getattr(images, split), part)
        array = array[..., 0] if part == "images" else array
        (directory / name).write_bytes(gzip.compress(idx(array)))


def write_folders(directory, labelled, suffix=".png"):
    """A folder for each class, with its images in files; the names of the classes."""
    names = [f"class {label}" for label in range(labelled.labels.max() + 1)]
    for name in names:
        (directory / name).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(*labelled, strict=True)):
        path = directory / names[label] / f"{number}{suffix}"
        Image.fromarray(image.squeeze()).save(path)
    return names


def write_halves(directory, images):
    """`train` and `test`, each with a folder for each class."""
    for half, labelled in images._asdict().items():
        write_folders(directory / half, labelled)
