"""Prints runs as a table on a terminal."""

import shutil
import sys
from collections.abc import Sequence
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.runs.columns import OWN, Column, differing
from experiments.runs.reading import Run

STYLES = {
    "running": "green",
    "elsewhere": "green",
    "stopped": "yellow",
    "damaged": "red",
}
_WIDE = 10_000
"""Width of an output that is no terminal, so that lines stay whole."""
_ALWAYS = ("path", "state")
_FOLDED = ("path", "arm", "outcome")
_GAP = 2
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def show(
    runs: Sequence[Run],
    columns: Sequence[Column],
    *,
    stream: IO[str] | None = None,
    width: int | None = None,
) -> list[str]:
    """Prints a table without empty columns.

    Args:
      runs: the rows.
      columns: the columns from left to right.
      stream: the stream to print to; stdout by default.
      width: the width of the terminal; by default that of this terminal.

    Returns:
      The names of columns that do not fit: first settings, then metrics, each from the
      last one on.
    """
    stream = stream or sys.stdout
    if width is None:
        width = shutil.get_terminal_size().columns if stream.isatty() else _WIDE
    console = Console(file=stream, width=width, highlight=False)
    shown = [c for c in columns if c.name in _ALWAYS or any(_text(c, r) for r in runs)]
    shown = [column for column in shown if column.name != "num_updates"]
    settings = [column for column in shown if column.name in differing(runs)]
    metrics = [column for column in shown if column.name not in OWN]
    optional = [column for column in metrics if column not in settings] + settings
    left_out: list[str] = []
    while optional and sum(_width(column, runs) for column in shown) > width:
        shown.remove(optional[-1])
        left_out.insert(0, optional.pop().name)
    console.print(_table(runs, shown))
    return left_out


def _width(column: Column, runs: Sequence[Run]) -> int:
    """The least width of a column, with the gap to the next column."""
    cells = max((cell_len(_text(column, run)) for run in runs), default=0)
    if column.name in _FOLDED:
        cells = -(-cells // 2)  # into two lines
    return max(cells, cell_len(column.name)) + _GAP


def _table(runs: Sequence[Run], columns: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for column in columns:
        numeric = any(type(column.value(run)) in (int, float) for run in runs)
        table.add_column(
            Text(column.name),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column.name not in _FOLDED,
        )
    above: Run | None = None
    for run in runs:
        table.add_row(*(_cell(column, run, above) for column in columns))
        above = run
    return table


def _cell(column: Column, run: Run, above: Run | None) -> Text:
    if column.name == "path" and above is not None and above.path == run.path:
        return Text("")  # the same directory
    style = STYLES.get(run.state, "") if column.name == "state" else ""
    return Text(_text(column, run), style=style)


def _text(column: Column, run: Run) -> str:
    """A value in one printable line, because another program may have written it."""
    value: Any = column.value(run)
    if value is None:
        return ""
    if column.name == "update" and run.num_updates is not None:
        value = f"{value} of {run.num_updates}"
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in text)
