"""Why no versions fit: who asks for what, what there is, and why none of it will do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from pip._internal.index.package_finder import LinkType

from pipshim._pip import offline
from pipshim._pip.errors import network_hint, status_of
from pipshim.cutoff import normalised
from pipshim.errors import NetworkError, PipshimError, ResolveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pip._internal.exceptions import InstallationError
    from pip._internal.models.link import Link
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.base import Candidate, Requirement
    from pip._vendor.resolvelib import ResolutionImpossible

    from pipshim._pip.index import Finder, Refused

_SHOWN = 8
_BUILD = "the build of "


def explain(
    impossible: ResolutionImpossible[Requirement, Candidate],
    finder: Finder,
    constraints: Iterable[InstallRequirement],
    python: str,
    discarded: Mapping[Link, InstallationError],
) -> PipshimError:
    """Say why the resolver gave up.

    Args:
        impossible: what it raised.
        finder: knows what the indexes have.
        constraints: those that were in force.
        python: the version that was resolved for.
        discarded: files that pip passed over because of their metadata, and why.

    """
    asked: dict[str, None] = {}
    names: dict[NormalizedName, SpecifierSet] = {}
    pythons = []
    for requirement, parent in impossible.causes:
        if requirement.name.startswith("<"):
            pythons.append(
                f"  {_by(requirement, parent)} requires Python {_specifier(requirement)}"
            )
            continue
        asked[f"  {_by(requirement, parent)} requires {requirement.format_for_error()}"] = None
        name = canonicalize_name(str(requirement.project_name))
        _, given = requirement.get_candidate_lookup()
        admitted = SpecifierSet(str(given.req.specifier) if given and given.req else "")
        names[name] = names.get(name, SpecifierSet()) & admitted
    if pythons:
        return ResolveError(
            "\n".join([f"what is required does not support Python {python}", *pythons, *asked]),
            hint="use another Python (--python), or ask for another version",
        )
    for one in constraints:
        if one.name is not None and canonicalize_name(one.name) in names:
            asked[f"  {one.comes_from or 'a constraint'} admits only {one.req}"] = None
    for link, error in discarded.items():
        asked[f"  {link.filename} is passed over: {error}"] = None
    found = _Search(finder, list(asked), python)
    for name in names:
        reason = found.without_files(name)
        if reason is not None:
            return reason
    return found.conflict(names)


def _by(requirement: Requirement, parent: Candidate | None) -> str:
    """Tell who requires something."""
    if parent is not None:
        return f"{parent.name} {parent.version}"
    _, given = requirement.get_candidate_lookup()
    comes_from = getattr(given, "comes_from", None)
    return comes_from if isinstance(comes_from, str) else "the command line"


def _specifier(requirement: Requirement) -> str:
    return str(getattr(requirement, "specifier", requirement))


@dataclass(frozen=True)
class _Search:
    finder: Finder
    asked: list[str]
    python: str

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
            hint = network_hint(statuses[0] if statuses else None)
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
            first = f"no version of {name} supports Python {self.python}"
            hint = "use another Python: --python, and requires-python in pyproject.toml"
        elif reasons == {LinkType.upload_too_late}:
            first = f"no version of {name} was uploaded before {self._cutoff()}"
            hint = "choose a later moment: exclude-newer in pyproject.toml, --uploaded-prior-to"
        elif LinkType.format_unsupported in reasons:
            first = f"no file of {name} may be used"
            hint = "loosen --only-binary or --no-binary, which leave none of its files"
        else:
            first = f"no file of {name} suits Python {self.python} on this platform"
            hint = f"use a Python and platform that it has files for, or do without {name}"
        return ResolveError("\n".join([first, *self.asked, *lines]), hint=hint)

    def _cutoff(self) -> str:
        moment = self.finder.uploaded_prior_to
        return normalised(moment.isoformat()) if moment is not None else "now"

    def conflict(self, names: Mapping[NormalizedName, SpecifierSet]) -> PipshimError:
        """Say which requirements cannot be met together, or by any version."""
        lines = [f"no version of {' and '.join(names)} satisfies what is required", *self.asked]
        yanked = False
        for name, admitted in names.items():
            withdrawn = self.finder.yanked(name)
            yanked = yanked or any(admitted.contains(one, prereleases=True) for one in withdrawn)
            versions = list(reversed(self.finder.versions(name)))
            shown = [f"{one} (yanked)" if one in withdrawn else one for one in versions[:_SHOWN]]
            more = ", …" if len(versions) > _SHOWN else ""
            lines.append(f"  {name} has {', '.join(shown)}{more}")
            skipped = [
                one
                for one in _newest(self.finder.refused(name))
                if one.why is LinkType.requires_python_mismatch
            ]
            lines += dict.fromkeys(f"  {_why_refused(one)}" for one in skipped[:2])
        if yanked:
            hint = "a yanked version is taken only if it is asked for with == and its number"
        elif len(self.asked) == 1:
            hint = f"ask for a version that there is{self._where()}"
        else:
            hint = "loosen one of these requirements: together they admit no version"
        return ResolveError("\n".join(lines), hint=hint)

    def _where(self) -> str:
        """Say where a build's requirement stands: not where the user would look first."""
        for line in self.asked:
            if match := re.match(rf"\s*{_BUILD}(\S+)", line):
                return (
                    f" in build-system.requires of {match[1]}, or in its extra-build-dependencies"
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
