"""Which packages of a lock a change of requirements leaves as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from packaging.markers import default_environment
from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.interpreter import TargetPython
from pipshim.model.solution import ResolutionGraph
from pipshim.model.stable_packages import StablePackages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.model.solution import Pin

MARKERS = {
    **cast("dict[str, str]", default_environment()),
    "python_full_version": "3.11.7",
    "sys_platform": "linux",
}
TARGET = TargetPython((3, 11, 7), "cpython", MARKERS, ("cp311-cp311-linux", "py3-none-any"))
HASHES = {"sha256": "0" * 64}


def entry(
    name: str,
    requires: list[str] | None = None,
    *,
    tag: str | None = "py3-none-any",
    python: str | None = None,
    index: str | None = "https://index.example/simple/",
    depends: list[str] | None = None,
) -> Package:
    requires = requires or []
    names = [Requirement(one).name for one in requires] if depends is None else depends
    wheel = PackageWheel(name=f"{name}-1.0-{tag}.whl", url="https://f.example/w", hashes=HASHES)
    sdist = PackageSdist(name=f"{name}-1.0.tar.gz", url="https://f.example/s", hashes=HASHES)
    return Package(
        name=canonicalize_name(name),
        version=Version("1.0"),
        index=index,
        requires_python=SpecifierSet(python) if python else None,
        dependencies=[{"name": one} for one in names] or None,
        wheels=[wheel] if tag else None,
        sdist=sdist,
        tool={"pipshim": {"requires": requires}},
    )


def stable(*packages: Package, stated: tuple[str, ...] = ("a", "d")) -> StablePackages:
    return StablePackages.of(packages, stated, TARGET)


def unaffected(
    packages: StablePackages, *roots: str, refused: tuple[str, ...] = ()
) -> StablePackages:
    def admits(pin: Pin) -> bool:
        return pin.package.name not in refused

    return packages.unaffected([*map(Requirement, roots)], admits)


@pytest.mark.parametrize(
    "package",
    [
        entry("one", tag=None),
        entry("one", tag="cp311-cp311-macosx_11_0_arm64"),
        entry("one", python=">=3.12"),
        entry("one", python=">3.11.7"),
        entry("one", index=None),
        entry("one", ["two"], depends=[]),
        entry("one", ["two", "elsewhere"]),
        entry("one", ["two", "direct"]),
        entry("one", ["two; sys_platform == 'win32'"]),
        entry("one", ["two[extra]", "one[extra]"], depends=["two"]),
    ],
)
def test_what_an_entry_does_not_tell_a_resolver_finds_out(package: Package) -> None:
    others = entry("two"), entry("direct", index=None)
    assert "one" not in stable(package, *others).pins


def test_all_who_require_a_package_ask_for_the_same_extras() -> None:
    packages = stable(
        entry("a", ["b[X]", "c[y]"]), entry("b", ["c"]), entry("c"), stated=("a", "b[x]", "d[z]")
    )
    assert set(packages.pins) == {"a", "b"}
    assert packages.extras == {"a": frozenset(), "b": {"x"}}
    assert set(unaffected(packages, "a", "b[x]").pins) == {"a", "b"}
    assert set(unaffected(packages, "a", "b").pins) == {"a"}
    assert set(unaffected(packages, "a", "b[x,y]").pins) == {"a"}
    chosen = [("b", canonicalize_name("b"), "1.0")]  # whether with extras is not known then
    assert not unaffected(packages, "a").agree_with(chosen)


def test_a_pin_is_for_the_wheel_of_the_target() -> None:
    packages = stable(entry("a", ["b"]), entry("b", tag="cp311-cp311-linux"))
    specific = {name: pin.platform_specific for name, pin in packages.pins.items()}
    assert specific == {"a": False, "b": True}
    assert packages.pins[canonicalize_name("a")].package.tool is None


CHAIN = stable(
    entry("a", ["b>=1", "c"]), entry("b", ["c>=1"]), entry("c"), entry("d", ["e==1.0"]), entry("e")
)


@pytest.mark.parametrize(
    ("roots", "refused", "expected", "still_open"),
    [
        (["a"], (), "a b c", []),
        (["d"], (), "d e", []),
        (["a", "d<1"], (), "a b c", []),
        (["a", "new"], (), "a b c", []),
        (["a", "d"], ("e",), "a b c d", ["d: e==1.0"]),
        (["a"], ("b",), "a c", ["a: b>=1"]),
        (["a", "b>1"], (), "a c", ["a: b>=1"]),
        (["a", "b[x]"], (), "a c", ["a: b>=1"]),
        (["b", "c<1"], (), "b", ["b: c>=1"]),
        (["d", "e @ https://f.example/e.whl"], (), "d", ["d: e==1.0"]),
        ([], (), "", []),
    ],
)
def test_what_all_requirements_admit_is_unaffected(
    roots: list[str], refused: tuple[str, ...], expected: str, still_open: list[str]
) -> None:
    found = unaffected(CHAIN, *roots, refused=refused)
    assert set(found.pins) == set(found.requires) == set(expected.split())
    assert [f"{name}: {one}" for name, one in found.open()] == still_open


def chosen(identifiers: Mapping[str, str | None]) -> list[tuple[str, str, str | None]]:
    return [(one, one.partition("[")[0], version) for one, version in identifiers.items()]


@pytest.mark.parametrize(
    ("identifiers", "agrees"),
    [
        ({"new": "3", "c": "1.0"}, True),
        ({"c": "2.0"}, False),
        ({"c": None}, False),
        ({"c": "1.0", "c[x]": "1.0"}, False),
    ],
)
def test_a_resolver_may_come_to_another_choice(
    identifiers: dict[str, str | None], agrees: bool
) -> None:
    found = unaffected(CHAIN, "a")
    choices = [(key, canonicalize_name(name), one) for key, name, one in chosen(identifiers)]
    assert found.agree_with(choices) is agrees


def test_what_is_required_of_other_packages_leads_to_what_was_chosen_for_them() -> None:
    packages = stable(entry("a", ["b", "c[x]>=1"]), entry("b"), entry("c"))
    names = {one: canonicalize_name(one.partition("[")[0]) for one in ("c", "c[x]", "new")}
    graph = ResolutionGraph(names, {"c[x]": {"c", "new"}, "c": set(), "new": set()})
    whole = unaffected(packages, "a").joined(graph)
    assert whole.children == {
        "a": {"b", "c", "c[x]"},
        "b": set(),
        "c": set(),
        "c[x]": {"c", "new"},
        "new": set(),
    }
    assert whole.names == {"a": "a", "b": "b", **names}
