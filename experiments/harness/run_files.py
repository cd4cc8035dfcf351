"""Reads the files of a run directory without a lock, for runs and for others.

A file that is out of reach ends the command; see `docs/reliability.md`.
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
# Data too large for a checkpoint.
ARRAYS = "arrays"
# A group in parts has them in this folder beside it, and lists them in its summary.
PARTS, GATHERED = "parts", "gathered"
# Written before the summary: digests of the summary and of the metrics.
FINISHED = "finished.json"
MARK, SETTINGS, ABOUT = "run_directory_version", "jax_settings", "about"
VERSION = 1


def is_filled(summary: Any) -> bool:
    """Whether a summary is not empty, the check for any family."""
    return isinstance(summary, dict | list) and bool(summary)


def default_path(experiment: str, config: Any, ignored: Collection[str]) -> Path:
    """The path runs/<experiment>/<digest of the settings>, equal for equal settings."""
    text = files.dump_json(files.to_json(settings(config, ignored)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Path("runs") / experiment / digest[:10]


def is_finished(path: Path, summary_fits: Callable[[Any], bool] = is_filled) -> bool:
    """Whether a directory holds a finished run.

    Raises:
      UserError: A file that tells is out of reach.
    """
    return read_summary(path, summary_fits) is not None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The metrics in a directory, in the order of the steps.

    Raises:
      UserError: They are out of reach or damaged.
    """
    return parse_metrics(path, read_metrics(path))


def read_config(path: Path) -> dict[str, Any] | None:
    """The config that a directory was made for, if it is a run directory."""
    saved = read_description(path / CONFIG)
    return saved["config"] if saved else None


def other_settings(path: Path) -> list[str]:
    """The differences, in words, between the settings of JAX of a run and those now.

    Nothing if they are alike, if there is no run, or if an old run did not record them.
    """
    saved = read_description(path / CONFIG)
    return differing_settings(saved) if saved else []


def differing_settings(saved: Mapping[str, Any]) -> list[str]:
    """The result of `other_settings` for a description that was read."""
    here = environment.decisive_settings()
    there = saved.get(SETTINGS, {})
    # Settings that one version of JAX lacks cannot be compared.
    return [
        f"{name} is {there[name]} there and {now} here"
        for name, now in here.items()
        if there.get(name, now) != now
    ]


def read_description(path: Path) -> dict[str, Any] | None:
    """The contents of a `config.json` of this program, else None.

    Raises:
      UserError: It is out of reach, of a newer version, or incomplete.
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
    """The summary of a finished run; None if it is missing or damaged."""
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
    """The digests of a finished run; None if they are missing or damaged."""
    try:
        mark = files.unseal(files.read_bytes(path / FINISHED) or b"")
    except ValueError:
        return None
    return mark if {"summary", "metrics"} <= set(mark) else None


def read_metrics(path: Path, expected: str | None = None) -> bytes:
    """The bytes of the metrics, checked by the expected or the finished digest."""
    data = files.read_bytes(path / METRICS) or b""
    mark = _read_mark(path)
    if expected is None and mark is not None:
        expected = mark["metrics"]
    if expected not in (None, files.digest(data)):
        raise _damaged_metrics(path, "it is not what was recorded")
    return data


def parse_metrics(path: Path, data: bytes) -> list[dict[str, Any]]:
    """The rows in the metrics of a directory; raises `UserError` if damaged."""
    try:
        return files.parse_json_lines(data)
    except ValueError as error:
        raise _damaged_metrics(path, str(error)) from None


def _damaged_metrics(path: Path, why: str) -> UserError:
    return UserError(
        f"{path / METRICS} is damaged ({why}): put back a copy of it, or remove "
        f"{SUMMARY} and run the same command again to compute it from a checkpoint"
    )
