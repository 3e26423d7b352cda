"""pip and pipshim side by side: two environments that are alike, one command in each."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import site
import subprocess
import zipfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.pipshim import ROOT, Cli, make_venv, site_packages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EVERY_PROCESS = os.environ.get("PIPSHIM_TEST_PROCESSES") == "1"
"""Start a process for each command, instead of forking one that has pip imported."""

_SCRIPT = """#!{python}
import sys
from {module} import {function}
if __name__ == '__main__':
    sys.exit({function}())
"""
_RANDOM = (
    (re.compile(r"(pip-(?:[a-z]+-)+)[a-z0-9_]{8}\b"), r"\1…"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"_[0-9a-f]{32}\b"), "_…"),
    (re.compile(r"(?<=selfcheck/)[0-9a-f]+"), "…"),
)


@dataclass(frozen=True)
class Call:
    """One command.

    Attributes:
        line: its arguments, as a shell would split them. ``{env}`` and ``{work}`` are its side's,
            other names in braces are the test's.
        env: variables that it gets too, with the same names in braces.
        stdin: what it can read; nothing is an empty file.
        cwd: the folder below the side's ``work``, made if it is missing; absolute ones too.
        program: the script to run, or ``-m`` for the module.
        builds: it builds from source: its output is pipshim's own, all the rest is compared.
        tty: run it on a terminal.
        process: start a process for it, whatever `EVERY_PROCESS` says.

    """

    line: str
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    cwd: str = "."
    program: str = "pip"
    builds: bool = False
    tty: bool = False
    process: bool = False

    def __str__(self) -> str:
        return self.line or "(nothing)"


@dataclass(frozen=True)
class Outcome:
    """What a command said and did; the side's own folder is ``<side>`` in all of it.

    Attributes:
        effect: files that have changed, with what is in them now; None for those that are gone.

    """

    status: int
    out: str
    err: str
    effect: Mapping[str, str | None]


class Side:
    """An environment with pip and pipshim, whose script ``pip`` is one of them.

    Attributes:
        name: whose script ``pip`` is.
        work: the folder that commands run in.
        environment: the virtual environment.

    """

    def __init__(self, root: Path, name: str, index_url: str) -> None:
        self.name = name
        self._root = root
        self.work = root / "work"
        self.environment = root / "env"
        self._cli = Cli(root, cwd=self.work, index_url=index_url)
        self._python = self.environment / "bin" / "python"
        self._pristine = root / "pristine"
        self._make()
        self._site = site_packages(self.environment)
        self._known = {path.name for path in self._site.iterdir() if path.is_dir()}
        shutil.copytree(self.environment, self._pristine, symlinks=True, ignore=self._left_out)
        path = os.pathsep.join([str(self.environment / "bin"), self._cli.env["PATH"]])
        self._env = {
            key: value
            for key, value in self._cli.env.items()
            if key != "PYTHONPATH" and not key.startswith("COVERAGE_")
        } | {"PATH": path, "PYTHONHASHSEED": "0"}
        self._server: _Server | None = None
        self._before: dict[str, tuple[int, int]] = {}
        self.clear()

    def clear(self, *, whole: bool = False) -> None:
        """Make it as it was at first; without `whole`, but for the insides of pip and the like."""
        for folder in (self.work, self._cli.home, self._cli.cache, self._cli.temporary):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if whole:
            shutil.rmtree(self.environment)
            self._make()
        now = _listing(self.environment, self._known)
        then = _listing(self._pristine, self._known)
        for path in [path for path in now if now[path] != then.get(path)]:
            (self.environment / path).unlink()
        for path in [path for path in then if now.get(path) != then[path]]:
            target = self.environment / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._pristine / path, target, follow_symlinks=False)
        for folder in self._site.iterdir():
            if folder.is_dir() and folder.name not in self._known:
                shutil.rmtree(folder)
        self._before = self._state()

    def write(self, files: Mapping[str, str], names: Mapping[str, str]) -> None:
        """Write files into the working directory."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(text, names), encoding="utf-8")
        self._before = self._state()

    def run(self, call: Call, names: Mapping[str, str]) -> Outcome:
        """Run it to its end."""
        names = {**names, "env": str(self.environment), "work": str(self.work)}

        arguments = [_filled(word, names) for word in shlex.split(call.line)]
        env = {**self._env, **{key: _filled(text, names) for key, text in call.env.items()}}
        cwd = self.work / _filled(call.cwd, names)
        cwd.mkdir(parents=True, exist_ok=True)
        streams = [self._root / name for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(call.stdin, encoding="utf-8")
        if call.tty:
            status = self._on_terminal(arguments, cwd, env, streams[1])
            streams[2].write_text("")
        elif EVERY_PROCESS or call.process or call.program == "-m":
            status = self._start(call, arguments, cwd, env, streams)
        else:
            if self._server is None:
                self._server = _Server(self._python, self._env, self._root)
            script = self.environment / "bin" / call.program
            status = self._server.run(script, arguments, cwd, env, streams)
        out, err = (self._told(path.read_text("utf-8", "replace")) for path in streams[1:])
        return Outcome(status, out, err, self._effect())

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _start(
        self, call: Call, arguments: list[str], cwd: Path, env: dict[str, str], streams: list[Path]
    ) -> int:
        command = [str(self.environment / "bin" / call.program), *arguments]
        if call.program == "-m":
            command = [str(self._python), "-m", self.name, *arguments]
        with streams[0].open() as stdin, streams[1].open("w") as out, streams[2].open("w") as err:
            return subprocess.run(
                command, cwd=cwd, env=env, stdin=stdin, stdout=out, stderr=err, check=False
            ).returncode

    def _on_terminal(self, arguments: list[str], cwd: Path, env: dict[str, str], out: Path) -> int:
        ours, theirs = pty.openpty()
        command = [str(self.environment / "bin" / "pip"), *arguments]
        started = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        with out.open("wb") as file:
            while True:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # as Linux says that nobody has the other end any longer
                    break
                if not data:
                    break
                file.write(data)
        os.close(ours)
        return started.wait()

    def _left_out(self, folder: str, _names: list[str]) -> set[str]:
        return self._known if Path(folder) == self._site else set()

    def _make(self) -> None:
        make_venv(self.environment)
        _fill(site_packages(self.environment))
        scripts = {"pipshim": ("pipshim.__main__", "main")}
        pips = metadata.distribution("pip").entry_points.select(group="console_scripts", name="pip")
        scripts["pip"] = scripts["pipshim"]
        if self.name == "pip":
            (entry,) = pips
            scripts["pip"] = (entry.module, entry.attr)
        for name, (module, function) in scripts.items():
            path = self.environment / "bin" / name
            text = _SCRIPT.format(python=self._python, module=module, function=function)
            path.write_text(text)
            path.chmod(0o755)

    def _told(self, text: str) -> str:
        text = text.replace(str(self._root), "<side>")
        for pattern, replacement in _RANDOM:
            text = pattern.sub(replacement, text)
        return text

    def _state(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for folder in ("env", "work", "home", "cache"):
            listed = _listing(self._root / folder, self._known if folder == "env" else set())
            found |= {f"{folder}/{path}": state for path, state in listed.items()}
        return found

    def _effect(self) -> dict[str, str | None]:
        before, self._before = self._before, self._state()
        paths = {path for path, state in self._before.items() if before.get(path) != state}
        effect: dict[str, str | None] = dict.fromkeys(before.keys() - self._before.keys())
        return effect | {self._told(path): self._content(self._root / path) for path in paths}

    def _content(self, path: Path) -> str:
        if path.is_symlink():
            return f"-> {self._told(str(path.readlink()))}"
        parts = path.relative_to(self._root).parts
        if parts[0] == "cache" or ".git" in parts:
            return ""  # what was answered, and when
        if path.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(path) as archive:
                return "\n".join(f"{one.filename} {one.file_size}" for one in archive.infolist())
        text = self._told(path.read_text("utf-8", "backslashreplace"))
        if path.name == "RECORD":  # the files themselves are compared
            return "\n".join(line.partition(",")[0] for line in text.splitlines())
        return text


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


class _Server:
    """``forking.py``, on its environment's Python."""

    def __init__(self, python: Path, env: Mapping[str, str], cwd: Path) -> None:
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        script = Path(__file__).with_name("forking.py")
        self._process = subprocess.Popen(
            [python, script, str(theirs_in), str(theirs_out)],
            pass_fds=(theirs_in, theirs_out),
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._lines = os.fdopen(self._answers, encoding="utf-8")

    def run(
        self,
        script: Path,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        streams: list[Path],
    ) -> int:
        request = {
            "script": str(script),
            "arguments": arguments,
            "cwd": str(cwd),
            "env": env,
            "streams": [str(stream) for stream in streams],
        }
        os.write(self._requests, f"{json.dumps(request)}\n".encode())
        return int(self._lines.readline())

    def close(self) -> None:
        os.close(self._requests)
        self._process.wait()
        self._lines.close()


def _fill(folder: Path) -> None:
    """Copy pip and what pipshim requires; pipshim itself is the checkout's, as if editable."""
    for distribution in _required("pipshim", "pip"):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or file.parts[0] == "pipshim" or not source.is_file():
                continue
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    if not any(folder.glob("*pipshim*.pth")):
        (folder / "pipshim.pth").write_text(f"{ROOT}\n")


def _required(*names: str) -> list[metadata.Distribution]:
    """Find these installed distributions, and what they require.

    The working directory is no place to look, as an old ``egg-info`` may be in it.
    """
    found: dict[str, metadata.Distribution] = {}
    todo = [*names]
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found:
            continue
        (found[name],) = metadata.distributions(name=name, path=site.getsitepackages())
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return [*found.values()]


def _listing(root: Path, skipped: set[str]) -> dict[str, tuple[int, int]]:
    """Tell size and time of all files below, but for compiled ones and folders of these names."""
    found = {}
    for entry in _files(root, skipped):
        state = entry.stat(follow_symlinks=False)
        found[os.path.relpath(entry.path, root)] = (state.st_size, state.st_mtime_ns)
    return found


def _files(root: Path, skipped: set[str]) -> Iterator[os.DirEntry[str]]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in skipped and entry.name != "__pycache__":
                    yield from _files(Path(entry.path), skipped)
            elif not entry.name.endswith(".pyc"):
                yield entry
