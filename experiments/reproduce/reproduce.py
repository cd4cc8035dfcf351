"""Reproduces one figure, from its runs to a drawing and a verdict."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import arm_groups, files, outcomes, plots
from experiments.harness.messages import UserError
from experiments.reproduce import claims, listing
from experiments.reproduce.claims import Verdict
from experiments.reproduce.figure import Figure, Preset, Scale
from experiments.reproduce.runs import Runs


def reproduce(
    figure: Figure,
    scale: Scale,
    directory: Path,
    *,
    num_seeds: int | None = None,
    draw_only: bool = False,
    apart: Mapping[str, Any] | None = None,
) -> Sequence[Verdict]:
    """Runs (or continues) a figure, draws it, judges it and prints the verdicts.

    Args:
      figure: the figure.
      scale: the scale of the preset.
      directory: the directory for runs, drawing and verdict.
      num_seeds: number of seeds; by default the preset's.
      draw_only: whether to run nothing.
      apart: settings of arms that change no result, such as where data are; settings
        that an experiment lacks are left out.

    Returns:
      The verdicts.

    Raises:
      UserError: `draw_only` is set, and some runs are missing.
    """
    preset = figure.preset(scale, apart or {})
    seeds = preset.seeds(num_seeds)
    if not draw_only:
        takes = listing.describe(figure, scale, len(seeds))
        print(f"{figure.name} ({scale}): {takes}", file=sys.stderr)
        arm_groups.run(figure.family, preset.arms, seeds, directory)
    rows = list(arm_groups.rows(figure.family, preset.arms, seeds, directory))
    each = outcomes.by_run(rows)
    became = {
        run: figure.family.in_words(each[run], preset.arms[each[run][0]["arm"]])
        for run in each
    }
    outcome = outcomes.sentence(became)
    beside = dataclasses.replace(preset, num_seeds=max(len(seeds), preset.num_seeds))
    extra = _extra(figure, beside, directory, draw_only=draw_only)
    runs = Runs(rows, extra)
    verdicts = [claims.judge(claim, runs) for claim in preset.claims]
    table = figure.table(runs, preset) if figure.table else ""
    picture = directory / f"{figure.name.rpartition('/')[2]}.png"
    plots.save(figure.draw(runs, preset), picture)
    _write_verdict(figure, scale, verdicts, outcome, directory)
    _write_claims(figure, scale, verdicts, table, directory)
    if table:
        print(table)
    for verdict in verdicts:
        print(verdict.line)
    print(outcome)
    print(picture)
    return verdicts


def _extra(
    figure: Figure,
    preset: Preset,
    directory: Path,
    *,
    draw_only: bool,
) -> dict[str, Any]:
    """What is measured beside the runs, once; remove the file to measure again.

    Args:
      figure: the figure.
      preset: its scale, with the arms and the number of seeds to measure.
      directory: where the file is.
      draw_only: measure nothing.
    """
    if figure.measure is None:
        return {}
    path = directory / "measured.json"
    groups = arm_groups.groups(figure.family, preset.arms, ())
    settings = [group.digest for group in groups]
    saved = _saved_measurement(path)
    is_of_these = saved.get("settings") == settings
    if is_of_these and saved["num_seeds"] >= preset.num_seeds:
        return saved["measured"]
    if draw_only:
        which = "of other arms or seeds" if saved else "missing"
        raise UserError(f"{path} is {which}: run without --draw-only to measure it")
    measured = dict(figure.measure(preset))
    text = files.dump_json(
        {
            "settings": settings,
            "num_seeds": preset.num_seeds,
            "measured": measured,
        },
        indent=2,
    )
    files.write_atomically(path, f"{text}\n".encode())
    return measured


def _saved_measurement(path: Path) -> dict[str, Any]:
    """The saved measurements; empty if they are damaged."""
    try:
        saved = files.parse_json(files.read_bytes(path) or b"")
    except ValueError:
        return {}
    kinds = {"settings": list, "num_seeds": int, "measured": dict}
    is_right = isinstance(saved, dict) and all(
        isinstance(saved.get(name), kind) for name, kind in kinds.items()
    )
    return saved if is_right else {}


def _write_verdict(
    figure: Figure,
    scale: Scale,
    verdicts: Sequence[Verdict],
    outcome: str,
    directory: Path,
) -> None:
    """Writes the verdicts for programs to read."""
    verdict = {
        "figure": figure.name,
        "scale": scale,
        "all_hold": all(verdict.holds for verdict in verdicts),
        "outcome": outcome,
        "claims": [dataclasses.asdict(verdict) for verdict in verdicts],
    }
    text = f"{files.dump_json(verdict, indent=2)}\n"
    files.write_atomically(directory / "verdict.json", text.encode())


def _write_claims(
    figure: Figure,
    scale: Scale,
    verdicts: Sequence[Verdict],
    table: str,
    directory: Path,
) -> None:
    """Writes the verdicts for people to read."""
    parts = [
        f"# {figure.name}, {scale}",
        figure.title,
        figure.presets[scale].note,
        claims.markdown(verdicts).rstrip(),
        "Measured: the median over the seeds [lowest, highest]. After it, (2 of 3) "
        "means that one seed of three gave no number.",
        table.rstrip(),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    files.write_atomically(directory / "claims.md", text.encode())
