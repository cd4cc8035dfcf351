"""The names of the trackers, and the check that they are installed."""

import importlib.util
from collections.abc import Collection
from typing import Literal

from experiments.harness.messages import UserError

Name = Literal["tensorboard", "wandb"]
"""Name of a module here, of an extra of `pyproject.toml` and of a run's directory."""
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""The package that each tracker imports."""


def require(names: Collection[str]) -> None:
    """Raises `UserError` unless the packages of trackers are installed."""
    for name in names:
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise UserError(
                f"{name} needs the package {PACKAGES[name]}, which is not installed: "
                f"pip install -e '.[{name}]'"
            )
