"""An unpacked wheel of the store, and how it becomes a distribution of an environment."""

# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH106, PTH108, PTH114, PTH118, PTH123

from __future__ import annotations

import filecmp
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pipshim import distinfo, scripts
from pipshim.distinfo import Row
from pipshim.errors import InstallError
from pipshim.linking import Linker, LinkMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_MODULES = (".py", ".so", ".pyd")


class Layout(Protocol):
    """Where an environment has things; `pipshim.target.Target` is one."""

    @property
    def python(self) -> Path:
        """The interpreter that scripts start."""

    @property
    def version(self) -> tuple[int, int, int]:
        """The interpreter's."""

    @property
    def purelib(self) -> Path:
        """For packages in pure Python."""

    @property
    def platlib(self) -> Path:
        """For packages with compiled code."""

    @property
    def scripts(self) -> Path:
        """For programs."""

    @property
    def data(self) -> Path:
        """The environment's own folder."""

    @property
    def headers(self) -> Path:
        """For a folder of each distribution's headers."""


class TreeFile(NamedTuple):
    """A file of the wheel, as the store has it.

    Attributes:
        scheme: ``purelib``, ``platlib``, ``scripts``, ``headers`` or ``data``.
        path: below the scheme's folder, with ``/``.
        size: in bytes.
        mtime: in nanoseconds.
        hash: as in the wheel's RECORD; empty for RECORD's signatures.
        executable: whether everyone may execute it.
        python: whether its first line has to name the environment's Python.

    """

    scheme: str
    path: str
    size: int
    mtime: int
    hash: str
    executable: bool
    python: bool


class Conflict(NamedTuple):
    """A path that two distributions bring, with different contents."""

    path: str
    first: str
    second: str


class _Written(NamedTuple):
    """A file that is made for one environment, below one of its roots."""

    root: str
    path: str
    content: bytes
    executable: bool


@dataclass(frozen=True)
class Tree:
    """A wheel, unpacked in the store. It is never written to once it is there.

    Attributes:
        folder: the tree's own, with one folder for each scheme.
        sha256: the wheel's.
        name: the distribution's name, as METADATA has it.
        version: its version, as METADATA has it.
        dist_info: the name of its ``.dist-info`` folder.
        root: the scheme that this is in: ``purelib`` or ``platlib``.
        binary: whether it has compiled code.
        files: all that is placed in an environment.
        console: entry points for the terminal, ``name: module:callable``.
        gui: the same without a terminal.
        bodies: what the script of each entry point says after its first line.

    """

    folder: str
    sha256: str
    name: str
    version: str
    dist_info: str
    root: str
    binary: bool
    files: tuple[TreeFile, ...] = field(repr=False)
    console: Mapping[str, str]
    gui: Mapping[str, str]
    bodies: Mapping[str, str] = field(repr=False)

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def lib(self) -> str:
        """The folder that would be on ``sys.path``."""
        return os.path.join(self.folder, self.root)

    @property
    def module_files(self) -> Iterator[str]:
        """Files that an import may load, relative to site-packages."""
        for file in self.files:
            if file.scheme in {"purelib", "platlib"} and file.path.endswith(_MODULES):
                yield file.path

    def destinations(self, env: Layout) -> Iterator[str]:
        """Every path that linking into ``env`` makes, but for those of ``.dist-info``'s own."""
        roots = self._roots(env)
        names = self._script_names(env)
        for file in self.files:
            if file.scheme != "scripts" or file.path not in names:
                yield f"{roots[file.scheme]}/{file.path}"
        for name in names:
            yield f"{roots['scripts']}/{name}"

    def link(
        self,
        env: Layout,
        python: Path | None = None,
        *,
        mode: LinkMode | Linker = "auto",
        installer: str = "pipshim",
        requested: bool = False,
        direct_url: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> list[str]:
        """Install this into an environment, as pip would have installed the wheel.

        RECORD is written first and METADATA placed last: what a killed process leaves can be
        told from a whole distribution, and removed by its RECORD.

        Args:
            env: the environment's paths.
            python: what scripts shall run with; without it ``env.python``.
            mode: how files are placed. Trees that go into the same environment should share a
                Linker: it saves work, and its ``fell_back_to`` tells what to say once.
            installer: the contents of INSTALLER.
            requested: whether the user asked for it by name (REQUESTED).
            direct_url: the contents of ``direct_url.json`` (PEP 610).
            origin: the contents of ``pipshim.json``: what it was installed from.
            overwrite: replace what is there, one file at a time, rather than refuse. What was
                replaced is not given back if a later file fails.

        Returns:
            The absolute paths of all files that it now has.

        Raises:
            InstallError: a file is in the way, or one cannot be written. What had been placed is
                taken away again.

        """
        linker = mode if isinstance(mode, Linker) else Linker(mode)
        job = _Placing(self, env, linker, overwrite=overwrite)
        try:
            return job.run(
                str(python or env.python),
                installer,
                {distinfo.DIRECT_URL: direct_url, distinfo.ORIGIN: origin},
                requested=requested,
            )
        except OSError as error:
            job.undo()
            where = error.filename2 or error.filename or env.data
            raise InstallError(
                f"{self.name} {self.version} cannot be installed: {where}: {error.strerror}"
            ) from error
        except BaseException:
            job.undo()
            raise

    def _roots(self, env: Layout) -> dict[str, str]:
        return {
            "purelib": str(env.purelib),
            "platlib": str(env.platlib),
            "scripts": str(env.scripts),
            "data": str(env.data),
            "headers": f"{env.headers}/{self.dist_info.partition('-')[0]}",
        }

    def _script_names(self, env: Layout) -> dict[str, str]:
        return scripts.versioned_names(self.bodies, env.version)

    def to_json(self) -> str:
        """Return the manifest: all but ``folder`` and ``sha256``."""
        return json.dumps(
            {
                "name": self.name,
                "version": self.version,
                "dist_info": self.dist_info,
                "root": self.root,
                "binary": self.binary,
                "console": dict(self.console),
                "gui": dict(self.gui),
                "bodies": dict(self.bodies),
                "files": self.files,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes, folder: str, sha256: str) -> Tree:
        """Read a manifest.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.

        """
        data = json.loads(text)
        files = tuple(TreeFile._make(row) for row in data.pop("files"))
        return cls(folder=folder, sha256=sha256, files=files, **data)


def find_conflicts(trees: Iterable[Tree], env: Layout) -> list[Conflict]:
    """Find the paths that more than one of these distributions would bring to ``env``.

    Files that say the same and do nothing but make a folder a package (legacy namespace packages
    have such an ``__init__.py`` each, PEP 420 lists them) are no conflict.
    """
    found: list[Conflict] = []
    owners: dict[str, tuple[Tree, str]] = {}
    for tree in trees:
        roots = tree._roots(env)  # noqa: SLF001
        files = {f"{roots[file.scheme]}/{file.path}": file for file in tree.files}
        for path in tree.destinations(env):
            file = files.get(path)
            told = file.hash if file is not None and _may_be_shared(path, file.size) else ""
            first, other = owners.setdefault(path, (tree, told))
            if first is not tree and not (told and told == other):
                found.append(Conflict(path, first.name, tree.name))
    return found


def _may_be_shared(path: str, size: int) -> bool:
    return size == 0 or path.endswith("/__init__.py")


class _Placing:
    """One tree on its way into one environment."""

    def __init__(self, tree: Tree, env: Layout, linker: Linker, *, overwrite: bool) -> None:
        self.tree = tree
        self.env = env
        self.linker = linker
        self.overwrite = overwrite
        self.roots = tree._roots(env)  # noqa: SLF001
        self.placed: list[str] = []
        self.folders: list[str] = []
        self.shared: list[str] = []

    def run(
        self,
        python: str,
        installer: str,
        notes: Mapping[str, Mapping[str, Any] | None],
        *,
        requested: bool,
    ) -> list[str]:
        tree = self.tree
        lib, bin_ = self.roots[tree.root], self.roots["scripts"]
        info = f"{lib}/{tree.dist_info}"
        metadata = f"{info}/{distinfo.METADATA}"
        first_line = scripts.shebang(python)
        names = tree._script_names(self.env)  # noqa: SLF001
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

        for new in (record, *written):
            self._write(new)
        last = linked.pop(metadata)
        self._link(linked)
        self._link({metadata: last})
        return [*self.placed, *self.shared]

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
                if _may_be_shared(path, size) and _same(source, path):
                    self.shared.append(path)
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
        if parent not in self.linker._made:  # noqa: SLF001 one look-up a file
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
            except OSError:  # noqa: PERF203
                continue
        self.linker.forget(self.folders)
        for path in sorted(self.folders, key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:  # noqa: PERF203
                continue


def _restarted(tree: Tree, file: TreeFile, first_line: bytes) -> bytes:
    with open(f"{tree.folder}/{file.scheme}/{file.path}", "rb") as script:
        script.readline()
        return first_line + script.read()


def _same(one: str, other: str) -> bool:
    return not os.path.islink(other) and filecmp.cmp(one, other, shallow=False)
