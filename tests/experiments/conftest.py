"""A tiny set of images, in memory and in files."""

import pytest

from helpers.checkout.image_files import make_images, write_idx


@pytest.fixture(scope="session")
def images():
    return make_images()


@pytest.fixture
def idx_directory(tmp_path, images):
    """A folder with the four files of `images`."""
    directory = tmp_path / "idx"
    directory.mkdir()
    write_idx(directory, images)
    return directory
