"""One lock of several: what it says of each target, and what readers choose from it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import Marker
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockSelectError
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.build_mode import Mode
from pipshim.model.combinations import Case, Conflicts
from pipshim.model.pylock import Lock, LockedBuild, LockedFolder, key_of, read, write
from pipshim.model.targets import TargetName
from pipshim.model.universal_lock import lock_for, merge_locks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LINUX = TargetName.parse("linux-x86_64-cp312")
OLD = TargetName.parse("linux-x86_64-cp310")
MAC = TargetName.parse("macos-arm64-cp312")
HASH = {"sha256": "0" * 64}
PROJECT = frozenset({"project"})
DEV = frozenset({"group dev"})


def package(name: str, version: str = "1.0", *, needs: Iterable[str] = ()) -> Package:
    file = f"{name}-{version}"
    return Package(
        name=canonicalize_name(name),
        version=Version(version),
        dependencies=[{"name": one} for one in needs] or None,
        wheels=[
            PackageWheel(
                name=f"{file}-py3-none-any.whl", url=f"https://host/{file}.whl", size=1, hashes=HASH
            )
        ],
        sdist=PackageSdist(name=f"{file}.tar.gz", url=f"https://host/{file}.tar.gz", hashes=HASH),
        tool={"pipshim": {"requires": list(needs)}} if needs else None,
    )


def lock(*packages: Package, **more: Any) -> Lock:
    parts: dict[str, Any] = {
        "packages": packages,
        "origins": {one.name: PROJECT for one in packages},
        "inputs": "sha256:1",
        "groups": ("dev",),
        "default_groups": ("dev",),
    }
    return Lock(**{**parts, **more})


def merged_of(locks: Mapping[TargetName, Lock]) -> Lock:
    return merge_locks({Case(target): one for target, one in locks.items()}, Conflicts())


def chosen(text: str, target: TargetName) -> dict[str, str]:
    """Select as PEP 751 says, with packaging's own reader."""
    python = target.python
    tags = [tag for one in python.tags for tag in parse_tag(one)]
    found = Pylock.from_dict(tomllib.loads(text)).select(
        environment=dict(python.markers),  # type: ignore[arg-type]
        tags=tags,
    )
    return {one.name: str(one.version) for one, _ in found}


def again(made: Lock, tmp_path: Path) -> Lock:
    path = tmp_path / "pylock.toml"
    path.write_text(write(made, tmp_path))
    found = read(path)
    assert write(found, tmp_path) == path.read_text()
    return found


def test_each_target_gets_what_was_locked_for_it(tmp_path: Path) -> None:
    locks = {
        LINUX: lock(package("aa", "2.0"), package("bb")),
        OLD: lock(package("aa", "1.0"), package("bb", needs=["old"]), package("old")),
        MAC: lock(package("aa", "2.0"), package("bb")),
    }
    made = again(merged_of(locks), tmp_path)
    assert made.targets == (OLD, LINUX, MAC)
    assert [(key_of(one), str(one.marker or "")) for one in made.packages] == [
        ("aa==1.0", 'python_version == "3.10"'),
        ("aa==2.0", 'python_version == "3.12"'),
        ("bb==1.0", ""),
        ("old==1.0", 'python_version == "3.10"'),
    ]
    for target, one in locks.items():
        wanted = {name: str(version) for name, version in one.versions.items()}
        assert chosen(write(made, tmp_path), target) == wanted
        part = lock_for(made, target.python.markers)
        assert {name: str(version) for name, version in part.versions.items()} == wanted
        assert part.environment == target.marker
    with pytest.raises(PylockSelectError, match="any of the environments"):
        chosen(write(made, tmp_path), TargetName.parse("windows-x86_64-cp312"))


def test_a_package_that_is_there_for_different_parts_of_the_project_has_an_entry_for_each(
    tmp_path: Path,
) -> None:
    aa = package("aa")
    locks = {LINUX: lock(aa), OLD: lock(aa, origins={aa.name: DEV}), MAC: lock(aa)}
    made = again(merged_of(locks), tmp_path)
    assert [str(one.marker) for one in made.packages] == [
        'python_version == "3.10" and "dev" in dependency_groups',
        'python_version == "3.12"',
    ]
    assert made.origins == {"aa": PROJECT | DEV}
    assert lock_for(made, OLD.python.markers).origins == {"aa": DEV}
    assert lock_for(made, MAC.python.markers).origins == {"aa": PROJECT}


def test_builds_are_said_once_where_targets_build_alike_and_else_for_each(tmp_path: Path) -> None:
    one = LockedBuild(Mode.ISOLATED, "default", "b", ("tool",), "e1")
    other = replace(one, mode=Mode.MATCHED, environment="e2")
    aa, bb, tool = package("aa"), package("bb"), package("tool")
    folder = LockedFolder(".", canonicalize_name("demo"), {None: one}, PROJECT)
    here = lock(
        aa,
        bb,
        builds={"aa==1.0": one, "bb==1.0": one},
        build_packages=(tool,),
        environments={"e1": ("tool==1.0",)},
        folders=(folder,),
    )
    there = lock(
        aa,
        bb,
        package("tool", "2.0"),
        builds={"aa==1.0": one, "bb==1.0": other},
        build_packages=(tool,),
        environments={"e1": ("tool==1.0",), "e2": ("tool==2.0",)},
        folders=(replace(folder, builds={None: other}),),
    )
    made = again(merged_of({LINUX: here, MAC: there}), tmp_path)
    tables = [(one.tool or {})["pipshim"] for one in made.packages]
    assert tables[0]["build"] == one.to_dict()
    assert tables[1]["builds"] == {str(LINUX): one.to_dict(), str(MAC): other.to_dict()}
    assert [key_of(one) for one in made.build_packages] == ["tool==1.0"]
    for target, wanted in {LINUX: here, MAC: there}.items():
        part = lock_for(made, target.python.markers)
        assert part.builds == wanted.builds
        assert part.environments == wanted.environments
        assert part.folders == wanted.folders
        for name in wanted.environments:
            assert list(map(key_of, part.members(name))) == list(wanted.environments[name])
    # a part has what its own build environments need, and nothing of other targets
    build_packages = lock_for(made, LINUX.python.markers).build_packages
    assert [key_of(one) for one in build_packages] == ["tool==1.0"]


def test_a_lock_for_one_target_is_served_as_it_is() -> None:
    made = lock(package("aa"), environment=Marker("sys_platform == 'linux'"))
    assert lock_for(made, LINUX.python.markers) is made
