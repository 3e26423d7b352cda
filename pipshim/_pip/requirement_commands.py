"""The bases of commands that resolve: pip's ``lock``, and what it has in common with others."""

from pip._internal.cli.req_command import RequirementCommand, with_cleanup
from pip._internal.commands.lock import LockCommand
from pip._internal.exceptions import CommandError

__all__ = ["CommandError", "LockCommand", "RequirementCommand", "with_cleanup"]
