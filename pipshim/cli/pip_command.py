"""pip's part of a request: its command object, and what its parser stored."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from optparse import Values

    from pipshim._pip.requirement_commands import RequirementCommand
    from pipshim.base.masking import Mask
    from pipshim.model.requests import LockOptions


@dataclass(frozen=True)
class PipCommand:
    """pip's part of a request.

    Attributes:
        command: the command, which has the session and the temporary folders.
        options: what pip's parser stored; ``build_isolation`` combines variables, files and the
            command line, without pyproject.toml.

    """

    command: RequirementCommand
    options: Values
    mask: Mask

    def giving(self, given: LockOptions) -> PipCommand:
        """Return the same with other requirements."""
        options = copy(self.options)
        options.requirements = list(given.requirement_files)
        options.requirements_from_scripts = list(given.scripts)
        options.editables = list(given.editables)
        options.dependency_groups = []
        return replace(self, options=options)
