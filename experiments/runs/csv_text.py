"""Runs as CSV, for programs: with every digit, and empty cells for missing values."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from experiments.runs.columns import Column
from experiments.runs.reading import Run


def render(runs: Sequence[Run], columns: Sequence[Column]) -> str:
    """One line for the names of the columns, and one for each run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    for run in runs:
        writer.writerow(_cell(column.value(run)) for column in columns)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
