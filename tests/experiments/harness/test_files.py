import enum
import json
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness import files


class Color(enum.Enum):
    RED = 1


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
    }
    assert files.dump_json(row) == (
        '{"none": null, "flag": true, "int": 3, "f32": 0.1, "f64": 0.1, '
        '"bf16": 0.100098, "nan": "NaN", "bad": ["Infinity", "-Infinity"], '
        '"vector": [0.0, 1.0], '
        '"path": "a/b", "color": "RED", "nested": {"pair": [1, "x"]}}'
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
