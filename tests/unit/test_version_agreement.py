"""Agreeing on versions: whatever a target admits is said by a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pipshim.base.errors import BuildError, Failures, PipshimError
from pipshim.model.targets import TargetName
from pipshim.model.version_agreement import MAX_ATTEMPTS, agree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

A, B, C = (TargetName("linux", "x86_64", minor) for minor in (13, 12, 10))
Offered = dict[NormalizedName, tuple[Version, ...]]


@dataclass(frozen=True)
class Solved:
    versions: Mapping[NormalizedName, Version]


class Resolver:
    """Takes the best of what is offered and admitted, else the newest that is admitted."""

    def __init__(self, admits: Mapping[TargetName, Mapping[str, str]]) -> None:
        self.admits = admits
        self.asked: list[set[TargetName]] = []
        self.fails: Callable[[Offered], bool] = lambda _: False
        self.error: PipshimError = BuildError("x", package="x", mode="isolated", step="metadata")

    def __call__(
        self, asked: Mapping[TargetName, Mapping[NormalizedName, tuple[Version, ...]]]
    ) -> dict[TargetName, Solved]:
        self.asked.append(set(asked))
        return {target: self.one(target, dict(offered)) for target, offered in asked.items()}

    def one(self, target: TargetName, offered: Offered) -> Solved:
        if self.fails(offered):
            raise self.error
        versions = {}
        for text, admitted in self.admits[target].items():
            name = canonicalize_name(text)
            known = [Version(one) for one in admitted.split()]
            wanted = [one for one in offered.get(name, ()) if one in known]
            versions[name] = wanted[-1] if wanted else known[-1]
        return Solved(versions)


def versions(found: Mapping[TargetName, Solved]) -> dict[str, str]:
    return {
        str(target.minor): " ".join(f"{n}{v}" for n, v in one.versions.items())
        for target, one in found.items()
    }


def test_what_one_target_needs_the_others_take() -> None:
    resolver = Resolver({A: {"n": "1 2 3"}, B: {"n": "1 2 3"}, C: {"n": "1 2"}})
    found = agree([A, B, C], resolver, {})
    assert versions(found) == {"13": "n2", "12": "n2", "10": "n2"}
    assert resolver.asked == [{A}, {B, C}, {A, B}]


def test_versions_differ_where_they_must_and_nothing_is_older_for_it() -> None:
    resolver = Resolver(
        {
            A: {"n": "2 3", "m": "1 2"},
            B: {"n": "1 2 3", "m": "1 2"},
            C: {"n": "1", "m": "1"},
        }
    )
    found = agree([A, B, C], resolver, {})
    # n 1 would serve two of three, and leave as many versions
    assert versions(found) == {"13": "n3 m1", "12": "n3 m1", "10": "n1 m1"}


def test_what_only_some_targets_have_is_agreed_on_among_those() -> None:
    resolver = Resolver({A: {}, B: {"w": "1 2"}, C: {"w": "1"}})
    assert versions(agree([A, B, C], resolver, {})) == {"13": "", "12": "w1", "10": "w1"}


def test_where_nothing_has_changed_nothing_is_tried_again() -> None:
    resolver = Resolver({A: {"n": "2 3"}, C: {"n": "1"}})
    before = agree([A, C], resolver, {})
    resolver.asked.clear()
    assert agree([A, C], resolver, {name: one.versions for name, one in before.items()}) == before
    assert resolver.asked == [{A}, {C}]


def test_a_version_that_cannot_be_tried_is_not_taken() -> None:
    resolver = Resolver({A: {"n": "1 2"}, C: {"n": "1"}})
    resolver.fails = lambda offered: offered.get(canonicalize_name("n"), ())[-1:] == (Version("1"),)
    assert versions(agree([A, C], resolver, {})) == {"13": "n2", "10": "n1"}
    resolver.error = Failures((resolver.error, resolver.error))
    assert versions(agree([A, C], resolver, {})) == {"13": "n2", "10": "n1"}


def test_attempts_have_an_end() -> None:
    names = [f"n{number}" for number in range(20)]
    resolver = Resolver(
        {
            A: {name: " ".join(map(str, range(1, 40, 2))) for name in names},
            B: {name: " ".join(map(str, range(2, 40, 2))) for name in names},
            C: dict.fromkeys(names, "50"),
        }
    )
    agree([A, B, C], resolver, {})
    assert len(resolver.asked) <= 2 + 2 * MAX_ATTEMPTS


def test_a_version_that_only_another_one_needed_goes_when_that_one_does_without_it() -> None:
    n, m = canonicalize_name("n"), canonicalize_name("m")

    def solve(
        asked: Mapping[TargetName, Mapping[NormalizedName, tuple[Version, ...]]],
    ) -> dict[TargetName, Solved]:
        """A needs an old m with its newest n; B needs any m, and an old n."""
        found = {}
        for target, offered in asked.items():
            wanted = {name: str(versions[-1]) for name, versions in offered.items()}
            if target == B:
                taken = {n: "1", m: wanted.get(m, "2")}
            else:
                taken = {n: "1"} if wanted.get(n) == "1" else {n: "2", m: "1"}
            found[target] = Solved({name: Version(one) for name, one in taken.items()})
        return found

    assert versions(agree([A, B], solve, {})) == {"13": "n1", "12": "n1 m2"}
