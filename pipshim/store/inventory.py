"""List and count the contents of pipshim's cache, and find unused ones.

Nothing here prints. Lists are made without a lock: another command may change the cache meanwhile.
Removing needs `pipshim.base.cache_folders.Alone`.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import stat
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base.atomic_write import TEMPORARY_FILES
from pipshim.base.cache_folders import (
    BUILDS,
    ENVIRONMENTS,
    HISTORY,
    INTERPRETERS,
    LOGS,
    METADATA,
    NOTES,
    OUTLINES,
    STAMPS,
    TOOLS,
    TREES,
    WORK,
)
from pipshim.base.cores import available_cores
from pipshim.base.light import jsons
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.paths import modified
from pipshim.base.tasks import each
from pipshim.envs import dist_info
from pipshim.model.build_record import Record
from pipshim.store.bytecode import PREFIX, load
from pipshim.store.store import BUILT, MANIFEST, Store
from pipshim.store.unpacked_wheel import UnpackedWheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from packaging.requirements import Requirement

_DAY = 86_400
_TEMPORARY = (".tmp-", ".old-")
_FILES = (
    ("build results", "", BUILDS, "*/*/*.json"),
    ("logs", "log", LOGS, "*"),
    ("interpreters", "", INTERPRETERS, "*.json"),
    ("metadata files", "metadata file", METADATA, "*"),
    ("outlines of sdists", "outline of an sdist", OUTLINES, "*"),
    ("stamps", "stamp", STAMPS, "*"),
    ("notes of environments", "note", NOTES, "*"),
    ("tool versions", "tool version", TOOLS, "*"),
)
"""What all of a kind are called, and one that is removed when it is old; the folder; the files."""


@dataclass(frozen=True)
class Part:
    """One kind of the cache's contents; ``size`` is in bytes."""

    name: str
    count: int
    size: int


@dataclass(frozen=True)
class Result:
    """The result of a build.

    Attributes:
        kind: ``wheel``, ``metadata`` or ``requires``.
        tree: of a wheel, its hash in the store.
        time: when it was stored, in seconds since the epoch.
        log: the build's output, if it still exists.
        signer: of what came from a remote, the public key that signed it; empty if none did.

    """

    path: Path
    kind: str
    record: Record
    tree: str | None
    time: float
    log: Path | None = None
    signer: str | None = None

    def is_of(self, requirement: Requirement) -> bool:
        """Return whether a requirement names it; an invalid version matches by name only."""
        if canonicalize_name(self.record.name) != canonicalize_name(requirement.name):
            return False
        if not requirement.specifier:
            return True
        try:
            return requirement.specifier.contains(Version(self.record.version), prereleases=True)
        except InvalidVersion:
            return False


@dataclass(frozen=True)
class Item:
    """A file or folder that can be removed.

    Attributes:
        kind: what it is: ``unpacked wheel``, ``build result``, ``log``…
        why: why it can be removed.
        size: in bytes.

    """

    path: Path
    kind: str
    why: str
    size: int


def parts(root: Path) -> list[Part]:
    """Count the contents of the cache; built wheels are among the unpacked ones."""
    trees = list(_trees(root))
    built = [tree for tree in trees if (tree / BUILT).exists()]
    found = [
        Part("unpacked wheels", len(trees), size_of(root / TREES)),
        Part("built wheels", len(built), sum(map(size_of, built))),
    ]
    for name, _, folder, pattern in _FILES:
        count = sum(1 for _ in (root / folder).glob(pattern))
        found.append(Part(name, count, size_of(root / folder)))
    found.append(Part("builds in the history", _lines(root / HISTORY), size_of(root / HISTORY)))
    environments = list((root / ENVIRONMENTS).glob("*"))
    own = sum(_size_of_own(folder) for folder in environments)
    found.append(Part("environments", len(environments), own))
    return found


def results(root: Path) -> list[Result]:
    """Read all results of builds, by name, version and time."""
    found = []
    for path in (root / BUILDS).glob("*/*/*.json"):
        data = jsons.read(path)
        record = Record.from_json(data.get("record")) if isinstance(data, dict) else None
        if record is None or not isinstance(data, dict):
            continue
        kind = path.name.partition("-")[0]
        tree = str(data.get("result")) if kind == "wheel" else None
        log = root / LOGS / str(data.get("log"))
        signer = data.get("signer")
        found.append(
            Result(path, kind, record, tree, modified(path), log if log.is_file() else None, signer)
        )
    return sorted(found, key=lambda one: (one.record.name, _order(one.record.version), one.time))


def wheels(root: Path, pattern: str | None = None) -> list[Result]:
    """Return the built wheels that the store still has.

    Args:
        root: pipshim's cache folder.
        pattern: a name, or a glob of names, in any spelling.

    """
    wanted = "*" if pattern is None else re.sub(r"[-_.]+", "-", pattern).lower()
    return [
        one
        for one in results(root)
        if one.tree is not None
        and fnmatch.fnmatchcase(canonicalize_name(one.record.name), wanted)
        and tree_folder(root, one.tree).exists()
    ]


def tree_folder(root: Path, sha256: str) -> Path:
    """Return the folder of a wheel in the store, existing or not."""
    return root / TREES / sha256[:2] / sha256


def of(root: Path, requirement: Requirement) -> list[Item]:
    """Return what to remove for a requirement: its results, and their wheels."""
    every = results(root)
    going = [one for one in every if one.is_of(requirement)]
    staying = {one.tree for one in every if one not in going}
    items = [Item(one.path, "build result", "asked for", size_of(one.path)) for one in going]
    for tree in sorted({one.tree for one in going if one.tree} - staying):
        folder = tree_folder(root, tree)
        if folder.exists():
            items.append(Item(folder, "unpacked wheel", "asked for", size_of(folder)))
    return items


def stale(root: Path, *, days: float, now: float) -> list[Item]:
    """Find what nobody needs.

    Args:
        root: pipshim's cache folder, which nobody else uses meanwhile.
        days: after how many days without use wheels, logs and environments can be removed. A wheel
            that an environment shares files with (hard links) is in use.
        now: in seconds since the epoch.

    """
    oldest = now - days * _DAY
    found = results(root)
    trees = list(_stale_trees(root, {one.tree for one in found}, oldest, days))
    going = {one.path.name for one in trees}
    return [
        *_left_behind(root),
        *trees,
        *_stale_results(root, found, going),
        *_old_files(root, oldest, days),
        *_old_environments(root, oldest, days),
        *_stale_interpreters(root),
    ]


def damaged(root: Path) -> list[Item]:
    """Find unpacked wheels and bytecode that differ from what was written.

    All files are read: an edit through a hard link that keeps size and time does not show
    otherwise.
    """
    found = each(_damage, list(_trees(root)), at_once=available_cores())
    return [item for items in found for item in items]


def discard(root: Path, items: Iterable[Item]) -> None:
    """Remove items, the folders that are empty then, and the notes that rely on them."""
    store = Store(root)
    trees = root / TREES
    items = list(items)
    if any(item.kind == "build result" for item in items):
        # What was built is to be built again, in an environment that is made again too.
        shutil.rmtree(root / NOTES, ignore_errors=True)
    for item in items:
        if item.path.parent.parent == trees:
            store.remove(item.path)
        elif item.path.is_dir():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            item.path.unlink(missing_ok=True)
    for folder in (root / BUILDS).glob("*/*"):
        # A lock file is all that is left there.
        if {path.name for path in folder.iterdir()} <= {".lock"}:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (*(root / BUILDS).glob("*"), *trees.glob("*")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files below a folder, each once, in bytes."""
    if not path.is_dir():
        try:
            return path.lstat().st_size
        except OSError:
            return 0
    return sum({(found.st_dev, found.st_ino): found.st_size for found in _stats(path)}.values())


def _damage(folder: Path) -> list[Item]:
    """Check one unpacked wheel. One that is removed meanwhile is not damaged."""
    try:
        tree = UnpackedWheel.from_json((folder / MANIFEST).read_bytes(), str(folder), folder.name)
        files = [(f"{one.scheme}/{one.path}", one.size, one.hash) for one in tree.files]
    except (OSError, ValueError, KeyError, TypeError):
        if not folder.exists():
            return []
        return [_item(folder, "unpacked wheel", "its list of files is damaged")]
    what = f"{tree.name} {tree.version}"
    executable = set(tree.bundle.executable)
    bad = [
        path
        for path, size, told in files
        if not _is_as_written(f"{folder}/{path}", size, told, path in executable)
    ]
    if bad and folder.exists():
        return [_item(folder, "unpacked wheel", f"{what}: {_edited(bad)}")]
    items = []
    for place in folder.glob(f"{PREFIX}*"):
        compiled = load(str(place))
        if compiled is None:
            items.append(_item(place, "bytecode", f"{what}: its list of files is damaged"))
            continue
        bad = [
            path
            for path, told in compiled.hashes.items()
            if not _is_as_written(f"{place}/{path}", None, told, False)
        ]
        if bad:
            items.append(_item(place, "bytecode", f"{what}: {_edited(bad)}"))
    return items


def _edited(paths: Sequence[str]) -> str:
    first, more = paths[0].partition("/")[2], len(paths) - 1
    if not more:
        return f"{first} is not as it was written"
    return f"{first} and {more} more are not as they were written"


def _is_as_written(path: str, size: int | None, told: str, executable: bool) -> bool:
    algorithm = told.partition("=")[0]
    try:
        found = os.lstat(path)
        return (
            stat.S_ISREG(found.st_mode)
            and size in {None, found.st_size}
            and executable == bool(found.st_mode & 0o111)
            and (not algorithm or dist_info.hash_file(path, algorithm) == told)
        )
    except OSError:
        return False


def _left_behind(root: Path) -> Iterator[Item]:
    """Find temporary files of killed commands."""
    unpacking = (root / TREES).glob(".*")
    for path in (
        *(path for path in unpacking if path.name.startswith(_TEMPORARY)),
        *(root / WORK).glob("*"),
    ):
        yield _item(path, "temporary folder", "left behind")
    for path in root.glob(f"*/{TEMPORARY_FILES}"):
        yield _item(path, "temporary file", "left behind")


def _stale_trees(
    root: Path, recorded: set[str | None], oldest: float, days: float
) -> Iterator[Item]:
    for tree in _trees(root):
        manifest = tree / MANIFEST
        if not manifest.exists():
            yield _item(tree, "unpacked wheel", "is damaged")
        elif (tree / BUILT).exists() and tree.name not in recorded:
            yield _item(tree, "unpacked wheel", "built wheel without a record")
        elif modified(manifest) <= oldest and all(found.st_nlink == 1 for found in _stats(tree)):
            yield _item(tree, "unpacked wheel", f"not used for {days:g} days")


def _stale_results(root: Path, found: Sequence[Result], going: set[str]) -> Iterator[Item]:
    for one in found:
        if one.tree is not None and (one.tree in going or not tree_folder(root, one.tree).exists()):
            yield _item(one.path, "build result", "its wheel is gone")
    readable = {one.path for one in found}
    for path in (root / BUILDS).glob("*/*/*.json"):
        if path not in readable:
            yield _item(path, "build result", "is of another pipshim, or cannot be read")
    for path in (root / BUILDS).glob("*/*/*.tmp"):
        yield _item(path, "temporary file", "left behind")


def _old_files(root: Path, oldest: float, days: float) -> Iterator[Item]:
    for _, kind, folder, pattern in _FILES:
        for path in (root / folder).glob(pattern) if kind else ():
            if modified(path) <= oldest:
                yield _item(path, kind, f"older than {days:g} days")


def _old_environments(root: Path, oldest: float, days: float) -> Iterator[Item]:
    for path in (root / ENVIRONMENTS).glob("*"):
        if modified(path) <= oldest:
            size = _size_of_own(path)
            yield Item(path, "environment", f"not used for {days:g} days", size)


def _size_of_own(folder: Path) -> int:
    """Return the size of the files that are not shared with the store, in bytes."""
    return sum(found.st_size for found in _stats(folder) if found.st_nlink == 1)


def _stale_interpreters(root: Path) -> Iterator[Item]:
    for path in (root / INTERPRETERS).glob("*.json"):
        data = jsons.read(path)
        answer = data.get("answer") if isinstance(data, dict) else None
        python = answer.get("python") if isinstance(answer, dict) else None
        if not isinstance(python, str) or not os.path.exists(python):  # noqa: PTH110
            yield _item(path, "interpreter", "is gone")


def _trees(root: Path) -> Iterator[Path]:
    return (root / TREES).glob("[0-9a-f][0-9a-f]/*")


def _stats(folder: Path) -> Iterator[os.stat_result]:
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(f"{directory}/{name}")
            except OSError:
                continue


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def _item(path: Path, kind: str, why: str) -> Item:
    return Item(path, kind, why, size_of(path))


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version
