"""In which order a package's candidates are offered to the resolver."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.version_order import Order

NAME = canonicalize_name("lib")


class Link(NamedTuple):
    is_wheel: bool


class File(NamedTuple):
    version: Version
    link: Link = Link(is_wheel=True)


def offered(order: Order, *files: File) -> list[str]:
    """List the versions, the one first that the resolver tries first."""
    return [str(one.version) for one in reversed(order.arranged(NAME, files, lambda _: 0))]


def files(*versions: str) -> list[File]:
    return [File(Version(one)) for one in versions]


def test_the_newest_version_is_offered_first() -> None:
    assert offered(Order(), *files("1", "2", "3")) == ["3", "2", "1"]


@pytest.mark.parametrize("strategy", ["lowest", "lowest-direct"])
def test_the_lowest_version_is_offered_first_where_it_is_wanted(strategy: str) -> None:
    order = Order(strategy=strategy, direct={NAME})
    assert offered(order, *files("1", "2", "3")) == ["1", "2", "3"]


def test_what_outranks_versions_stays_before_them() -> None:
    order = Order(strategy="lowest")
    found = order.arranged(NAME, files("1", "2", "3"), lambda one: one.version != Version("1"))
    assert [str(one.version) for one in found] == ["1", "3", "2"]  # the last one is the best


def test_preferred_versions_are_offered_first_and_the_last_of_them_before_all() -> None:
    order = Order(preferred={NAME: (Version("1"), Version("2"))})
    assert offered(order, *files("1", "2", "3")) == ["2", "1", "3"]


def test_versions_of_other_targets_go_before_preferred_ones() -> None:
    order = Order(preferred={NAME: (Version("1"),)}, offered={NAME: (Version("2"),)})
    assert offered(order, *files("1", "2", "3")) == ["2", "1", "3"]


def test_versions_of_other_targets_are_not_built_where_another_has_a_wheel() -> None:
    order = Order(offered={NAME: (Version("2"),)})
    sdist = File(Version("2"), Link(is_wheel=False))
    assert offered(order, File(Version("1")), sdist, File(Version("3"))) == ["3", "2", "1"]
    assert offered(order, sdist, File(Version("3"), Link(is_wheel=False))) == ["2", "3"]
