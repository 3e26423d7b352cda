"""The pip commands that pipshim extends: ``cache``, ``completion``, ``debug``."""

from pip._internal.commands.cache import CacheCommand
from pip._internal.commands.completion import CompletionCommand
from pip._internal.commands.debug import DebugCommand, show_value

__all__ = ["CacheCommand", "CompletionCommand", "DebugCommand", "show_value"]
