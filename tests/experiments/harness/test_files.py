import dataclasses
import enum
import json
import math
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import files
from experiments.harness.messages import UserError


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Fields:
    number: int


def test_write_atomically_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_atomically(path, b"long old contents")
    files.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_write_atomically_keeps_the_old_file_when_the_disk_is_full(
    tmp_path, limit_file_size
):
    path = tmp_path / "a.json"
    files.write_atomically(path, b"old")
    limit_file_size(1000)
    with pytest.raises(OSError, match="File too large"):
        files.write_atomically(path, b"n" * 2000)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_json_is_standard_and_floats_are_shortest():
    row = {
        "none": None,
        "flag": np.bool_(True),
        "int": jnp.int32(3),
        "f32": np.float32(0.1),
        "f64": 0.1,
        "bf16": jnp.bfloat16(0.1),
        "nan": jnp.float32(jnp.nan),
        "bad": [math.inf, -math.inf],
        "vector": jnp.arange(2.0),
        "path": Path("a/b"),
        "color": Color.RED,
        "nested": {"pair": (1, "x")},
        "fields": Fields(2),
    }
    assert files.dump_json(row) == (
        '{"none": null, "flag": true, "int": 3, "f32": 0.1, "f64": 0.1, '
        '"bf16": 0.100098, "nan": "NaN", "bad": ["Infinity", "-Infinity"], '
        '"vector": [0.0, 1.0], '
        '"path": "a/b", "color": "RED", "nested": {"pair": [1, "x"]}, '
        '"fields": {"number": 2}}'
    )
    with pytest.raises(TypeError, match="cannot be JSON"):
        files.dump_json({"what": object()})


def test_every_float32_reads_back_as_itself():
    bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
    for value in bits.view(np.float32):
        again = np.float32(float(json.loads(files.dump_json(value))))
        assert again == value or (np.isnan(again) and np.isnan(value))


def test_read_json_lines_drops_a_cut_line_and_restores_floats(tmp_path):
    path = tmp_path / "m.jsonl"
    assert files.read_json_lines(path) == []
    path.write_text('{"a": "Infinity", "b": "text"}\n{"a": 1}\n{"a": 2')
    assert files.read_json_lines(path) == [{"a": math.inf, "b": "text"}, {"a": 1}]


def test_open_for_append_keeps_whole_lines_or_the_size_given(tmp_path):
    path = tmp_path / "m.jsonl"
    for size, kept in [(None, b"one\ntwo\n"), (4, b"one\n"), (0, b"")]:
        path.write_bytes(b"one\ntwo\nthr")
        with files.open_for_append(path, size) as file:
            file.write(b"new\n")
        assert path.read_bytes() == kept + b"new\n"


def link_to_nothing(path):
    path.symlink_to(path.with_name("unmounted"))


def link_to_itself(path):
    path.symlink_to(path.name)


def link_to_a_file(path):
    path.with_name("other").write_bytes(b"other")
    path.symlink_to(path.with_name("other"))


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (link_to_nothing, "a link to nothing"),
        (link_to_itself, "Too many levels"),
        (Path.mkdir, "has to be a file"),
        (os.mkfifo, "has to be a file"),
    ],
)
def test_what_is_out_of_reach_is_not_absent(tmp_path, put, why):
    path = tmp_path / "a"
    assert files.read_bytes(path) is None
    put(path)
    with pytest.raises(UserError, match=f"{path} .*{why}.*nothing was changed"):
        files.read_bytes(path)


@pytest.mark.parametrize("put", [link_to_nothing, link_to_itself, link_to_a_file])
@pytest.mark.parametrize(
    "write", [files.open_own, lambda path: files.write_atomically(path, b"new")]
)
def test_nothing_is_written_through_a_link(tmp_path, put, write):
    put(tmp_path / "a")
    with pytest.raises(UserError, match="is a link"):
        write(tmp_path / "a")
    assert [path.read_bytes() for path in tmp_path.glob("other")] in ([], [b"other"])
    assert not (tmp_path / "unmounted").exists()


def test_nothing_is_written_through_the_name_of_a_temporary_file(tmp_path):
    (tmp_path / "user").write_bytes(b"user's")
    (tmp_path / f".a.{os.getpid()}.tmp").symlink_to(tmp_path / "user")
    files.write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "user").read_bytes() == b"user's"


def test_a_file_with_a_second_name_is_not_appended_to(tmp_path):
    (tmp_path / "user").write_bytes(b"user's")
    os.link(tmp_path / "user", tmp_path / "a")
    with pytest.raises(UserError, match="a hard link"):
        files.open_own(tmp_path / "a")


def test_a_seal_tells_any_change():
    data = files.dump_json(files.seal({"a": 1, "b": ["x"]})).encode()
    assert files.unseal(data) == {"a": 1, "b": ["x"]}
    with pytest.raises(ValueError, match="not what was written"):
        files.unseal(data.replace(b'"x"', b'"y"'))
    for other in (b"5", b"[" * 9999, b"", bytes(4)):
        with pytest.raises(ValueError, match=r".*"):
            files.unseal(other)
    assert files.unseal(b'{"a": 1}') == {"a": 1}  # of before there were seals
