"""The programs that builds find: each file is asked for its version once, by any command."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import write_cache_file
from pipshim.base.light import jsons
from pipshim.base.light.digests import hex_of
from pipshim.model.build_tools import Tool, candidates, compilers_of, is_tool, version_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GIT_LFS = "git-lfs"
_SECONDS = 5
_MOST_FILES = 50_000


class Tools:
    """Knows the versions of programs, by path, size and modification time.

    Args:
        folder: where answers are kept.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Tool | None] = {}
        self._lock = Lock()

    def find(self, name: str, environ: Mapping[str, str]) -> Tool | None:
        """Return what a build finds as a compiler or program; None if there is none."""
        for program in candidates(name, environ):
            path = shutil.which(program, path=environ.get("PATH", os.defpath))
            if path is not None and name == GIT_LFS:
                return Tool("installed", path)  # any version fetches the same files
            if path is not None:
                return self._tool(os.path.abspath(path))  # noqa: PTH100 links stay
        return None

    def used(
        self, source: Path, programs: Iterable[str], environ: Mapping[str, str]
    ) -> dict[str, Tool | None]:
        """Return the tools that a compiled wheel depends on.

        Args:
            source: the source tree that was built.
            programs: the files of the machine's that the build was seen to execute.
            environ: its environment variables.

        """
        found = {name: self.find(name, environ) for name in compilers_of(_suffixes(source))}
        compilers = {os.path.realpath(tool.path) for tool in found.values() if tool is not None}
        for program in sorted(programs):
            name = os.path.basename(program)  # noqa: PTH119
            if not is_tool(name) or os.path.realpath(program) in compilers:
                continue
            tool = self.find(name, environ)
            if tool is not None and tool.path == program:
                found[name] = tool
        return found

    def _tool(self, path: str) -> Tool | None:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        key = hex_of(os.fsencode(f"{path}\n{status.st_size}\n{status.st_mtime_ns}"))[:32]
        with self._lock:
            if key not in self._known:
                self._known[key] = self._read(key) or self._ask(key, path)
            return self._known[key]

    def _read(self, key: str) -> Tool | None:
        try:
            return Tool(**jsons.loads((self._folder / f"{key}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _ask(self, key: str, path: str) -> Tool:
        import json  # noqa: PLC0415 seldom

        tool = Tool(_version(path), path)
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_cache_file(f"{self._folder}/{key}.json", json.dumps(asdict(tool)).encode())
        return tool


def uses_lfs(checkout: Path) -> bool:
    """Return whether files of a checkout are in git's large file storage."""
    for folder in (checkout, *checkout.parents):
        try:
            if "filter=lfs" in (folder / ".gitattributes").read_text("utf-8", "replace"):
                return True
        except OSError:
            pass
        if (folder / ".git").exists():
            return False
    return False


def _version(path: str) -> str:
    """Ask a program for its version; one that does not answer is told by its content."""
    try:
        done = subprocess.run(
            [path, "--version"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
        line = version_line(done.stdout.decode("utf-8", "replace")) if not done.returncode else None
    except (OSError, subprocess.SubprocessError):
        line = None
    if line is not None:
        return line
    try:
        return f"file {hex_of(Path(path).read_bytes())[:16]}"
    except OSError:
        return "unknown"


def _suffixes(source: Path) -> set[str]:
    """Return the suffixes of the files of a source tree."""
    found: set[str] = set()
    count = 0
    for _, _, names in os.walk(source):
        found.update(name.rpartition(".")[2] for name in names)
        count += len(names)
        if count > _MOST_FILES:
            break
    return found
