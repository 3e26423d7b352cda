"""Find the compilers and programs that builds use, and ask each file for its version once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base import process_tree, toml_files
from pipshim.base.atomic_write import write_cache_file
from pipshim.base.light import jsons
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import TaskGroup
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
    CompilerChoice,
    candidates,
    of_cargo_config,
    of_native_file,
    of_toolchain_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


GIT_LFS, RUSTUP = "git-lfs", "rustup"
_SECONDS = 5.0
_POLL_SECONDS = 0.1
_MOST_FILES = 50_000


class Tools:
    """Knows the versions of programs, by path, size and modification time.

    Args:
        folder: where answers are kept.
        is_stopped: returns whether the command ends; no program is waited for then.

    """

    def __init__(self, folder: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._folder = folder
        self._is_stopped = is_stopped
        self._files: SharedResults[bytes | None] = SharedResults()
        self._known: SharedResults[Tool] = SharedResults()
        self._of_toolchains: SharedResults[str | None] = SharedResults()

    def find(self, name: str, choice: CompilerChoice) -> Tool | None:
        """Return what a build finds as a compiler or program; None if there is none."""
        if name in FILES:
            return self._settings_file(name, choice)
        name, _, channel = name.partition(OF_CHANNEL)
        for program in candidates(name, replace(choice, chosen=self._chosen(name, choice))):
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
        with TaskGroup(1) as group:
            group.start(lambda: self.used(source, (), choice))
            yield

    def used(
        self, source: Path, programs: Iterable[str], choice: CompilerChoice
    ) -> dict[str, Tool | None]:
        """Return the tools that a compiled wheel depends on.

        Args:
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
        return self._of_toolchains.get(
            key, lambda: (self._output(command, environ) or ("",))[0].strip() or None
        )

    def _tool(self, path: str) -> Tool | None:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        state = os.fsencode(f"{path}\n{status.st_size}\n{status.st_mtime_ns}")
        key = sha256(state).hexdigest()[:32]
        return self._known.get(key, lambda: self._read(key) or self._ask(key, path))

    def _read(self, key: str) -> Tool | None:
        try:
            return Tool(**jsons.read(self._folder / f"{key}.json"))
        except TypeError:
            return None

    def _ask(self, key: str, path: str) -> Tool:
        """Ask a program for its version; if it gives none, identify it by its content."""
        import json  # noqa: PLC0415 seldom

        outputs = self._output([path, "--version"], os.environ)
        version = next(filter(None, map(version_line, outputs or ())), None)
        if version is None:
            data = self._content(path)
            version = "unknown" if data is None else of_content(data)
        tool = Tool(version, path)
        if outputs is not None:
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                data = json.dumps(asdict(tool)).encode()
                write_cache_file(f"{self._folder}/{key}.json", data)
        return tool

    def _output(self, command: list[str], environ: Mapping[str, str]) -> tuple[str, str] | None:
        """Return what a program prints, and its errors; None if it does not end in time."""
        limit = time.monotonic() + _SECONDS
        try:
            process = subprocess.Popen(
                command,
                cwd=os.sep,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError):
            return "", ""
        with process:
            while True:
                try:
                    outputs = process.communicate(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if time.monotonic() < limit and not self._is_stopped():
                        continue
                    process.kill()
                    process_tree.end([process.pid], lambda: process_tree.tree([process.pid]))
                    return None
                if process.returncode:
                    return "", ""
                printed, errors = (output.decode("utf-8", "replace") for output in outputs)
                return printed, errors

    def _chosen(self, name: str, choice: CompilerChoice) -> dict[str, str]:
        """Return the compilers that files choose."""
        if name == "rustc":
            build = self._cargo_settings(choice).get("build")
            rustc = build.get("rustc") if isinstance(build, dict) else None
            return {name: rustc} if isinstance(rustc, str) else {}
        for file in (TOOLCHAIN_FILE, NATIVE_FILE):
            path = choice.file(file)
            data = self._content(path)
            if path is not None and data is not None:
                text = data.decode("utf-8", "replace")
                if file == NATIVE_FILE:
                    return of_native_file(text)
                return of_toolchain_file(text, os.path.dirname(path), choice.environ)  # noqa: PTH120
        return {}

    def _settings_file(self, name: str, choice: CompilerChoice) -> Tool | None:
        """Return a file that chooses compilers as a tool, told by what it says."""
        path = choice.file(name)
        if path is None:
            return None
        if name == CARGO_CONFIG:
            settings = self._cargo_settings(choice)
            version = of_content(repr(settings).encode()) if settings else "no settings"
            return Tool(version, path)
        data = self._content(path)
        return None if data is None else Tool(of_content(data), path)

    def _cargo_settings(self, choice: CompilerChoice) -> dict[str, Any]:
        data = self._content(choice.file(CARGO_CONFIG))
        with suppress(ValueError):
            return of_cargo_config(toml_files.loads(toml_files.decode(data or b"")))
        return {}

    def _content(self, path: str | None) -> bytes | None:
        """Read a file once; None if it cannot be read."""
        return None if path is None else self._files.get(path, lambda: _read_file(path))


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


def _read_file(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        return None


def find_compiler(program: str, path: str) -> str | None:
    """Find a program; on PATH, links to wrappers such as ccache are passed over, as by these.

    Builds look for relative paths in their own folder, which has nothing of the machine's.
    """
    if os.path.dirname(program):  # noqa: PTH120
        return shutil.which(program) if os.path.isabs(program) else None  # noqa: PTH117
    for folder in filter(os.path.isabs, path.split(os.pathsep)):
        found = shutil.which(program, path=folder)
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


def _suffixes(source: Path) -> set[str]:
    found: set[str] = set()
    count = 0
    for _, _, names in os.walk(source):
        found.update(name.rpartition(".")[2] for name in names)
        count += len(names)
        if count > _MOST_FILES:
            break
    return found
