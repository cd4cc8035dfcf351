"""What a run directory says, read without a lock: by a run itself and by others.

A file that is out of reach ends the command; `docs/reliability.md` has the whole.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from experiments.harness import environment, files
from experiments.harness.config import settings
from experiments.harness.messages import UserError

CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
LOCK, CLOCK = ".lock", "clock.jsonl"
CHECKPOINTS, ASIDE = "checkpoints", "unusable_checkpoints"
# What is too large to be in a checkpoint.
ARRAYS = "arrays"
# Groups that are run in parts have these in a folder beside, and in their summary.
PARTS, GATHERED = "parts", "gathered"
# Written before the summary: digests of the summary and of the metrics.
FINISHED = "finished.json"
MARK, SETTINGS, ABOUT = "run_directory_version", "jax_settings", "about"
VERSION = 1


def is_filled(summary: Any) -> bool:
    """What can be said of any summary."""
    return isinstance(summary, dict | list) and bool(summary)


def default_path(experiment: str, config: Any, ignored: Collection[str]) -> Path:
    """runs/<experiment>/<digest of the settings>: the same settings find it again."""
    text = files.dump_json(files.to_json(settings(config, ignored)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Path("runs") / experiment / digest[:10]


def is_finished(path: Path, summary_fits: Callable[[Any], bool] = is_filled) -> bool:
    """Whether a directory holds a run that has come to its end.

    Raises:
      UserError: A file that says so is out of reach.
    """
    return read_summary(path, summary_fits) is not None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The metrics in a directory, in the order of the steps.

    Raises:
      UserError: They are out of reach or damaged.
    """
    return parse_metrics(path, read_metrics(path))


def read_config(path: Path) -> dict[str, Any] | None:
    """The config that a directory was made for, if it is one of ours."""
    saved = read_description(path / CONFIG)
    return saved["config"] if saved else None


def other_settings(path: Path) -> list[str]:
    """What differs, in words, between the settings of JAX that a run had and those now.

    Nothing where they are alike, or where there is no run or one of before they were
    recorded.
    """
    saved = read_description(path / CONFIG)
    return differing_settings(saved) if saved else []


def differing_settings(saved: Mapping[str, Any]) -> list[str]:
    """What `other_settings` says, of a description that was read."""
    here = environment.decisive_settings()
    there = saved.get(SETTINGS, {})
    # Of settings that one version of JAX lacks, nothing is known.
    return [
        f"{name} is {there[name]} there and {now} here"
        for name, now in here.items()
        if there.get(name, now) != now
    ]


def read_description(path: Path) -> dict[str, Any] | None:
    """The contents of a `config.json` that this module wrote, else None.

    Raises:
      UserError: It is out of reach, of a newer version, or lacks what it needs.
    """
    try:
        saved = files.parse_json(files.read_bytes(path) or b"")
    except ValueError:
        return None
    if not isinstance(saved, dict) or MARK not in saved:
        return None
    version, needed = saved[MARK], (saved.get("config"), saved.get(SETTINGS, {}))
    if type(version) is int and version > VERSION:
        raise UserError(
            f"{path} is of a newer version of this program ({MARK} {version}, and "
            f"{VERSION} is known here): use that one, or name another directory"
        )
    if version != VERSION or not all(isinstance(part, dict) for part in needed):
        raise UserError(
            f"{path} is damaged: put back a copy of it, or name another directory"
        )
    return saved


def read_summary(path: Path, fits: Callable[[Any], bool]) -> Any:
    """The summary of a finished run; None if it is not finished or not as written."""
    data = files.read_bytes(path / SUMMARY)
    try:
        summary = files.parse_json(data or b"")
    except ValueError:
        return None
    mark = _read_mark(path)
    if mark is None:
        return summary if fits(summary) else None
    return summary if mark["summary"] == files.digest(data or b"") else None


def _read_mark(path: Path) -> dict[str, Any] | None:
    """The digests of a finished run; None if there are none, or not as written."""
    try:
        mark = files.unseal(files.read_bytes(path / FINISHED) or b"")
    except ValueError:
        return None
    return mark if {"summary", "metrics"} <= set(mark) else None


def read_metrics(path: Path, expected: str | None = None) -> bytes:
    """The bytes of the metrics, if they are those expected or of the finished run."""
    data = files.read_bytes(path / METRICS) or b""
    mark = _read_mark(path)
    if expected is None and mark is not None:
        expected = mark["metrics"]
    if expected not in (None, files.digest(data)):
        raise _damaged_metrics(path, "it is not what was recorded")
    return data


def parse_metrics(path: Path, data: bytes) -> list[dict[str, Any]]:
    """The rows in the metrics of a directory; raises `UserError` if they are none."""
    try:
        return files.parse_json_lines(data)
    except ValueError as error:
        raise _damaged_metrics(path, str(error)) from None


def _damaged_metrics(path: Path, why: str) -> UserError:
    return UserError(
        f"{path / METRICS} is damaged ({why}): put back a copy of it, or remove "
        f"{SUMMARY} and run the same command again to compute it from a checkpoint"
    )
