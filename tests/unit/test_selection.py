"""Which part of a lock the options choose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import Marker, default_environment
from packaging.pylock import Package, PackageDirectory, PackageSdist
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.base.errors import LockError, UnknownNameError
from pipshim.model.build_mode import Mode
from pipshim.model.pylock import Lock, LockedBuild, LockedFolder
from pipshim.model.requests import SelectionOptions
from pipshim.model.selection import check_target, select
from pipshim.model.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = Path("pylock.toml")
HERE = {name: str(value) for name, value in default_environment().items()}
FOR = {
    "base": {"project"},
    "shared": {"project", "extra gpu", "group dev"},
    "torch": {"extra gpu"},
    "plots": {"extra draw"},
    "pytest": {"group dev"},
    "ruff": {"group lint"},
    "sphinx": {"group docs", "extra draw"},
}


def package(name: str, version: str = "1.0", *, marker: str | None = None) -> Package:
    return Package(
        name=canonicalize_name(name),
        version=Version(version),
        marker=Marker(marker) if marker else None,
        sdist=PackageSdist(url=f"https://h.invalid/{name}.tar.gz", hashes={"sha256": "0" * 64}),
    )


def lock(origins: Mapping[str, set[str]] = FOR, **more: Any) -> Lock:
    build = LockedBuild(Mode.ISOLATED, "default", "backend", (), "e")
    parts: dict[str, Any] = {
        "packages": tuple(package(name) for name in origins),
        "origins": {canonicalize_name(name): frozenset(of) for name, of in origins.items()},
        "folders": (
            LockedFolder(".", canonicalize_name("demo"), {None: build}, frozenset({"project"})),
        ),
        "extras": (canonicalize_name("gpu"), canonicalize_name("draw")),
        "groups": ("dev", "docs", "lint"),
        "default_groups": ("dev",),
    }
    return Lock(**{**parts, **more})


def names(*words: str) -> tuple[Any, ...]:
    return tuple(canonicalize_name(word) for word in words)


def chosen(of: Lock | None = None, **options: Any) -> set[str]:
    found = select(of or lock(), SelectionOptions(**options), HERE, PATH)
    return {*found.packages, *(folder.name for folder in found.folders)}


BASE = {"base", "shared", "demo"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, BASE | {"pytest"}),
        ({"extras": names("gpu")}, BASE | {"pytest", "torch"}),
        ({"extras": names("gpu", "draw")}, BASE | {"pytest", "torch", "plots", "sphinx"}),
        ({"all_extras": True}, BASE | {"pytest", "torch", "plots", "sphinx"}),
        ({"groups": names("lint")}, BASE | {"pytest", "ruff"}),
        ({"all_groups": True}, BASE | {"pytest", "ruff", "sphinx"}),
        ({"no_default_groups": True}, BASE),
        ({"no_groups": names("dev")}, BASE),
        ({"all_groups": True, "no_groups": names("lint")}, BASE | {"pytest", "sphinx"}),
        ({"groups": names("dev"), "no_groups": names("dev")}, BASE),
        ({"no_default_groups": True, "groups": names("docs")}, BASE | {"sphinx"}),
        ({"no_default_groups": True, "groups": names("dev")}, BASE | {"pytest"}),
        ({"only_groups": names("lint")}, {"ruff"}),
        ({"only_groups": names("dev", "docs")}, {"pytest", "shared", "sphinx"}),
        ({"all_extras": True, "no_extras": names("gpu")}, BASE | {"pytest", "plots", "sphinx"}),
        ({"no_dev": True}, BASE),
        ({"no_dev": True, "all_groups": True}, BASE | {"ruff", "sphinx"}),
        ({"no_install_project": True}, {"base", "shared", "pytest"}),
        ({"no_install_local": True}, {"base", "shared", "pytest"}),
        ({"no_install_packages": names("base")}, {"shared", "demo", "pytest"}),
        ({"no_install_packages": names("demo")}, {"base", "shared", "pytest"}),
    ],
)
def test_options_choose_by_what_packages_are_there_for(
    options: dict[str, Any], expected: set[str]
) -> None:
    assert chosen(**options) == expected


def test_names_are_compared_normalized() -> None:
    of = lock({"x": {"group big-tests"}}, groups=("Big_Tests",), folders=())
    assert chosen(of, groups=("big-tests",)) == {"x"}


@pytest.mark.parametrize(
    ("options", "kind", "those"),
    [
        ({"extras": names("cuda")}, "extra", "gpu, draw"),
        ({"groups": names("tests")}, "group", "dev, docs, lint"),
        ({"no_groups": names("tests")}, "group", "dev, docs, lint"),
        ({"only_groups": names("tests")}, "group", "dev, docs, lint"),
    ],
)
def test_an_unknown_name_is_an_error_that_tells_the_known_ones(
    options: dict[str, Any], kind: str, those: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        chosen(**options)
    assert f"no {kind} " in caught.value.message
    assert those in str(caught.value.hint)
    assert caught.value.exit_status == 2


def test_another_tools_lock_is_chosen_from_by_its_markers() -> None:
    packages = (
        package("always"),
        package("never", marker="python_version < '3'"),
        package("torch", marker="'gpu' in extras"),
        package("pytest", marker="'dev' in dependency_groups"),
    )
    of = lock({}, packages=packages, folders=())
    assert chosen(of, no_default_groups=True) == {"always"}
    assert chosen(of, extras=names("gpu")) == {"always", "torch", "pytest"}


def test_what_is_local_and_which_folder_is_the_project() -> None:
    here = Package(name=canonicalize_name("here"), directory=PackageDirectory(path="here"))
    of = lock({}, packages=(here, package("index")))
    assert chosen(of, no_install_local=True) == {"index"}
    options = SelectionOptions(no_install_project=True)
    other = select(of, options, HERE, PATH, canonicalize_name("another"))
    assert [one.name for one in other.folders] == ["demo"]
    assert not select(of, options, HERE, PATH, canonicalize_name("demo")).folders


def test_two_versions_of_one_package_are_refused() -> None:
    of = lock({}, packages=(package("a"), package("a", "2.0")), folders=())
    with pytest.raises(LockError, match="more than one a"):
        chosen(of)


def test_two_versions_whose_markers_exclude_each_other_are_one() -> None:
    both = (
        package("a", marker="python_version < '3'"),
        package("a", "2.0", marker="python_version >= '3'"),
    )
    found = select(lock({}, packages=both, folders=()), SelectionOptions(), HERE, PATH)
    assert [str(one.version) for one in found.packages.values()] == ["2.0"]


def test_a_lock_for_another_python_is_refused() -> None:
    with pytest.raises(LockError, match="another Python or platform") as caught:
        chosen(lock(environment=Marker("python_version == '2.7'")))
    assert "python_version" in caught.value.message


def test_a_lock_whose_requires_python_is_not_met_is_refused() -> None:
    with pytest.raises(LockError, match=r"requires Python <3"):
        chosen(lock(requires_python=SpecifierSet("<3")))


def test_a_package_that_the_python_is_too_old_for_is_refused_where_it_is_chosen() -> None:
    future = replace(package("torch"), requires_python=SpecifierSet(">=3.99.1"))
    found = replace(lock(), packages=(package("base"), future))
    assert chosen(found) == {"base", "demo"}
    with pytest.raises(LockError, match=r"torch 1.0 requires Python >=3.99.1, this environment"):
        chosen(found, extras=names("gpu"))
    ignoring = replace(found, options={"ignore-requires-python": True})
    assert chosen(ignoring, extras=names("gpu")) == {"base", "demo", "torch"}
    rc = {**HERE, "python_full_version": "3.99.1rc1"}
    assert "torch" in select(found, SelectionOptions(extras=names("gpu")), rc, PATH).packages


def test_an_environment_without_a_name_is_refused_by_a_lock_for_named_targets() -> None:
    targets = (TargetName("linux", "x86_64", 12), TargetName("macos", "arm64", 12))
    pypy = {**targets[0].python.markers, "platform_python_implementation": "PyPy"}
    with pytest.raises(
        LockError, match=r"\(PyPy 3\.12 on linux x86_64, which has no name\)"
    ) as caught:
        check_target(targets, {**pypy, "implementation_name": "pypy"}, PATH)
    assert "target-environments" not in str(caught.value.hint)
    check_target(targets, targets[1].python.markers, PATH)
