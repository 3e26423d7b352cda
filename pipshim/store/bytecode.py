"""Bytecode in the store: each wheel compiled once for each kind of Python.

It lies beside the unpacked files, and is linked into environments with them. A ``.pyc`` is valid
for the time and size of its source, which are the same in every environment.
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH102, PTH116, PTH123

from __future__ import annotations

import contextlib
import json
import os
from functools import partial
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.errors import InstallError
from pipshim.base.forked_process import divided
from pipshim.base.light import jsons
from pipshim.base.write_errors import reason
from pipshim.envs import dist_info
from pipshim.store.file_manifest import Compiled, FileManifest, TreeFile
from pipshim.store.store import aside, publish, remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipshim.envs.layout import Layout
    from pipshim.store.unpacked_wheel import UnpackedWheel

PREFIX = "pyc-"
"""How the folders begin, in a tree's, that have bytecode."""

MANIFEST = "pyc.json"

# Every file that does not compile is left out, as pip leaves it out. Without ``-I`` variables of
# the user's would say where bytecode goes.
_SCRIPT = r"""
import importlib.util, json, os, py_compile, sys
for line in sys.stdin:
    job = json.loads(line)
    done = []
    for scheme, path in job["files"]:
        try:
            made = importlib.util.cache_from_source(path)
            py_compile.compile(
                os.path.join(job["folder"], scheme, path),
                os.path.join(job["into"], scheme, made),
                path,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP,
            )
        except Exception:
            continue
        done.append([scheme, made])
    print(json.dumps(done), flush=True)
"""


def with_bytecode(tree: UnpackedWheel, env: Layout) -> UnpackedWheel:
    """Return the wheel with its bytecode for an environment, if the store has it."""
    folder = f"{tree.folder}/{PREFIX}{env.bytecode}"
    found = load(folder)
    if found is None or found.bundle.time != tree.bundle.time:
        return tree
    if found.bundle.touched(folder) != []:
        discard(folder)
        return tree
    return tree._replace(compiled=found)


def discard(folder: str) -> None:
    """Remove a folder of bytecode; it is made again when it is needed."""
    with contextlib.suppress(OSError):
        remove(folder, _store(folder))


def _store(folder: str) -> str:
    return folder.rsplit("/", 3)[0]


def load(folder: str) -> Compiled | None:
    """Read a folder of bytecode; None if that is not possible."""
    data = jsons.read(f"{folder}/{MANIFEST}")
    try:
        return Compiled(folder, FileManifest.from_json(data["bundle"]), data["hashes"])
    except (ValueError, KeyError, TypeError):
        return None


def compiled(trees: Sequence[UnpackedWheel], env: Layout) -> list[UnpackedWheel]:
    """Return the wheels with their bytecode, compiled by the environment's Python if needed."""
    from pipshim.base.tasks import each  # noqa: PLC0415 what finds its bytecode compiles none

    at_once = available_cores()
    found = each(partial(with_bytecode, env=env), trees, at_once=at_once)
    missing = [(_size(tree), tree) for tree in found if not is_complete(tree)]
    shares = [share for share in divided(missing, at_once) if share]
    try:
        each(partial(_compile, env=env), shares, at_once=at_once)
    except OSError as error:
        raise InstallError(
            f"bytecode cannot be kept: {error.filename}: {reason(error)}",
            hint="leave out --compile",
        ) from error
    return [with_bytecode(one, env) if one.compiled is None else one for one in found]


def is_complete(tree: UnpackedWheel) -> bool:
    """Return whether a wheel has its bytecode, or needs none."""
    return tree.compiled is not None or not _sources(tree)


def _sources(tree: UnpackedWheel) -> list[tuple[str, str]]:
    """Return the scheme and path of what is compiled: not scripts, which nobody imports."""
    return [
        (group.scheme, group.folder + name)
        for group in tree.bundle.groups
        if group.scheme != "scripts"
        for name in group.names
        if name.endswith(".py")
    ]


def _size(tree: UnpackedWheel) -> int:
    return sum(
        size
        for group in tree.bundle.groups
        for name, size in zip(group.names, group.sizes, strict=True)
        if name.endswith(".py")
    )


def _compile(trees: Sequence[UnpackedWheel], env: Layout) -> None:
    """Compile wheels in one process; what it does not finish is left for the next time."""
    import shutil  # noqa: PLC0415 what finds its bytecode compiles none
    import subprocess  # noqa: PLC0415

    folders = [f"{tree.folder}/{PREFIX}{env.bytecode}" for tree in trees]
    made = [aside(_store(folder), "tmp") for folder in folders]
    jobs = [
        json.dumps({"folder": tree.folder, "into": into, "files": _sources(tree)})
        for tree, into in zip(trees, made, strict=True)
    ]
    try:
        for into in made:
            os.mkdir(into)
        done = subprocess.run(
            [str(env.python), "-I", "-S", "-B", "-W", "ignore", "-c", _SCRIPT],
            input="\n".join([*jobs, ""]).encode("ascii"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        told = done.stdout.splitlines()
        for tree, into, folder, line in zip(trees, made, folders, told, strict=False):
            _publish(tree, into, folder, jsons.loads(line))
    finally:
        for into in made:
            shutil.rmtree(into, ignore_errors=True)


def _publish(tree: UnpackedWheel, made: str, folder: str, paths: Iterable[tuple[str, str]]) -> None:
    """Put bytecode in its place; if another command was faster, take the other's."""
    time = tree.bundle.time
    brought = {
        (group.scheme, group.folder + name) for group in tree.bundle.groups for name in group.names
    }
    files = []
    hashes = {}
    for scheme, path in paths:
        if (scheme, path) in brought:
            continue
        full = f"{made}/{scheme}/{path}"
        os.utime(full, (time, time))
        hashes[f"{scheme}/{path}"] = dist_info.hash_file(full)
        files.append(TreeFile(scheme, path, os.stat(full).st_size, ""))
    bundle = FileManifest.of(files, time, tree.root)
    text = json.dumps({"bundle": bundle.to_json(), "hashes": hashes}, separators=(",", ":"))
    with open(f"{made}/{MANIFEST}", "w", encoding="ascii") as file:
        file.write(text)
    publish(made, folder)
