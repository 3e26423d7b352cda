"""The programs that builds find: each file is asked for its version once, by any command."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from pipshim.base import toml_files
from pipshim.base.atomic_write import write_cache_file
from pipshim.base.light import jsons
from pipshim.base.light.digests import hex_of
from pipshim.base.shared_results import SharedResults
from pipshim.model.build_tools import (
    OF_CHANNEL,
    Tool,
    compilers_of,
    is_tool,
    of_content,
    version_line,
)
from pipshim.model.compiler_choice import (
    CARGO_CONFIG,
    FILES,
    NATIVE_FILE,
    TOOLCHAIN_FILE,
    WRAPPERS,
    candidates,
    of_cargo_config,
    of_native_file,
    of_toolchain_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from pipshim.model.compiler_choice import CompilerChoice

GIT_LFS, RUSTUP = "git-lfs", "rustup"
_SECONDS = 5
_MOST_FILES = 50_000


class Tools:
    """Knows the versions of programs, by path, size and modification time.

    Args:
        folder: where answers are kept.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: SharedResults[Tool] = SharedResults()
        self._of_toolchains: SharedResults[str | None] = SharedResults()

    def find(self, name: str, choice: CompilerChoice) -> Tool | None:
        """Return what a build finds as a compiler or program; None if there is none."""
        if name in FILES:
            return _settings_file(name, choice)
        name, _, channel = name.partition(OF_CHANNEL)
        for program in candidates(name, replace(choice, chosen=_chosen(name, choice))):
            path = find_compiler(program, choice.environ.get("PATH", os.defpath))
            if path is not None and name == GIT_LFS:
                return Tool("installed", path)  # any version fetches the same files
            if path is not None and (rustup := _rustup(path)) is not None:
                path = self._of_rustup([rustup, "which", name], channel, choice.environ)
            if path is not None:
                return self._tool(os.path.abspath(path))  # noqa: PTH100 links stay
        return None

    @contextmanager
    def asked_ahead(self, source: Path, choice: CompilerChoice) -> Iterator[None]:
        """Ask the compilers of a source tree for their versions while it is built."""
        asking = Thread(target=self.used, args=(source, (), choice), daemon=True)
        asking.start()
        yield
        asking.join()

    def used(
        self, source: Path, programs: Iterable[str], choice: CompilerChoice
    ) -> dict[str, Tool | None]:
        """Return the tools that a compiled wheel depends on.

        Args:
            source: the source tree that was built.
            programs: the files of the machine's that the build was seen to execute.
            choice: what decides; the programs are added to its systems.

        """
        started: dict[str, Tool] = {}
        for program in sorted(programs):
            name = os.path.basename(program)  # noqa: PTH119
            tool = self.find(name, choice) if is_tool(name) else None
            if tool is not None and tool.path == program:
                started[name] = tool
        names = [_with_channel(name, source) for name in compilers_of(_suffixes(source))]
        choice = replace(choice, systems=choice.systems.union(started, names))
        names += [file for file in FILES if names and choice.file(file) is not None]
        found = {name: self.find(name, choice) for name in names}
        compilers = {os.path.realpath(tool.path) for tool in found.values() if tool is not None}
        own = {n: one for n, one in started.items() if os.path.realpath(one.path) not in compilers}
        return found | own

    def _of_rustup(
        self, command: list[str], channel: str, environ: Mapping[str, str]
    ) -> str | None:
        """Return the file of a toolchain that a proxy of rustup's would run."""
        channel = environ.get("RUSTUP_TOOLCHAIN") or channel
        command += ["--toolchain", channel] if channel else []
        key = f"{command} {environ.get('RUSTUP_HOME')}"
        return self._of_toolchains.get(key, lambda: _output(command, environ).strip() or None)

    def _tool(self, path: str) -> Tool | None:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        key = hex_of(os.fsencode(f"{path}\n{status.st_size}\n{status.st_mtime_ns}"))[:32]
        return self._known.get(key, lambda: self._read(key) or self._ask(key, path))

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
    line = version_line(_output([path, "--version"], os.environ))
    if line is not None:
        return line
    try:
        return of_content(hex_of(Path(path).read_bytes()))
    except OSError:
        return "unknown"


def _output(command: list[str], environ: Mapping[str, str]) -> str:
    """Return what a program prints; nothing if it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            env={**environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return "" if done.returncode else done.stdout.decode("utf-8", "replace")


def find_compiler(program: str, path: str) -> str | None:
    """Find a program; on PATH, links to wrappers such as ccache are passed over, as by these."""
    if os.path.dirname(program):  # noqa: PTH120
        return shutil.which(program)
    for folder in path.split(os.pathsep):
        found = shutil.which(program, path=folder or os.curdir)
        if found is not None and (program in WRAPPERS or _target(found) not in WRAPPERS):
            return found
    return None


def _rustup(path: str) -> str | None:
    """Return the rustup that a program is a proxy of."""
    if os.path.basename(path) == RUSTUP:  # noqa: PTH119
        return None
    if _target(path) == RUSTUP:
        return os.path.realpath(path)
    beside = os.path.join(os.path.dirname(path), RUSTUP)  # noqa: PTH118, PTH120
    with suppress(OSError):
        return beside if os.path.samefile(path, beside) else None  # noqa: PTH121
    return None


def _target(path: str) -> str:
    return os.path.basename(os.path.realpath(path))  # noqa: PTH119


def _with_channel(name: str, source: Path) -> str:
    """Add the toolchain that a source tree asks rustup for."""
    for file in ("rust-toolchain", "rust-toolchain.toml") if name == "rustc" else ():
        with suppress(OSError, ValueError, LookupError, TypeError):
            text = (source / file).read_text("utf-8").strip()
            found = toml_files.loads(text)["toolchain"]["channel"] if "[" in text else text
            return f"{name}{OF_CHANNEL}{found}"
    return name


def _chosen(name: str, choice: CompilerChoice) -> dict[str, str]:
    """Return the compilers that files choose."""
    with suppress(OSError, ValueError):
        if name == "rustc":
            rustc = _cargo_settings(choice).get("build", {}).get("rustc")
            return {name: str(rustc)} if rustc else {}
        for file, read in ((TOOLCHAIN_FILE, of_toolchain_file), (NATIVE_FILE, of_native_file)):
            if path := choice.file(file):
                return read(Path(path).read_text("utf-8", "replace"))
    return {}


def _settings_file(name: str, choice: CompilerChoice) -> Tool | None:
    """Return a file that chooses compilers as a tool, told by what it says."""
    try:
        path = os.path.abspath(choice.file(name) or "")  # noqa: PTH100
        if name == CARGO_CONFIG:
            settings = _cargo_settings(choice)
            version = of_content(hex_of(repr(settings).encode())) if settings else "no settings"
            return Tool(version, path)
        return Tool(of_content(hex_of(Path(path).read_bytes())), path)
    except OSError:
        return None


def _cargo_settings(choice: CompilerChoice) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return of_cargo_config(toml_files.read(Path(choice.file(CARGO_CONFIG) or "")))
    return {}


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
