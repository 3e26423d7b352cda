"""Which few requirements contradict each other, and how they are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pipshim.lock.conflict_report import ConflictReport, ranges
from pipshim.lock.minimal_conflict import find_contradiction
from pipshim.model.conflict import Constraint, Evidence, Key, Need, RootRequirement
from pipshim.model.requirements import Overrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest


def needs(text: str) -> tuple[Need, ...]:
    parsed = Requirement(text)
    name = canonicalize_name(parsed.name)
    extras = [Need(Key(name, extra), SpecifierSet(), text) for extra in parsed.extras]
    return (Need(Key(name), parsed.specifier, text), *extras)


def known(
    index: Mapping[str, Sequence[str]], *asked: str | tuple[str, str], limits: Sequence[str] = ()
) -> Evidence:
    """Make what is known; the keys of an index are ``name 1.0`` or ``name[extra] 1.0``."""
    requires: dict[tuple[Key, Version], tuple[Need, ...]] = {}
    for what, found in index.items():
        name, version = what.split()
        base, _, extra = name.rstrip("]").partition("[")
        key = Key(canonicalize_name(base), canonicalize_name(extra))
        requires[key, Version(version)] = tuple(need for one in found for need in needs(one))

    def versions(name: NormalizedName, specifier: SpecifierSet) -> list[Version]:
        there = sorted((one for key, one in requires if key == Key(name)), reverse=True)
        return list(specifier.filter(there))

    pairs = [("the project", one) if isinstance(one, str) else one for one in asked]
    return Evidence(
        [RootRequirement(by, needs(text)) for by, text in pairs],
        [Constraint("a constraint", needs(one)) for one in limits],
        requires,
        versions,
    )


def told(what: Evidence, suspect: str = "lib", overrides: Overrides | None = None) -> list[str]:
    facts = find_contradiction(what, [canonicalize_name(suspect)])
    assert facts is not None
    return ConflictReport(what, facts, overrides or Overrides()).lines()


LIB: dict[str, list[str]] = {"lib 1.0": [], "lib 2.0": []}


def test_only_what_contradicts_is_told_below_what_leads_to_it() -> None:
    index = {
        **LIB,
        "app 1.0": ["mid", "noise"],
        "mid 1.0": ["lib<2", "noise"],
        "noise 1.0": ["more"],
        "more 1.0": [],
    }
    assert told(known(index, "noise", "app", "more>=1", "lib>=2", "lib")) == [
        "  the project requires lib>=2",
        "  the project requires app",
        "    app 1.0 requires mid",
        "      mid 1.0 requires lib<2",
    ]


def test_what_fits_is_no_contradiction() -> None:
    assert find_contradiction(known({**LIB, "app 1.0": ["lib<2"]}, "app", "lib"), []) is None


def test_one_requirement_that_is_wrong_by_itself_is_told_alone() -> None:
    index = {**LIB, "bad 1.0": ["lib<2", "lib>=2"], "app 1.0": ["lib<2"]}
    assert told(known(index, "app", "lib>=2", "bad")) == [
        "  the project requires bad",
        "    bad 1.0 requires lib<2 and lib>=2",
    ]
    assert told(known(LIB, "lib<2", "lib>5", "lib>=2")) == ["  the project requires lib>5"]


def test_versions_that_require_the_same_are_told_together() -> None:
    index = {**LIB}
    index |= {f"app 1.{minor}": ["lib>=2"] for minor in range(5)}
    index |= {"app 1.2": ["lib>1"], "app 0.9": []}
    assert told(known(index, "app>=1", "lib<2")) == [
        "  the project requires lib<2",
        "  the project requires app>=1",
        "    app 1.3, 1.4, 1.0, 1.1 require lib>=2",
        "    app 1.2 requires lib>1",
    ]


def test_alternatives_are_all_told() -> None:
    index = {**LIB, "dep 1.0": [], "app 1.0": ["lib<2"], "app 2.0": ["dep>=2"]}
    what = known(index, "app", "lib>=2")
    assert told(what) == [
        "  the project requires lib>=2",
        "  the project requires app",
        "    app 1.0 requires lib<2",
        "    app 2.0 requires dep>=2",
    ]
    facts = find_contradiction(what, [])
    assert facts is not None
    assert sorted(ConflictReport(what, facts, Overrides()).ends) == ["dep", "lib"]


def test_extras_and_constraints_are_told_as_such() -> None:
    index = {**LIB, "app 1.0": [], "app[x] 1.0": ["lib>=2"]}
    assert told(known(index, "app[x]", ("group 'dev'", "lib<2"))) == [
        "  group 'dev' requires lib<2",
        "  the project requires app[x]",
        "    app[x] 1.0 requires lib>=2",
    ]
    # What contradicts without a constraint is told without it.
    assert told(known(index, "app[x]", "lib<2", limits=["lib<2"]))[-1] == (
        "    app[x] 1.0 requires lib>=2"
    )
    assert told(known(index, "app[x]", limits=["lib<2"]))[-1] == "  a constraint allows only lib<2"


def test_an_override_is_told_instead_of_what_it_replaced() -> None:
    overrides = Overrides([Requirement("lib==9")], "pyproject.toml")
    assert told(known({**LIB, "app 1.0": ["lib==9"]}, "app"), overrides=overrides) == [
        "  the project requires app",
        "    app 1.0 requires lib (overridden)",
        "  override-dependencies of pyproject.toml make it lib==9",
    ]


def test_what_would_suit_everybody_is_known() -> None:
    what = known({**LIB, "app 1.0": ["lib>=2"], "app 2.0": ["lib>=3"]}, "app", "lib!=2.0")
    facts = find_contradiction(what, [])
    assert facts is not None
    story = ConflictReport(what, facts, Overrides())
    lib = canonicalize_name("lib")
    assert [v for v in ("1.0", "2.0", "2.5", "4.0rc1") if story.suits(lib, Version(v))] == [
        "2.5",
        "4.0rc1",
    ]


def test_hundreds_of_versions_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipshim.lock.minimal_conflict.SECONDS", 600.0)  # on a busy machine too
    index: dict[str, list[str]] = {f"app 1.{minor}": ["lib>=2"] for minor in range(400)}
    index |= {f"lib 1.{minor}": [] for minor in range(200)} | {"lib 2.0": []}
    index |= {f"more{number} 1.0": ["app"] for number in range(30)}
    start = time.process_time()
    lines = told(known(index, *(f"more{number}" for number in range(30)), "app", "lib<2"))
    assert lines[-1] == "    app 1.0 to 1.399 require lib>=2"
    assert len(lines) == 3
    assert time.process_time() - start < 3


def test_versions_that_follow_each_other_are_a_range() -> None:
    among = [Version(f"1.{minor}") for minor in reversed(range(10))]
    some = [one for one in among if one.minor not in (2, 5, 6)]
    assert ranges(some, among) == "1.7 to 1.9, 1.3, 1.4, 1.0, 1.1"
