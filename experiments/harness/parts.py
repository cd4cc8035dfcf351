"""A group in parts, for several processes or machines, gathered when all are done.

Each part is a run directory of its own. That a part was made is noted before anybody
runs it, and a member belongs to the first part that was made for it: so nothing is run
twice, whatever is asked for later. Members of one program do not depend on each other,
so that what is gathered is what one process would have written.
"""

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.harness import arm_group, environment, files, own_directory
from experiments.harness.arm_group import Group, Unit
from experiments.harness.family import Family
from experiments.harness.messages import UserError, warn
from experiments.harness.run_files import (
    CHECKPOINTS,
    CONFIG,
    GATHERED,
    METRICS,
    PARTS,
    is_filled,
    other_settings,
    read_description,
    read_rows,
    read_summary,
)

Member = tuple[str, int]


def units(family: Family[Any], group: Group, directory: Path) -> list[Unit]:
    """What has to be run for a group: its parts where it has some, else itself.

    Args:
      family: of its arms.
      group: which.
      directory: where its run directory is, and those of its parts in a folder.
    """
    whole = arm_group.unit_in(family, group, directory)
    made = _made(family, group, directory)
    stays_whole = arm_group.is_finished(family, whole) or _is_begun(whole)
    return [whole] if stays_whole or not made else made


def make(
    family: Family[Any],
    group: Group,
    directory: Path,
    *,
    num_arms: int | None = None,
    num_seeds: int | None = None,
) -> None:
    """Makes parts for the members of a group that have none.

    A group that one process has begun to run stays whole. Enter `lock` before.

    Args:
      family: of its arms.
      group: which.
      directory: where it is.
      num_arms: most arms of a part; None for all.
      num_seeds: most seeds of a part; None for all.
    """
    whole = arm_group.unit_in(family, group, directory)
    made = _made(family, group, directory)
    if _is_begun(whole) or (not made and files.is_there(whole.path / CONFIG)):
        return
    for part in _in_parts(group, made, num_arms, num_seeds):
        unit = arm_group.unit_in(family, part, directory / PARTS)
        note = files.dump_json({"arms": part.arms, "seeds": part.seeds})
        files.write_atomically(_note(unit.path), f"{note}\n".encode())


def complete(family: Family[Any], group: Group, directory: Path) -> None:
    """Makes one part of what has none, if a group has parts."""
    made = _made(family, group, directory)
    if made and _in_parts(group, made):
        with lock(directory):
            make(family, group, directory)


def gather(family: Family[Any], group: Group, directory: Path) -> bool:
    """Whether a group is finished, which it is when its parts are.

    What they hold is put together in the run directory of the group, as one process
    would have left it, but for checkpoints.

    Raises:
      UserError: something is in the way of it.
    """
    whole = arm_group.unit_in(family, group, directory)
    if arm_group.is_finished(family, whole):
        return True
    made = _made(family, group, directory)
    is_whole = _is_begun(whole) or bool(_in_parts(group, made))
    if is_whole or not all(arm_group.is_finished(family, part) for part in made):
        return False
    _check_machines(made)
    runs = _rows(made, group)
    summaries = {part.path.name: read_summary(part.path, is_filled) for part in made}
    # Nothing is there but what a gathering that was killed has left.
    files.refuse_link(whole.path / METRICS)
    (whole.path / METRICS).unlink(missing_ok=True)
    with arm_group.opened(family, whole) as run:
        if run.summary is None:
            run.restore(None)
            for rows in zip(*runs, strict=True):
                run.record(rows[0]["step"], rows)
            run.finish({GATHERED: summaries})
    return True


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """In this context no other process makes parts in a directory."""
    own = directory / PARTS
    with own_directory.made(own), own_directory.locked(own / ".lock"):
        yield


def _is_begun(whole: Unit) -> bool:
    """Whether a group is being run as a whole; while it is gathered it is not."""
    return any((whole.path / CHECKPOINTS).glob("*"))


def _made(family: Family[Any], group: Group, directory: Path) -> list[Unit]:
    """The parts that were made for members of a group, in the order of its arms."""
    found = []
    arms = files.to_json(group.arms)
    for path in (directory / PARTS).glob("*.json"):
        noted = _read_note(path)
        if noted is None or any(
            arms.get(arm) != own for arm, own in noted["arms"].items()
        ):
            continue  # of another figure or another version of this one
        part = group.part(list(noted["arms"]), noted["seeds"])
        unit = arm_group.unit_in(family, part, directory / PARTS)
        if set(part.seeds) & set(group.seeds) and _note(unit.path) == path:
            found.append(unit)
    order = list(group.arms)
    return sorted(
        found,
        key=lambda unit: (order.index(next(iter(unit.group.arms))), *unit.group.seeds),
    )


def _read_note(path: Path) -> dict[str, Any] | None:
    try:
        noted = files.parse_json(files.read_bytes(path) or b"")
        return noted if isinstance(noted["arms"], dict) and noted["seeds"] else None
    except (ValueError, TypeError, KeyError):
        return None


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _in_parts(
    group: Group,
    made: Collection[Unit],
    num_arms: int | None = None,
    num_seeds: int | None = None,
) -> list[Group]:
    """The members of a group that are in no part yet, in parts."""
    taken = {member for unit in made for member in _members(unit.group)}
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for arm in group.arms:
        seeds = tuple(seed for seed in group.seeds if (arm, seed) not in taken)
        if seeds:
            by_seeds.setdefault(seeds, []).append(arm)
    return [
        group.part(arms, seeds)
        for all_seeds, all_arms in by_seeds.items()
        for arms in _batches(all_arms, num_arms)
        for seeds in _batches(all_seeds, num_seeds)
    ]


def _batches(items: Sequence[Any], size: int | None) -> list[Sequence[Any]]:
    size = size or len(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _members(group: Group) -> list[Member]:
    return [(member["arm"], member["seed"]) for member in group.members]


def _rows(made: Sequence[Unit], group: Group) -> list[list[dict[str, Any]]]:
    """The rows of each member of a group, out of its parts."""
    rows: dict[Member, list[dict[str, Any]]] = {}
    for unit in made:
        for row in read_rows(unit.path):
            rows.setdefault((row["arm"], row["seed"]), []).append(row)
        own = [[row["step"] for row in rows.get(m, ())] for m in _members(unit.group)]
        first = [row["step"] for row in rows.get(_members(made[0].group)[0], ())]
        if any(steps != first for steps in own):
            raise UserError(
                f"{unit.path} has other steps than {made[0].path}: remove the one "
                "that is wrong, and run the same command again"
            )
    return [rows[member] for member in _members(group)]


def _check_machines(made: Sequence[Unit]) -> None:
    """Says where parts were run with other versions or on other devices.

    Raises:
      UserError: they were run under other settings of JAX than are set now.
    """
    for unit in made:
        if others := ", ".join(other_settings(unit.path)):
            raise UserError(
                f"{unit.path} was run under other settings of JAX: {others}; set them "
                "as they are there to put the parts together"
            )
    saved = [read_description(unit.path / CONFIG) or {} for unit in made]
    machines = [files.to_json(own.get("environment") or {}) for own in saved]
    differ = dict.fromkeys(
        f"{name} is {one} and {other}"
        for before, after in itertools.pairwise(machines)
        for name, one, other in environment.differences(before, after)
    )
    if differ:
        warn(f"parts differ, and so may their last bits: {', '.join(differ)}")
