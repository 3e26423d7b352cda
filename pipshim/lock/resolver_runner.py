"""Run pip's resolver, again if what was assumed from an earlier lock does not hold."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim._pip.preparer import Sources
from pipshim._pip.resolver import PipResolver
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.resolver_prefetch import PackageLookup
from pipshim.model.requirements import Overrides
from pipshim.model.stable_packages import StablePackages
from pipshim.model.version_order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.model.conflict import Conflict
    from pipshim.model.solution import Pin, Revision, Solution, Source


@dataclass
class ResolverRunner:
    """Runs the resolver, with the same finder and sources each time.

    Attributes:
        pip: pip's machinery.
        explain: turns a conflict into an error.
        commits: those of an earlier lock, to be kept.
        beside: the same for another target; sources are fetched once for both.
        target: the target's name, in a lock for several.
        stable: packages of an earlier lock that need not be resolved again.

    """

    pip: Pip
    explain: Callable[[Conflict], PipshimError]
    commits: Mapping[Revision, str] = field(default_factory=dict)
    beside: ResolverRunner | None = None
    target: str = ""
    stable: StablePackages = field(default_factory=StablePackages)
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
        asked = [root.requirement for root in roots]
        direct = {one.name for one in asked if one.name is not None and one.applies}
        is_changed = for_build or overrides or offered or below
        stable = StablePackages() if is_changed else self._stable(roots, constraints, better)
        if pinned is not None:
            for name, pin in stable.pins.items():
                pinned(name, str(pin.version))

        def assumes_less(is_conflict: bool) -> bool:
            nonlocal stable
            if stable.pins:
                stable = StablePackages()
                return True
            return self._assumes_less(is_conflict)

        with pip.finder.ordered(Order(better, strategy, direct, offered or {})):
            while True:
                wanted = [name for name in preferred or {} if not pip.finder.kept.has(name)]
                pip.ahead.want(_lookups(roots, stable, wanted))
                resolver = PipResolver(
                    pip,
                    self.sources,
                    overrides,
                    metadata_of,
                    self.explain,
                    self.target,
                    for_build,
                    stable,
                )
                opened = [
                    pip.root(str(one), origins=(), comes_from=name).requirement
                    for name, one in stable.open()
                ]
                solution = resolver.run(roots, opened, constraints, pinned, assumes_less)
                if solution is not None:
                    return solution

    def _stable(
        self,
        roots: Sequence[Root],
        constraints: Sequence[ParsedRequirement],
        preferred: Mapping[NormalizedName, tuple[Version, ...]],
    ) -> StablePackages:
        """Return the packages that need not be resolved again, unless the others say otherwise."""
        options = self.pip.options
        if not self.stable.pins or options.ignore_dependencies or options.require_hashes:
            return StablePackages()
        limits: dict[NormalizedName | None, list[Requirement | None]] = defaultdict(list)
        for one in (*(root.requirement for root in roots), *constraints):
            if one.applies:
                limits[one.name].append(one.plain)
        if None in limits or any(root.left_out for root in roots):
            return StablePackages()  # without a name it may turn out to be any of the packages

        def admits(pin: Pin) -> bool:
            name, version = pin.package.name, pin.version
            return (
                preferred.get(name) == (version,)
                and self.pip.finder.keeps(pin.package)
                and all(
                    one and one.specifier.contains(version, True) for one in limits.get(name, ())
                )
            )

        return self.stable.unaffected(list(_plain(roots)), admits)

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


def _plain(roots: Iterable[Root]) -> Iterator[Requirement]:
    """Return the roots that name packages from an index."""
    for requirement in (root.requirement for root in roots):
        if requirement.applies and (plain := requirement.plain) is not None:
            yield plain


def _lookups(
    roots: Iterable[Root], stable: StablePackages, preferred: Iterable[NormalizedName]
) -> Iterator[PackageLookup]:
    for requirement in (*_plain(roots), *(one for _, one in stable.open())):
        name = canonicalize_name(requirement.name)
        if name not in stable.pins:
            yield PackageLookup(name, str(requirement.specifier), frozenset(requirement.extras))
    yield from map(PackageLookup, preferred)
