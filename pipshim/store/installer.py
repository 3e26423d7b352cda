"""Install unpacked wheels into environments: write and link files, roll back, restore."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH106, PTH108, PTH123

from __future__ import annotations

import os
from bisect import insort

from pipshim.base.errors import InstallError
from pipshim.base.light import jsons
from pipshim.base.light.named_tuples import NamedTuple
from pipshim.base.write_errors import reason
from pipshim.envs import dist_info, scripts
from pipshim.envs.dist_info import Row
from pipshim.store.file_manifest import file_row
from pipshim.store.linking import Batch, Linker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Any, TypeAlias

    from pipshim.envs.layout import Layout
    from pipshim.store.file_manifest import FileManifest, Group, TreeFile
    from pipshim.store.unpacked_wheel import UnpackedWheel

    Announce: TypeAlias = Callable[[dict[str, list[str]]], object]


def install(
    tree: UnpackedWheel,
    env: Layout,
    linker: Linker | None = None,
    *,
    requested: bool = False,
    direct_url: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    announce: Announce | None = None,
    skip: Collection[str] = (),
) -> list[str]:
    """Install an unpacked wheel into an environment, as pip would.

    RECORD is written first and METADATA placed last: what a killed process leaves can be
    distinguished from a whole distribution, and removed by its RECORD.

    Args:
        env: the environment's paths.
        linker: places files. Wheels for the same environment should share one: it saves work, and
            its ``fell_back_to`` is a message to show once.
        direct_url: the contents of ``direct_url.json`` (PEP 610).
        origin: the contents of ``pipshim.json``: what it was installed from.
        skip: absolute paths that are left to other distributions, but listed in RECORD.
        announce: called once, before the first file is placed, with the names of all by folder.

    Returns:
        The absolute paths of the placed files.

    Raises:
        InstallError: a file exists, or cannot be written. Placed files are removed again.

    """
    job = _Placement(tree, env, linker or Linker(), announce, skip)
    notes = {dist_info.DIRECT_URL: direct_url, dist_info.ORIGIN: origin}
    return _placed(job, lambda: job.run(notes, requested=requested))


def restore(tree: UnpackedWheel, env: Layout, paths: Collection[str], linker: Linker) -> None:
    """Place some of the files again, where they are missing.

    Args:
        env: an environment that has the distribution.
        paths: absolute, of files of the distribution.

    Raises:
        InstallError: a file cannot be written, and none has been.

    """
    job = _Placement(tree, env, linker)
    _placed(job, lambda: job.restore(paths))


def _placed(job: _Placement, place: Callable[[], list[str]]) -> list[str]:
    """Place files, and remove them again if that fails."""
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


class _Written(NamedTuple):
    """A file that is written for one environment, below one of its roots."""

    root: str
    path: str
    content: bytes
    executable: bool


class _Placement:
    """The placing of one unpacked wheel in one environment."""

    def __init__(
        self,
        tree: UnpackedWheel,
        env: Layout,
        linker: Linker,
        announce: Announce | None = None,
        skip: Collection[str] = (),
    ) -> None:
        self.tree = tree
        self.env = env
        self.linker = linker
        self.announce = announce
        self.skip = skip
        self.roots = tree.roots(env)
        self.lib = self.roots[tree.root]
        self.placed: list[str] = []
        self.folders: list[str] = []
        self._executable = frozenset(tree.bundle.executable)

    def run(self, notes: Mapping[str, Mapping[str, Any] | None], *, requested: bool) -> list[str]:
        """Write and link everything, and return the new files.

        Args:
            notes: JSON files of ``.dist-info`` by name; None for those to leave out.

        """
        info = f"{self.lib}/{self.tree.dist_info}"
        texts = {dist_info.INSTALLER: "pipshim\n"}
        if requested:
            texts[dist_info.REQUESTED] = ""
        for name, note in notes.items():
            if note is not None:
                texts[name] = jsons.dumps(note)
        written = self._scripts()
        written += [_Written(self.lib, f"{info}/{k}", v.encode(), False) for k, v in texts.items()]
        linked, unlisted = self._linked()
        bytecode = self._bytecode(linked)
        linked = _with_last(f"{info}/", dist_info.METADATA, [*linked, *bytecode])
        written.insert(0, self._record(f"{info}/{dist_info.RECORD}", written, unlisted, bytecode))
        if self.skip:
            written = [file for file in written if file.path not in self.skip]
            linked = [_without(batch, self.skip) for batch in linked]

        if self.announce is not None:
            self.announce(_by_folder(written, linked))
        self._write(written[0])
        self._make_folders()
        for new in written[1:]:
            self._write(new)
        for batch in linked:
            self._link(batch)
        return self.placed

    def restore(self, paths: Collection[str]) -> list[str]:
        """Write and link the files at these paths."""
        self._make_folders()
        for file in self._scripts():
            if file.path in paths:
                self._write(file)
        for batch in self._linked()[0]:
            names = [name for name in batch.names if batch.destination + name in paths]
            if names:
                self._link(batch.only(names))
        return self.placed

    def _scripts(self) -> list[_Written]:
        """Make the scripts: of entry points, and those in the wheel."""
        first_line = scripts.shebang(self.env.python)
        tree, folder = self.tree, self.roots["scripts"]
        names = tree.script_names(self.env)
        made = [
            _Written(folder, f"{folder}/{name}", first_line + tree.bodies[of].encode(), True)
            for name, of in names.items()
        ]
        for name in tree.python:
            if name not in names:
                content = _restarted(f"{tree.folder}/scripts/{name}", first_line)
                executable = f"scripts/{name}" in tree.bundle.executable
                made.append(_Written(folder, f"{folder}/{name}", content, executable))
        return made

    def _linked(self) -> tuple[list[Batch], dict[str, TreeFile]]:
        """Return the files to link, by folder.

        Returns:
            The files; and by path, those that `FileManifest.record` does not have.

        """
        tree = self.tree
        batches = [self._batch(group, tree.folder, tree.bundle) for group in tree.bundle.groups]
        if tree.bundle.schemes == {tree.root}:
            return batches, {}
        own = {*tree.script_names(self.env), *tree.python}
        there: dict[str, TreeFile] = {}
        left_out: set[tuple[str, str]] = set()
        for file in sorted(tree.files, key=lambda file: file.scheme != tree.root):
            path = f"{self.roots[file.scheme]}/{file.path}"
            if file.scheme == "scripts" and file.path in own:
                left_out.add((file.scheme, file.path))
                continue
            self._check(file, path)
            first = there.setdefault(path, file)
            if first is not file:
                left_out.add((file.scheme, file.path))
                if first.hash != file.hash:
                    raise InstallError(f"{tree.name} {tree.version} has two files for {path}")
        if left_out:
            batches = [
                batch.only(
                    [n for n in batch.names if (group.scheme, group.folder + n) not in left_out]
                )
                for group, batch in zip(tree.bundle.groups, batches, strict=True)
            ]
        return batches, {p: file for p, file in there.items() if file.scheme != tree.root}

    def _bytecode(self, linked: Iterable[Batch]) -> list[Batch]:
        """Return the bytecode to link, by folder: that of linked sources."""
        compiled = self.tree.compiled
        if compiled is None:
            return []
        groups = compiled.bundle.groups
        batches = [self._batch(group, compiled.folder, compiled.bundle) for group in groups]
        if compiled.bundle.schemes == {self.tree.root}:
            return batches
        there = {batch.destination + name for batch in linked for name in batch.names}
        found = []
        for batch in batches:
            names = [name for name in batch.names if batch.destination + name not in there]
            there.update(batch.destination + name for name in names)
            found.append(batch.only(names))
        return found

    def _batch(self, group: Group, folder: str, bundle: FileManifest) -> Batch:
        start = f"{group.scheme}/{group.folder}"
        executable = self._executable
        return Batch(
            f"{folder}/{start}",
            f"{self.roots[group.scheme]}/{group.folder}",
            group.names,
            group.sizes,
            {name for name in group.names if start + name in executable} if executable else (),
            bundle.time,
            group.scheme,
            bytecode=bundle is not self.tree.bundle,
        )

    def _check(self, file: TreeFile, path: str) -> None:
        if file.scheme == "data":
            folder, _, name = path.rpartition("/")
            if (
                folder == self.roots["scripts"] and scripts.is_interpreter(name)
            ) or file.path == "pyvenv.cfg":
                raise InstallError(f"{self.tree.name} {self.tree.version} would overwrite {path}")

    def _relative(self, path: str) -> str:
        if path.startswith(f"{self.lib}/"):
            return path[len(self.lib) + 1 :]
        return os.path.relpath(path, self.lib)

    def _record(
        self,
        path: str,
        written: Iterable[_Written],
        unlisted: Mapping[str, TreeFile],
        bytecode: Iterable[Batch],
    ) -> _Written:
        """Make RECORD: the wheel's lines, and those of written and unlisted files."""
        rows = [file_row(file, self._relative(where)) for where, file in unlisted.items()]
        for new in written:
            size = str(len(new.content))
            rows.append(Row(self._relative(new.path), dist_info.hash_bytes(new.content), size))
        rows += [
            Row(self._relative(batch.destination + name))
            for batch in bytecode
            if batch.scheme != self.tree.root
            for name in batch.names
        ]
        rows.append(Row(self._relative(path)))
        lines = list(self.tree.bundle.record)
        if self.tree.compiled is not None:
            lines += self.tree.compiled.bundle.record
            lines.sort(key=dist_info.path_of)
        for row in rows:
            insort(lines, dist_info.record_line(row), key=dist_info.path_of)
        return _Written(self.lib, path, dist_info.join_record(lines), False)

    def _make_folders(self) -> None:
        """Make all folders of linked files."""
        roots = self.roots
        for scheme in sorted(self.tree.bundle.schemes):
            self.folders += self.linker.make_root(roots[scheme])
        for bundle in self.tree.bundles.values():
            paths = (f"{roots[scheme]}/{path}" for scheme, path in bundle.folders)
            self.folders.extend(self.linker.make_folders(paths, roots.values()))

    def _link(self, batch: Batch) -> None:
        start = 0
        while (start := self.linker.place(batch, start, self.placed)) < len(batch.names):
            path = batch.destination + batch.names[start]
            if not batch.bytecode:
                raise self._in_the_way(path)
            start += 1  # what Python has compiled since

    def _write(self, file: _Written) -> None:
        self.folders += self.linker.make_root(file.root)
        parent = file.path.rpartition("/")[0]
        self.folders.extend(self.linker.make_folders([parent], self.roots.values()))
        if os.path.lexists(file.path):
            raise self._in_the_way(file.path)
        self.placed.append(file.path)
        if file.executable:
            scripts.write_executable(file.path, file.content)
        else:
            with open(file.path, "xb") as new:
                new.write(file.content)

    def _in_the_way(self, path: str) -> InstallError:
        return InstallError(
            f"{self.tree.name} {self.tree.version} would overwrite {path}",
            hint="move that file away if nothing needs it",
        )

    def undo(self) -> None:
        """Remove what was placed, as far as that is possible."""
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


def _without(batch: Batch, skip: Collection[str]) -> Batch:
    """Leave out the files at some paths, and their bytecode."""
    if batch.bytecode:
        folder = batch.destination.removesuffix("__pycache__/")
        names = [one for one in batch.names if f"{folder}{one.partition('.')[0]}.py" not in skip]
    else:
        names = [one for one in batch.names if batch.destination + one not in skip]
    return batch if len(names) == len(batch.names) else batch.only(names)


def _with_last(folder: str, name: str, batches: Iterable[Batch]) -> list[Batch]:
    """Put one file last."""
    found, last = [], []
    for batch in batches:
        if batch.destination == folder and name in batch.names:
            found.append(batch.only([other for other in batch.names if other != name]))
            last.append(batch.only([name]))
        else:
            found.append(batch)
    return [*found, *last]


def _by_folder(written: Iterable[_Written], linked: Iterable[Batch]) -> dict[str, list[str]]:
    """Return all new files, by folder."""
    found: dict[str, list[str]] = {}
    for file in written:
        folder, _, name = file.path.rpartition("/")
        found.setdefault(folder, []).append(name)
    for batch in linked:
        found.setdefault(batch.destination.rstrip("/"), []).extend(batch.names)
    return found


def _restarted(path: str, first_line: bytes) -> bytes:
    with open(path, "rb") as script:
        script.readline()
        return first_line + script.read()
