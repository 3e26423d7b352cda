"""The store: each wheel once, unpacked, verified, and keyed by its hash.

A wheel is unpacked into a temporary folder, which is renamed when it is complete. If two commands
unpack the same wheel, the second takes the first one's.
"""
# Paths are strings: `pipshim.fastpath.restore` uses this, and has no time to import pathlib.
# ruff: noqa: PTH102, PTH103, PTH104, PTH110, PTH116, PTH120, PTH123

from __future__ import annotations

import errno
import os
import time

from pipshim.base.cache_folders import TREES
from pipshim.base.errors import InstallError
from pipshim.base.write_errors import reason
from pipshim.envs import dist_info
from pipshim.store.unpacked_wheel import UnpackedWheel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pipshim.store.wheel_stream import WheelStream

MANIFEST = "tree.json"
"""What a tree's folder has beside the files; its time is that of the last use, but for a day."""

BUILT = "built"
"""A file that is in the folders of wheels that were built here."""

_DAY = 86_400
_HEXADECIMAL = frozenset("0123456789abcdef")
_DIGITS = 64


class Store:
    """The unpacked wheels below one folder, which processes and threads may share."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root)
        self._trees = f"{self.root}/{TREES}"

    def tree(self, sha256: str) -> UnpackedWheel | None:
        """Return the unpacked wheel with this hash, if the store has it undamaged.

        A damaged one is removed. Damage shows in sizes and modification times; if only the times
        differ (a cache that was copied), the files' hashes decide.
        """
        if not _is_hash(sha256):
            return None
        folder = self._folder(sha256)
        try:
            with open(f"{folder}/{MANIFEST}", "rb") as file:
                tree = UnpackedWheel.from_json(file.read(), folder, sha256)
        except FileNotFoundError:
            if os.path.exists(folder):
                self.remove(folder)
            return None
        except (OSError, ValueError, KeyError, TypeError):
            self.remove(folder)
            return None
        touched = tree.bundle.touched(folder)
        if touched is None or not _restored(tree, touched):
            self.remove(folder)
            return None
        _note_use(f"{folder}/{MANIFEST}")
        return tree

    def add(
        self, wheel: Path, name: str, sha256: str | None = None, *, built: bool = False
    ) -> UnpackedWheel:
        """Unpack a wheel, unless the store has it, and return it.

        Args:
            name: the distribution that it has to be of.
            sha256: the file's hash in hexadecimal, which is not checked; None if it is unknown.
            built: whether it was built here.

        Raises:
            InstallError: the wheel is invalid, or its files are not those of its RECORD; or the
                store cannot be written.

        """
        if sha256 is None:
            from pipshim.model.artifacts import digest_of_file  # noqa: PLC0415 loads OpenSSL

            try:
                sha256 = digest_of_file(wheel)
            except OSError as error:
                raise InstallError(f"{wheel} cannot be read: {error.strerror}") from error
        return self.tree(sha256) or self._unpack(wheel, name, sha256, built=built)

    def add_stream(self, wheel: WheelStream, name: str, sha256: str) -> UnpackedWheel:
        """Do the same while the wheel is being downloaded."""
        return self._unpack(wheel, name, sha256, built=False)

    def _unpack(
        self, wheel: Path | WheelStream, name: str, sha256: str, *, built: bool
    ) -> UnpackedWheel:
        if not _is_hash(sha256):
            raise ValueError(sha256)
        import shutil  # noqa: PLC0415 not needed for what is there, nor is the next
        from pathlib import Path  # noqa: PLC0415

        from pipshim.store.unpacking import make_tree  # noqa: PLC0415

        folder = self._folder(sha256)
        made = aside(self._trees, "tmp")
        try:
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            os.mkdir(made)
            tree = make_tree(wheel, sha256, name, Path(made))
            with open(f"{made}/{MANIFEST}", "x", encoding="utf-8") as file:
                file.write(tree.to_json())
            if built:
                with open(f"{made}/{BUILT}", "xb"):
                    pass
            if not isinstance(wheel, Path):
                wheel.wait_until_accepted()
            return self._publish(tree, made, folder)
        except OSError as error:
            raise InstallError(
                f"{wheel.name} cannot be unpacked: {error.filename or made}: {reason(error, made)}"
            ) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def remove(self, folder: Path | str) -> None:
        """Remove an unpacked wheel, damaged or not; environments with its files keep these."""
        try:
            remove(str(folder), self._trees)
        except OSError as error:
            raise InstallError(f"{folder} cannot be removed: {reason(error)}") from error

    def _folder(self, sha256: str) -> str:
        return f"{self._trees}/{sha256[:2]}/{sha256}"

    def _publish(self, tree: UnpackedWheel, made: str, folder: str) -> UnpackedWheel:
        while not publish(made, folder):
            first = self.tree(tree.sha256)
            if first is not None:
                return first
        return tree._replace(folder=folder)


def aside(store: str, kind: str) -> str:
    """Return a path for a temporary folder beside those in the store."""
    return f"{store}/.{kind}-{os.getpid()}-{os.urandom(8).hex()}"


def publish(made: str, folder: str) -> bool:
    """Put a new folder in its place; return False if another command was faster."""
    try:
        os.rename(made, folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        return False
    return True


def remove(folder: str, store: str) -> None:
    """Remove a folder in the store; it is renamed first, so that nobody finds half of it."""
    import shutil  # noqa: PLC0415 seldom needed

    old = aside(store, "old")
    try:
        os.rename(folder, old)
    except (FileNotFoundError, NotADirectoryError):
        return
    shutil.rmtree(old, ignore_errors=True)


def _is_hash(text: str) -> bool:
    return len(text) == _DIGITS and _HEXADECIMAL.issuperset(text)


def _restored(tree: UnpackedWheel, touched: Collection[str]) -> bool:
    """Return whether only the modification times of files have changed, and restore these.

    That is so in a cache that was copied. Bytecode is valid with the right times only.
    """
    if not touched:
        return True
    try:
        hashes = {f"{file.scheme}/{file.path}": file.hash for file in tree.files}
        for path in touched:
            algorithm = hashes[path].partition("=")[0]
            full = f"{tree.folder}/{path}"
            if algorithm and dist_info.hash_file(full, algorithm) != hashes[path]:
                return False
    except (OSError, KeyError, ValueError):
        return False
    for path in touched:
        try:
            os.utime(f"{tree.folder}/{path}", (tree.bundle.time, tree.bundle.time))
        except OSError:  # it may be somebody else's: then it is hashed again
            continue
    return True


def _note_use(manifest: str) -> None:
    """Note the use of an unpacked wheel, once a day: the cache may be on a slow disk."""
    try:
        if time.time() - os.stat(manifest).st_mtime > _DAY:
            os.utime(manifest)
    except OSError:
        return
