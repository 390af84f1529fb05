"""Checks the emulator's functions that the lab wraps or replaces, so that a newer emulator fails at its start and not later."""

from __future__ import annotations

import inspect
from typing import Any, Callable


def taking(function: Callable[..., Any], *parameters: str) -> Callable[..., Any]:
    """Returns the function if it takes these parameters."""
    found = tuple(inspect.signature(function).parameters)
    if found != parameters:
        raise RuntimeError(f"this emulator's {function.__name__} takes other parameters: {', '.join(found)}")
    return function
