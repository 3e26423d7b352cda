"""``[[tool.pipshim.index]]``: named indexes, and which packages come from which of them.

The keys are those of uv's table of this name. A package that ``sources`` sends to an index is
looked up there and nowhere else, whoever requires it. An explicit index serves no other package.
All other indexes are equals, as those of pip's options are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pipshim.model.package_sources import sources_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from pipshim.model.package_sources import PackageSource


@dataclass(frozen=True)
class Index:
    """A named index.

    Attributes:
        url: its address, or the path of a folder.
        explicit: it serves only the packages that ``sources`` sends here.
        default: it takes the place of pip's ``--index-url``.
        format: ``simple`` (PEP 503, PEP 691), or ``flat``: one page or folder of links, as
            ``--find-links`` takes.

    """

    name: str
    url: str
    explicit: bool = False
    default: bool = False
    format: Literal["simple", "flat"] = "simple"

    def located(self, directory: Path) -> Index:
        """Return the index with an absolute URL.

        Args:
            directory: pyproject.toml's, which a path is relative to.

        """
        if "://" in self.url or self.url.startswith("file:"):
            return self
        return replace(self, url=(directory / Path(self.url).expanduser()).resolve().as_uri())

    def with_credentials(self, environ: Mapping[str, str]) -> Index:
        """Return the index with the credentials that ``PIPSHIM_INDEX_NAME_USERNAME`` … give."""
        variable = credentials_variable(self.name)
        user = environ.get(f"{variable}_USERNAME", "")
        password = environ.get(f"{variable}_PASSWORD", "")
        parts = urlsplit(self.url)
        if not (user or password) or not parts.hostname:
            return self
        host = parts.netloc.rpartition("@")[2]
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return replace(self, url=urlunsplit(parts._replace(netloc=login + host)))


def credentials_variable(name: str) -> str:
    """Return how the variables with an index's credentials begin."""
    return "PIPSHIM_INDEX_" + "".join(
        letter if letter.isalnum() else "_" for letter in name.upper()
    )


@dataclass(frozen=True)
class Locations:
    """Where files are looked for, in pip's terms.

    Attributes:
        index_urls: indexes.
        find_links: pages and folders of links.

    """

    index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexRoutes:
    """Which package is looked up where.

    Attributes:
        indexes: all named indexes.
        packages: the packages that come from one index alone.
        no_index: only pages and folders of links are looked at (``--no-index``).
        without_default: pip's ``--index-url`` counts although an index is the default one.

    """

    indexes: tuple[Index, ...] = ()
    packages: Mapping[NormalizedName, Index] = field(default_factory=dict)
    no_index: bool = False
    without_default: bool = False

    def locations(self, name: NormalizedName, given: Locations) -> Locations:
        """Return where a package is looked up.

        Args:
            name: the package.
            given: what pip's own options say.

        """
        index = self.packages.get(name)
        return self._of([index]) if index is not None else self.shared(given)

    def shared(self, given: Locations) -> Locations:
        """Return where packages that have no index of their own are looked up."""
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
    indexes: Iterable[Index],
    sources: Mapping[NormalizedName, tuple[PackageSource, ...]],
    pyproject: Path,
    markers: Mapping[str, str],
    environ: Mapping[str, str],
) -> IndexRoutes:
    """Return where a project's packages are looked up for a target.

    Args:
        indexes: the project's, as they are written.
        sources: the project's.
        pyproject: the file that both are from.
        markers: the target's.
        environ: may have the indexes' credentials.

    Raises:
        ProjectError: two sources of a package apply to the target.

    """
    named = {
        index.name: index.located(pyproject.parent).with_credentials(environ) for index in indexes
    }
    chosen = sources_for(sources, markers, pyproject)
    return IndexRoutes(
        tuple(named.values()),
        {name: named[source.index] for name, source in chosen.items() if source.index},
    )
