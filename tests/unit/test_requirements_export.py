"""A lock as a requirements file: what is written, for which part of the lock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
)
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.base.errors import LockError, UnknownNameError
from pipshim.lock.requirements_export import Where, reduced, write, write_build
from pipshim.model.build_mode import Mode
from pipshim.model.pylock import Lock, LockedBuild, LockedFolder
from pipshim.model.requests import ExportOptions, SelectionOptions

HERE = Path("/work")
BARE = ExportOptions(hashes=False, header=False, annotate=False)
BUILD = LockedBuild(Mode.ISOLATED, "default", "backend", (), "e")


def sha(digit: str) -> dict[str, str]:
    return {"sha256": digit * 64}


def package(name: str, *needs: str, **more: Any) -> Package:
    parts: dict[str, Any] = {
        "version": Version("1.0"),
        "wheels": [
            PackageWheel(name=f"{name}-1.0-py3-none-any.whl", url="https://h/w", hashes=sha("b"))
        ],
        "sdist": PackageSdist(name=f"{name}-1.0.tar.gz", url="https://h/s", hashes=sha("a")),
        "dependencies": [{"name": one} for one in needs],
    }
    if more.keys() & {"vcs", "directory", "archive"}:
        parts = {}
    return Package(name=canonicalize_name(name), **{**parts, **more})


LOCK = Lock(
    packages=(
        package("bb"),
        package("aa", "bb"),
        package("fast", "bb", marker=Marker("'speed' in extras")),
        package("tester", marker=Marker("'dev' in dependency_groups and os_name == 'nt'")),
    ),
    origins={
        canonicalize_name("aa"): frozenset({"project"}),
        canonicalize_name("bb"): frozenset({"project", "extra speed"}),
        canonicalize_name("fast"): frozenset({"extra speed"}),
        canonicalize_name("tester"): frozenset({"group dev"}),
    },
    folders=(LockedFolder(".", canonicalize_name("demo"), {None: BUILD}, frozenset({"project"})),),
    environment=Marker("python_version == '3.11'"),
    extras=(canonicalize_name("speed"),),
    groups=("dev",),
    default_groups=("dev",),
)


def lines(lock: Lock = LOCK, style: ExportOptions = BARE, **options: Any) -> list[str]:
    where = Where(HERE / "pylock.toml", HERE)
    return write(lock, SelectionOptions(**options), style, where).splitlines()


def test_everything_is_written() -> None:
    assert lines(style=ExportOptions(), extras=(canonicalize_name("speed"),)) == [
        "# Made by pipshim export from pylock.toml (extras: speed; groups: dev).",
        '# For python_version == "3.11"',
        "aa==1.0 \\",
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
        "bb==1.0 \\",
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
        "    # via aa, fast",
        "fast==1.0 \\",
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
        'tester==1.0 ; os_name == "nt" \\',
        f"    --hash=sha256:{'a' * 64} \\",
        f"    --hash=sha256:{'b' * 64}",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"no_default_groups": True}, ["aa==1.0", "bb==1.0"]),
        ({"no_groups": ("dev",)}, ["aa==1.0", "bb==1.0"]),
        ({"only_groups": ("dev",)}, ['tester==1.0 ; os_name == "nt"']),
        ({"no_groups": ("dev",), "all_extras": True}, ["aa==1.0", "bb==1.0", "fast==1.0"]),
        ({"no_groups": ("dev",), "no_install_packages": ("bb",)}, ["aa==1.0"]),
    ],
)
def test_the_selection_is_that_of_sync(options: dict[str, Any], expected: list[str]) -> None:
    assert lines(**options) == expected


def test_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="nope"):
        lines(extras=("nope",))


DIRECT = (
    package(
        "repo",
        vcs=PackageVcs(
            type="git",
            url="https://me:secret@h/repo.git",
            commit_id="c" * 40,
            subdirectory="sub",
        ),
    ),
    package("file", archive=PackageArchive(path="libs/file-1.0.zip", hashes=sha("c"))),
    package("url", archive=PackageArchive(url="https://me:secret@h/u.zip", hashes=sha("d"))),
    package("tree", directory=PackageDirectory(path="../tree")),
)


def test_direct_references() -> None:
    assert lines(replace(LOCK, packages=DIRECT, origins={})) == [
        "./libs/file-1.0.zip",
        f"repo @ git+https://h/repo.git@{'c' * 40}#subdirectory=sub",
        "../tree",
        "url @ https://h/u.zip",
    ]
    style = replace(BARE, hashes=True)
    assert lines(replace(LOCK, packages=DIRECT[1:3], origins={}), style) == [
        "./libs/file-1.0.zip \\",
        f"    --hash=sha256:{'c' * 64}",
        "url @ https://h/u.zip \\",
        f"    --hash=sha256:{'d' * 64}",
    ]


@pytest.mark.parametrize("direct", [DIRECT[0], DIRECT[3]])
def test_pip_would_refuse_what_has_no_hash(direct: Package) -> None:
    with pytest.raises(LockError, match="has no hash to export") as caught:
        lines(replace(LOCK, packages=(direct,), origins={}), ExportOptions())
    assert caught.value.hint is not None
    assert f"--no-install-package {direct.name}" in caught.value.hint


def test_an_editable_that_was_given() -> None:
    given = replace(LOCK, packages=(), requirements=("-e ../other",))
    folder = LockedFolder(
        "../other", canonicalize_name("other"), {None: BUILD}, frozenset({"project"})
    )
    assert lines(replace(given, folders=(folder,))) == ["-e ../other"]
    # As a source of the project's, beside the project itself.
    beside = replace(given, requirements=(), folders=(*LOCK.folders, folder))
    assert lines(beside) == ["-e ../other"]
    assert lines(beside, only_groups=("dev",)) == []
    with pytest.raises(LockError, match="other has no hash"):
        lines(replace(given, folders=(folder,)), ExportOptions())


def test_a_build_environment() -> None:
    where = Where(HERE / "pylock.toml", HERE)
    lock = replace(LOCK, environments={"e": ("bb==1.0",)}, builds={"fast==1.0": BUILD})
    for name in ("demo", "fast"):
        text = write_build(lock, canonicalize_name(name), ExportOptions(annotate=False), where)
        assert (
            text.splitlines()[0]
            == f"# Made by pipshim export from pylock.toml (the build of {name})."
        )
        assert text.splitlines()[2] == "bb==1.0 \\"
    with pytest.raises(LockError, match="aa is not built"):
        write_build(lock, canonicalize_name("aa"), BARE, where)
    build = replace(BUILD, mode=Mode.NO_ISOLATION, environment=None)
    with pytest.raises(LockError, match="fast is built without isolation"):
        write_build(
            replace(lock, builds={"fast==1.0": build}), canonicalize_name("fast"), BARE, where
        )


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("'x' in extras", True),
        ("'y' in extras", False),
        ("'y' not in extras", True),
        ("'g' in dependency_groups or os_name == 'nt'", True),
        ("'y' in extras or os_name == 'nt'", 'os_name == "nt"'),
        ("'x' in extras and os_name == 'nt'", 'os_name == "nt"'),
        ("'y' in extras and os_name == 'nt'", False),
        (
            "('x' in extras and os_name == 'nt') or ('g' in dependency_groups and os_name == 'a')",
            'os_name == "nt" or os_name == "a"',
        ),
        (
            "'x' in extras and (os_name == 'nt' or os_name == 'a') and python_version > '3'",
            '(os_name == "nt" or os_name == "a") and python_version > "3"',
        ),
        ("'x' in extras and 'linux' in sys_platform", '"linux" in sys_platform'),
    ],
)
def test_reduced_markers(marker: str, expected: str | bool) -> None:
    found = reduced(Marker(marker), extras={"x"}, groups={"g"})
    assert found == (expected if isinstance(expected, bool) else Marker(expected))
    assert reduced(None, extras=(), groups=()) is True
