"""One figure from its runs to a drawing and a verdict."""

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
      figure: which.
      scale: which preset.
      directory: where runs, drawing and verdict go.
      num_seeds: instead of the preset's.
      draw_only: run nothing.
      apart: settings of arms that change no result, such as where data are; those
        that its experiment lacks are left out.

    Returns:
      The verdicts.

    Raises:
      UserError: `draw_only`, and something has not been run.
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
    runs = Runs(rows, _extra(figure, preset, directory, draw_only=draw_only))
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
    figure: Figure, preset: Preset, directory: Path, *, draw_only: bool
) -> dict[str, Any]:
    """What is measured beside the runs, once; remove the file to measure again."""
    if figure.measure is None:
        return {}
    path = directory / "measured.json"
    of = list(preset.arms)
    saved = _saved_measurement(path)
    if saved.get("of") == of:  # else it is of other arms, of a version before
        return saved["measured"]
    if draw_only:
        raise UserError(f"{path} is missing: run without --draw-only to measure it")
    measured = dict(figure.measure(preset))
    text = files.dump_json({"of": of, "measured": measured}, indent=2)
    files.write_atomically(path, f"{text}\n".encode())
    return measured


def _saved_measurement(path: Path) -> dict[str, Any]:
    """What was measured before; nothing if it is not as it was written."""
    try:
        saved = files.parse_json(files.read_bytes(path) or b"")
    except ValueError:
        return {}
    is_right = isinstance(saved, dict) and isinstance(saved.get("measured"), dict)
    return saved if is_right else {}


def _write_verdict(
    figure: Figure,
    scale: Scale,
    verdicts: Sequence[Verdict],
    outcome: str,
    directory: Path,
) -> None:
    """Writes what programs read."""
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
    """Writes what people read."""
    parts = [
        f"# {figure.name}, {scale}",
        figure.title,
        figure.presets[scale].note,
        claims.markdown(verdicts).rstrip(),
        "Measured: the median over the seeds [lowest, highest].",
        table.rstrip(),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    files.write_atomically(directory / "claims.md", text.encode())
