"""The known layouts of folders, and one line for every other layout."""

import os
import re
import shutil

import pytest

from experiments.harness.messages import UserError
from experiments.warm_start.data import folder


def make(directory, *names):
    """Empty files; a name that ends in a slash is a folder."""
    for name in names:
        path = directory / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()


def names(images, directory):
    return [(os.path.relpath(path, directory), label) for path, label in images]


@pytest.fixture
def halves(tmp_path):
    for half in ("train", "test"):
        make(tmp_path, *(f"{half}/{name}/1.png" for name in ("bee", "ant")))
    return tmp_path


def test_both_halves_are_found_and_classes_are_sorted(halves):
    make(halves, "train/bee/0.JPG", "labels.txt", "train/labels.txt", ".cache/x/1.png")
    listing = folder.listed(halves)
    assert listing.classes == ("ant", "bee")
    assert names(listing.train, halves) == [
        ("train/ant/1.png", 0),
        ("train/bee/0.JPG", 1),
        ("train/bee/1.png", 1),
    ]
    assert names(listing.test, halves) == [
        ("test/ant/1.png", 0),
        ("test/bee/1.png", 1),
    ]
    assert listing.ignored == ()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_other_half_has_usual_names(halves, name):
    shutil.copytree(halves / "test", halves / name)
    listing = folder.listed(halves)
    assert listing.test[0].path == str(halves / "test/ant/1.png")
    assert listing.ignored == (str(halves / name),)
    shutil.rmtree(halves / "test")
    make(halves, "test/unlabelled.png")
    assert folder.listed(halves).test[0].path == str(halves / name / "ant/1.png")


@pytest.mark.parametrize("name", ["Train", "TRAINING"])
@pytest.mark.parametrize("test", ["Test", "testing", "Val"])
def test_halves_are_known_in_any_case(halves, name, test):
    (halves / "train").rename(halves / name)
    (halves / "test").rename(halves / test)
    listing = folder.listed(halves)
    assert listing.classes == ("ant", "bee")
    assert listing.train[0].path == str(halves / name / "ant/1.png")
    assert listing.test[0].path == str(halves / test / "ant/1.png")
    shutil.copytree(halves / name, halves / "train")
    assert folder.listed(halves).train[0].path == str(halves / "train/ant/1.png")


def test_folders_alone_are_the_classes(tmp_path):
    # A class may be called as a half is.
    make(tmp_path, "bus/1.png", "train/1.png", "train/more/2.png", "train/a.txt")
    make(tmp_path, "__MACOSX/1.png", "train/.DS_Store", "train/._1.png")
    shutil.rmtree(tmp_path / "train/more")
    listing = folder.listed(tmp_path)
    assert listing.classes == ("bus", "train")
    assert names(listing.train, tmp_path) == [("bus/1.png", 0), ("train/1.png", 1)]
    assert listing.test == ()
    assert listing.ignored == (str(tmp_path / "train/a.txt"),)


def test_folders_within_a_class_belong_to_it(halves):
    make(halves, "train/ant/images/2.jpeg")
    os.symlink(halves / "train/ant/1.png", halves / "train/bee/link.png")
    os.symlink(halves / "test/bee", halves / "train/bee/more")
    assert names(folder.listed(halves).train, halves) == [
        ("train/ant/1.png", 0),
        ("train/ant/images/2.jpeg", 0),
        ("train/bee/1.png", 1),
        ("train/bee/link.png", 1),
        ("train/bee/more/1.png", 1),
    ]


def test_the_fingerprint_follows_names_sizes_and_times(halves):
    path, seen = halves / "train/ant/1.png", []

    def look():
        seen.append(folder.listed(halves).fingerprint)

    look()
    make(halves, "readme.txt", "train/ant/readme.txt")
    look()
    assert seen[0] == seen[1]
    path.write_bytes(b"x")
    look()
    os.utime(path, ns=(0, 1))
    look()
    path.rename(path.with_name("2.png"))
    look()
    (halves / "test/ant").rename(halves / "test/cat")
    (halves / "train/ant").rename(halves / "train/cat")
    look()
    assert len(set(seen)) == 5


def add(directory, *more):
    make(directory, *more)


def drop(directory, *gone):
    for name in gone:
        shutil.rmtree(directory / name)


def link(directory, to, name):
    os.symlink(to, directory / name)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (drop, ["train", "test"], "holds no folder: bring one for each class"),
        (drop, ["train"], "has test and no train"),
        (drop, ["test"], "no folder of classes called test, testing, val, valid or"),
        (drop, ["train/ant", "test/ant"], "train holds one class, bee"),
        (drop, ["test/ant"], r"class ant is in .*train and not in .*test: bring both"),
        (add, ["test/cat/1.png"], "class cat is in .*test and not in .*train"),
        (add, ["train/cat/"], "train/cat holds no image"),
        (add, ["train/cat/a.txt"], "train/cat holds no image"),
        (link, ["nothing", "train/ant/2.png"], r"2.png is out of reach \(a link to"),
        (link, ["2.png", "train/ant/2.png"], r"2.png is out of reach \(Too many"),
        (link, ["loop", "train/loop"], r"loop is out of reach \(Too many"),
        (link, ["..", "train/ant/up"], "up/ant leads back to a folder that it is in"),
    ],
)
def test_another_layout_is_one_line(halves, change, arguments, message):
    change(halves, *arguments)
    with pytest.raises(UserError, match=message) as caught:
        folder.listed(halves)
    assert "\n" not in str(caught.value)


def test_images_beside_the_classes_are_told(halves):
    make(halves, "1.png", "train/2.png", "test/3.png", "train/notes.txt")
    loose = ("1.png", "test/3.png", "train/2.png")
    assert folder.listed(halves).ignored == tuple(str(halves / own) for own in loose)


def test_folders_without_end_are_one_line(halves):
    make(halves, f"train/ant/{'x/' * 60}1.png")
    with pytest.raises(UserError, match="in more than 50 folders of one class"):
        folder.listed(halves)


@pytest.mark.parametrize("train", ["train", "Train"])
def test_images_that_are_in_no_class_are_one_line(tmp_path, train):
    make(tmp_path, f"{train}/1.png", "test/1.png")
    with pytest.raises(UserError, match=f"{train} holds no folder: bring one for each"):
        folder.listed(tmp_path)


def test_what_is_no_folder_is_one_line(tmp_path):
    make(tmp_path, "file")
    for name in ("file", "nothing"):
        with pytest.raises(UserError, match=f"{name} is no folder: name the one"):
            folder.listed(tmp_path / name)


def test_a_pipe_is_not_waited_for(halves):
    os.mkfifo(halves / "train/ant/2.png")
    with pytest.raises(UserError, match=re.escape("cannot be read (it is not a file)")):
        folder.listed(halves)


def test_a_folder_for_each_image_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MOST_CLASSES", 3)
    make(tmp_path, *(f"{number}/1.png" for number in range(4)))
    with pytest.raises(UserError, match=r"holds 4 folders, .* class: at most 3"):
        folder.listed(tmp_path)
