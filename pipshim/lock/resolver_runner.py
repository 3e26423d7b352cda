"""Run pip's resolver, again if what was assumed from an earlier lock does not hold."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from pipshim._pip.preparer import Sources
from pipshim._pip.resolver import PipResolver
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.resolver_prefetch import PackageLookup
from pipshim.model.requirements import Overrides
from pipshim.model.version_order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.model.conflict import Conflict
    from pipshim.model.solution import Revision, Solution, Source


@dataclass
class ResolverRunner:
    """Runs the resolver, with the same finder and sources each time.

    Attributes:
        pip: pip's machinery.
        explain: turns a conflict into an error.
        commits: those of an earlier lock, to be kept.
        beside: the same for another target; sources are fetched once for both.
        target: the target's name, in a lock for several.

    """

    pip: Pip
    explain: Callable[[Conflict], PipshimError]
    commits: Mapping[Revision, str] = field(default_factory=dict)
    beside: ResolverRunner | None = None
    target: str = ""
    sources: Sources = field(init=False)

    def __post_init__(self) -> None:
        beside = self.beside.sources if self.beside is not None else None
        self.sources = Sources(self.pip, self.commits, beside)

    def resolve(  # noqa: PLR0913 what there is to say of a resolve
        self,
        roots: Sequence[Root],
        *,
        constraints: Sequence[ParsedRequirement] = (),
        preferred: Mapping[NormalizedName, tuple[Version, ...]] | None = None,
        offered: Mapping[NormalizedName, tuple[Version, ...]] | None = None,
        below: Mapping[NormalizedName, Version] | None = None,
        metadata_of: Callable[[Source], bytes],
        strategy: str = "highest",
        overrides: Overrides | None = None,
        for_build: bool = False,
        pinned: Callable[[str, str], object] | None = None,
    ) -> Solution:
        """Choose versions for the roots and their dependencies.

        Args:
            preferred: versions to take wherever they are admitted, the best one last.
            offered: those of other targets, to take before these, except sdists where another
                version has a wheel.
            below: better ones, of packages most of which will not be needed.
            metadata_of: returns a source's METADATA file.
            strategy: how to choose other versions: ``highest``, ``lowest``, ``lowest-direct``.
            overrides: what replaces requirements.
            for_build: the roots are a build environment's: ignore ``--no-deps`` and hashes.
            pinned: called with name and version of each pin that the resolver tries.

        Raises:
            ResolveError: no set of versions fits, or a package does not exist.

        """
        pip = self.pip
        overrides = overrides or Overrides()
        roots = [one for root in roots for one in _overridden(pip, root, overrides)]
        where = f"override-dependencies of {overrides.stated_in}"
        constraints = [*constraints, *(pip.constraint(str(x), where) for x in overrides.urls())]
        better = dict(preferred or {})
        for name, one in (below or {}).items():
            better[name] = (*better.get(name, ()), one)
        resolver = PipResolver(
            pip, self.sources, overrides, metadata_of, self.explain, self.target, for_build
        )
        asked = [root.requirement for root in roots]
        direct = {one.name for one in asked if one.name is not None and one.applies}
        with pip.finder.ordered(Order(better, strategy, direct, offered or {})):
            while True:
                wanted = [name for name in preferred or {} if not pip.finder.kept.has(name)]
                pip.ahead.want(_lookups(roots, wanted))
                solution = resolver.run(roots, constraints, pinned, self._assumes_less)
                if solution is not None:
                    return solution

    def _assumes_less(self, is_conflict: bool) -> bool:
        """Assume less of an earlier lock; return whether that may change the result."""
        # Versions that do not fit may fit with another commit.
        forgets = is_conflict and self.sources.forget_commits()
        return forgets or self.pip.finder.look_up_all()


def _overridden(pip: Pip, root: Root, overrides: Overrides) -> Iterator[Root]:
    """Apply overrides to a root whose name is known before its metadata."""
    requirement = root.requirement
    if requirement.name is None or not overrides.of(requirement.name):
        yield root
        return
    for one in overrides.replacing(requirement.name):
        yield pip.root(str(one), origins=root.origins, comes_from=requirement.comes_from)


def _lookups(roots: Iterable[Root], preferred: Iterable[NormalizedName]) -> Iterator[PackageLookup]:
    for requirement in (root.requirement for root in roots):
        if requirement.name is not None and not requirement.is_direct and requirement.applies:
            specifier = str(requirement.specifier)
            yield PackageLookup(requirement.name, specifier, requirement.extras)
    yield from map(PackageLookup, preferred)
