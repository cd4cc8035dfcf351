"""Checks that a run fits into memory before it takes any.

The least memory of a run is estimated from its settings. So a run that fits is never
refused, and a run that is refused would have been killed without a message, or would
have read a file from the disk all the time that should stay in memory. If a machine
does not report its memory, nothing is checked. Like `harness.family`, this module
imports jax only when it needs the devices.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.harness.messages import UserError

_GIGABYTE = 1e9
_NO_LIMIT = 2**60  # cgroups v1 reports more than this for no limit


class Needs(NamedTuple):
    """Least memory of a run, in bytes.

    It is that of the devices, unless a field says otherwise.
    """

    shared: int = 0
    """Bytes that all members share, such as data."""
    member: int = 0
    """Bytes of each member's state, such as its parameters, from start to end."""
    step: int = 0
    """Bytes of a member while it is computed, such as its activations."""
    host_shared: int = 0
    """Bytes of the host that all members share, such as decoded data."""
    host_member: int = 0
    """Bytes of the host for each member, such as a file that it keeps reading."""
    has_convolutions: bool = False
    """Whether a step convolves: see `harness.backend`."""
    on_one_device: bool = False
    """Whether all members are on the first device, and not divided among all."""


def require(needs: Needs, num_members: int = 1) -> None:
    """Raises `UserError` if the members of one program do not fit.

    Args:
      needs: the needs of one member.
      num_members: number of members.
    """
    at_once = _at_once(num_members, needs.has_convolutions)
    parts = {
        "data": needs.shared,
        "the state": num_members * needs.member,
        "an update": at_once * needs.step,
    }
    on_host = {
        "data on the host": needs.host_shared,
        "files that are kept in memory": num_members * needs.host_member,
    }
    there = available(on_one_device=needs.on_one_device)
    if _is_cpu():  # whose memory is the host's
        _require("memory", parts | on_host, there, num_members)
    else:
        _require("the devices' memory", parts, there, num_members)
        _require("the host's memory", on_host, available_on_host(), num_members)


def _require(
    what: str, parts: Mapping[str, int], there: int | None, num_members: int
) -> None:
    total = sum(parts.values())
    if there is None or total <= there:
        return
    listed = ", ".join(
        f"{_gb(size)} for {name}" for name, size in parts.items() if size
    )
    members = f" of {num_members} members" if num_members > 1 else ""
    raise UserError(
        f"this run{members} needs at least {_gb(total)} of {what} ({listed}), and "
        f"{_gb(there)} are available: ask for fewer or smaller ones"
    )


def available(*, on_one_device: bool = False) -> int | None:
    """Bytes that arrays may take on the devices together; None if unknown.

    Args:
      on_one_device: to ask for the first device alone.
    """
    import jax

    if _is_cpu():
        return available_on_host()
    devices = jax.devices()[: 1 if on_one_device else None]
    try:
        stats = [device.memory_stats() or {} for device in devices]
    except jax.errors.JaxRuntimeError:  # a platform need not report it
        return None
    limits = [own.get("bytes_limit") for own in stats]
    known = [limit for limit in limits if limit]
    return sum(known) if len(known) == len(devices) else None


def available_on_host() -> int | None:
    """Bytes that a process may take on the host; None if unknown."""
    return min(_host_limits(), default=None)


def _is_cpu() -> bool:
    import jax

    return jax.devices()[0].platform == "cpu"


def _at_once(num_members: int, has_convolutions: bool) -> int:
    from experiments.harness import backend

    at_once = backend.members_at_once(has_convolutions=has_convolutions)
    return num_members if at_once else 1


def _host_limits() -> Iterator[int]:
    """The free memory and swap of the machine, and the limits of a container."""
    meminfo = _read("/proc/meminfo")
    free = [
        1024 * int(line.split()[1])
        for line in meminfo.splitlines()
        if line.startswith(("MemAvailable:", "SwapFree:"))
    ]
    if "MemAvailable:" in meminfo:
        yield sum(free)
    for line in _read("/proc/self/cgroup").splitlines():
        controllers, path = line.split(":", 2)[1:]
        if controllers == "":
            yield from _cgroup_limits(Path("/sys/fs/cgroup"), path, "memory.max")
        elif "memory" in controllers.split(","):
            folder = Path("/sys/fs/cgroup/memory")
            yield from _cgroup_limits(folder, path, "memory.limit_in_bytes")


def _cgroup_limits(root: Path, path: str, name: str) -> Iterator[int]:
    """Limits of a cgroup and of its parents; inside a container, of the root."""
    folder = root / path.strip("/")
    for parent in (folder, *folder.parents):
        text = _read(parent / name).strip()
        if text.isdigit() and int(text) < _NO_LIMIT:
            yield int(text)
        if parent == root:
            return


def _read(path: str | Path) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text()
    return ""


def _gb(size: int) -> str:
    return f"{size / _GIGABYTE:,.1f} GB"
