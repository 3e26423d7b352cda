"""Suggest the nearest known word for a misspelt one."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like another, ignoring case."""
    return max(known, key=lambda each: SequenceMatcher(None, word.lower(), each).ratio())
