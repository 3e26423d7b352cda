"""The lock as TOML, written and read."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
)
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.base.errors import LockError
from pipshim.model.build_mode import Mode
from pipshim.model.pylock import (
    Lock,
    LockedBuild,
    LockedFolder,
    environment_id,
    key_of,
    marker_of,
    read,
    target_marker,
    write,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HASH = {"sha256": "0" * 64}
BUILD = LockedBuild(Mode.ISOLATED, "default", "backend:x", ("tool",), "abc")


def index_package(name: str, version: str = "1.0", **more: Any) -> Package:
    file = f"{name}-{version}"
    return Package(
        name=canonicalize_name(name),
        version=Version(version),
        wheels=[
            PackageWheel(
                name=f"{file}-py3-none-any.whl", url=f"https://host/{file}.whl", size=1, hashes=HASH
            )
        ],
        sdist=PackageSdist(name=f"{file}.tar.gz", url=f"https://host/{file}.tar.gz", hashes=HASH),
        **more,
    )


AA, BB, TOOL = index_package("aa"), index_package("bb"), index_package("tool")

FULL = Lock(
    packages=(AA, BB),
    origins={AA.name: frozenset({"project"}), BB.name: frozenset({"group dev", "extra e"})},
    builds={"aa==1.0": BUILD, "tool==1.0": replace(BUILD, environment="none", requires=())},
    build_packages=(TOOL,),
    environments={"abc": ("bb==1.0", "tool==1.0"), "none": ()},
    folders=(
        LockedFolder(".", canonicalize_name("demo"), {None: BUILD}, frozenset({"project"})),
        LockedFolder(
            "../other",
            canonicalize_name("other"),
            {None: LockedBuild(Mode.NO_ISOLATION, "pip.conf", "b", (), None)},
            frozenset({"project"}),
        ),
    ),
    inputs="sha256:1",
    requirements=("aa", "-e ../other"),
    environment=Marker("python_version == '3.11'"),
    requires_python=SpecifierSet(">=3.10"),
    extras=(canonicalize_name("e"),),
    groups=("dev",),
    default_groups=("dev",),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(write(FULL, tmp_path))
    found = read(path)
    assert write(found, tmp_path) == path.read_text()
    assert found.origins == FULL.origins
    assert found.builds == FULL.builds
    assert found.environments == FULL.environments
    assert set(found.folders) == set(FULL.folders)
    for name in ("inputs", "requirements", "environment", "requires_python", "extras", "groups"):
        assert getattr(found, name) == getattr(FULL, name)
    assert found.default_groups == ("dev",)
    assert found.versions == {"aa": Version("1.0"), "bb": Version("1.0")}
    assert found.build_versions == {"bb": (Version("1.0"),), "tool": (Version("1.0"),)}
    assert [one.name for one in found.members("abc")] == ["bb", "tool"]


def test_it_is_valid_for_any_reader() -> None:
    pylock = Pylock.from_dict(tomllib.loads(write(FULL, Path("/x"))))
    assert [(one.name, one.marker) for one in pylock.packages] == [
        ("aa", None),
        ("bb", Marker("'e' in extras or 'dev' in dependency_groups")),
    ]


def test_the_same_lock_is_the_same_bytes_in_whatever_order_it_comes() -> None:
    turned = replace(
        FULL,
        packages=FULL.packages[::-1],
        origins=dict(reversed([*FULL.origins.items()])),
        builds=dict(reversed([*FULL.builds.items()])),
        environments=dict(reversed([*FULL.environments.items()])),
        folders=FULL.folders[::-1],
    )
    assert write(turned, Path("/x")) == write(FULL, Path("/x"))


def test_an_empty_lock_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(write(Lock(packages=(), origins={}), tmp_path))
    assert read(path).packages == ()


def test_files_and_folders_near_the_lock_are_said_relative_to_it(tmp_path: Path) -> None:
    near, far = tmp_path / "lock" / "files", tmp_path / "far"
    package = Package(
        name=canonicalize_name("aa"),
        version=Version("1.0"),
        wheels=[
            PackageWheel(
                name="aa-1.0-py3-none-any.whl",
                url=(near / "with space" / "aa-1.0-py3-none-any.whl").as_uri(),
                hashes=HASH,
            )
        ],
        sdist=PackageSdist(name="aa-1.0.tar.gz", url=(far / "aa-1.0.tar.gz").as_uri(), hashes=HASH),
    )
    folder = Package(name=canonicalize_name("bb"), directory=PackageDirectory(path=str(far)))
    archive = Package(
        name=canonicalize_name("cc"),
        archive=PackageArchive(url=(near / "cc.zip").as_uri(), hashes=HASH),
    )
    text = write(Lock(packages=(package, folder, archive), origins={}), tmp_path / "lock")
    found = {one["name"]: one for one in tomllib.loads(text)["packages"]}
    assert found["aa"]["wheels"][0]["path"] == "files/with space/aa-1.0-py3-none-any.whl"
    assert found["aa"]["sdist"]["url"] == (far / "aa-1.0.tar.gz").as_uri()
    assert found["bb"]["directory"]["path"] == "../far"
    assert found["cc"]["archive"]["path"] == "files/cc.zip"


def test_a_lock_in_a_linked_folder_has_the_same_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    archive = PackageArchive(url=(tmp_path / "real" / "x.zip").as_uri(), hashes=HASH)
    lock = Lock(packages=(Package(name=canonicalize_name("x"), archive=archive),), origins={})
    assert write(lock, tmp_path / "link") == write(lock, tmp_path / "real")
    assert 'path = "x.zip"' in write(lock, tmp_path / "link")


def test_no_credentials_are_written() -> None:
    url = "https://user:secret@host/x.whl"
    build = replace(BUILD, requires=(f"tool @ {url}",))
    lock = replace(
        FULL,
        requirements=(f"x @ {url}", f"-r {url}"),
        builds={"aa==1.0": build, "tool==1.0": build},
        folders=(LockedFolder(".", canonicalize_name("demo"), {None: build}, frozenset()),),
    )
    text = write(lock, Path("/x"))
    assert "secret" not in text
    assert "user" not in text


def test_entries_are_named_by_version_or_by_place_and_content() -> None:
    name = canonicalize_name("aa")
    assert key_of(AA) == "aa==1.0"
    vcs = PackageVcs(type="git", url="https://host/r", commit_id="c0")
    assert key_of(Package(name=name, vcs=vcs)) == "aa @ https://host/r@c0"
    assert key_of(Package(name=name, directory=PackageDirectory(path="d"))) == "aa @ d"
    archive = PackageArchive(url="https://host/a.zip", hashes=HASH)
    assert key_of(Package(name=name, archive=archive)) == "aa @ https://host/a.zip"
    archive = PackageArchive(path="a.zip", hashes=HASH)
    assert key_of(Package(name=name, archive=archive)) == "aa @ a.zip"


def test_a_build_environment_is_named_by_what_it_consists_of() -> None:
    assert environment_id([AA, BB]) == environment_id([BB, AA])
    assert environment_id([AA]) != environment_id([AA, BB])
    assert environment_id([AA]) != environment_id([index_package("aa", "2.0")])


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (set(), None),
        ({"project"}, None),
        ({"project", "extra a"}, None),
        ({"extra a"}, "'a' in extras"),
        ({"group a"}, "'a' in dependency_groups"),
        ({"group b", "extra a"}, "'a' in extras or 'b' in dependency_groups"),
    ],
)
def test_a_marker_says_what_a_package_is_there_for(origins: set[str], expected: str | None) -> None:
    found = marker_of(frozenset(origins))
    assert found == (None if expected is None else Marker(expected))


def test_the_marker_of_a_target_admits_its_like_only() -> None:
    markers = {
        "implementation_name": "cpython",
        "platform_machine": "x86_64",
        "python_version": "3.11",
        "sys_platform": "linux",
    }
    made = target_marker(cast("Any", SimpleNamespace(markers=markers)))
    assert made.evaluate(markers)
    for name in markers:
        assert not made.evaluate({**markers, name: "3.12"})


HEAD = 'lock-version = "1.0"\ncreated-by = "x"\n'
FILE = f'{{ url = "https://host/a-1.tar.gz", hashes = {{ sha256 = "{"0" * 64}" }} }}'


@pytest.mark.parametrize(
    "text",
    [
        b"x = [",
        b"\xff\xfe",
        b"x = 1",
        HEAD.encode(),
        (HEAD + "packages = 3\n").encode(),
        (HEAD + 'environments = ["nonsense"]\npackages = []\n').encode(),
        b'lock-version = 1\ncreated-by = "x"\npackages = []\n',
    ],
)
def test_a_damaged_lock_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "pylock.toml"
    path.write_bytes(text)
    with pytest.raises(LockError, match="damaged") as caught:
        read(path)
    assert caught.value.path == path
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    "table",
    [
        "3",
        "{ pipshim = 3 }",
        "{ pipshim = { folders = [3] } }",
        "{ pipshim = { folders = [{}] } }",
        "{ pipshim = { packages = [{}] } }",
        "{ pipshim = { packages = 3 } }",
        "{ pipshim = { build-environments = 3 } }",
        "{ pipshim = { build-environments = { a = 3 } } }",
    ],
)
def test_a_damaged_tool_table_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(f"{HEAD}packages = []\ntool = {table}\n")
    with pytest.raises(LockError, match="damaged"):
        read(path)


@pytest.mark.parametrize(
    "table",
    [
        "3",
        "{ for = 3 }",
        "{ build = {} }",
        "{ build = 3 }",
        '{ build = { mode = "x", chosen-by = "", backend = "", requires = [] } }',
    ],
)
def test_a_damaged_tool_table_of_a_package_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "pylock.toml"
    entry = f'{{ name = "a", version = "1", sdist = {FILE}, tool = {{ pipshim = %s }} }}'
    path.write_text(f"{HEAD}packages = [{entry % '{}'}]\n")
    assert read(path).versions == {"a": Version("1")}
    path.write_text(f"{HEAD}packages = [{entry % table}]\n")
    with pytest.raises(LockError, match="damaged"):
        read(path)


def test_a_newer_lock_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text('lock-version = "2.0"\ncreated-by = "x"\npackages = []\n')
    with pytest.raises(LockError, match="newer than this pipshim reads"):
        read(path)
    text = write(FULL, tmp_path)
    path.write_text(text.replace("\nversion = 1\n", "\nversion = 99\n"))
    with pytest.raises(LockError, match="newer pipshim"):
        read(path)


def test_a_lock_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="cannot be read"):
        read(tmp_path / "pylock.toml")


def test_a_lock_of_another_tool_has_pins_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(
        'lock-version = "1.0"\ncreated-by = "other"\n[[packages]]\nname = "aa"\nversion = "1.0"\n'
        '[packages.sdist]\nname = "aa-1.0.tar.gz"\nurl = "https://host/aa-1.0.tar.gz"\n'
        f'hashes = {{ sha256 = "{"0" * 64}" }}\n[tool.other]\nx = 1\n'
    )
    found = read(path)
    assert found.versions == {"aa": Version("1.0")}
    assert (found.inputs, found.origins) == ("", {"aa": frozenset()})


def test_a_build_environment_that_is_not_whole_is_an_error() -> None:
    lock = replace(FULL, environments={"abc": ("gone==1.0",)})
    with pytest.raises(LockError, match=r"gone==1\.0"):
        lock.members("abc")
    with pytest.raises(LockError, match="other"):
        lock.members("other")


def test_every_version_that_build_environments_have_is_told_oldest_first() -> None:
    new = index_package("tool", "2.0")
    lock = replace(
        FULL,
        build_packages=(TOOL, new),
        environments={"abc": ("tool==1.0",), "def": ("tool==2.0",), "g": ("tool==1.0",)},
    )
    assert lock.build_versions == {"tool": (Version("1.0"), Version("2.0"))}
