"""The order in which a package's versions are offered to a resolver."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.model.index_files import Candidate


@dataclass
class Order:
    """The order in which the versions of packages are offered to the resolver.

    Attributes:
        preferred: versions that are offered first, the last one before all, where admitted.
        strategy: ``highest``, ``lowest`` or ``lowest-direct``.
        direct: what is required directly.
        offered: versions of other targets, which go before all others, but not where they would
            have to be built and another version would not.
        results: what a finder found in this order; a resolver that goes back asks again and again.

    """

    preferred: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    strategy: str = "highest"
    direct: set[NormalizedName] = field(default_factory=set)
    offered: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    results: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def is_lowest_first(self, name: NormalizedName) -> bool:
        """Return whether a package's lowest version is wanted."""
        return self.strategy == "lowest" or (
            self.strategy == "lowest-direct" and name in self.direct
        )

    def wanted(self, name: NormalizedName) -> set[Version]:
        """Return the versions of a package that go before all others."""
        return {*self.preferred.get(name, ()), *self.offered.get(name, ())}

    def arranged(
        self,
        name: NormalizedName,
        candidates: Iterable[Candidate],
        outranking: Callable[[Candidate], Any],
    ) -> list[Candidate]:
        """Put a package's candidates in order, the best last.

        Args:
            candidates: in pip's order, which stays among the files of one version.
            outranking: returns what counts more than a file's version.

        """
        found = list(candidates)
        if self.is_lowest_first(name):
            found.sort(key=lambda one: one.version, reverse=True)
            found.sort(key=outranking)
        wanted, offered = self.preferred.get(name, ()), self.offered.get(name, ())
        if wanted or offered:
            has_wheels = any(one.link.is_wheel for one in found)
            ranks, of_sdists = _ranks((*wanted, *offered)), _ranks(wanted)

            def rank(one: Candidate) -> int:
                known = ranks if one.link.is_wheel or not has_wheels else of_sdists
                return known.get(str(one.version), -1)

            found.sort(key=rank)
        return found


def _ranks(versions: Iterable[Version]) -> dict[str, int]:
    return {str(version): rank for rank, version in enumerate(versions)}
