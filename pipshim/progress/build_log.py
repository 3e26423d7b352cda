"""Write the output of builds to pip's log file."""

from __future__ import annotations

import logging
import logging.handlers
from typing import TYPE_CHECKING

from pipshim.model import events

if TYPE_CHECKING:
    from pipshim.model.events import Event


class BuildLog:
    """Writes the output of builds to pip's log file (``--log``), each line after its package.

    pip's handlers for the terminal get none of it: observers show it there.
    """

    def __init__(self) -> None:
        self._files = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.handlers.RotatingFileHandler)
        ]

    def __call__(self, event: Event, /) -> None:
        """Write a line of output, or the step that it belongs to."""
        if isinstance(event, events.BuildStarted):
            text = f"{event.name}: building {event.what} ({event.mode})"
        elif isinstance(event, events.BuildOutput):
            text = f"{event.name}: {event.line}"
        else:
            return
        record = logging.LogRecord("pipshim.build", logging.DEBUG, __file__, 0, text, None, None)
        for handler in self._files:
            handler.handle(record)
