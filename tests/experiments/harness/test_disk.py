"""Arrays in files: room is checked, then taken, and contents are kept."""

import errno
import os
import shutil

import pytest

from experiments.harness import disk
from experiments.harness.messages import UserError


def test_too_little_room_is_one_line_with_both_numbers(monkeypatch, tmp_path):
    usage = shutil._ntuple_diskusage(9, 9, 2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    path = tmp_path / "not" / "yet"
    disk.require(path, 2_000_000_000)
    with pytest.raises(UserError) as caught:
        disk.require(path, 3_000_000_000)
    assert str(caught.value) == (
        f"this run needs 3.0 GB in {path}, and 2.0 GB are free there: ask for less, or "
        "name a directory on another disk"
    )


def test_all_room_is_taken_at_once_and_what_is_written_is_there(tmp_path):
    path = tmp_path / "array"
    path.write_bytes(b"of before")
    array = disk.new_array(path, (300, 40))
    assert path.stat().st_blocks * 512 >= 12_000
    assert not array.any()
    array[7, 3] = 5
    del array
    again = disk.array_of(path, (300, 40))
    assert again[7, 3] == again.sum() == 5
    assert disk.array_of(path, (300, 41)) is None
    assert disk.array_of(tmp_path / "other", (1,)) is None


def test_a_disk_that_is_full_leaves_no_file(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: .*array"):
        disk.new_array(tmp_path / "array", (3,))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path):
    own = tmp_path / "own"
    own.write_bytes(b"abc")
    (tmp_path / "array").symlink_to(own)
    for call in (disk.new_array, disk.array_of):
        with pytest.raises(UserError, match="is a link"):
            call(tmp_path / "array", (3,))
    os.link(own, tmp_path / "second")
    with pytest.raises(UserError, match="hard link"):
        disk.new_array(own, (3,))
    assert own.read_bytes() == b"abc"
