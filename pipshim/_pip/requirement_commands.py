"""pip's ``lock``, and the base of its commands that resolve requirements."""

from pip._internal.cli.req_command import RequirementCommand, with_cleanup
from pip._internal.commands.lock import LockCommand
from pip._internal.exceptions import CommandError

__all__ = ["CommandError", "LockCommand", "RequirementCommand", "with_cleanup"]
