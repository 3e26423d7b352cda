"""An unpacked wheel of the store, and the files it installs."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH118

from __future__ import annotations

import os

from pipshim.base.light import jsons
from pipshim.base.light.named_tuples import NamedTuple
from pipshim.envs import dist_info, scripts
from pipshim.store.file_manifest import FileManifest, TreeFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipshim.envs.layout import Layout
    from pipshim.store.file_manifest import Compiled

_MODULES = (".py", ".so", ".pyd")
_TOLD = (
    *("name", "version", "dist_info", "root"),
    *("console", "gui", "bodies", "python", "hashes"),
)


class UnpackedWheel(NamedTuple):
    """A wheel, unpacked in the store, which is never written to.

    Attributes:
        folder: its own, with one folder for each scheme.
        sha256: the wheel's.
        name: the distribution's name, as METADATA has it.
        version: its version, as METADATA has it.
        dist_info: the name of its ``.dist-info`` folder.
        root: the scheme of that: ``purelib`` or ``platlib``.
        console: entry points for the terminal, ``name: module:callable``.
        gui: the same without a terminal.
        bodies: the script of each entry point, without its first line.
        bundle: all files that are placed in an environment.
        python: the scripts whose first line has to name the environment's Python.
        hashes: by ``scheme/path``, those of files that `FileManifest.record` does not have.
        compiled: its bytecode (see `pipshim.store.bytecode`).

    """

    folder: str
    sha256: str
    name: str
    version: str
    dist_info: str
    root: str
    console: Mapping[str, str]
    gui: Mapping[str, str]
    bodies: Mapping[str, str]
    bundle: FileManifest
    python: list[str]
    hashes: Mapping[str, str]
    compiled: Compiled | None = None

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def lib(self) -> str:
        """The folder that would be on ``sys.path``."""
        return os.path.join(self.folder, self.root)

    def text(self, name: str) -> str:
        """Read a file of its ``.dist-info``; empty if that is not possible."""
        return dist_info.read_text(f"{self.lib}/{self.dist_info}/{name}")

    @property
    def files(self) -> Iterator[TreeFile]:
        """Yield all files that are placed in an environment. Placing them needs no list."""
        rows = dist_info.parse_record("\n".join(self.bundle.record))
        hashes = {**self.hashes, **{f"{self.root}/{row.path}": row.hash for row in rows}}
        executable, python = set(self.bundle.executable), set(self.python)
        for scheme, folder, names, sizes in self.bundle.groups:
            for name, size in zip(names, sizes, strict=True):
                path = f"{folder}{name}"
                full = f"{scheme}/{path}"
                is_script = scheme == "scripts" and path in python
                yield TreeFile(scheme, path, size, hashes[full], full in executable, is_script)

    @property
    def is_native(self) -> bool:
        """Whether compiled code can be built against it."""
        from pipshim.envs.abi_providers import has_native_files, is_platform_specific  # noqa: PLC0415 for builds only

        return is_platform_specific(self.text("WHEEL")) or any(
            group.scheme == "headers" or has_native_files(group.names)
            for group in self.bundle.groups
        )

    @property
    def content(self) -> str:
        """The `installed.fingerprint` of the installed wheel."""
        files = ((one.path, one.hash) for one in self.files if one.scheme in {"purelib", "platlib"})
        return f"installed:{dist_info.content_of(files, self.dist_info)}"

    @property
    def weight(self) -> int:
        """How many files and folders linking makes."""
        return sum(
            sum(len(group.names) for group in bundle.groups) + len(bundle.folders)
            for bundle in self.bundles.values()
        )

    @property
    def bundles(self) -> dict[str, FileManifest]:
        """Everything that is placed, by its folder."""
        more = self.compiled
        return {self.folder: self.bundle, **({more.folder: more.bundle} if more else {})}

    @property
    def module_files(self) -> Iterator[str]:
        """Yield files that an import may load, relative to site-packages."""
        for group in self.bundle.groups:
            if group.scheme in {"purelib", "platlib"}:
                for name in group.names:
                    if name.endswith(_MODULES):
                        yield group.folder + name

    def placements(self, env: Layout) -> Iterator[tuple[str, list[str]]]:
        """Yield each folder in ``env`` with the names of the files that linking makes.

        Files written for one environment in ``.dist-info`` are left out, and so is bytecode.
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
        """Yield the same for bytecode."""
        roots = self.roots(env)
        for scheme, folder, names, _ in self.compiled.bundle.groups if self.compiled else ():
            yield f"{roots[scheme]}/{folder}".rstrip("/"), names

    def contents(self, env: Layout) -> dict[str, str]:
        """Return what identifies the content of each file at the paths of `placements`."""
        roots = self.roots(env)
        found = {f"{roots[file.scheme]}/{file.path}": file.hash for file in self.files}
        names = self.script_names(env)
        found |= {f"{roots['scripts']}/{name}": self.bodies[of] for name, of in names.items()}
        return found

    def destinations(self, env: Layout) -> Iterator[str]:
        """Yield every path of `placements`."""
        for folder, names in self.placements(env):
            for name in names:
                yield f"{folder}/{name}"

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
        """Note where scripts look for their Python: they do not run in a moved environment."""
        return {"prefix": os.path.realpath(env.prefix)} if self.bodies or self.python else {}

    def script_names(self, env: Layout) -> dict[str, str]:
        """Return the scripts of entry points, each with its name in `bodies`."""
        return scripts.versioned_names(self.bodies, env.version)

    def to_json(self) -> str:
        """Return the manifest: everything but ``folder`` and ``sha256``."""
        import json  # noqa: PLC0415 reading it does without

        told = {name: getattr(self, name) for name in _TOLD}
        return json.dumps({**told, "bundle": self.bundle.to_json()}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes, folder: str, sha256: str) -> UnpackedWheel:
        """Read a manifest.

        Raises:
            ValueError, KeyError, TypeError: it is damaged.

        """
        data = jsons.loads(text)
        bundle = FileManifest.from_json(data["bundle"])
        return cls(folder, sha256, **{name: data[name] for name in _TOLD}, bundle=bundle)
