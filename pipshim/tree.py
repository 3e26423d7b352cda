"""An unpacked wheel of the store, and how it becomes a distribution of an environment."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH118

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pipshim import distinfo, scripts
from pipshim.errors import InstallError
from pipshim.linking import Linker, LinkMode
from pipshim.placing import Placing, may_be_shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pipshim.placing import Announce

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
        roots = self.roots(env)
        names = self.script_names(env)
        for file in self.files:
            if file.scheme != "scripts" or file.path not in names:
                yield f"{roots[file.scheme]}/{file.path}"
        for name in names:
            yield f"{roots['scripts']}/{name}"

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
            announce: called once, before the first file is placed, with the paths of all.

        Returns:
            The absolute paths of the files that this has placed: all that the distribution has,
            but for those that another one had brought already (see `find_conflicts`).

        Raises:
            InstallError: a file is in the way, or one cannot be written. What had been placed is
                taken away again.

        """
        linker = mode if isinstance(mode, Linker) else Linker(mode)
        job = Placing(self, env, linker, overwrite=overwrite, announce=announce)
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

    def roots(self, env: Layout) -> dict[str, str]:
        """Return the folder that each scheme's files go to."""
        return {
            "purelib": str(env.purelib),
            "platlib": str(env.platlib),
            "scripts": str(env.scripts),
            "data": str(env.data),
            "headers": f"{env.headers}/{self.dist_info.partition('-')[0]}",
        }

    def script_names(self, env: Layout) -> dict[str, str]:
        """Return the scripts of entry points, each with the one of `bodies` that it has."""
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
        roots = tree.roots(env)
        files = {f"{roots[file.scheme]}/{file.path}": file for file in tree.files}
        for path in tree.destinations(env):
            file = files.get(path)
            told = file.hash if file is not None and may_be_shared(path, file.size) else ""
            first, other = owners.setdefault(path, (tree, told))
            if first is not tree and not (told and told == other):
                found.append(Conflict(path, first.name, tree.name))
    return found
