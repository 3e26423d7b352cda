"""Decide in which index each package is looked up.

A package that ``sources`` sends to an index is looked up only there. An explicit index serves no
other package. All other indexes are equal, like those of pip's options.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from pipshim.base import toml_files
from pipshim.base.errors import ProjectError
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.combinations import as_entry, named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

    from pipshim.model.package_sources import Index, Limit, PackageSource
    from pipshim.model.settings import Configuration


@dataclass(frozen=True)
class Locations:
    """Where files are looked for, in pip's terms: indexes, and pages or folders of links."""

    index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexRoutes:
    """Which package is looked up where.

    Attributes:
        packages: the packages that come from one index alone.
        no_index: use only pages and folders of links (``--no-index``).
        limits: packages with an upload limit of their own.
        without_default: pip's ``--index-url`` overrides the default index.

    """

    indexes: tuple[Index, ...] = ()
    packages: Mapping[NormalizedName, Index] = field(default_factory=dict)
    no_index: bool = False
    limits: Mapping[NormalizedName, Limit] = field(default_factory=dict)
    without_default: bool = False

    def locations(self, name: NormalizedName, given: Locations) -> Locations:
        """Return where a package is looked up.

        Args:
            given: what pip's own options say.

        """
        index = self.packages.get(name)
        return self._of([index]) if index is not None else self.shared(given)

    def limit(self, name: NormalizedName, url: str) -> Limit | None:
        """Return the upload limit for a package on an index, if it is not the general one."""
        if name in self.limits:
            return self.limits[name]
        return next((index.exclude_newer for index in self.indexes if index.url == url), None)

    def shared(self, given: Locations) -> Locations:
        """Return where packages without an index of their own are looked up."""
        open_to_all = [index for index in self.indexes if not index.explicit]
        default = [index for index in open_to_all if index.default and not self.without_default]
        others = self._of(index for index in open_to_all if not index.default)
        first = self._of(default).index_urls if default else given.index_urls[:1]
        return Locations(
            tuple(dict.fromkeys((*others.index_urls, *first, *given.index_urls[1:]))),
            tuple(
                dict.fromkeys(
                    (*others.find_links, *self._of(default).find_links, *given.find_links)
                )
            ),
        )

    def _of(self, indexes: Iterable[Index]) -> Locations:
        known = list(indexes)
        return Locations(
            tuple(index.url for index in known if index.format == "simple" and not self.no_index),
            tuple(index.url for index in known if index.format == "flat"),
        )


def routes_of(
    configuration: Configuration,
    pyproject: Path,
    markers: Mapping[str, str],
    environ: Mapping[str, str],
    chosen: Collection[str] = (),
) -> IndexRoutes:
    """Return where a project's packages are looked up for a target.

    Args:
        pyproject: its file.
        markers: the target's.
        environ: may have the indexes' credentials.
        chosen: the selected extras and groups of sources.

    Raises:
        ProjectError: two sources of a package apply to the target.

    """
    by_name = {
        index.name: index.located(pyproject.parent).with_credentials(environ)
        for index in configuration.index
    }
    found = sources_for(configuration, markers, pyproject, chosen)
    return IndexRoutes(
        tuple(by_name.values()),
        {name: by_name[source.index] for name, source in found.items() if source.index},
        limits=configuration.exclude_newer_package,
    )


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
            f"    conflicts = {toml_files.inline(sets)}"
        )
    return ProjectError(
        pyproject,
        f"tool.pipshim.sources.{name}: two entries apply to "
        f"{markers['sys_platform']} {markers['platform_machine']} "
        f"with Python {markers['python_version']}{both}: {first.condition}, and {second.condition}",
        hint=hint,
    )
