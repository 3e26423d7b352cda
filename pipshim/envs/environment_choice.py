"""Choose the environment of a command, by ``--python``, VIRTUAL_ENV or the project."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import TargetError
from pipshim.base.light.dataclasses import dataclass
from pipshim.envs import discovery
from pipshim.envs.discovery import Request
from pipshim.envs.interpreter import base_of, query
from pipshim.envs.venv import HINTS, Environment, create, inspect_folder, interpreter_in, is_begun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from packaging.specifiers import SpecifierSet

    from pipshim.envs.venv import Origin
    from pipshim.model.interpreter import Target


@dataclass(frozen=True)
class EnvironmentChoice:
    """The environment of a command, found without changing anything.

    Attributes:
        target: the Python of the environment; while there is none, the one to make it with.
        directory: the folder of the environment; None if there is none: neither ``--python`` nor
            VIRTUAL_ENV names one, and there is no project.
        exists: whether it is there and works; else it has to be made.
        created_by_pipshim: whether pipshim made it, or will.
        origin: what chose it.

    """

    target: Target
    directory: Path | None
    exists: bool
    created_by_pipshim: bool
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class EnvironmentSearch:
    """The search for a command's environment.

    Attributes:
        python: the value of ``--python``: an environment, an interpreter, its name or a version.
        project: the folder of pyproject.toml.
        environ: VIRTUAL_ENV and PATH count.
        cache_dir: where the answers of interpreters are kept, or None.

    """

    python: str | None
    project: Path | None
    environ: Mapping[str, str]
    requires_python: SpecifierSet | None
    cache_dir: Path | None

    def choose(self, *, lock_only: bool = False) -> EnvironmentChoice:
        """Choose the environment: ``--python``, else VIRTUAL_ENV, else ``.venv``.

        With ``lock_only`` only the Python to lock for is wanted: a broken environment does not
        matter.

        Raises:
            TargetError: the environment, or a Python to make it with, is missing, broken, not an
                environment, or of a version that is not admitted.

        """
        try:
            return self._choose()
        except TargetError:
            if not lock_only:
                raise
            request = None if self.python is None else Request.parse(self.python)
            if request is not None and request.path is not None and request.path.is_dir():
                raise
            return EnvironmentChoice(self.interpreter(request), None, False, False, "project")

    def base_python(self) -> Target:
        """Find the Python to make an environment with, neither the active nor a project's."""
        environ = {name: value for name, value in self.environ.items() if name != "VIRTUAL_ENV"}
        choice = replace(self, project=None, environ=environ).choose()
        return base_of(choice.target, self.cache_dir)

    def find(self, waiting: Callable[[], None] | None = None) -> Environment:
        """Choose the environment, and make it if it is missing.

        Raises:
            TargetError: as ``choose`` raises; or there is none, or it cannot be made.

        """
        choice = self.choose()
        if choice.directory is None:
            if self.python is None:
                raise TargetError(
                    "there is no environment to change: none is active, and there is no project",
                    hint="activate a virtual environment, or choose one with --python",
                )
            python = choice.target.python
            raise TargetError(
                f"{python} is not in a virtual environment, and pipshim changes no other",
                hint=f"create one: {python} -m venv DIR; then pass --python DIR",
            )
        if choice.exists:
            return Environment(choice.target)
        return create(choice.directory, choice.target, cache_dir=self.cache_dir, waiting=waiting)

    def _choose(self) -> EnvironmentChoice:
        project = self.project
        own = None if project is None else Path(os.path.abspath(project)) / ".venv"  # noqa: PTH100
        if self.python is not None:
            return self._asked(Request.parse(self.python), own)
        active = self.environ.get("VIRTUAL_ENV")
        if active and (own is None or os.path.realpath(active) != os.path.realpath(own)):
            directory = Path(os.path.abspath(active))  # noqa: PTH100
            if not directory.is_dir():
                raise TargetError(
                    f"VIRTUAL_ENV names {active}, which is not a folder", hint=HINTS["VIRTUAL_ENV"]
                )
            return self._serve(directory, "VIRTUAL_ENV", None)
        if own is None:
            return EnvironmentChoice(self.interpreter(None), None, False, False, "project")
        return self._serve(own, "project", None)

    def interpreter(self, request: Request | None) -> Target:
        """Find the Python that an environment is made with."""
        if request is None:
            return discovery.default(self.requires_python, self.environ, self.cache_dir)
        target = request.resolve(self.environ, self.cache_dir)
        self._check_version(target, f"{target.python}", "choose another one with --python")
        return target

    def _asked(self, request: Request, own: Path | None) -> EnvironmentChoice:
        path = request.path
        if path is not None and path.is_dir():
            inside = interpreter_in(path)
            if is_begun(path) or not inside.exists():
                return self._serve(path, "--python", None)
            request = Request(request.text, path=inside)
        elif path is not None:
            around = path.parent.parent
            if (around / "pyvenv.cfg").exists():
                return self._serve(around, "--python", None)
            target = query(path, self.cache_dir)
            if target.is_venv:
                return self._serve(target.prefix, "--python", None)
        if own is None:
            return EnvironmentChoice(self.interpreter(request), None, False, False, "--python")
        return self._serve(own, "project", request)

    def _serve(self, directory: Path, origin: Origin, request: Request | None) -> EnvironmentChoice:
        found = inspect_folder(directory, origin)
        if found.state != "ready":
            return EnvironmentChoice(self.interpreter(request), directory, False, True, origin)
        target = query(interpreter_in(directory), self.cache_dir)
        if not target.is_venv or not directory.samefile(target.prefix):
            raise TargetError(
                f"{directory} is not a virtual environment: its interpreter uses {target.prefix}",
                hint=HINTS[origin],
            )
        again = f"remove {directory}, and pipshim recreates it"
        if request is not None:
            self._check_same(target, request, f"{again}; or leave out --python")
        other = f"{again}; or give" if found.created_by_pipshim and origin == "project" else "give"
        self._check_version(target, f"the environment {directory}", f"{other} one with --python")
        return EnvironmentChoice(target, directory, True, found.created_by_pipshim, origin)

    def _check_same(self, target: Target, request: Request, hint: str) -> None:
        if request.version:
            same = request.admits(target)
            asked = f"Python {'.'.join(map(str, request.version))}"
        else:
            other = request.resolve(self.environ, self.cache_dir)
            same = (other.implementation, other.full_version) == (
                target.implementation,
                target.full_version,
            )
            asked = f"{other.implementation} {other.full_version}"
        if not same:
            raise TargetError(
                f"--python asks for {asked}, but the environment {target.prefix} has"
                f" {target.implementation} {target.full_version}",
                hint=hint,
            )

    def _check_version(self, target: Target, what: str, hint: str) -> None:
        if not discovery.admits(self.requires_python, target.full_version):
            raise TargetError(
                f"{what} has Python {target.full_version}, but requires-python is"
                f" {self.requires_python}",
                hint=hint,
            )
