"""The table behind `--list`."""

from experiments.harness import arm_groups
from experiments.reproduce import registry
from experiments.reproduce.catalogue import PAPERS
from experiments.reproduce.figure import Figure, Scale


def overview() -> str:
    """Every figure of the papers: what it claims, and what each preset takes."""
    figures, not_built = registry.known(), registry.not_built()
    lines = ["Times are estimates from 2 cores, in proportion to"]
    lines += dict.fromkeys(f"  {figure.family.cost}" for figure in figures.values())
    for paper, title in PAPERS.items():
        lines += ["", title]
        names = {
            name for name in (*figures, *not_built) if name.startswith(f"{paper}/")
        }
        for name in sorted(names, key=registry.natural):
            figure = figures.get(name)
            lines.append(f"  {name:<23} {figure.title if figure else not_built[name]}")
            lines += _presets(figure) if figure else [f"{'':26}not built yet"]
    return "\n".join(lines) + "\n"


def _presets(figure: Figure) -> list[str]:
    return [f"{'':26}{scale:<10}{describe(figure, scale)}" for scale in figure.presets]


def describe(figure: Figure, scale: Scale, num_seeds: int | None = None) -> str:
    """What a preset takes: arms, seeds, updates and time."""
    preset = figure.presets[scale]
    num_seeds = num_seeds or preset.num_seeds
    updates, seconds = arm_groups.cost(figure.family, preset.arms, num_seeds)
    return (
        f"{counted(len(preset.arms), 'arm')} x {counted(num_seeds, 'seed')}, "
        f"{updates:,} updates, about {duration(seconds)}"
    )


def counted(number: int, noun: str) -> str:
    """One arm, two arms."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as a reader takes them."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes:.0f} minutes"
    hours = minutes / 60
    return f"{hours:.0f} hours" if hours < 100 else f"{hours / 24:.0f} days"
