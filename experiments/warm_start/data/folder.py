"""Lists images in folders, one for each class, without opening any.

The layout is either `train/CLASS/*` and `test/CLASS/*`, or `CLASS/*` alone.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.harness import files
from experiments.harness.messages import UserError

TRAINS = ("train", "training")
TESTS = ("test", "testing", "val", "valid", "validation")
"""Names of the halves' folders, in lower or upper case; the first that exists is
taken."""
SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Suffixes of images; a file with another suffix is no image."""
MOST_CLASSES = 10_000
"""The most classes; more are a mistake, such as a folder for each image."""
_DEEPEST = 50
"""The most folders within folders of a class."""


class Image(NamedTuple):
    """The file of an image, and its label."""

    path: str
    label: int


class Listing(NamedTuple):
    """The images of a folder."""

    directory: Path
    classes: tuple[str, ...]
    """Names of the classes, in the order of their labels."""
    train: tuple[Image, ...]
    test: tuple[Image, ...]
    """Test images; none if a part of the others has to be set aside."""
    fingerprint: str
    """Digest of all names, sizes and times of change; if it changes, images may
    differ."""
    ignored: tuple[str, ...]
    """Files and folders that are not taken for images."""


class _Half(NamedTuple):
    classes: tuple[str, ...]
    images: tuple[Image, ...]
    marks: tuple[bytes, ...]
    """Name, size and time of each image."""
    ignored: tuple[str, ...]


def listed(directory: Path) -> Listing:
    """Finds the images in a folder.

    Raises:
      UserError: the folder has another layout, or a part of it is out of reach.
    """
    with files.in_reach(directory):
        if not directory.is_dir():
            raise UserError(
                f"{directory} is no folder: name the one that holds a folder for each "
                "class (--data-directory)"
            )
        train, test, others = _halves(directory)
        above = {directory, train, test or train}
        others += [path for own in sorted(above) for path in _images_in(own)]
        halves = [_half(half) for half in (train, test) if half is not None]
    _check_classes(train, halves[0].classes)
    if test is not None:
        _check_same(train, test, *(half.classes for half in halves))
    marks = hashlib.sha256(str([half.marks for half in halves]).encode())
    return Listing(
        directory,
        halves[0].classes,
        halves[0].images,
        halves[1].images if test is not None else (),
        marks.hexdigest(),
        (*others, *(path for half in halves for path in half.ignored)),
    )


def _halves(directory: Path) -> tuple[Path, Path | None, list[str]]:
    """The folders of both halves, or the one folder of all; and all other folders."""
    there = _folders(directory)
    divided = {
        name.lower(): name
        for name in there  # in this order, a name in lower case comes last
        if name.lower() in (*TRAINS, *TESTS) and _folders(directory / name)
    }
    train = next((divided[name] for name in TRAINS if name in divided), None)
    test = next((divided[name] for name in TESTS if name in divided), None)
    if train and test:
        others = [str(directory / name) for name in there if name not in (train, test)]
        return directory / train, directory / test, others
    if train:
        raise UserError(
            f"{directory} has {train} and no folder of classes called "
            f"{', '.join(TESTS[:-1])} or {TESTS[-1]}: add one, or name "
            f"{directory / train}, and a part of it is set aside to test on"
        )
    if test:
        raise UserError(f"{directory} has {test} and no {TRAINS[0]}: add it")
    halves = [name for name in there if name.lower() in TRAINS]
    if halves and any(name.lower() in TESTS for name in there):
        raise UserError(
            f"{directory / halves[-1]} holds no folder: bring one for each class, with "
            "its images"
        )
    return directory, None, []


def _half(directory: Path) -> _Half:
    classes = tuple(_folders(directory))
    if len(classes) > MOST_CLASSES:
        raise UserError(
            f"{directory} holds {len(classes)} folders, and there is one for each "
            f"class: at most {MOST_CLASSES}"
        )
    images: list[Image] = []
    marks: list[bytes] = []
    ignored: list[str] = []
    for label, name in enumerate(classes):
        before = len(images)
        for path in sorted(_files(directory / name)):
            if not _is_image(path):
                ignored.append(path)
                continue
            images.append(Image(path, label))
            marks.append(_mark(path, directory))
        if len(images) == before:
            raise UserError(
                f"{directory / name} holds no image: bring some, or remove the folder"
            )
    return _Half(classes, tuple(images), tuple(marks), tuple(ignored))


def _folders(directory: Path) -> list[str]:
    return sorted(entry.name for entry in _visible(directory) if entry.is_dir())


def _images_in(directory: Path) -> list[str]:
    """Images beside the folders of classes, which belong to none."""
    return sorted(
        entry.path
        for entry in _visible(directory)
        if _is_image(entry.name) and entry.is_file()
    )


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _files(
    directory: str | Path, above: Sequence[tuple[int, int]] = ()
) -> Iterator[str]:
    """The files of a class, in its folder and in folders within."""
    status = os.stat(directory)
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UserError(
            f"{directory} leads back to a folder that it is in: remove the link in "
            "this path"
        )
    if len(above) > _DEEPEST:
        raise UserError(f"{directory} is in more than {_DEEPEST} folders of one class")
    for entry in _visible(directory):
        if entry.is_dir():
            yield from _files(entry.path, (*above, here))
        else:
            yield entry.path


def _visible(directory: str | Path) -> list[os.DirEntry[str]]:
    """What a folder holds, without hidden files and those of macOS's archives."""
    with os.scandir(directory) as entries:
        return [
            entry
            for entry in entries
            if not entry.name.startswith(".") and entry.name != "__MACOSX"
        ]


def _mark(path: str, directory: Path) -> bytes:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise UserError(f"{path} cannot be read (it is not a file): remove it")
    name = path.removeprefix(os.fspath(directory))
    return os.fsencode(f"{name}/{status.st_size}/{status.st_mtime_ns}")


def _check_classes(directory: Path, classes: Sequence[str]) -> None:
    if not classes:
        raise UserError(
            f"{directory} holds no folder: bring one for each class, with its images"
        )
    if len(classes) == 1:
        raise UserError(
            f"{directory} holds one class, {classes[0]}: there is nothing to tell "
            "apart; bring a second"
        )


def _check_same(
    train: Path, test: Path, in_train: Sequence[str], in_test: Sequence[str]
) -> None:
    known = set(in_train)
    for name in in_test:
        if name not in known:
            raise UserError(f"class {name} is in {test} and not in {train}: bring both")
    known = set(in_test)
    for name in in_train:
        if name not in known:
            raise UserError(f"class {name} is in {train} and not in {test}: bring both")
