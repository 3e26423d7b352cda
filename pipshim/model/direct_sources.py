"""``[tool.pipshim.sources]``: where a project's dependencies come from instead of an index.

The keys are those of uv's table of this name. A source counts for what the project requires by that
name, and for whoever else requires it; other versions than those that are asked for stay an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DirectSource:
    """Where one distribution comes from.

    Attributes:
        path: a folder or file, relative to pyproject.toml's; None for a URL.
        url: what pip takes behind ``@`` (``git+https://…@main``); None for a path.
        editable: installed as a link to its folder.

    """

    path: str | None = None
    url: str | None = None
    editable: bool = False

    def link(self, directory: Path) -> str:
        """Give the URL, of a path too.

        Args:
            directory: pyproject.toml's.

        """
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Give a path as an absolute one."""
        return (directory / Path(self.path or ".").expanduser()).resolve()
