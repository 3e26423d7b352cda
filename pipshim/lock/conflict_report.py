"""Explain why no versions fit: the requirements, the available versions, and the hint."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from packaging.version import Version

from pipshim._pip.errors import status_of
from pipshim.base import toml_files
from pipshim.base.errors import NetworkError, PipshimError, ResolveError
from pipshim.base.light.dataclasses import dataclass
from pipshim.lock.minimal_conflict import find_contradiction
from pipshim.model.conflict import (
    BUILD,
    EXTRA,
    PYTHON,
    Constraint,
    Dependency,
    Refusal,
    RootRequirement,
)
from pipshim.model.cutoff import normalised
from pipshim.model.fetch_errors import network_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from pipshim.model.conflict import Conflict, Evidence, Fact, Index, Key, OnlyIndex, Refused
    from pipshim.model.requirements import Overrides

_RANGES = 3
_WAYS = 4


class ConflictReport:
    """Writes facts that contradict each other.

    Each root requirement has a line; below it, indented, is what it leads to, down to the packages
    that no version suits.

    Args:
        facts: those that contradict each other.
        overrides: what replaced requirements.

    """

    def __init__(self, evidence: Evidence, facts: Sequence[Fact], overrides: Overrides) -> None:
        self._evidence = evidence
        self._overrides = overrides
        self.roots = [one for one in facts if isinstance(one, RootRequirement)]
        self.constraints = [one for one in facts if isinstance(one, Constraint)]
        self._links = [one for one in facts if isinstance(one, Dependency)]

    @property
    def names(self) -> list[NormalizedName]:
        """Every package in the report, those in question last."""
        return [one for one in self._required if one not in self.ends] + self.ends

    @property
    def _required(self) -> list[NormalizedName]:
        return [
            *dict.fromkeys([*(one.name for one in self.roots), *(one.child for one in self._links)])
        ]

    @property
    def ends(self) -> list[NormalizedName]:
        """The packages in question, whose own requirements do not matter."""
        parents = {one.parent.name for one in self._links}
        found = [one for one in self._required if one not in parents]
        return found or self._required

    @property
    def overridden(self) -> list[NormalizedName]:
        """The packages whose requirements were replaced."""
        return [one for one in self.names if self._overrides.of(one)]

    def wishes(self, name: NormalizedName) -> list[list[SpecifierSet]]:
        """Return what a version has to satisfy: one specifier of each list."""
        found = [[specifier] for specifier in self._stated_of(name)]
        for link in self._links:
            if link.child == name:
                needs = [
                    need
                    for version in self._versions(link.parent)
                    for need in self._evidence.at(link.parent, version, name)
                ]
                found.append([need.specifier for need in needs])
        return [one for one in found if one]

    def suits(self, name: NormalizedName, version: Version) -> bool:
        """Return whether all requirements in the report admit a version."""
        return all(
            any(one.contains(version, prereleases=True) for one in wish)
            for wish in self.wishes(name)
        )

    def lines(self) -> list[str]:
        """Write the report."""
        written: set[Dependency] = set()
        lines: list[str] = []
        for one in self.roots:
            lines.append(f"  {one.by} requires {self._text(one.name, one.text)}")
            lines += self._consequences(one.name, 1, written)
        for limit in self.constraints:
            lines.append(f"  {limit.by} allows only {limit.text}")
        for name in self.overridden:
            those = " and ".join(map(str, self._overrides.of(name)))
            lines.append(f"  override-dependencies of {self._overrides.stated_in} make it {those}")
        return list(dict.fromkeys(lines))

    def _text(self, name: NormalizedName, text: str) -> str:
        return f"{name} (overridden)" if self._overrides.of(name) else text

    def _consequences(
        self, name: NormalizedName, depth: int, written: set[Dependency]
    ) -> Iterator[str]:
        for link in self._links:
            if link.parent.name == name and link not in written:
                written.add(link)
                for line in self._ways(link):
                    yield f"  {'  ' * depth}{line}"
                yield from self._consequences(link.child, depth + 1, written)

    def _ways(self, link: Dependency) -> Iterator[str]:
        """Describe what versions of a package require of another, equal ones together."""
        by_text: dict[str, list[Version]] = {}
        versions = self._versions(link.parent)
        for version in versions:
            needs = self._evidence.at(link.parent, version, link.child)
            texts = dict.fromkeys(self._text(link.child, need.text) for need in needs)
            if texts:
                by_text.setdefault(" and ".join(texts), []).append(version)
        for text, found in list(by_text.items())[:_WAYS]:
            verb = "requires" if len(found) == 1 else "require"
            yield f"{link.parent} {ranges(found, versions)} {verb} {text}"
        if len(by_text) > _WAYS:
            rest = [version for found in list(by_text.values())[_WAYS:] for version in found]
            yield f"{link.parent} {ranges(rest, versions)} require other versions of {link.child}"

    def _versions(self, key: Key) -> list[Version]:
        """Return the versions in question, the newest first."""
        own = self._stated_of(key.name)
        return sorted(
            (
                version
                for found, version in self._evidence.needs
                if found == key and all(one.contains(version, prereleases=True) for one in own)
            ),
            reverse=True,
        )

    def _stated_of(self, name: NormalizedName) -> list[SpecifierSet]:
        return [
            one.needs[0].specifier for one in (*self.roots, *self.constraints) if one.name == name
        ]


def ranges(versions: Sequence[Version], among: Sequence[Version]) -> str:
    """Write versions, consecutive ones as ``1.0 to 3.0``; both arguments are newest first."""
    runs: list[list[Version]] = []
    before = -2
    for place, version in enumerate(among):
        if version in versions:
            if place == before + 1:
                runs[-1].append(version)
            else:
                runs.append([version])
            before = place
    said = [
        f"{run[-1]} to {run[0]}" if len(run) > 2 else ", ".join(map(str, reversed(run)))  # noqa: PLR2004 two are named
        for run in runs
    ]
    return ", ".join(said[:_RANGES]) + (", …" if len(said) > _RANGES else "")


_SHOWN = 8
_OPTIONAL = re.compile(r"(?P<kind>extra|group|member) '(?P<name>[^']+)'(?: of (?P<of>.+))?")
_OF_BUILD = re.compile(rf"(?:{BUILD}|({EXTRA}))((\S+).*)")
_FIXES = {
    Refusal.PYTHON: "{another}, or loosen the requirements",
    Refusal.PLATFORM: "{suiting}",
    Refusal.UPLOADED_LATER: "choose a later date: exclude-newer in pyproject.toml, "
    "--uploaded-prior-to",
    Refusal.FORMAT: "loosen --only-binary or --no-binary, which exclude the files that fit",
}


def explain(conflict: Conflict) -> PipshimError:
    """Return the error that explains why the resolver gave up."""
    known = conflict.evidence
    suspects = {name for name, _ in conflict.causes if name != PYTHON.name}
    facts = find_contradiction(known, suspects)
    if facts is None:
        facts = _last_conflict(conflict)
    report = ConflictReport(known, facts, conflict.overrides)
    told = report.lines()
    # pip speaks of these in its log only.
    told += [f"  {name} is ignored: {why}" for name, why in conflict.rejected]
    search = _Search(conflict.index, told, conflict.python, conflict.target)
    if report.ends == [PYTHON.name]:
        return ResolveError(
            "\n".join([f"the requirements do not support {search.place}", *told]),
            hint=f"{search.another}, or ask for another version",
        )
    for name in report.ends:
        reason = search.without_files(name) if name not in known.direct else None
        if reason is not None:
            return reason
    return search.conflict(report, known.direct)


def _last_conflict(conflict: Conflict) -> list[Fact]:
    """Make facts of the last conflict, if requirements alone do not explain it."""
    found: list[Fact] = []
    for required, parent in conflict.causes:
        child = required
        if parent is not None:
            found.append(Dependency(parent, child))
            child = parent.name
        found += [
            one
            for one in (*conflict.evidence.roots, *conflict.evidence.constraints)
            if one.name == child
        ]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Search:
    index: Index
    asked: list[str]
    python: str
    target: str

    @property
    def place(self) -> str:
        """What was resolved for; empty for a named target, which the error names already."""
        return "it" if self.target else f"Python {self.python}"

    @property
    def another(self) -> str:
        """The hint if that is not supported."""
        if self.target:
            return f"remove {self.target} from the targets"
        return "use another Python (--python)"

    @property
    def suiting(self) -> str:
        """The hint if there are no files for it."""
        return self.another if self.target else "use a Python and platform that it has files for"

    def without_files(self, name: NormalizedName) -> PipshimError | None:
        """Return the error if no file of a package is usable."""
        if self.index.find_all_candidates(name):
            return None
        unread = self.index.unread(name)
        trouble = {page: why for page, why in unread.items() if why is not None}
        refused = self.index.refused(name)
        if trouble and not refused:
            return self._unreachable(name, trouble)
        if refused:
            return self._refused(name, refused)
        pages = [f"  {page} was not found" for page, why in unread.items() if why is None]
        only = self.index.only_index(name)
        if only is not None:
            return _not_in(only, name, [*self.asked, *pages])
        return ResolveError(
            "\n".join([f"package {name} was not found", *self.asked, *pages]),
            hint=f"check the name{self._where()}, and the index (--index-url, --extra-index-url)",
        )

    def _unreachable(self, name: NormalizedName, trouble: dict[str, str]) -> PipshimError:
        lines = [f"  {page}: {why}" if why else f"  {page}" for page, why in trouble.items()]
        answers = [re.search(r"answers (\d{3})", why) for why in trouble.values()]
        statuses = [
            int(answer[1]) if answer else status_of(why)
            for answer, why in zip(answers, trouble.values(), strict=True)
        ]
        only = self.index.only_index(name)
        return NetworkError(
            "\n".join([f"{name} cannot be looked up in the index", *lines, *self.asked]),
            hint=network_hint(
                next((status for status in statuses if status is not None), None),
                " ".join(trouble.values()),
                index=only.name if only is not None else "",
            ),
        )

    def _refused(self, name: NormalizedName, refused: list[Refused]) -> PipshimError:
        reasons = {one.why for one in refused}
        lines = list(dict.fromkeys(f"  {_why_refused(one)}" for one in _newest(refused)))
        more = len({_why_refused(one) for one in refused}) - len(lines)
        lines += [f"  and {more} more"] if more > 0 else []
        if reasons == {Refusal.PYTHON}:
            first = f"no version of {name} supports {self.place}"
            hint = f"{self.another}, and check requires-python in pyproject.toml"
        elif reasons == {Refusal.UPLOADED_LATER}:
            moment = self.index.cutoff(name)
            before = normalised(moment) if moment is not None else "now"
            first = f"no version of {name} was uploaded before {before}"
            hint = _FIXES[Refusal.UPLOADED_LATER]
        elif Refusal.FORMAT in reasons:
            first = f"no file of {name} may be used"
            hint = _FIXES[Refusal.FORMAT]
        else:
            first = (
                f"no file of {name} suits {self.place}{'' if self.target else ' on this platform'}"
            )
            hint = f"{self.suiting}, or do without {name}"
        return ResolveError("\n".join([first, *self.asked, *lines]), hint=hint)

    def conflict(
        self, report: ConflictReport, direct: Mapping[NormalizedName, Sequence[Version]]
    ) -> PipshimError:
        """Return the error that requirements contradict each other, or exclude all versions."""
        ends = [one for one in report.ends if one != PYTHON.name]
        build = _OF_BUILD.fullmatch(report.roots[0].by) if report.roots else None
        what = f"the build of {build[2]} requires" if build is not None else "is required"
        lines = [f"no version of {' and '.join(ends)} satisfies what {what}", *self.asked]
        for name in ends:
            if name in direct:
                there = " and ".join(map(str, dict.fromkeys(direct[name])))
                lines.append(f"  {name} is given as version {there}")
                continue
            withdrawn = self.index.yanked(name)
            versions = list(reversed(self.index.versions(name)))
            shown = [f"{one} (yanked)" if one in withdrawn else one for one in versions[:_SHOWN]]
            more = ", …" if len(versions) > _SHOWN else ""
            only = self.index.only_index(name)
            where = f" in the index {only.name}, its source" if only else ""
            lines.append(f"  {name} has {', '.join(shown)}{more}{where}")
            suiting = [one for one in withdrawn if report.suits(name, Version(one))]
            if suiting and withdrawn[suiting[-1]]:
                lines.append(f"  {name} {suiting[-1]} was yanked: {withdrawn[suiting[-1]]}")
        others = [one for one in report.names if one not in ends]
        at_ends = [self._newest_refused(report, one) for one in ends]
        before = [self._newest_refused(report, one) for one in others]
        lines += [f"  {_why_refused(one)}" for one in (*at_ends, *before) if one is not None]
        why = {one.why for one in at_ends if one is not None}
        hint = self._hint(report, ends, why)
        if any(one and one.why is Refusal.PYTHON for one in before):
            hint += f"; or {self.another}"
        return ResolveError("\n".join(lines), hint=hint)

    def _newest_refused(self, report: ConflictReport, name: NormalizedName) -> Refused | None:
        """Return the newest file that only the target, or an option, excludes."""
        if name == PYTHON.name:
            return None
        there = set(self.index.versions(name))
        found = [
            one
            for one in self.index.refused(name)
            if one.why in _FIXES
            and str(one.version) not in there
            and report.suits(name, one.version)
        ]
        return next(iter(_newest(found)), None)

    def _hint(self, report: ConflictReport, ends: list[NormalizedName], why: set[Refusal]) -> str:
        suiting = [
            (name, one)
            for name in ends
            for one in self.index.versions(name)
            if report.suits(name, Version(one))
        ]
        if any(one in self.index.yanked(name) for name, one in suiting):
            return "a yanked version is used only if it is required with == and its number"
        if any(Version(one).is_prerelease for _, one in suiting):
            name, version = suiting[-1]
            return (
                f"{name} {version} is a prerelease: allow it with --pre, or --all-releases {name}"
            )
        for reason, fix in _FIXES.items():
            if reason in why:
                return fix.format(another=self.another, suiting=self.suiting)
        if report.overridden:
            return "change override-dependencies: they replace all other requirements"
        if len(self.asked) == 1:
            return f"choose one of the versions listed above{self._where()}"
        if report.constraints:
            return "loosen the constraint, or the requirement that it conflicts with"
        apart = _of_builds(report) or _never_together(report)
        if apart is not None:
            return apart
        kinds = {one.by.partition(" ")[0] for one in report.roots}
        if kinds & {"extra", "group"} and len(report.roots) > 1:
            return (
                "loosen one of these requirements: the project, its extras and its groups are "
                "locked together, one version of each package for all"
            )
        return "loosen one of these requirements: no version satisfies all of them"

    def _where(self) -> str:
        """Name the place of a build requirement, which users would not look at first."""
        for line in self.asked:
            if match := _OF_BUILD.match(line.strip()):
                if match[1]:
                    return f" in {EXTRA}{match[3]}"
                return (
                    f" in build-system.requires of {match[3]}, or in its extra-build-dependencies"
                )
        return ""


def _of_builds(report: ConflictReport) -> str | None:
    """Say how to change the requirements of a build; None if no build has any of them."""
    builds = {build for one in report.roots if (build := _OF_BUILD.fullmatch(one.by))}
    if not builds:
        return None
    of = next(iter(builds))[3]
    if any(one[1] for one in builds):
        return f"loosen {EXTRA}{of}"
    return (
        f"change what {of} requires, use another version of it, or build it without "
        "isolation (no-build-isolation-package)"
    )


def _never_together(report: ConflictReport) -> str | None:
    """Return the hint to put two extras, groups or members into `conflicts`, if it is about two."""
    asking = list(dict.fromkeys(one.by for one in report.roots))
    parts = [part for part in map(_OPTIONAL.fullmatch, asking) if part is not None]
    if not len(asking) == len(parts) == 2:  # noqa: PLR2004 a pair
        return None
    entries = []
    for part in parts:
        own = {"package" if part["kind"] == "member" else part["kind"]: part["name"]}
        of = {} if part["of"] in {None, "the project"} else {"package": part["of"]}
        entries.append({**of, **own})
    return (
        "loosen one of these requirements, or let the lock have versions for each: under "
        f"[tool.pipshim], add {toml_files.inline(entries)} to the list 'conflicts'"
    )


def _newest(refused: list[Refused]) -> list[Refused]:
    return sorted(refused, key=lambda one: (one.version, one.filename), reverse=True)[:_SHOWN]


def _not_in(only: OnlyIndex, name: NormalizedName, lines: list[str]) -> PipshimError:
    """Return the error that the only index of a package lacks it."""
    packages = only.packages()
    if packages is not None:
        near = get_close_matches(name, packages, _SHOWN, cutoff=0) if packages else ["nothing"]
        more = f" and {len(packages) - _SHOWN} more" if len(packages) > _SHOWN else ""
        lines = [*lines, f"  {only.name} has {', '.join(near)}{more}"]
    return ResolveError(
        "\n".join([f"the index {only.name}, the source of {name}, has no {name}", *lines]),
        hint=f"check the URL of the index {only.name}, or remove {name} from sources",
    )


def _why_refused(one: Refused) -> str:
    if one.why is Refusal.PYTHON:
        stem = one.filename.partition("-")[0]
        return f"{stem} {one.version} requires Python {one.requires_python}"
    words = {
        Refusal.PLATFORM: "is for another Python or platform",
        Refusal.FORMAT: "is excluded by the format options",
        Refusal.UPLOADED_LATER: "was uploaded later",
        Refusal.YANKED: "was yanked",
    }
    return f"{one.filename} {words.get(one.why, 'has no valid name')}"
