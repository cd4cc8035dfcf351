"""Chooses the checkpoint from which a run continues, by reading only.

Beside orbax's files for a step lies a file of ours, written last. It has the number of
bytes of metrics that the checkpoint covers and their digest, the structure of the
state, and the names and a digest of orbax's files. Without it the checkpoint was never
finished. The files are compared before orbax reads them, because data cut short may
read as zeros.
"""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness import files
from experiments.harness.messages import UserError

ABOUT = "about.json"
_ORBAX = "_CHECKPOINT_METADATA"
"""File that identifies a checkpoint of orbax."""


class Covered(NamedTuple):
    """The metrics before a checkpoint."""

    num_bytes: int
    digest: str | None
    """Digest of these metrics; None in old checkpoints."""


class About(NamedTuple):
    """The facts that were noted of a checkpoint when it was whole."""

    step: int
    leaves: dict[str, str]
    covered: Covered


@dataclasses.dataclass
class Choice:
    """The checkpoints of a run, and the one to continue from."""

    usable: About | None = None
    """The newest usable checkpoint."""
    unfinished: list[int] = dataclasses.field(default_factory=list)
    damaged: dict[int, str] = dataclasses.field(default_factory=dict)
    """Damaged steps, and what is wrong with their own files."""
    uncovered: dict[int, str] = dataclasses.field(default_factory=dict)
    """Newer whole steps, and what is wrong with the metrics that they cover."""


def choose(directory: Path, metrics: bytes | None = None) -> Choice:
    """Looks for the newest usable checkpoint; changes nothing.

    Args:
      directory: The directory of all steps.
      metrics: The metrics that a checkpoint has to match; None for no check.

    Raises:
      UserError: A file is out of reach.
    """
    choice = Choice()
    for step in _steps(directory):
        for path in _files(directory / str(step)):
            files.is_file(path)  # orbax would wait for a pipe, even of an older step
    for number, step in enumerate(_steps(directory)):
        top = directory / str(step)
        data = files.read_bytes(top / ABOUT)
        if data is None and number == 0 and files.is_there(top / _ORBAX):
            choice.unfinished.append(step)  # only the newest can be
            continue
        try:
            about = _about(step, data)
            _check_files(top, about)
        except ValueError as error:
            choice.damaged[step] = str(error)
            continue
        own = About(
            step,
            about["leaves"],
            Covered(about["metrics_bytes"], about.get("metrics_digest")),
        )
        if choice.usable is not None:
            continue  # an older one, of the form that orbax also reads
        wrong = None if metrics is None else _mismatch(own, metrics)
        if wrong is None:
            choice.usable = own
        else:
            choice.uncovered[step] = wrong
    return choice


def note(directory: Path, step: int, leaves: dict[str, str], covered: Covered) -> None:
    """Marks a checkpoint as whole."""
    top = directory / str(step)
    about = {
        "step": step,
        "metrics_bytes": covered.num_bytes,
        "metrics_digest": covered.digest,
        "leaves": leaves,
        "names": _names(top),
        "digest": _digest(top),
    }
    files.write_atomically(top / ABOUT, files.dump_json(files.seal(about)).encode())


def _steps(directory: Path) -> list[int]:
    """The steps in a directory, the newest first."""
    if not files.is_there(directory):
        return []
    with files.in_reach(directory):
        # Orbax takes each of them for a step.
        names = [name for name in os.listdir(directory) if name.isdigit()]
        for name in names:
            if not _is_step(name):
                raise UserError(
                    f"{directory / name} is no checkpoint of this program: move it away"
                )
            os.scandir(directory / name).close()  # raises if it is no directory
    return sorted(map(int, names), reverse=True)


def _is_step(name: str) -> bool:
    return name.isascii() and len(name) <= 18 and name == str(int(name))


def _about(step: int, data: bytes | None) -> dict[str, Any]:
    if data is None:
        raise ValueError("its description is gone")
    try:
        about = files.unseal(data)
    except ValueError:
        raise ValueError("its description is not what was saved") from None
    kinds = {"metrics_bytes": int, "leaves": dict, "digest": str}
    names = about.get("names", [])  # old checkpoints have none
    if (
        any(type(about.get(name)) is not kind for name, kind in kinds.items())
        or not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError("its description is not what was saved")
    if about.get("step", step) != step:  # a copy, or renamed
        raise ValueError(f"it is that of step {about['step']}")
    return about


def _check_files(top: Path, about: dict[str, Any]) -> None:
    """Compares orbax's files with those that were saved.

    Raises:
      ValueError: They are not the same.
      UserError: One is out of reach.
    """
    for name in about.get("names", ()):
        path = top / name
        if path.is_dir():
            files.read_bytes(path)  # raises if out of reach
    if about["digest"] != _digest(top):
        raise ValueError("its files are not what was saved")


def _mismatch(about: About, metrics: bytes) -> str | None:
    """The reason why metrics are not those before a checkpoint, or None."""
    missing = about.covered.num_bytes - len(metrics)
    if missing > 0:
        return f"{missing} bytes of the metrics before it are gone"
    own = metrics[: about.covered.num_bytes]
    if about.covered.digest is not None:
        same = files.digest(own) == about.covered.digest
        return None if same else "the metrics before it are not what was recorded"
    if own[-1:] not in (b"", b"\n"):
        return "the metrics before it end within a line"
    try:
        steps = [_step_of(row) for row in files.parse_json_lines(own)]
    except ValueError as error:
        return f"of the metrics before it, {error}"
    wrong = steps != sorted(steps) or max(steps, default=0) > about.step
    return "the metrics before it are of other steps" if wrong else None


def _step_of(row: dict[str, Any]) -> int:
    if type(row.get("step")) is not int:
        raise ValueError("a line has no step")
    return row["step"]


def _files(top: Path) -> Iterator[Path]:
    """All files of a checkpoint but ours."""

    def fail(error: OSError) -> None:
        raise error

    with files.in_reach(top):
        for folder, _, names in os.walk(top, onerror=fail):
            yield from (Path(folder, name) for name in names if name != ABOUT)


def _names(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in _files(top))


def _digest(top: Path) -> str:
    """A hash of the names and contents of all files of a checkpoint but ours."""
    digest = hashlib.sha256()
    for path in sorted(_files(top)):
        contents = files.read_bytes(path)
        if contents is None:
            raise UserError(f"{path} changes while it is read: use it when it is done")
        digest.update(f"{path.relative_to(top)} {len(contents)} ".encode())
        digest.update(contents)
    return digest.hexdigest()


def set_aside(path: Path, directory: Path) -> None:
    """Moves a file or directory to a free name in a directory, to inspect later."""
    directory.mkdir(exist_ok=True)
    shutil.move(path, files.free_name(directory / path.name))
