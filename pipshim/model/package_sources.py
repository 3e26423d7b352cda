"""``[tool.pipshim.sources]``: where distributions come from instead of pip's indexes.

The keys are those of uv's table. A source applies to the name wherever it is required; a version
that does not fit a requirement is still an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.combinations import named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
        origin: the extra or group that it applies with (``extra cpu``); None means always.

    """

    path: str | None = None
    url: str | None = None
    index: str | None = None
    workspace: bool = False
    editable: bool = False
    marker: Marker | None = None
    origin: str | None = None

    def applies_to(self, markers: Mapping[str, str], chosen: Collection[str] = ()) -> bool:
        """Return whether the entry applies to a target, with these extras and groups."""
        if self.origin is not None and self.origin not in chosen:
            return False
        return self.marker is None or self.marker.evaluate(dict(markers))

    @property
    def condition(self) -> str:
        """Describe where the entry applies."""
        parts = [named(self.origin)] if self.origin is not None else []
        parts += [f"marker '{self.marker}'"] if self.marker is not None else []
        return " and ".join(parts) or "no marker"

    def link(self, directory: Path) -> str:
        """Return the URL of a path (relative to `directory`) or URL."""
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Return the absolute path."""
        return (directory / Path(self.path or ".").expanduser()).resolve()


PackageSources = dict["NormalizedName", tuple[PackageSource, ...]]
"""The entries of each package; at most one of them applies to a target."""
