"""Run a build backend's hooks (PEP 517, 660) as processes that can be stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from pyproject_hooks import (
    BackendUnavailable,
    BuildBackendHookCaller,
    HookMissing,
    UnsupportedOperation,
    _impl,
)

from pipshim.base.errors import BuildError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.memory import kills_for_memory
from pipshim.base.write_errors import mount_point, name_full, reason
from pipshim.builds import hook_runner, process_trace
from pipshim.builds.error_excerpt import excerpt
from pipshim.builds.hint_snippets import UserInput
from pipshim.builds.hints import FailedBuild, hint_for, was_killed, was_refused
from pipshim.builds.processes import Backend, Processes
from pipshim.builds.resource_usage import describe_memory, ran_out
from pipshim.model.build_mode import Mode
from pipshim.model.build_variables import value_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.resource_usage import Usage
    from pipshim.project.static_metadata import BuildSystem

T = TypeVar("T")

_BACKEND_WARNING = getattr(_impl, "BuildBackendWarning", None)
if _BACKEND_WARNING is not None:
    # pyproject-hooks 1.3 repeats a backend's warnings; they are for its author.
    warnings.filterwarnings("ignore", category=_BACKEND_WARNING)

_FOLLOW_SECONDS = 0.2


@dataclass
class Trace:
    """What the processes of hooks did, as far as they were Python's.

    Attributes:
        modules: files that modules were imported from; only without isolation.
        variables: names of environment variables that were read as they were given to the hook.
        programs: files that were executed.
        options: words of their command lines that may ask for the processor of this machine.

    """

    modules: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    options: set[str] = field(default_factory=set)

    def add(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Read what `pipshim.builds.process_trace` noted, one thing a line.

        A variable that the build has set itself has another value than in `environ`.
        """
        found = {
            process_trace.MODULES: self.modules,
            process_trace.PROGRAMS: self.programs,
            process_trace.OPTIONS: self.options,
        }
        for path in folder.iterdir():
            try:
                lines = path.read_bytes().splitlines()
            except OSError:
                continue
            for line in map(os.fsdecode, lines):
                kind, text = line[:1], line[1:]
                if kind == process_trace.VARIABLES:
                    name, _, digest = text.rpartition(" ")
                    if digest == (value_digest(environ.get(name)) or "-"):
                        self.variables.add(name)
                elif kind in found:
                    found[kind].add(text)


@dataclass
class Hooks:
    """The hooks of one source tree's backend, in one environment.

    Attributes:
        log: the file that all output goes to.
        on_output: told every line of output, as it comes.
        user: returns what the user has written and typed, for hints.

    """

    build: BuildRequest
    source: Path
    system: BuildSystem
    python: Path
    variables: Mapping[str, str]
    log: Path
    processes: Processes
    on_output: Callable[[str], None]
    hide: Callable[[str], str]
    usage: Usage
    user: Callable[[], UserInput] = UserInput
    trace: Trace = field(default_factory=Trace)
    _start: int = field(default=0, init=False)
    _kills: tuple[int, int] = field(default=(0, 0), init=False)

    def requires(self, kind: str, config: Mapping[str, Any]) -> list[str]:
        """Call ``get_requires_for_build_wheel`` or ``…_editable``; nothing without that hook."""

        def call(caller: BuildBackendHookCaller) -> list[str]:
            found = getattr(caller, f"get_requires_for_build_{kind}")(config)
            return [_valid_requirement(one) for one in found]

        return self._call("build requirements", call)

    def check_editable(self) -> None:
        """Check that the backend builds editables, as pip does before all else."""

        def call(caller: BuildBackendHookCaller) -> None:
            if "build_editable" not in caller._supported_features():  # noqa: SLF001 as pip asks
                raise HookMissing("build_editable")

        self._call("editable", call)

    def metadata(self, into: Path, config: Mapping[str, Any], *, editable: bool = False) -> bytes:
        """Call ``prepare_metadata_for_build_wheel`` or ``…_editable``; return METADATA.

        Where there is no such hook, a wheel is built. A backend that makes no editables is asked
        for the metadata of a wheel.
        """

        def call(caller: BuildBackendHookCaller) -> bytes:
            name: object = None
            if editable:
                with suppress(HookMissing):
                    name = caller.prepare_metadata_for_build_editable(str(into), config)
            if name is None:
                name = caller.prepare_metadata_for_build_wheel(str(into), config)
            return (into / _valid_name(name) / "METADATA").read_bytes()

        return self._call("metadata", call)

    def wheel(self, into: Path, config: Mapping[str, Any]) -> Path:
        return self._call(
            "wheel", lambda caller: into / _valid_name(caller.build_wheel(str(into), config))
        )

    def editable(self, into: Path, config: Mapping[str, Any]) -> Path:
        return self._call(
            "editable", lambda caller: into / _valid_name(caller.build_editable(str(into), config))
        )

    def _call(self, step: str, call: Callable[[BuildBackendHookCaller], T]) -> T:
        self._start = self.log.stat().st_size if self.log.exists() else 0
        self._kills = kills_for_memory()
        try:
            caller = BuildBackendHookCaller(
                str(self.source),
                self.system.backend,
                backend_path=list(self.system.backend_path) or None,
                runner=self._run,
                python_executable=str(self.python),
            )
            return call(caller)
        except subprocess.CalledProcessError as error:
            raise self._failed(step, _ended(error.returncode), status=error.returncode) from error
        except BackendUnavailable as error:
            why = getattr(error, "message", "") or f"cannot import {self.system.backend}"
            # The hook script hands the traceback over in place of printing it.
            self._note(f"Cannot import '{self.system.backend}'\n\n{error.traceback or ''}")
            raise self._failed(step, f"the build backend could not be imported: {why}") from error
        except HookMissing as error:
            failed = self._failed(
                step, f"the backend {self.system.backend} has no hook {error.hook_name}"
            )
            if step == "editable":
                failed.hint = (
                    "install it as a wheel: leave out -e"
                    if self.user().typed
                    else "install it as a wheel, not editable: --no-editable"
                )
            raise failed from error
        except UnsupportedOperation as error:
            raise self._failed(step, "the backend does not support this") from error
        except OSError as error:
            name_full(error, [tempfile.gettempdir(), self.log.parent])
            where = f"{error.filename}: " if error.filename else ""
            raise self._failed(step, f"{where}{reason(error)}") from error
        except ValueError as error:
            raise self._failed(step, str(error)) from error

    def _run(
        self, cmd: Any, cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        notes = self.log.with_suffix(".notes")
        notes.mkdir(exist_ok=True)
        command = [str(part) for part in cmd]
        kinds = process_trace.VARIABLES + process_trace.PROGRAMS
        if self.build.mode is Mode.NO_ISOLATION:  # what it imports of its environment counts
            kinds += process_trace.MODULES
        what = f"{kinds}:{notes}"
        traced = [command[0], hook_runner.__file__, what, *command[1:]]
        variables = {**self.variables, **(extra_environ or {}), process_trace.NOTES: what}
        if sys.flags.utf8_mode:  # the same file names there as here, whatever the locale
            variables["PYTHONUTF8"] = "1"
        backend = None
        if self.build.environment is None and not self.system.backend_path:
            module = self.system.backend.partition(":")[0]
            backend = Backend(module, str(Path(command[1]).parent))
        with self._followed():
            status = self.processes.run(
                traced,
                cwd=cwd or str(self.source),
                variables=variables,
                log=self.log,
                backend=backend,
                usage=self.usage,
            )
        self.trace.add(notes, variables)
        shutil.rmtree(notes, ignore_errors=True)
        if status:
            raise subprocess.CalledProcessError(status, command)

    @contextmanager
    def _followed(self) -> Iterator[None]:
        """Report lines of the log as they are written."""
        done = threading.Event()
        follower = threading.Thread(target=self._follow, args=(done,), daemon=True)
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()
            hide_in_file(self.log, self.hide)

    def _follow(self, done: threading.Event) -> None:
        rest = b""
        position = self._start
        while True:
            ended = done.wait(_FOLLOW_SECONDS)
            try:
                with self.log.open("rb") as file:
                    file.seek(position)
                    piece = file.read()
            except OSError:
                piece = b""
            position += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self.on_output(line.decode("utf-8", "replace").rstrip("\r"))
            if ended:
                if rest:
                    self.on_output(rest.decode("utf-8", "replace"))
                self._start = position
                return

    def _note(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{self.hide(text).rstrip()}\n")

    def _disk(self) -> str | None:
        """Describe the fullest of the file systems that the build writes to."""
        folders = {
            "its temporary folder is": Path(self.variables.get("TMPDIR") or tempfile.gettempdir())
        }
        folders["it was unpacked in"] = self.source
        try:
            words, folder = min(folders.items(), key=lambda one: shutil.disk_usage(one[1]).free)
        except OSError:
            return None
        return f"the file system {mount_point(str(folder))}; {words} {folder}"

    def _failed(self, step: str, why: str, *, status: int | None = None) -> BuildError:
        build, text = self.build, ""
        if self.log.exists():
            text = self.log.read_text(encoding="utf-8", errors="replace")
        refused = was_refused(text)
        failed = FailedBuild(
            build.label,
            str(build.mode),
            build.chosen_by,
            returncode=status,
            user=self.user(),
            requires=self.system.requires,
            torch=_torch_version(text),
            variables=self.variables,
            disk=self._disk(),
            memory=describe_memory(self.usage, was_refused=refused),
        )
        killed = was_killed(text, failed)
        if ran_out(self._kills, self.usage, was_killed=killed, was_refused=refused):
            self.usage.ran_out, failed = True, replace(failed, ran_out=True)
            why = f"memory ran out ({why})"
        return BuildError(
            f"{build.label}: {why}",
            package=build.label,
            mode=str(build.mode),
            step=step,
            output=excerpt(text),
            log=self.log if self.log.exists() else None,
            hint=hint_for(f"{text}\n{why}", failed),
        )


def _torch_version(text: str) -> str | None:
    """Find the version of the torch whose headers a compiler complained of."""
    found = re.search(r"(/\S+)/torch/include/", text)
    if found is None:
        return None
    infos = Path(found[1]).glob("torch-*.dist-info")
    return next((info.name[len("torch-") : -len(".dist-info")] for info in infos), None)


def hide_in_file(path: Path, hide: Callable[[str], str]) -> None:
    """Write a file anew, without secrets, if it has any; each has to stand within one line."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        if not any(hide(line) != line for line in file):
            return
        new = path.with_name(f".{path.name}")
        file.seek(0)
        with new.open("w", encoding="utf-8", errors="surrogateescape", newline="") as hidden:
            hidden.writelines(map(hide, file))
    new.replace(path)


def _valid_requirement(text: object) -> str:
    try:
        Requirement(str(text))
    except InvalidRequirement as error:
        raise ValueError(
            f"the backend requires {text!r}, which is not a valid requirement"
        ) from error
    return str(text)


def _valid_name(answer: object) -> str:
    if not isinstance(answer, str):
        raise ValueError(f"the backend answered {answer!r} instead of a file name")  # noqa: TRY004 it is the backend's value that is wrong
    return answer


def _ended(status: int) -> str:
    if status < 0:
        try:
            return f"the build was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"the build was killed by signal {-status}"
    return f"the backend failed (exit status {status})"
