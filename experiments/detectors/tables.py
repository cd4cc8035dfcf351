"""Tables of the results, in Markdown."""

from collections.abc import Mapping
from typing import Any

from experiments.detectors.study import Table


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of the results."""
    return "\n".join(
        [
            "Streams with no alarm before the change and exactly one after it, false "
            "alarms per 1000 updates, median delay in updates (quartiles):",
            "",
            *_scores_table("streams", results["table"]),
            "",
            *_scores_table('direction="both"', results["both_directions"]),
            "",
            _row("cusum, but", "right", "with a false alarm", "kinds below 90 %"),
            _row(*["---"] * 4),
            *(
                _row(
                    label,
                    f"{entry['share_right']:.1%}",
                    f"{entry['share_false']:.1%}",
                    ", ".join(entry["kinds_below_90_percent"]) or "none",
                )
                for label, entry in results["ablations"].items()
            ),
        ]
    )


def _scores_table(title: str, table: Table) -> list[str]:
    labels = list(next(iter(table.values())))
    return [
        _row(title, *labels),
        _row(*["---"] * (len(labels) + 1)),
        *(
            _row(name, *(_cell(row[label]) for label in labels))
            for name, row in table.items()
        ),
    ]


def _cell(entry: Mapping[str, Any]) -> str:
    delay = entry["delay_updates"]
    low, median, high = (f"{value:.0f}" for value in delay or (0, 0, 0))
    late = f"{median} ({low} to {high})" if delay else "none"
    return f"{entry['share_right']:.0%}, {entry['false_per_1000_updates']:.3g}, {late}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
