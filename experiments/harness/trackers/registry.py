"""The trackers there are, and whether they are installed."""

import importlib.util
from collections.abc import Collection
from typing import Literal

from experiments.harness.messages import UserError

Name = Literal["tensorboard", "wandb"]
"""A module here, an extra of `pyproject.toml`, and a directory of a run."""
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""What each imports."""


def require(names: Collection[str]) -> None:
    """Raises `UserError` unless what trackers import is installed."""
    for name in names:
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise UserError(
                f"{name} needs the package {PACKAGES[name]}, which is not installed: "
                f"pip install -e '.[{name}]'"
            )
