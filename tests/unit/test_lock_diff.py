"""What changed between two locks."""

from __future__ import annotations

from typing import Any

from packaging.pylock import Package, PackageSdist, PackageVcs, PackageWheel
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.build_mode import Mode
from pipshim.model.lock_diff import changes
from pipshim.model.pylock import Lock, LockedBuild, key_of


def pin(name: str, version: str, sha256: str = "a" * 64, **fields: Any) -> Package:
    wheel = PackageWheel(
        name=f"{name}-{version}-py3-none-any.whl", url="https://e.org/x", hashes={"sha256": sha256}
    )
    return Package(
        name=canonicalize_name(name), version=Version(version), **{"wheels": [wheel], **fields}
    )


def source(name: str, version: str) -> Package:
    file = PackageSdist(
        name=f"{name}-{version}.tar.gz", url="https://e.org/x", hashes={"sha256": "b" * 64}
    )
    return pin(name, version, wheels=None, sdist=file)


def checkout(name: str, commit: str) -> Package:
    vcs = PackageVcs(type="git", url="https://e.org/r", commit_id=commit)
    return Package(name=canonicalize_name(name), vcs=vcs)


def locked(*packages: Package, builds: tuple[Package, ...] = (), mode: str = "isolated") -> Lock:
    build = LockedBuild(Mode(mode), "default", "backend", (), "id")
    return Lock(
        packages=packages,
        origins={},
        builds={key_of(one): build for one in packages if one.sdist is not None},
        build_packages=builds,
        environments={"id": tuple(map(key_of, builds))} if builds else {},
    )


def said(old: Lock | None, new: Lock) -> list[tuple[str, ...]]:
    return [
        tuple(filter(None, (one.kind, one.name, one.old, one.new, one.reason)))
        for one in changes(old, new)
    ]


def test_pins_are_added_removed_and_changed() -> None:
    old = locked(pin("a", "1"), pin("b", "1"), checkout("v", "1" * 40))
    new = locked(pin("a", "2"), pin("c", "1"), checkout("v", "2" * 40))
    assert said(old, new) == [
        ("~", "a", "1", "2"),
        ("-", "b", "1"),
        ("+", "c", "1"),
        ("~", "v", "1" * 10, "2" * 10),
    ]
    assert said(old, old) == []
    assert said(None, locked(pin("a", "1"))) == [("+", "a", "1")]


def test_versions_of_several_targets_are_told_apart() -> None:
    old = locked(pin("a", "1"), pin("a", "2"))
    assert said(old, locked(pin("a", "1"), pin("a", "3"))) == [("~", "a", "2", "3")]
    assert said(old, locked(pin("a", "1"))) == [("-", "a", "2")]


def test_the_same_version_may_be_other_files_or_built_otherwise() -> None:
    assert said(locked(pin("a", "1")), locked(pin("a", "1", "c" * 64))) == [
        ("~", "a", "1", "1", "other files")
    ]
    one = locked(source("a", "1"))
    other = locked(source("a", "1"), mode="no-isolation")
    assert said(one, other) == [("~", "a", "1", "1", "no-isolation, was isolated")]
    assert said(one, locked(pin("a", "1"))) == [("~", "a", "1", "1", "a wheel, was isolated")]


def test_what_only_builds_have_comes_last_and_says_so() -> None:
    old = locked(pin("z", "1"), builds=(pin("setuptools", "80"), pin("z", "1")))
    new = locked(pin("z", "2"), builds=(pin("setuptools", "81"), pin("z", "2"), pin("flit", "3")))
    assert said(old, new) == [
        ("~", "z", "1", "2"),
        ("+", "flit", "3", "for builds"),
        ("~", "setuptools", "80", "81", "for builds"),
    ]
