"""Why no versions fit: who asks for what, what there is, and why none of it will do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._internal.index.package_finder import LinkType

from pipshim._pip import offline
from pipshim._pip.conflict_report import Story
from pipshim._pip.errors import network_hint, status_of
from pipshim._pip.minimal_conflict import Key, Link, contradiction
from pipshim._pip.resolver_snapshot import PYTHON, Seen
from pipshim.base.errors import NetworkError, PipshimError, ResolveError
from pipshim.model.cutoff import normalised
from pipshim.model.requirement_origins import BUILD, EXTRA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.base import Candidate, Requirement
    from pip._internal.resolution.resolvelib.factory import Factory
    from pip._vendor.resolvelib import ResolutionImpossible

    from pipshim._pip.index import Finder, Refused
    from pipshim._pip.minimal_conflict import Fact, Known
    from pipshim.model.overrides import Overrides

_SHOWN = 8
_OF_BUILD = re.compile(rf"(?:{BUILD}|({EXTRA}))((\S+).*)")
_MENDS = {
    LinkType.requires_python_mismatch: "{another}, or loosen the requirements",
    LinkType.platform_mismatch: "{suiting}",
    LinkType.upload_too_late: "choose a later moment: exclude-newer in pyproject.toml, "
    "--uploaded-prior-to",
    LinkType.format_unsupported: "loosen --only-binary or --no-binary, which leave out what fits",
}


def explain(
    impossible: ResolutionImpossible[Requirement, Candidate],
    factory: Factory,
    finder: Finder,
    roots: Sequence[InstallRequirement],
    constraints: Sequence[InstallRequirement],
    overrides: Overrides,
    python: str,
    target: str = "",
) -> PipshimError:
    """Say why the resolver gave up.

    Args:
        impossible: what it raised.
        factory: of the resolver, with all that it has read.
        finder: knows what the indexes have.
        roots: what was required.
        constraints: those that were in force.
        overrides: likewise.
        python: the version that was resolved for.
        target: its name, where a lock is for several targets.

    """
    names = {
        canonicalize_name(str(one.project_name))
        for one, _ in impossible.causes
        if not one.name.startswith("<")
    }
    known = Seen(factory, finder, python).known(roots, constraints)
    facts = contradiction(known, names)
    if facts is None:
        facts = _last_conflict(impossible, known)
    story = Story(known, facts, overrides)
    told = story.lines()
    # Files whose metadata is not what their name says: pip speaks of them in its log only.
    for link, error in factory._build_failures.items():  # noqa: SLF001
        told.append(f"  {link.filename} is passed over: {error}")
    search = _Search(finder, told, python, target)
    if story.ends == [PYTHON.name]:
        return ResolveError(
            "\n".join([f"what is required does not support {search.place}", *told]),
            hint=f"{search.another}, or ask for another version",
        )
    for name in story.ends:
        reason = search.without_files(name) if name not in known.direct else None
        if reason is not None:
            return reason
    return search.conflict(story, known.direct)


def _last_conflict(
    impossible: ResolutionImpossible[Requirement, Candidate], known: Known
) -> list[Fact]:
    """Make facts of what pip says itself; its reason is beyond what requirements say."""
    found: list[Fact] = []
    for requirement, parent in impossible.causes:
        child = canonicalize_name(str(requirement.project_name))
        if parent is not None:
            name, _, extras = parent.name.partition("[")
            key = Key(canonicalize_name(name), canonicalize_name(extras.rstrip("]")))
            found.append(Link(key, child))
            child = key.name
        found += [one for one in known.asked if one.needs[0].key.name == child]
        found += [one for one in known.limits if one.need.key.name == child]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Search:
    finder: Finder
    asked: list[str]
    python: str
    target: str

    @property
    def place(self) -> str:
        """What was resolved for; a target's name is said before the error already."""
        return "it" if self.target else f"Python {self.python}"

    @property
    def another(self) -> str:
        """What to do where that is not supported."""
        if self.target:
            return f"take {self.target} out of the targets"
        return "use another Python (--python)"

    @property
    def suiting(self) -> str:
        """What to do where there are no files for it."""
        return self.another if self.target else "use a Python and platform that it has files for"

    def without_files(self, name: NormalizedName) -> PipshimError | None:
        """Say why there is no file of a package at all that would do, if so."""
        if self.finder.find_all_candidates(name):
            return None
        unread = self.finder.unread(name)
        trouble = {page: why for page, why in unread.items() if why is not None}
        refused = self.finder.refused(name)
        if trouble and not refused:
            return self._unreachable(name, trouble)
        if refused:
            return self._refused(name, refused)
        pages = [f"  {page} is not there" for page, why in unread.items() if why is None]
        return ResolveError(
            "\n".join([f"there is no package {name}", *self.asked, *pages]),
            hint=f"check the name{self._where()}, and the index (--index-url, --extra-index-url)",
        )

    def _unreachable(self, name: NormalizedName, trouble: dict[str, str]) -> PipshimError:
        lines = [f"  {page}: {why}" if why else f"  {page}" for page, why in trouble.items()]
        statuses = [status for why in trouble.values() if (status := _status(why)) is not None]
        if any(offline.NOT_CACHED in why for why in trouble.values()):
            hint = offline.HINT
        else:
            hint = network_hint(statuses[0] if statuses else None, " ".join(trouble.values()))
        return NetworkError(
            "\n".join([f"{name} cannot be looked up in the index", *lines, *self.asked]),
            hint=hint,
        )

    def _refused(self, name: NormalizedName, refused: list[Refused]) -> PipshimError:
        reasons = {one.why for one in refused}
        lines = list(dict.fromkeys(f"  {_why_refused(one)}" for one in _newest(refused)))
        more = len({_why_refused(one) for one in refused}) - len(lines)
        lines += [f"  and {more} more"] if more > 0 else []
        if reasons == {LinkType.requires_python_mismatch}:
            first = f"no version of {name} supports {self.place}"
            hint = f"{self.another}, and see to requires-python in pyproject.toml"
        elif reasons == {LinkType.upload_too_late}:
            first = f"no version of {name} was uploaded before {self._cutoff()}"
            hint = "choose a later moment: exclude-newer in pyproject.toml, --uploaded-prior-to"
        elif LinkType.format_unsupported in reasons:
            first = f"no file of {name} may be used"
            hint = "loosen --only-binary or --no-binary, which leave none of its files"
        else:
            first = (
                f"no file of {name} suits {self.place}{'' if self.target else ' on this platform'}"
            )
            hint = f"{self.suiting}, or do without {name}"
        return ResolveError("\n".join([first, *self.asked, *lines]), hint=hint)

    def _cutoff(self) -> str:
        moment = self.finder.uploaded_prior_to
        return normalised(moment.isoformat()) if moment is not None else "now"

    def conflict(
        self, story: Story, direct: Mapping[NormalizedName, Sequence[Version]]
    ) -> PipshimError:
        """Say which requirements cannot be met together, or by any version."""
        ends = [one for one in story.ends if one != PYTHON.name]
        build = _OF_BUILD.fullmatch(story.asked[0].by) if story.asked else None
        what = f"the build of {build[2]} requires" if build is not None else "is required"
        lines = [f"no version of {' and '.join(ends)} satisfies what {what}", *self.asked]
        for name in ends:
            if name in direct:
                there = " and ".join(map(str, dict.fromkeys(direct[name])))
                lines.append(f"  what is there of {name} is version {there}")
                continue
            withdrawn = self.finder.yanked(name)
            versions = list(reversed(self.finder.versions(name)))
            shown = [f"{one} (yanked)" if one in withdrawn else one for one in versions[:_SHOWN]]
            more = ", …" if len(versions) > _SHOWN else ""
            lines.append(f"  {name} has {', '.join(shown)}{more}")
            suiting = [one for one in withdrawn if story.suits(name, Version(one))]
            if suiting and withdrawn[suiting[-1]]:
                lines.append(f"  {name} {suiting[-1]} was yanked: {withdrawn[suiting[-1]]}")
        others = [one for one in story.names if one not in ends]
        at_ends = [self._passed_over(story, one) for one in ends]
        before = [self._passed_over(story, one) for one in others]
        lines += [f"  {_why_refused(one)}" for one in (*at_ends, *before) if one is not None]
        why = {one.why for one in at_ends if one is not None}
        hint = self._hint(story, ends, why)
        if any(one and one.why is LinkType.requires_python_mismatch for one in before):
            hint += f"; or {self.another}"
        return ResolveError("\n".join(lines), hint=hint)

    def _passed_over(self, story: Story, name: NormalizedName) -> Refused | None:
        """Tell the newest file that would do if the target, or an option, admitted it."""
        if name == PYTHON.name:
            return None
        there = set(self.finder.versions(name))
        found = [
            one
            for one in self.finder.refused(name)
            if one.why in _MENDS
            and str(one.version) not in there
            and story.suits(name, one.version)
        ]
        return next(iter(_newest(found)), None)

    def _hint(self, story: Story, ends: list[NormalizedName], why: set[LinkType]) -> str:
        suiting = [
            (name, one)
            for name in ends
            for one in self.finder.versions(name)
            if story.suits(name, Version(one))
        ]
        if any(one in self.finder.yanked(name) for name, one in suiting):
            return "a yanked version is taken only if it is asked for with == and its number"
        if any(Version(one).is_prerelease for _, one in suiting):
            name, version = suiting[-1]
            return (
                f"{name} {version} is a prerelease: admit it with --pre, or --all-releases {name}"
            )
        for reason, mends in _MENDS.items():
            if reason in why:
                return mends.format(another=self.another, suiting=self.suiting)
        if story.overridden:
            return "change override-dependencies: what they ask for replaces all other requirements"
        if len(self.asked) == 1:
            return f"ask for a version that there is{self._where()}"
        if story.limits:
            return "loosen the constraint, or a requirement that it leaves no version for"
        builds = {build for one in story.asked if (build := _OF_BUILD.fullmatch(one.by))}
        if builds:
            of = next(iter(builds))[3]
            own = any(one[1] for one in builds)
            if own:
                return f"loosen {EXTRA}{of}"
            return (
                f"change what {of} requires, use another version of it, or build it without "
                "isolation (no-build-isolation-package)"
            )
        kinds = {one.by.partition(" ")[0] for one in story.asked}
        if kinds & {"extra", "group"} and len(story.asked) > 1:
            return (
                "loosen one of these requirements: the project, its extras and its groups are "
                "locked together, one version of each package for all"
            )
        return "loosen one of these requirements: together they admit no version"

    def _where(self) -> str:
        """Say where a build's requirement stands: not where the user would look first."""
        for line in self.asked:
            if match := _OF_BUILD.match(line.strip()):
                if match[1]:
                    return f" in {EXTRA}{match[3]}"
                return (
                    f" in build-system.requires of {match[3]}, or in its extra-build-dependencies"
                )
        return ""


def _newest(refused: list[Refused]) -> list[Refused]:
    return sorted(refused, key=lambda one: (one.version, one.filename), reverse=True)[:_SHOWN]


def _why_refused(one: Refused) -> str:
    if one.why is LinkType.requires_python_mismatch:
        stem = one.filename.partition("-")[0]
        return f"{stem} {one.version} requires Python {one.requires_python}"
    words = {
        LinkType.platform_mismatch: "is for another Python or platform",
        LinkType.format_unsupported: "is excluded by the format options",
        LinkType.upload_too_late: "was uploaded later",
        LinkType.yanked: "was yanked",
    }
    return f"{one.filename} {words.get(one.why, 'has no valid name')}"


def _status(why: str) -> int | None:
    match = re.search(r"answers (\d{3})", why)
    return int(match[1]) if match else status_of(why)
