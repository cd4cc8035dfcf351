"""The kept arrays: read as written, and refused in one line if they have changed."""

import io
import os
import random
import tracemalloc
import zipfile

import numpy as np
import pytest

from experiments.harness.images.data_sets import SPECS, Images, Labelled
from experiments.harness.messages import UserError
from experiments.warm_start.data import arrays_file

CIFAR = SPECS["cifar10"]


def arrays(num_train=20, num_test=8):
    rng = np.random.default_rng(0)
    return {
        f"{name}_{part}": array
        for name, num in (("train", num_train), ("test", num_test))
        for part, array in (
            ("images", rng.integers(0, 256, (num, 32, 32, 3)).astype(np.uint8)),
            ("labels", rng.integers(0, 10, num).astype(np.int32)),
        )
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


def raw(path, name, header, contents=b"", length=None):
    """The arrays, one of them with a header of its own."""
    np.savez(path, **{key: own for key, own in arrays().items() if key != name})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        text = header.encode().ljust(length or 118) + b"\n"
        start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        archive.writestr(f"{name}.npy", start + text + contents)


def header(shape, descr="|u1"):
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


def test_what_was_kept_is_read(path):
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays())
        images, about = arrays_file.read(path, CIFAR)
        assert about == {}
        for name, labelled in zip(("train", "test"), images, strict=True):
            for part in ("images", "labels"):
                own = getattr(labelled, part)
                np.testing.assert_array_equal(own, arrays()[f"{name}_{part}"])
                assert own.dtype == arrays()[f"{name}_{part}"].dtype


def as_images(own):
    return Images(
        *(
            Labelled(own[f"{half}_images"], own[f"{half}_labels"])
            for half in ("train", "test")
        )
    )


def replace_member(path, name, contents):
    """One member of an archive, the others as they are."""
    with zipfile.ZipFile(path) as archive:
        own = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, before in own.items():
            archive.writestr(member, contents if member == name else before)


def test_what_was_written_is_read_with_what_was_said(path):
    arrays_file.write(path, as_images(GOOD), order="digests", number=3)
    kept = arrays_file.read(path, CIFAR)
    assert (
        kept.about
        == arrays_file.read_about(path)
        == {
            "order": "digests",
            "number": 3,
        }
    )
    np.testing.assert_array_equal(kept.images.train.images, IMAGES)
    np.testing.assert_array_equal(kept.images.test.labels, GOOD["test_labels"])
    with np.load(path) as archive:  # numpy reads it as well
        np.testing.assert_array_equal(archive["train_labels"], LABELS)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_what_was_said_counts_for_its_own_arrays_alone(path):
    arrays_file.write(path, as_images(GOOD), order="digests")
    other = io.BytesIO()
    np.save(other, LABELS[::-1])
    replace_member(path, "train_labels.npy", other.getvalue())
    kept = arrays_file.read(path, CIFAR)
    np.testing.assert_array_equal(kept.images.train.labels, LABELS[::-1])
    assert kept.about == arrays_file.read_about(path) == {}


@pytest.mark.parametrize("said", [b"", b"[]", b'{"seal": "x"}', b" " * 10**7])
def test_what_is_said_is_whole_or_damaged(path, said):
    arrays_file.write(path, as_images(GOOD), order="digests")
    replace_member(path, "about.json", said)
    for read in (arrays_file.read_about, lambda path: arrays_file.read(path, CIFAR)):
        with pytest.raises(UserError, match=r"damaged \(.*\): remove it"):
            read(path)


GOOD = arrays()
LABELS, IMAGES = GOOD["train_labels"], GOOD["train_images"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": LABELS + 1}, "train labels from . to 10, and there are 10"),
        ({"train_labels": LABELS - 10}, "train labels from -10"),
        ({"train_labels": LABELS[:-1]}, "20 train images and 19 labels"),
        ({"train_labels": LABELS.astype(np.float32)}, "type float32"),
        ({"train_labels": LABELS.astype(np.int64)}, "type int64"),
        ({"train_labels": LABELS[:, None]}, r"shape \(20, 1\)"),
        ({"train_labels": np.asarray(3, np.int32)}, r"shape \(\)"),
        ({"train_labels": LABELS.astype(object)}, "type object"),
        ({"test_images": IMAGES[:8, :16]}, r"test_images of shape \(8, 16, 32, 3\)"),
        ({"test_images": IMAGES[:8, ..., 0]}, r"shape \(8, 32, 32\)"),
        ({"test_images": IMAGES[:0]}, r"shape \(0, 32, 32, 3\)"),
        ({"test_images": np.asfortranarray(IMAGES[:8])}, "test_images of shape"),
        ({"test_images": IMAGES[:8].astype(np.int8)}, "type int8"),
        ({"test_labels": None}, "KeyError"),
    ],
)
def test_other_arrays_are_one_line(path, changes, message):
    changed = {**GOOD, **changes}
    np.savez(path, **{name: own for name, own in changed.items() if own is not None})
    with pytest.raises(UserError, match=rf"damaged \(.*{message}.*\): remove it"):
        arrays_file.read(path, CIFAR)


def test_what_claims_to_be_huge_is_not_read(path):
    raw(path, "train_images", header((10**9, 32, 32, 3)))
    with pytest.raises(UserError, match="train_images of shape"):
        arrays_file.read(path, CIFAR)
    raw(path, "train_images", header((20, 32, 32, 3)), b"\0" * 10**8)
    assert path.stat().st_size < 10**6  # it unpacks to a hundred times that
    tracemalloc.start()
    with pytest.raises(UserError, match="train_images of another length than it says"):
        arrays_file.read(path, CIFAR)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10**7
    raw(path, "train_images", header((20, 32, 32, 3)) + " " * 60_000, length=60_200)
    with pytest.raises(UserError, match="damaged"):
        arrays_file.read(path, CIFAR)


@pytest.mark.parametrize(
    ("size", "text", "message"),
    [
        (10**8, b" ", "a header of 100,000,000 bytes"),
        (9001, b"-", "is damaged"),  # Python's parser has no memory for it
    ],
)
def test_a_long_header_is_not_read(path, size, text, message):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        start = b"\x93NUMPY\x02\x00" + size.to_bytes(4, "little")
        archive.writestr("train_images.npy", start + text * (size - 1) + b"1")
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        arrays_file.read(path, CIFAR)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7


def test_what_is_no_file_is_one_line(path):
    os.mkfifo(path)
    with pytest.raises(UserError, match="it is not a file"):
        arrays_file.read(path, CIFAR)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="it is not a file"):
        arrays_file.read(path, CIFAR)
    path.rmdir()
    path.write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        arrays_file.read(path, CIFAR)


@pytest.mark.parametrize(
    "seeds", [range(150), pytest.param(range(150, 5000), marks=pytest.mark.thorough)]
)
def test_damage_is_one_line_or_does_not_matter(path, seeds):
    """Bytes of which nothing depends, such as a date, may be others."""
    small = {name: own[:2] for name, own in GOOD.items()}
    refused = 0
    for seed in seeds:
        np.savez_compressed(path, **small)
        whole, draw = bytearray(path.read_bytes()), random.Random(seed)
        # At both ends lie what the headers say; between them, noise.
        where = [draw.randrange(300), draw.randrange(len(whole) - 500, len(whole))]
        for at in [*where, draw.randrange(len(whole))][: draw.randint(1, 3)]:
            whole[at] ^= 1 << draw.randrange(8)
        path.write_bytes(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        try:
            images = arrays_file.read(path, CIFAR).images
        except UserError:
            refused += 1
            continue
        np.testing.assert_array_equal(images.train.images, small["train_images"])
        np.testing.assert_array_equal(images.test.labels, small["test_labels"])
    assert refused > len(seeds) // 2
