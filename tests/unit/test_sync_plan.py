"""What a sync plans, by what is wanted and what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from packaging.utils import canonicalize_name

from pipshim.model.sync_plan import Present, Wanted, plan

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

NAME = canonicalize_name("fakelib")


def wanted(name: str = "fakelib", version: str | None = "1.0", **more: Any) -> Wanted:
    return Wanted(canonicalize_name(name), version, **{"identity": "sha256:a", **more})


def present(name: str = "fakelib", version: str = "1.0", **more: Any) -> Present:
    return Present(
        canonicalize_name(name),
        version,
        **{"installer": "pipshim", "identity": "sha256:a", **more},
    )


def planned(
    want: list[Wanted],
    have: list[Present],
    *,
    removes: Literal["all", "own", "none"] = "all",
    **more: Any,
) -> list[tuple[str, str, str]]:
    steps = plan(
        {one.name: one for one in want}, {one.name: one for one in have}, removes=removes, **more
    )
    return [(step.action, step.name, step.reason) for step in steps]


def test_nothing_is_planned_for_nothing() -> None:
    assert planned([], []) == []


def test_what_is_missing_is_added() -> None:
    (step,) = plan({NAME: wanted()}, {}, removes="none")
    assert (step.action, step.old, step.new) == ("add", None, "1.0")


def test_what_is_as_locked_is_kept() -> None:
    assert planned([wanted()], [present()]) == [("keep", "fakelib", "as locked")]


def test_another_version_replaces() -> None:
    (step,) = plan({NAME: wanted(version="2.0")}, {NAME: present()}, removes="none")
    assert (step.action, step.old, step.new, step.reason) == (
        "replace",
        "1.0",
        "2.0",
        "another version",
    )


def test_the_same_version_from_another_file_replaces() -> None:
    assert planned([wanted(identity="sha256:b")], [present()]) == [
        ("replace", "fakelib", "another source")
    ]


def test_the_locked_version_that_pip_installed_is_kept() -> None:
    by_pip = present(installer="pip", identity=None)
    assert planned([wanted()], [by_pip]) == [("keep", "fakelib", "as locked")]


@pytest.mark.parametrize("direct", [True, False])
def test_what_another_tool_installed_from_another_kind_of_source_is_replaced(direct: bool) -> None:
    by_pip = present(installer="pip", identity=None, direct=not direct)
    assert planned([wanted(direct=direct)], [by_pip]) == [("replace", "fakelib", "another source")]


def test_a_direct_reference_that_another_tool_installed_is_replaced() -> None:
    by_pip = present(installer="pip", identity=None, direct=True)
    assert planned([wanted(direct=True)], [by_pip]) == [
        ("replace", "fakelib", "not installed by pipshim")
    ]


def test_what_is_damaged_is_replaced_though_its_version_fits() -> None:
    assert planned([wanted()], [present(damaged="no RECORD")]) == [
        ("replace", "fakelib", "no RECORD")
    ]


def test_a_version_that_only_the_build_can_tell_is_not_compared() -> None:
    assert planned([wanted(version=None)], [present(version="0.3")]) == [
        ("keep", "fakelib", "as locked")
    ]


def test_what_has_a_reason_to_be_installed_anew_always_is() -> None:
    assert planned([wanted(always="installed from a folder")], [present()]) == [
        ("replace", "fakelib", "installed from a folder")
    ]


def test_reinstall_counts_by_name() -> None:
    want = [wanted(), wanted("other")]
    have = [present(), present("other")]
    assert planned(want, have, reinstall=lambda name: name == "other") == [
        ("keep", "fakelib", "as locked"),
        ("replace", "other", "reinstall"),
    ]


def test_a_stale_build_is_replaced_with_its_reason() -> None:
    def stale(name: NormalizedName) -> str | None:
        return f"rebuild: {name}" if name == "fakelib" else None

    assert planned([wanted(), wanted("other")], [present(), present("other")], stale=stale) == [
        ("replace", "fakelib", "rebuild: fakelib"),
        ("keep", "other", "as locked"),
    ]


@pytest.mark.parametrize(
    ("removes", "gone"), [("all", ["by-pip", "by-us"]), ("own", ["by-us"]), ("none", [])]
)
def test_what_is_not_wanted_is_removed_by_the_rule(
    removes: Literal["all", "own", "none"], gone: list[str]
) -> None:
    have = [present("by-us"), present("by-pip", installer="pip", identity=None)]
    assert planned([], have, removes=removes) == [
        ("remove", name, "not in the lock") for name in gone
    ]


def test_what_is_protected_is_never_removed() -> None:
    assert planned([], [present("pip")], removes="all", protected={canonicalize_name("pip")}) == []


def test_what_is_protected_may_be_replaced() -> None:
    protected = {canonicalize_name("pip")}
    want = [wanted("pip", "2.0")]
    assert planned(want, [present("pip")], protected=protected) == [
        ("replace", "pip", "another version")
    ]


def test_removals_come_first_and_all_is_in_the_order_of_names() -> None:
    steps = planned([wanted("d"), wanted("a")], [present("c"), present("b"), present("d")])
    assert [(action, name) for action, name, _ in steps] == [
        ("remove", "b"),
        ("remove", "c"),
        ("add", "a"),
        ("keep", "d"),
    ]
