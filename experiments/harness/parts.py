"""A group in parts, for several processes or machines, gathered when all are done.

Each part has its own run directory. A part is noted before it runs, and a member
belongs to the first part that was made for it. So nothing is run twice, whatever a
later command asks for. Members of one program do not depend on each other, so the
gathered files are those that one process would have written.
"""

import contextlib
import itertools
import time
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
PATIENCE_SECONDS = 60.0
"""Longer than a gathering takes."""


def units(family: Family[Any], group: Group, directory: Path) -> list[Unit]:
    """The units to run for a group: its parts, or the group itself if it has none.

    Args:
      family: the family of its arms.
      group: the group.
      directory: the directory of its run directory and of the folder of its parts.
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
      family: the family of its arms.
      group: the group.
      directory: the directory of its run directory.
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
    """Makes one part of the members without a part, if the group has parts."""
    made = _made(family, group, directory)
    if made and _in_parts(group, made):
        with lock(directory):
            make(family, group, directory)


def gather(family: Family[Any], group: Group, directory: Path) -> bool:
    """Puts a group's finished parts together; returns whether the group is finished.

    The run directory of the group then has the files that one process would have left,
    except for checkpoints.

    Raises:
      UserError: a part is damaged or differs, or the directory is in use.
    """
    whole = arm_group.unit_in(family, group, directory)
    if arm_group.is_finished(family, whole):
        return True
    made = _made(family, group, directory)
    is_whole = _is_begun(whole) or bool(_in_parts(group, made))
    if is_whole or not all(arm_group.is_finished(family, part) for part in made):
        return False
    with lock(directory, PATIENCE_SECONDS):
        # Another process may have put them together before we got the lock.
        if not arm_group.is_finished(family, whole):
            _put_together(family, group, whole, made)
    return True


def _put_together(
    family: Family[Any], group: Group, whole: Unit, made: Sequence[Unit]
) -> None:
    _check_machines(made)
    runs = _rows(made, group)
    summaries = {part.path.name: read_summary(part.path, is_filled) for part in made}
    # The directory has at most the files of a gathering that was killed.
    files.refuse_link(whole.path / METRICS)
    (whole.path / METRICS).unlink(missing_ok=True)
    with arm_group.opened(family, whole) as run:
        if run.summary is None:
            run.restore(None)
            for rows in zip(*runs, strict=True):
                run.record(rows[0]["step"], rows)
            run.finish({GATHERED: summaries})


@contextlib.contextmanager
def lock(directory: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Keeps other processes from making and gathering parts, within the context.

    Args:
      directory: of the run directories.
      patience_seconds: for which to wait for another process.
    """
    own = directory / PARTS
    last = time.monotonic() + patience_seconds
    with own_directory.made(own), contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(own_directory.locked(own / ".lock"))
                break
            except own_directory.InUseError:
                if time.monotonic() >= last:
                    raise
                time.sleep(0.1)
        yield


def _is_begun(whole: Unit) -> bool:
    """Whether a group has begun to run as a whole; gathering does not count."""
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
            continue  # of another figure or of another version of this figure
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
    """Divides the members of a group that are in no part yet."""
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
    """The rows of each member of a group, from its parts."""
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
    """Warns if parts were run with other versions or on other devices.

    Raises:
      UserError: they were run under other settings of JAX than those now.
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
