"""What a fixture that serves many tests must make."""

from __future__ import annotations

from typing import Any

import pytest


def selected(request: pytest.FixtureRequest, test: str) -> list[dict[str, Any]]:
    """The parameters of a test, for each time that this run has selected it."""
    return [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test
    ]
