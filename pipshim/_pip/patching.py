"""Putting something else in the place of what a module of pip's calls by a global name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@contextmanager
def replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Let a module's global name mean something else for a while."""
    names = vars(module)
    before = names[name]
    names[name] = value
    try:
        yield
    finally:
        names[name] = before
