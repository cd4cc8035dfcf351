"""`python -m experiments.detectors`: from flags to tables, a figure and results."""

import sys
import time
from pathlib import Path

from experiments.detectors.config import Config
from experiments.harness.command_line import parse, run
from experiments.harness.messages import UserError

FLOATS = 20
"""Number of floats in memory for each update of a stream, over all kinds."""
PROG = "python -m experiments.detectors"


def main() -> None:
    """Simulates, trains, measures and draws."""
    study(parse(Config, prog=PROG))


def study(config: Config) -> None:
    """Runs the study of one config and prints its tables."""
    from experiments.harness import backend, memory

    backend.require_platform()
    streams_bytes = FLOATS * 8 * config.num_streams * config.num_updates
    memory.require(memory.Needs(shared=streams_bytes))
    from experiments.detectors import methods
    from experiments.harness import own_directory

    if config.peers:
        methods.peers()  # says at once if one is missing
    path, picture = (
        config.output_directory / name for name in ("results.json", "detectors.png")
    )
    with own_directory.made(path.parent), own_directory.locked(path.parent / ".lock"):
        _refuse_others(path, picture)
        _measure(config, path, picture)


def _measure(config: Config, path: Path, picture: Path) -> None:
    """Measures, stores the results and prints them."""
    from experiments.detectors import curves, figures, streams, tables
    from experiments.detectors import study as measure
    from experiments.harness import files, outcomes

    started = time.perf_counter()
    simulated = streams.simulate(
        config.num_streams, config.num_updates, config.change_step, config.seed
    )
    real = {}
    if config.num_curves:
        _say("training grokking runs", started)
        real = curves.record(config.num_curves, config.curve_updates, config.seed)
    _say("measuring", started)
    results = measure.run(config, simulated, real)
    formulas = {name: kind.formula for name, kind in {**simulated, **real}.items()}
    _say("done", started)
    outcome = outcomes.sentence(curves.in_words(real))
    record = {"config": vars(config), "formulas": formulas, "outcome": outcome}
    record |= results
    files.write_atomically(path, (files.dump_json(record, indent=1) + "\n").encode())
    figures.draw(simulated, results, picture)
    print(tables.markdown(results))
    if real:
        print(outcome)
    print(picture)


def _refuse_others(path: Path, picture: Path) -> None:
    """Refuses an output that cannot be written or is not of this study.

    The study takes hours, so it checks first.
    """
    from experiments.harness import files

    for file in (path, picture):
        files.refuse_link(file)
    try:
        found = files.parse_json(files.read_bytes(path) or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or (found and "formulas" not in found):
        raise UserError(f"{path} is not of this study: name another --output-directory")


def _say(what: str, started: float) -> None:
    print(f"{time.perf_counter() - started:6.1f} s: {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run(main))
