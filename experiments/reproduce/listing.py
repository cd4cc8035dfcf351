"""The table behind `--list`."""

from experiments.harness import arm_groups
from experiments.harness.messages import counted
from experiments.reproduce import registry
from experiments.reproduce.figure import Figure, Scale

PAPERS = {
    "lyle2025": "Lyle et al., 2025, arXiv 2507.20057",
    "kumar2024": "Kumar et al., 2024, arXiv 2310.06110",
    "nap": "Studies of this project",
}


def overview() -> str:
    """Every figure of the papers: its main claim, and the cost of each preset."""
    figures = registry.known()
    lines = ["Times are estimates from 2 cores, in proportion to"]
    lines += dict.fromkeys(f"  {figure.family.cost}" for figure in figures.values())
    for paper, title in PAPERS.items():
        lines += ["", title]
        for name, figure in figures.items():
            if name.startswith(f"{paper}/"):
                lines += [f"  {name:<28} {figure.title}", *_presets(figure)]
    return "\n".join(lines) + "\n"


def _presets(figure: Figure) -> list[str]:
    return [f"{'':31}{scale:<10}{describe(figure, scale)}" for scale in figure.presets]


def describe(figure: Figure, scale: Scale, num_seeds: int | None = None) -> str:
    """The cost of a preset: arms, seeds, updates and time."""
    preset = figure.presets[scale]
    num_seeds = num_seeds or preset.num_seeds
    updates, seconds = arm_groups.cost(figure.family, preset.arms, num_seeds)
    return (
        f"{counted(len(preset.arms), 'arm')} x {counted(num_seeds, 'seed')}, "
        f"{updates:,} updates, about {duration(seconds)}"
    )


def duration(seconds: float) -> str:
    """A time in seconds, minutes, hours, days or years."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return counted(round(minutes), "minute")
    hours = minutes / 60
    if hours < 100:
        return counted(round(hours), "hour")
    days = hours / 24
    return counted(round(days), "day") if days < 1000 else f"{days / 365:.0f} years"
