"""One tree on its way into one environment: what is written for it, what is linked, the undo."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH106, PTH108, PTH114, PTH123

from __future__ import annotations

import filecmp
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pipshim import distinfo, scripts
from pipshim.distinfo import Row
from pipshim.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from pipshim.linking import Linker
    from pipshim.tree import Layout, Tree, TreeFile

    Announce: TypeAlias = Callable[[Sequence[str]], object]


class _Written(NamedTuple):
    """A file that is made for one environment, below one of its roots."""

    root: str
    path: str
    content: bytes
    executable: bool


class Placing:
    """One tree on its way into one environment."""

    def __init__(
        self,
        tree: Tree,
        env: Layout,
        linker: Linker,
        *,
        overwrite: bool,
        announce: Announce | None = None,
    ) -> None:
        self.tree = tree
        self.announce = announce
        self.env = env
        self.linker = linker
        self.overwrite = overwrite
        self.roots = tree.roots(env)
        self.placed: list[str] = []
        self.folders: list[str] = []

    def run(
        self,
        python: str,
        installer: str,
        notes: Mapping[str, Mapping[str, Any] | None],
        *,
        requested: bool,
    ) -> list[str]:
        """Write and link everything, and return what is there now that was not before.

        Args:
            python: what scripts shall run with.
            installer: the contents of INSTALLER.
            notes: JSON files of ``.dist-info`` by name; None for those that there shall not be.
            requested: whether there shall be REQUESTED.

        """
        tree = self.tree
        lib, bin_ = self.roots[tree.root], self.roots["scripts"]
        info = f"{lib}/{tree.dist_info}"
        metadata = f"{info}/{distinfo.METADATA}"
        first_line = scripts.shebang(python)
        names = tree.script_names(self.env)
        written = [
            _Written(bin_, f"{bin_}/{name}", first_line + tree.bodies[of].encode(), True)
            for name, of in names.items()
        ]
        linked: dict[str, TreeFile] = {}
        for file in tree.files:
            path = f"{self.roots[file.scheme]}/{file.path}"
            if file.scheme == "scripts" and file.path in names:
                continue
            self._check(file, path, linked)
            if file.python:
                content = _restarted(tree, file, first_line)
                written.append(_Written(bin_, path, content, file.executable))
            else:
                linked[path] = file
        said = {distinfo.INSTALLER: f"{installer}\n"}
        if requested:
            said[distinfo.REQUESTED] = ""
        for name, note in notes.items():
            if note is not None:
                said[name] = json.dumps(note, sort_keys=True)
        written += [_Written(lib, f"{info}/{k}", v.encode(), False) for k, v in said.items()]
        content = self._record(linked, written, info)
        record = _Written(lib, f"{info}/{distinfo.RECORD}", content, False)

        if self.announce is not None:
            self.announce([*(file.path for file in (record, *written)), *linked])
        for new in (record, *written):
            self._write(new)
        last = linked.pop(metadata)
        self._link(linked)
        self._link({metadata: last})
        return self.placed

    def _check(self, file: TreeFile, path: str, linked: Mapping[str, TreeFile]) -> None:
        tree = self.tree
        if file.scheme == "data":
            folder, _, name = path.rpartition("/")
            if (
                folder == self.roots["scripts"] and scripts.is_interpreter(name)
            ) or file.path == "pyvenv.cfg":
                raise InstallError(f"{tree.name} {tree.version} would overwrite {path}")
        if path in linked and linked[path].hash != file.hash:
            raise InstallError(f"{tree.name} {tree.version} has two files for {path}")

    def _record(
        self, linked: Mapping[str, TreeFile], written: Sequence[_Written], info: str
    ) -> bytes:
        lib = self.roots[self.tree.root]
        start = len(lib) + 1

        def relative(path: str) -> str:
            return path[start:] if path.startswith(lib + "/") else os.path.relpath(path, lib)

        rows = [
            Row(relative(path), file.hash, str(file.size) if file.hash else "")
            for path, file in linked.items()
        ]
        rows += [
            Row(relative(file.path), distinfo.hash_bytes(file.content), str(len(file.content)))
            for file in written
        ]
        rows.append(Row(relative(f"{info}/{distinfo.RECORD}")))
        return distinfo.format_record(rows)

    def _link(self, files: Mapping[str, TreeFile]) -> None:
        devices: dict[str, int] = {}
        folder = self.tree.folder
        for path, (scheme, name, size, mtime, _, executable, _) in files.items():
            if scheme not in devices:
                created, devices[scheme] = self.linker.make_root(self.roots[scheme])
                self.folders += created
            source = f"{folder}/{scheme}/{name}"
            device = devices[scheme]
            self._make_parent(path)
            try:
                self.linker.place(source, path, device, size, mtime, executable=executable)
            except FileExistsError:
                if may_be_shared(path, size) and _same(source, path):
                    continue
                self._clear(path)
                self.linker.place(source, path, device, size, mtime, executable=executable)
            self.placed.append(path)

    def _write(self, file: _Written) -> None:
        self.folders += self.linker.make_root(file.root)[0]
        self._make_parent(file.path)
        if os.path.lexists(file.path):
            self._clear(file.path)
        self.placed.append(file.path)
        if file.executable:
            scripts.write_executable(file.path, file.content)
        else:
            with open(file.path, "xb") as new:
                new.write(file.content)

    def _make_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent not in self.linker.made:
            self.folders += self.linker.make_folder(parent, self.roots.values())

    def _clear(self, path: str) -> None:
        """Remove a file that is in the way, or raise InstallError."""
        if not self.overwrite:
            from pipshim.installed import owner_of  # noqa: PLC0415 for an error only

            own = self.placed[0].rpartition("/")[0] if self.placed else None  # RECORD is first
            owner = owner_of(path, (self.env.purelib, self.env.platlib), besides=own)
            whose = f", which belongs to {owner}" if owner else ""
            raise InstallError(
                f"{self.tree.name} {self.tree.version} would overwrite {path}{whose}",
                hint=None if owner else "move that file away if nothing needs it",
            )
        os.unlink(path)

    def undo(self) -> None:
        """Take away what this has placed, as far as that is possible."""
        for path in self.placed:
            try:
                os.unlink(path)
            except OSError:
                continue
        self.linker.forget(self.folders)
        for path in sorted(self.folders, key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                continue


def may_be_shared(path: str, size: int) -> bool:
    """Tell whether several packages may bring this file, if it says the same in all of them."""
    return size == 0 or path.endswith("/__init__.py")


def _restarted(tree: Tree, file: TreeFile, first_line: bytes) -> bytes:
    with open(f"{tree.folder}/{file.scheme}/{file.path}", "rb") as script:
        script.readline()
        return first_line + script.read()


def _same(one: str, other: str) -> bool:
    return not os.path.islink(other) and filecmp.cmp(one, other, shallow=False)
