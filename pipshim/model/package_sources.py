"""``[tool.pipshim.sources]``: where distributions come from instead of pip's indexes.

The keys are those of uv's table. A source applies to the name wherever it is required; a version
that does not fit a requirement is still an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base import toml_values
from pipshim.base.errors import ProjectError
from pipshim.model.combinations import as_entry, named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from packaging.markers import Marker
    from packaging.utils import NormalizedName

    from pipshim.model.settings import Configuration


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


def sources_for(
    configuration: Configuration,
    markers: Mapping[str, str],
    pyproject: Path,
    chosen: Collection[str] = (),
) -> dict[NormalizedName, PackageSource]:
    """Return the entry of each package that applies to a target, with these extras and groups.

    Raises:
        ProjectError: two entries of a package apply.

    """
    found = {}
    for name, entries in configuration.sources.items():
        applying = [entry for entry in entries if entry.applies_to(markers, chosen)]
        if len(applying) > 1:
            raise _ambiguous(name, applying, markers, pyproject, configuration.conflicts)
        if applying:
            found[name] = applying[0]
    return found


def _ambiguous(
    name: NormalizedName,
    entries: Sequence[PackageSource],
    markers: Mapping[str, str],
    pyproject: Path,
    conflicts: Sequence[Sequence[str]],
) -> ProjectError:
    first, second = entries[:2]
    origins = [one.origin for one in (first, second) if one.origin is not None]
    hint = "give the entries markers that exclude each other"
    both = ""
    if len(set(origins)) > 1:
        both = f", {' and '.join(map(named, origins))}"
        sets = [[as_entry(origin) for origin in each] for each in (*conflicts, origins)]
        hint = (
            "if they are never installed together, say so under [tool.pipshim]:\n"
            f"    conflicts = {toml_values.inline(sets)}"
        )
    return ProjectError(
        pyproject,
        f"tool.pipshim.sources.{name}: two entries apply to "
        f"{markers['sys_platform']} {markers['platform_machine']} "
        f"with Python {markers['python_version']}{both}: {first.condition}, and {second.condition}",
        hint=hint,
    )
