"""What a run was computed with: versions, commit and devices.

XLA chooses its programs by version, device and number of threads, and they round
differently: a run that continues elsewhere is right, but its last bits may differ.
"""

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "optax", "flax", "numpy")


def describe() -> dict[str, Any]:
    """Versions, commit of the checkout and a fingerprint of the devices, as JSON."""
    import jax

    device = jax.devices()[0]
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "git_commit": _git_commit(),
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cpu_cores": _available_cores(),
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
        },
    }


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yields (dotted name, old value, new value) where two nested mappings differ.

    A name that one side lacks has the value None there.
    """
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield prefix + key, before, after


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _available_cores() -> int:
    """Cores this process may use, which is what XLA's thread pool follows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git_commit() -> str | None:
    """The commit of the checkout, with "-dirty" if files differ; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
