"""The order in which a package's versions are offered to a resolver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version


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
