"""``[tool.pipshim.sources]``: where distributions come from instead of pip's indexes.

The keys are those of uv's table of this name. A source counts for what the project requires by that
name, and for whoever else requires it; other versions than those that are asked for stay an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.markers import Marker
    from packaging.utils import NormalizedName


@dataclass(frozen=True)
class PackageSource:
    """Where one distribution comes from; one of `path`, `url`, `index` and `workspace` is set.

    Attributes:
        path: a folder or file, relative to pyproject.toml's.
        url: what pip takes behind ``@`` (``git+https://…@main``).
        index: the name of the index that it comes from.
        workspace: it is a member of the workspace.
        editable: installed as a link to its folder.
        marker: where the entry applies; None means everywhere.

    """

    path: str | None = None
    url: str | None = None
    index: str | None = None
    workspace: bool = False
    editable: bool = False
    marker: Marker | None = None

    def applies_to(self, markers: Mapping[str, str]) -> bool:
        """Whether the entry applies to a target."""
        return self.marker is None or self.marker.evaluate(dict(markers))

    def link(self, directory: Path) -> str:
        """Give the URL of a path or URL.

        Args:
            directory: pyproject.toml's.

        """
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Give a path as an absolute one."""
        return (directory / Path(self.path or ".").expanduser()).resolve()


PackageSources = dict["NormalizedName", tuple[PackageSource, ...]]
"""The entries of each package; at most one of them applies to a target."""


def sources_for(
    sources: Mapping[NormalizedName, tuple[PackageSource, ...]],
    markers: Mapping[str, str],
    pyproject: Path,
) -> dict[NormalizedName, PackageSource]:
    """Return the entry of each package that applies to a target.

    Raises:
        ProjectError: two entries of a package apply.

    """
    chosen = {}
    for name, entries in sources.items():
        applying = [entry for entry in entries if entry.applies_to(markers)]
        if len(applying) > 1:
            first, second = (
                "no marker" if entry.marker is None else f'marker "{entry.marker}"'
                for entry in applying[:2]
            )
            raise ProjectError(
                pyproject,
                f"tool.pipshim.sources.{name}: two entries apply to "
                f"{markers['sys_platform']} {markers['platform_machine']} "
                f"with Python {markers['python_version']}: {first}, and {second}",
                hint="give the entries markers that exclude each other",
            )
        if applying:
            chosen[name] = applying[0]
    return chosen
