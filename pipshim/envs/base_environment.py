"""The environment below a ``run --with`` layer, and what it already provides."""

from __future__ import annotations

from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base.light.dataclasses import dataclass
from pipshim.envs import abi_providers, installed
from pipshim.envs.dist_info import METADATA, read_text
from pipshim.envs.install_notes import site_folders
from pipshim.envs.venv import shared_folders
from pipshim.model.requirements import requires_dist, valid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipshim.envs.installed import Installed
    from pipshim.model.build_record import Used
    from pipshim.model.interpreter import Target
    from pipshim.model.selection import Selection


@dataclass(frozen=True)
class BaseEnvironment:
    """The environment below a layer.

    Attributes:
        target: its Python. Without an environment it is a plain one, of which nothing is seen.

    """

    target: Target
    _requires: dict[NormalizedName, list[Requirement]] = field(default_factory=dict, init=False)

    @cached_property
    def present(self) -> Mapping[NormalizedName, Installed]:
        return installed.scan(self.folders)

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders whose packages a layer sees after its own."""
        if not self.target.is_venv:
            return ()
        return (*site_folders(self.target), *shared_folders(self.target))

    @property
    def programs(self) -> tuple[Path, ...]:
        """Return the folders whose programs come after a layer's own on PATH."""
        return (self.target.scripts,) if self.target.is_venv else ()

    @cached_property
    def versions(self) -> dict[NormalizedName, Version]:
        """The installed versions: a layer takes the same where it may."""
        found = {}
        for name, one in self.present.items():
            try:
                found[name] = Version(one.version)
            except InvalidVersion:
                continue
        return found

    @cached_property
    def platform_specific(self) -> dict[NormalizedName, Version]:
        """The versions of what is not pure Python: what is built for a layer should match them."""
        return {
            name: version
            for name, version in self.versions.items()
            if abi_providers.is_platform_specific(
                read_text(f"{self.present[name].dist_info}/WHEEL")
            )
        }

    def used(self, *, besides: Iterable[NormalizedName]) -> dict[str, Used]:
        """Return what it has as build records do, except what the layer itself has."""
        own = set(besides)
        return {
            name: abi_providers.used(one) for name, one in self.present.items() if name not in own
        }

    def pinned(self) -> list[str]:
        """Return what it has from elsewhere than an index, as requirements with a URL (PEP 508).

        An index may lack these, or have something else of that name.
        """
        found = []
        for name, one in self.present.items():
            url = _url(one.direct_url or {})
            if url is not None:
                found.append(f"{name} @ {url}")
        return found

    def has(
        self,
        requirements: Iterable[Requirement],
        constraints: Iterable[Requirement],
        markers: Mapping[str, str],
    ) -> bool:
        """Return whether it satisfies requirements, and theirs in turn.

        Args:
            requirements: those whose markers do not hold count as satisfied.
            constraints: what must admit them too.
            markers: the values of the environment's markers.

        """
        narrowed: dict[NormalizedName, list[Requirement]] = {}
        for one in constraints:
            if one.marker is None or one.marker.evaluate({**markers, "extra": ""}):
                narrowed.setdefault(canonicalize_name(one.name), []).append(one)
        waiting = [(one, "") for one in requirements]
        seen: set[tuple[NormalizedName, str]] = set()
        while waiting:
            one, of = waiting.pop()
            if one.marker is not None and not one.marker.evaluate({**markers, "extra": of}):
                continue
            name = canonicalize_name(one.name)
            version = self.versions.get(name)
            if version is None or one.url is not None or self.present[name].damaged is not None:
                return False
            admitting = (one, *narrowed.get(name, ()))
            if not all(each.specifier.contains(version, prereleases=True) for each in admitting):
                return False
            for extra in ("", *map(canonicalize_name, one.extras)):
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    waiting += [(inner, extra) for inner in self._required_by(name)]
        return True

    def _required_by(self, name: NormalizedName) -> list[Requirement]:
        if name not in self._requires:
            text = read_text(f"{self.present[name].dist_info}/{METADATA}")
            self._requires[name] = list(valid(requires_dist(text)))
        return self._requires[name]

    def without(self, selection: Selection) -> Selection:
        """Leave out of a layer what is below it in the same version."""
        direct = {canonicalize_name(Requirement(text).name) for text in self.pinned()}
        return replace(
            selection,
            packages={
                name: package
                for name, package in selection.packages.items()
                if not (
                    name in self.versions
                    and self.present[name].damaged is None
                    and (
                        name in direct
                        or (package.version == self.versions[name] and not package.is_direct)
                    )
                )
            },
        )


def _url(direct: Mapping[str, object]) -> str | None:
    """Turn PEP 610's data into the URL of a requirement."""
    url, vcs = direct.get("url"), direct.get("vcs_info")
    if not isinstance(url, str):
        return None
    fragment = f"#subdirectory={direct['subdirectory']}" if "subdirectory" in direct else ""
    if isinstance(vcs, dict):
        return f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}{fragment}"
    return f"{url}{fragment}"
