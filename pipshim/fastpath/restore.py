"""Link an environment from a snapshot of its contents, in several processes.

Several processes each link some of the distributions: threads would wait for each other, as only
one of them runs in an interpreter after each file. The environment stays locked while any of them
lives; until all have succeeded, it counts as incomplete, and the next command makes it again.
"""
# Paths are strings here, and little is imported: Python's own start is a third of it all.
# ruff: noqa: PTH103, PTH108, PTH208, PLC0415

from __future__ import annotations

import os
import sys
import time

from pipshim.base.cache_folders import InUse
from pipshim.base.errors import InstallError
from pipshim.base.file_lock import FileLock
from pipshim.base.forked_process import Forked, divided, processes
from pipshim.base.light import jsons
from pipshim.base.light.named_tuples import NamedTuple
from pipshim.base.write_errors import reason
from pipshim.envs import shared_files, venv_template
from pipshim.envs.interpreter_fingerprint import signature
from pipshim.model.change import Change
from pipshim.progress import summary
from pipshim.store.installer import install
from pipshim.store.linking import Linker
from pipshim.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pipshim.envs.layout import Layout
    from pipshim.store.unpacked_wheel import UnpackedWheel

_WORTH_A_PROCESS = 150
"""How many files and folders make up for starting a process."""


class LayoutPaths(NamedTuple):
    """A `pipshim.envs.layout.Layout` of strings."""

    python: str
    version: tuple[int, int, int]
    bytecode: str
    prefix: str
    purelib: str
    platlib: str
    scripts: str
    data: str
    headers: str


def restore(
    note: Mapping[str, Any], place: LayoutPaths, python: str, cache: str, *, started: float
) -> str | None:
    """Make an environment and fill it; return what was done, or None if that is not possible.

    Args:
        note: the contents.
        python: the interpreter that it is made with.
        cache: pipshim's.
        started: when the command began (``time.perf_counter``).

    Raises:
        InstallError: it cannot be filled; it is empty.

    """

    def waiting() -> None:
        sys.stderr.write(f"waiting for another command in {place.prefix}\n")

    try:
        now = signature(python)
        known = venv_template.find(cache, python, place.prefix, now)
        if known is None or note["signature"] != now:
            return None
        os.makedirs(place.prefix, exist_ok=True)
    except OSError:
        return None
    with InUse(cache, waiting), FileLock(f"{place.prefix}/{venv_template.LOCK}", waiting):
        if os.listdir(place.prefix) != [venv_template.LOCK]:
            return None  # another command has made it
        found = _fill(note, place, Store(cache), known)
    if found is None:
        return None
    changes = [
        Change("+", one["name"], None, one["version"], None, one["source"], one["mode"])
        for one in sorted(note["packages"], key=lambda one: str(one["name"]))
    ]
    text = summary.summarize(
        changes,
        packages=len(changes),
        seconds=time.perf_counter() - started,
        no_color=note["no_color"],
    )
    return "".join([*(f"{line}\n" for line in sorted(found)), text])


def _fill(
    note: Mapping[str, Any], place: LayoutPaths, store: Store, known: Mapping[str, Any]
) -> set[str] | None:
    """Fill an empty folder; None if the store lacks some of it.

    Returns:
        messages about how files were placed.

    """
    own, *others = _divided(note["packages"])
    helpers: list[Forked] = []
    is_done = False

    def answer(packages: Sequence[Mapping[str, Any]]) -> bytes:
        failed: tuple[str, str | None] | None = None
        told = None
        try:
            told = _link(note, packages, place, store)
        except InstallError as error:
            failed = error.message, error.hint
        return jsons.dumps([told, failed]).encode("ascii")

    try:
        venv_template.make(place.prefix, known)
        helpers += (Forked(answer, packages) for packages in others)
        told = [_link(note, own, place, store), *map(_told, helpers)]
        if None in told:
            return None
        _note_shared(note, place.prefix)
        os.unlink(f"{place.prefix}/{venv_template.INCOMPLETE}")
        is_done = True
    except OSError as error:
        where = error.filename or place.prefix
        raise InstallError(
            f"the environment {place.prefix} cannot be made: {where}: {reason(error, where)}"
        ) from error
    finally:
        for helper in helpers:
            helper.end()
        if not is_done:
            _empty(place.prefix)
    return {line for line in told if line}


def _note_shared(note: Mapping[str, Any], prefix: str) -> None:
    """Note the files that several distributions have, as a sync does."""
    files = {path[2:]: owners for path, owners in note["shared"].items() if path[:2] == "./"}
    if files:
        with open(f"{prefix}/{shared_files.NAME}", "xb") as file:  # noqa: PTH123
            file.write(shared_files.note(prefix, files))


def _divided(packages: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Divide distributions among processes, with about the same number of files for each."""
    work = sum(one["weight"] for one in packages)
    count = processes(work // _WORTH_A_PROCESS)
    return divided(((one["weight"], one) for one in packages), count)


def _empty(prefix: str) -> None:
    import shutil

    for entry in list(os.scandir(prefix)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name != venv_template.LOCK:
            os.unlink(entry.path)


def _there(path: str, prefix: str) -> str:
    return f"{prefix}{path[1:]}" if path[:1] == "." else path


def _link(
    note: Mapping[str, Any], packages: Sequence[Mapping[str, Any]], env: Layout, store: Store
) -> str | None:
    """Link some of the distributions.

    Returns:
        a message about how, or an empty one; None if the store lacks one of them.

    """
    trees = [_tree(note, one["sha256"], env, store) for one in packages]
    linker = Linker(note["link_mode"])
    for one, tree in zip(packages, trees, strict=True):
        if tree is None:
            return None
        install(
            tree,
            env,
            linker,
            requested=one["requested"],
            direct_url=one["direct_url"],
            origin={**one["origin"], **tree.where(env)},
            skip={_there(path, str(env.prefix)) for path in one["skip"]},
        )
    return linker.fallback_message or ""


def _tree(note: Mapping[str, Any], sha256: str, env: Layout, store: Store) -> UnpackedWheel | None:
    """Return a wheel, with its bytecode if that is wanted; None if the store has it no more."""
    tree = store.tree(sha256)
    if tree is None or not note["bytecode"]:
        return tree
    from pipshim.store.bytecode import is_complete, with_bytecode

    tree = with_bytecode(tree, env)
    return tree if is_complete(tree) else None


def _told(helper: Forked) -> str | None:
    """Wait for a process; return the result of its `_link`."""
    text = helper.answer()
    if not text:
        raise InstallError("a process that links files was ended by something else")
    told: str | None
    told, failed = jsons.loads(text)
    if failed is not None:
        raise InstallError(failed[0], hint=failed[1])
    return told


def state_files(env: Layout) -> list[str]:
    """Return the files and folders of an environment that show whether it has changed."""
    sites = dict.fromkeys([str(env.purelib), str(env.platlib)])
    entries = (entry for site in sites for entry in os.scandir(site))
    return [
        f"{env.prefix}/pyvenv.cfg",
        *sites,
        *(entry.path for entry in entries if entry.name.endswith(".dist-info")),
        str(env.scripts),
        str(env.python),
        os.path.realpath(env.python),
        # Not there; another command may be at work by now, and be killed.
        f"{env.prefix}/{venv_template.CHANGE}",
    ]
