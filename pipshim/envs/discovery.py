"""Find a Python: the one ``--python`` names, or one that the project allows.

The library python-discovery takes 55 ms to import, and knows neither markers nor tags.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import TargetError
from pipshim.base.light.dataclasses import dataclass
from pipshim.envs.interpreter import base_of, query
from pipshim.model.interpreter import OLDEST, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.specifiers import SpecifierSet


_VERSION = re.compile(r"(?:python)?(3(?:\.\d+){0,2})")
_MINOR = re.compile(r"python3\.(\d+)")


@dataclass(frozen=True)
class Request:
    """The value of ``--python``, unless it names an environment.

    Attributes:
        path: the interpreter that it names, or None.
        version: without a path, the first numbers of the version; empty for a name without one,
            like ``pypy3``.

    """

    text: str
    path: Path | None = None
    version: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Request:
        """Read ``3.12``, ``python3.12``, another name, or a path; an existing file wins.

        Raises:
            TargetError: it is a path that does not exist.

        """
        if os.path.exists(text):  # noqa: PTH110 the empty string is not the current folder
            return cls(text, path=Path(os.path.abspath(text)))  # noqa: PTH100 keeps links
        if os.sep in text or not text:
            raise TargetError(
                f"--python: {text!r} does not exist",
                hint="pass an interpreter, a virtual environment, or a version",
            )
        match = _VERSION.fullmatch(text)
        return cls(text, version=tuple(map(int, match[1].split("."))) if match else ())

    def resolve(self, environ: Mapping[str, str], cache_dir: Path | None) -> Target:
        """Find the interpreter; of a virtual environment on PATH, the Python below it."""
        if self.path is not None:
            return query(self.path, cache_dir)
        names = [self.text]
        if self.version:
            # The name is what decides between several; the version, whether it is the right one.
            full = f"python{'.'.join(map(str, self.version[:2]))}"
            names = [full, *(name for name in ("python3", "python") if name != full)]
        failures: list[str] = []
        found = _working(_named(names, environ), cache_dir, failures)
        for target in found:
            if self.admits(target):
                return target
        if self.version and self.version == sys.version_info[: len(self.version)]:
            return running(cache_dir)
        what = f"Python {'.'.join(map(str, self.version))}" if self.version else repr(self.text)
        raise TargetError(
            "\n  ".join([f"--python: {what} was not found on PATH", *failures]),
            hint="install it, or give the path of its interpreter",
        )

    def admits(self, target: Target) -> bool:
        """Return whether a target has the requested version, if there is one."""
        return self.version == target.version[: len(self.version)]


def admits(requires_python: SpecifierSet | None, version: str) -> bool:
    """Return whether requires-python admits a Python, pre-releases of Python included."""
    return requires_python is None or requires_python.contains(version, prereleases=True)


def running(cache_dir: Path | None) -> Target:
    """Return the Python that pipshim runs on; in a virtual environment, the one below it."""
    return base_of(query(Path(sys.executable), cache_dir), cache_dir)


def default(
    requires_python: SpecifierSet | None, environ: Mapping[str, str], cache_dir: Path | None
) -> Target:
    """Choose the running Python if requires-python admits it, else the newest on PATH that it does.

    Raises:
        TargetError: there is none; or the running one gives no answer: that it is busy is no reason
            to take another.

    """
    if sys.executable:  # a Python within another program has none
        own = query(Path(sys.executable), cache_dir)
        if admits(requires_python, own.full_version):
            return base_of(own, cache_dir)
    failures: list[str] = []
    newest = _working(_newest_first(environ), cache_dir, failures)
    for target in newest:
        if admits(requires_python, target.full_version):
            return target
    admitted = "" if requires_python is None else f" satisfying requires-python ({requires_python})"
    message = f"no Python{admitted} was found on PATH, and pipshim does not run on one"
    raise TargetError(
        "\n  ".join([message, *failures]),
        hint="install one, or give the path of its interpreter with --python",
    )


def _working(
    candidates: Iterator[Path], cache_dir: Path | None, failures: list[str]
) -> Iterator[Target]:
    """Query each candidate once, and leave out those that do not work."""
    asked: set[str] = set()
    for path in candidates:
        real = os.path.realpath(path)
        if real in asked:
            continue
        asked.add(real)
        try:
            yield base_of(query(path, cache_dir), cache_dir)
        except TargetError as error:
            failures.append(error.message)


def _folders(environ: Mapping[str, str]) -> list[Path]:
    # An empty or relative entry means the current folder: nobody wants an interpreter from there.
    entries = environ.get("PATH", os.defpath).split(os.pathsep)
    return [Path(entry) for entry in dict.fromkeys(entries) if os.path.isabs(entry)]  # noqa: PTH117


def _named(names: Iterable[str], environ: Mapping[str, str]) -> Iterator[Path]:
    folders = _folders(environ)
    for name in names:
        for folder in folders:
            if _is_program(folder / name):
                yield folder / name


def _newest_first(environ: Mapping[str, str]) -> Iterator[Path]:
    found: list[tuple[int, Path]] = []
    for folder in _folders(environ):
        try:
            names = os.listdir(folder)  # noqa: PTH208 names are what is wanted, of thousands
        except OSError:
            continue
        matches = [match for name in names if (match := _MINOR.fullmatch(name))]
        found += [(int(match[1]), folder / match[0]) for match in matches]
    found.sort(key=lambda each: -each[0])
    for minor, path in found:
        if (3, minor) >= OLDEST and _is_program(path):
            yield path
    yield from _named(["python3", "python"], environ)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
