"""The evidence of a conflict: what the resolver had read, as requirements and versions."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.conflict import PYTHON, Key
from pipshim.model.conflict_evidence import (
    FittingFile,
    ReadCandidate,
    ReadRequirement,
    ReadResolution,
    evidence_of,
)

APP, LIB, OTHER = map(canonicalize_name, ("app", "lib", "other"))
FILES = {LIB: [FittingFile(Version("2"), is_yanked=True), FittingFile(Version("1"), False)]}


def resolution(*candidates: ReadCandidate) -> ReadResolution:
    def files(name: str, specifier: SpecifierSet) -> list[FittingFile]:
        found = FILES.get(canonicalize_name(name), [])
        return [one for one in found if specifier.contains(one.version)]

    return ReadResolution(candidates, Version("3.11"), files, lambda name: name in (APP, LIB))


def candidate(*requires: str, python: str = "", url: str | None = None) -> ReadCandidate:
    stated = {"": [Requirement(one) for one in requires], "fast": [Requirement("lib>=3")]}
    return ReadCandidate(APP, Version("1"), url, python, stated)


def stated(text: str, url: str | None = None) -> ReadRequirement:
    requirement = Requirement(text)
    by = "the project"
    return ReadRequirement(by, requirement.name, requirement, requirement.extras, url, url or "")


def test_candidates_require_packages_that_the_resolver_has_looked_at() -> None:
    read = resolution(candidate("lib<2", "other", python=">=3.12"))
    needs = evidence_of(read, [], []).needs
    assert [str(one.key) for one in needs[Key(APP), Version("1")]] == ["lib", str(PYTHON)]
    assert [one.text for one in needs[Key(APP, "fast"), Version("1")]] == ["lib>=3"]


def test_yanked_versions_count_only_if_nothing_else_fits_a_pin() -> None:
    versions = evidence_of(resolution(), [], []).versions
    assert [*versions(LIB, SpecifierSet(">=1"))] == [Version("1")]
    assert [*versions(LIB, SpecifierSet("==2"))] == [Version("2")]
    assert [*versions(LIB, SpecifierSet(">=2"))] == []
    assert [*versions(PYTHON.name, SpecifierSet(">=3.10"))] == [Version("3.11")]


def test_a_url_stands_for_the_version_behind_it() -> None:
    url = "https://example.com/app-1.tar.gz"
    read = resolution(candidate(url=url))
    evidence = evidence_of(read, [stated("app", url)], [stated("app>=2")])
    (asked,) = evidence.asked
    assert asked.text == f"app @ {url}"
    assert str(asked.needs[0].specifier) == "===1"
    assert evidence.direct == {APP: [Version("1")]}
    assert [(one.by, one.need.text) for one in evidence.limits] == [("the project", "app>=2")]
    assert [*evidence.versions(APP, SpecifierSet(">=1"))] == [Version("1")]


def test_a_path_alone_is_named_by_what_is_there() -> None:
    read = resolution(candidate(url="file:///src/app"))
    path = ReadRequirement("the command line", None, None, (), "file:///src/app", "/src/app")
    (asked,) = evidence_of(read, [path], []).asked
    assert asked.text == "app @ /src/app"
