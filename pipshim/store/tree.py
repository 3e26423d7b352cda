"""An unpacked wheel of the store, and how it becomes a distribution of an environment."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import os
from zlib import crc32

from pipshim.env import distinfo, scripts
from pipshim.errors import InstallError
from pipshim.file_systems import reason
from pipshim.light import jsons
from pipshim.light.named import NamedTuple
from pipshim.store.bundle import Bundle, TreeFile
from pipshim.store.linking import Linker
from pipshim.store.placing import Placing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from pipshim.store.compiling import Compiled
    from pipshim.store.layout import Layout
    from pipshim.store.linking import LinkMode
    from pipshim.store.placing import Announce

FILES = "files.json"
"""What a tree's folder has beside the files: all of them, each with its hash."""

_MODULES = (".py", ".so", ".pyd")
_TOLD = (
    *("name", "version", "dist_info", "root", "binary"),
    *("console", "gui", "bodies", "python", "checksum"),
)


class _Told(NamedTuple):
    """What a tree knows of itself; a tree adds what follows from it."""

    folder: str
    sha256: str
    name: str
    version: str
    dist_info: str
    root: str
    binary: bool
    console: Mapping[str, str]
    gui: Mapping[str, str]
    bodies: Mapping[str, str]
    bundle: Bundle
    python: list[str]
    checksum: int
    compiled: Compiled | None = None


class Tree(_Told):
    """A wheel, unpacked in the store. It is never written to once it is there.

    Attributes:
        folder: the tree's own, with one folder for each scheme.
        sha256: the wheel's.
        name: the distribution's name, as METADATA has it.
        version: its version, as METADATA has it.
        dist_info: the name of its ``.dist-info`` folder.
        root: the scheme that this is in: ``purelib`` or ``platlib``.
        binary: whether it has compiled code.
        console: entry points for the terminal, ``name: module:callable``.
        gui: the same without a terminal.
        bodies: what the script of each entry point says after its first line.
        bundle: all files that are placed in an environment.
        python: the scripts whose first line has to name the environment's Python.
        checksum: of the file that lists all files one by one.
        compiled: the bytecode that comes with it (see `pipshim.store.compiling`).

    """

    _files: tuple[TreeFile, ...] | None = None

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def lib(self) -> str:
        """The folder that would be on ``sys.path``."""
        return os.path.join(self.folder, self.root)

    @property
    def files(self) -> tuple[TreeFile, ...]:
        """All files that are placed in an environment, one by one. Placing them needs no list.

        Raises:
            InstallError: the list is damaged.

        """
        if self._files is None:
            self._files = self._listed()
        return self._files

    def _listed(self) -> tuple[TreeFile, ...]:
        try:
            with open(f"{self.folder}/{FILES}", "rb") as file:
                text = file.read()
        except OSError as error:
            raise self._damaged() from error
        if crc32(text) != self.checksum:
            raise self._damaged()
        return tuple(TreeFile._make(row) for row in jsons.loads(text))

    @property
    def content(self) -> str:
        """What `installed.fingerprint` tells of it once it is installed, by whomever."""
        files = ((one.path, one.hash) for one in self.files if one.scheme in {"purelib", "platlib"})
        return f"installed:{distinfo.content_of(files, self.dist_info)}"

    def _damaged(self) -> InstallError:
        return InstallError(
            f"the store has a damaged list of the files of {self.name} {self.version}",
            hint="remove what is damaged: pipshim cache store verify",
        )

    @property
    def weight(self) -> int:
        """How many files and folders linking makes: what it takes."""
        return sum(
            sum(len(group.names) for group in bundle.groups) + len(bundle.folders)
            for bundle in self.bundles.values()
        )

    @property
    def bundles(self) -> dict[str, Bundle]:
        """All that is placed, by the folder that it is in."""
        more = self.compiled
        return {self.folder: self.bundle, **({more.folder: more.bundle} if more else {})}

    @property
    def module_files(self) -> Iterator[str]:
        """Files that an import may load, relative to site-packages."""
        for group in self.bundle.groups:
            if group.scheme in {"purelib", "platlib"}:
                for name in group.names:
                    if name.endswith(_MODULES):
                        yield group.folder + name

    def placements(self, env: Layout) -> Iterator[tuple[str, list[str]]]:
        """Yield where linking into ``env`` makes files: each folder, and the names in it.

        Those that are written for one environment in ``.dist-info`` are not among them, nor is
        bytecode.
        """
        roots = self.roots(env)
        names = self.script_names(env)
        for scheme, folder, group, _ in self.bundle.groups:
            kept = group
            if scheme == "scripts" and not folder:
                kept = [name for name in group if name not in names]
            yield f"{roots[scheme]}/{folder}".rstrip("/"), kept
        if names:
            yield roots["scripts"], list(names)

    def bytecode_placements(self, env: Layout) -> Iterator[tuple[str, list[str]]]:
        """Yield as `placements` does where linking into ``env`` makes bytecode."""
        roots = self.roots(env)
        for scheme, folder, names, _ in self.compiled.bundle.groups if self.compiled else ():
            yield f"{roots[scheme]}/{folder}".rstrip("/"), names

    def contents(self, env: Layout) -> dict[str, str]:
        """Return what tells the content of each file at the paths of `placements`."""
        roots = self.roots(env)
        found = {f"{roots[file.scheme]}/{file.path}": file.hash for file in self.files}
        names = self.script_names(env)
        found |= {f"{roots['scripts']}/{name}": self.bodies[of] for name, of in names.items()}
        return found

    def destinations(self, env: Layout) -> Iterator[str]:
        """Yield every path that `placements` tells."""
        for folder, names in self.placements(env):
            for name in names:
                yield f"{folder}/{name}"

    def link(  # noqa: PLR0913 what an installer is told
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
        announce: Announce | None = None,
        compiled: bool = False,
        skip: Collection[str] = (),
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
            compiled: bring bytecode too, if the store has it already.
            skip: absolute paths that are left to other distributions. RECORD lists them all the
                same.
            announce: called once, before the first file is placed, with the names of all by folder.

        Returns:
            The absolute paths of the files that this has placed.

        Raises:
            InstallError: a file is in the way, or one cannot be written. What had been placed is
                taken away again.

        """
        linker = mode if isinstance(mode, Linker) else Linker(mode)
        tree = self
        if compiled:
            from pipshim.store.compiling import with_bytecode  # noqa: PLC0415 it is rarely wanted

            tree = with_bytecode(self, env)
        job = Placing(tree, env, linker, overwrite=overwrite, announce=announce, skip=skip)
        notes = {distinfo.DIRECT_URL: direct_url, distinfo.ORIGIN: origin}
        return _placed(
            job,
            lambda: job.run(str(python or env.python), installer, notes, requested=requested),
        )

    def restore(self, env: Layout, paths: Collection[str], linker: Linker) -> None:
        """Place some of the files again, where there are none.

        Args:
            env: an environment that has the distribution.
            paths: absolute, of files of the distribution.
            linker: how to place them.

        Raises:
            InstallError: a file cannot be written, and none has been.

        """
        job = Placing(self, env, linker, overwrite=False)
        _placed(job, lambda: job.restore(str(env.python), paths))

    def roots(self, env: Layout) -> dict[str, str]:
        """Return the folder that each scheme's files go to."""
        return {
            "purelib": str(env.purelib),
            "platlib": str(env.platlib),
            "scripts": str(env.scripts),
            "data": str(env.data),
            "headers": f"{env.headers}/{self.dist_info.partition('-')[0]}",
        }

    def where(self, env: Layout) -> dict[str, str]:
        """Note where scripts look for their Python: they do not run in an environment moved."""
        return {"prefix": os.path.realpath(env.prefix)} if self.bodies or self.python else {}

    def script_names(self, env: Layout) -> dict[str, str]:
        """Return the scripts of entry points, each with the one of `bodies` that it has."""
        return scripts.versioned_names(self.bodies, env.version)

    def to_json(self) -> str:
        """Return the manifest: all but ``folder`` and ``sha256``."""
        import json  # noqa: PLC0415 reading it does without

        told = {name: getattr(self, name) for name in _TOLD}
        return json.dumps({**told, "bundle": self.bundle.to_json()}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes, folder: str, sha256: str) -> Tree:
        """Read a manifest.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.

        """
        data = jsons.loads(text)
        bundle = Bundle.from_json(data["bundle"])
        return cls(folder, sha256, **{name: data[name] for name in _TOLD}, bundle=bundle)


def _placed(job: Placing, place: Callable[[], list[str]]) -> list[str]:
    """Place files, and take them away again if that fails."""
    try:
        return place()
    except OSError as error:
        job.undo()
        tree = job.tree
        where = error.filename2 or error.filename or job.env.data
        raise InstallError(
            f"{tree.name} {tree.version} cannot be installed: {where}: {reason(error, where)}"
        ) from error
    except BaseException:
        job.undo()
        raise


def list_of(files: Iterable[TreeFile]) -> bytes:
    """Return what the file `FILES` says."""
    import json  # noqa: PLC0415 as above

    return json.dumps(list(files), separators=(",", ":")).encode()
