"""The evidence of a conflict: what the resolver had read, as requirements and versions."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.conflict import (
    PYTHON,
    Evidence,
    Key,
    ReadCandidate,
    ReadRequirement,
    evidence_of,
)

APP, LIB, OTHER = map(canonicalize_name, ("app", "lib", "other"))
FILES = {LIB: [(Version("2"), True), (Version("1"), False)]}


def evidence(
    *candidates: ReadCandidate,
    roots: tuple[ReadRequirement, ...] = (),
    constraints: tuple[ReadRequirement, ...] = (),
) -> Evidence:
    def files(name: str, specifier: SpecifierSet) -> list[tuple[Version, bool]]:
        found = FILES.get(canonicalize_name(name), [])
        return [one for one in found if specifier.contains(one[0])]

    return evidence_of(
        candidates,
        roots,
        constraints,
        python=Version("3.11"),
        files=files,
        was_asked_for=lambda name: name in (APP, LIB),
    )


def candidate(*requires: str, python: str = "", url: str | None = None) -> ReadCandidate:
    stated = {"": [Requirement(one) for one in requires], "fast": [Requirement("lib>=3")]}
    return ReadCandidate(APP, Version("1"), url, python, stated)


def stated(text: str, url: str | None = None) -> ReadRequirement:
    requirement = Requirement(text)
    by = "the project"
    return ReadRequirement(by, requirement.name, requirement, requirement.extras, url, url or "")


def test_candidates_require_packages_that_the_resolver_has_looked_at() -> None:
    needs = evidence(candidate("lib<2", "other", python=">=3.12")).needs
    assert [str(one.key) for one in needs[Key(APP), Version("1")]] == ["lib", str(PYTHON)]
    assert [one.text for one in needs[Key(APP, "fast"), Version("1")]] == ["lib>=3"]


def test_yanked_versions_count_only_if_nothing_else_fits_a_pin() -> None:
    versions = evidence().versions
    assert [*versions(LIB, SpecifierSet(">=1"))] == [Version("1")]
    assert [*versions(LIB, SpecifierSet("==2"))] == [Version("2")]
    assert [*versions(LIB, SpecifierSet(">=2"))] == []
    assert [*versions(PYTHON.name, SpecifierSet(">=3.10"))] == [Version("3.11")]


def test_a_url_stands_for_the_version_behind_it() -> None:
    url = "https://example.com/app-1.tar.gz"
    roots, constraints = (stated("app", url),), (stated("app>=2"),)
    found = evidence(candidate(url=url), roots=roots, constraints=constraints)
    (asked,) = found.roots
    assert asked.text == f"app @ {url}"
    assert str(asked.needs[0].specifier) == "===1"
    assert found.direct == {APP: [Version("1")]}
    assert [(one.by, one.text) for one in found.constraints] == [("the project", "app>=2")]
    assert [*found.versions(APP, SpecifierSet(">=1"))] == [Version("1")]


def test_a_path_alone_is_named_by_what_is_there() -> None:
    path = ReadRequirement("the command line", None, None, (), "file:///src/app", "/src/app")
    (asked,) = evidence(candidate(url="file:///src/app"), roots=(path,)).roots
    assert asked.text == "app @ /src/app"
