"""Drop log messages that a repeated piece of work logs again."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class RepeatFilter(logging.Filter):
    """Drops messages that were shown before.

    Attributes:
        again: whether what was shown before is dropped.

    """

    def __init__(self) -> None:
        super().__init__()
        self.again = False
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = f"{record.name} {record.getMessage()}"
        if self.again and text in self._shown:
            return False
        self._shown.add(text)
        return True


@contextmanager
def shown_once() -> Iterator[RepeatFilter]:
    """Filter the messages of all log handlers; drop repeated ones once `again` is set."""
    once = RepeatFilter()
    handlers = [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(once)
    try:
        yield once
    finally:
        for handler in handlers:
            handler.removeFilter(once)
