"""The user's own images: decoded once, kept beside their folders, and found again."""

import dataclasses
import multiprocessing
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments.harness.images.data_sets import Images, Labelled
from experiments.harness.messages import UserError
from experiments.warm_start.data import arrays_file, decoding, order, own_images
from helpers.checkout.image_files import make_images, write_folders, write_halves


@pytest.fixture
def directory(tmp_path, images):
    write_halves(tmp_path / "own", images)
    return tmp_path / "own"


@pytest.fixture
def kept(directory):
    return directory / own_images.ARRAYS


def find(directory):
    """What is found, and whether images were decoded for it."""
    listing = own_images.look(directory)
    found = own_images.kept(listing)
    if found is not None:
        return found, False
    return own_images.decode(listing, own_images.survey(listing)), True


def check_equal(own, other):
    for one, another in zip(own, other, strict=True):
        np.testing.assert_array_equal(one.images, another.images)
        np.testing.assert_array_equal(one.labels, another.labels)


def test_the_halves_are_read_in_the_order_of_digests(directory, images):
    found, _ = find(directory)
    check_equal(own_images.load(directory, found), order.in_order(images))
    assert found.image_shape == (28, 28, 1)
    assert (found.num_train, found.num_test, found.num_classes) == (60, 20, 10)
    pixels = images.train.images / 255
    assert found.mean == (round(pixels.mean(), 6),)
    assert found.std == (round(pixels.std(), 6),)


def test_before_decoding_all_is_known_but_what_depends_on_pixels(directory):
    surveyed = own_images.survey(own_images.look(directory))
    found, _ = find(directory)
    assert dataclasses.replace(found, mean=(), std=(), digest="") == surveyed


def test_a_channel_that_never_changes_keeps_its_scale(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)
    pixels[..., 2] = 51
    labels = np.arange(20, dtype=np.int32) % 2
    write_folders(tmp_path / "own", Labelled(pixels, labels))
    found, _ = find(tmp_path / "own")
    assert found.mean[2] == 0.2
    assert found.std[2] == 1


def test_a_fifth_of_each_class_is_set_aside_wherever_it_comes_from(tmp_path):
    train, test = make_images()
    labels = np.concatenate([train.labels, test.labels])
    pixels = np.concatenate([train.images, test.images])
    write_folders(tmp_path / "a", Labelled(pixels, labels))
    write_folders(tmp_path / "b", Labelled(pixels[::-1], labels[::-1]), ".bmp")
    (found, _), (again, _) = find(tmp_path / "a"), find(tmp_path / "b")
    assert found == again
    own = own_images.load(tmp_path / "a", found)
    check_equal(own, own_images.load(tmp_path / "b", found))
    counts = np.bincount(labels)
    aside = np.maximum(counts // 5, 1)
    np.testing.assert_array_equal(np.bincount(own.test.labels), aside)
    np.testing.assert_array_equal(np.bincount(own.train.labels), counts - aside)
    assert found.num_test == len(own.test.labels)
    # The halves are disjoint, and each is in order.
    seen = {image.tobytes() for half in own for image in half.images}
    assert len(seen) == len(labels)
    check_equal(own, order.in_order(own))


def test_a_class_of_one_image_cannot_be_divided(tmp_path, images):
    write_folders(tmp_path / "own", images.train)
    (tmp_path / "own/class 99").mkdir()
    shutil.copy(next((tmp_path / "own/class 1").iterdir()), tmp_path / "own/class 99")
    with pytest.raises(UserError, match=r"class class 99 of .* has one image: bring"):
        own_images.look(tmp_path / "own")


def test_images_are_decoded_once_and_again_when_they_change(directory, images):
    found, is_new = find(directory)
    assert is_new
    assert find(directory) == (found, False)
    path = next((directory / "test/class 3").iterdir())
    os.utime(path, ns=(0, 0))
    assert find(directory) == (found, True)  # the same pixels, as of a copy
    Image.new("L", (28, 28)).save(path)
    changed, is_new = find(directory)
    assert is_new
    assert changed.digest != found.digest
    with pytest.raises(UserError, match="own was changed while it was read"):
        own_images.load(directory, found)


def test_what_is_left_out_is_said_once(directory, capsys):
    (directory / "train/class 0/notes.txt").touch()
    find(directory)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("reading 80 images of 10 classes in ")
    assert said[1].startswith("left out: 1 files or folders ")
    assert said[1].endswith("train/class 0/notes.txt")
    find(directory)
    assert capsys.readouterr().err == ""


def test_nothing_is_kept_of_what_cannot_be_read(directory):
    next((directory / "test/class 3").iterdir()).write_bytes(b"")
    before = sorted(directory.rglob("*"))
    with pytest.raises(UserError, match="cannot be read as an image"):
        find(directory)
    assert sorted(directory.rglob("*")) == before


def test_where_nothing_can_be_kept_images_are_decoded_once_a_run(
    directory, kept, images, monkeypatch, capsys
):
    def full(*args, **said):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(arrays_file, "write", full)
    found, _ = find(directory)
    assert f"{kept} cannot be kept for the next time" in capsys.readouterr().err
    monkeypatch.setattr(decoding, "decoded", None)
    check_equal(own_images.load(directory, found), order.in_order(images))
    assert not kept.exists()


def test_damaged_arrays_are_one_line(directory, kept):
    found, _ = find(directory)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-200])
    with pytest.raises(UserError, match=r"npz is damaged .*: remove it"):
        find(directory)
    changed = bytearray(whole)
    changed[1000] ^= 1  # a pixel
    kept.write_bytes(changed)
    with pytest.raises(UserError, match=r"npz is damaged .*: remove it"):
        own_images.load(directory, found)
    kept.unlink()
    kept.mkdir()
    with pytest.raises(UserError, match=r"it is not a file\): remove it"):
        find(directory)


def test_other_arrays_in_their_place_do_not_count(directory, kept, images):
    found, _ = find(directory)
    with np.load(kept) as archive:
        names = [name for name in archive if name != "about.json"]
        np.savez(kept, **{name: archive[name][::-1] for name in names})
    assert find(directory) == (found, True)
    check_equal(own_images.load(directory, found), order.in_order(images))


@pytest.mark.slow
def test_two_processes_may_decode_at_once(directory, images):
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(2) as pool:
        (one, _), (other, _) = pool.map(find, [directory] * 2)
    assert one == other
    check_equal(own_images.load(directory, one), order.in_order(images))
    left = {path.name for path in directory.iterdir()}
    assert left == {"train", "test", own_images.ARRAYS}


def test_the_digest_is_of_pixels_and_labels(images):
    train, test = images
    others = [
        images,
        Images(train._replace(labels=train.labels[::-1]), test),
        Images(train._replace(images=train.images[::-1]), test),
        Images(train, test._replace(labels=test.labels[::-1])),
    ]
    assert len({own_images._digest(other) for other in others}) == len(others)
