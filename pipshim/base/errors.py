"""Errors for users: what is wrong with their input, the project or the network.

An error carries data and a hint. Only ``pipshim.cli.error_boundary`` turns it into text and an exit
status.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import ClassVar


class PipshimError(Exception):
    """What happened, and a command or configuration line that helps.

    Attributes:
        message: one or more lines; the first says what happened to what.
        hint: what to type or write, or None.

    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all attributes (`pickle` would call the class with `args`)."""
        return _unpickled, (type(self), self.args, vars(self))


def _unpickled(
    kind: type[PipshimError], args: tuple[object, ...], data: Mapping[str, object]
) -> PipshimError:
    error = kind.__new__(kind, *args)
    vars(error).update(data)
    return error


class UsageError(PipshimError):
    """The command line is wrong."""

    exit_status = 2


class FileError(PipshimError):
    """A file of the user's cannot be read, parsed or written."""

    def __init__(
        self, path: Path | str, problem: str, *, line: int | None = None, hint: str | None = None
    ) -> None:
        where = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{where}: {problem}", hint=hint)
        self.path = path
        self.problem = problem
        self.line = line


class ProjectError(FileError):
    """pyproject.toml (or a script's metadata) is invalid."""


class LockError(FileError):
    """The lock file is damaged, of a newer version, out of date, or for another Python.

    A ``path`` of None stands for the lock that the command follows, and is set by `locate`.
    """

    def __init__(
        self,
        path: Path | str | None,
        problem: str,
        *,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(path or "pylock.toml", problem, line=line, hint=hint)
        self._is_located = path is not None

    def locate(self, path: Path) -> None:
        """Name the lock that the command follows, unless the error names a file already."""
        if not self._is_located:
            vars(self).update(vars(LockError(path, self.problem, line=self.line, hint=self.hint)))


class PlanError(FileError):
    """A build plan is damaged, of a newer version, or for another machine."""


class NoGpuError(PipshimError):
    """A build asks this machine's GPUs what to compile for, and there are none."""


class UnknownNameError(UsageError):
    """The project or lock does not have a requested extra, group or package."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...], where: str) -> None:
        those = f"those it has: {', '.join(known)}" if known else f"it has no {kind}s"
        super().__init__(f"no {kind} {name!r} in {where}", hint=those)


class TargetError(PipshimError):
    """The Python environment to serve cannot be found, used or written."""


class ResolveError(PipshimError):
    """No set of versions satisfies the requirements.

    Attributes:
        build_of: the source whose build environment it is for; None for run time.
        conflicts: build requirements that a backend adds and its declared ones rule out, each after
            what is declared (``tool==1.0``, ``tool>=2``).
        required_by: who requires that, in pip's words.

    """

    build_of: str | None = None
    conflicts: tuple[tuple[str, str], ...] = ()
    required_by: str = "the backend dependencies"


class NetworkError(PipshimError):
    """An index or file could not be reached or read."""


class HashError(PipshimError):
    """A file is not the one that the lock names."""

    def __init__(self, package: str, filename: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{package}: {filename} is not the file that was locked\n"
            f"  expected {expected}\n"
            f"  got      {actual}",
            hint="if the new file is right, lock it: pipshim lock -P " + package,
        )


class BuildError(PipshimError):
    """A build, or a step towards one, failed.

    Attributes:
        package: name and version, ``natten 0.17.5``.
        mode: the build mode's name.
        step: what failed: ``build requirements``, ``metadata``, ``wheel``, ``editable``.
        output: the last lines of the backend's output.
        log: the file that has all of it, or None.

    """

    def __init__(
        self,
        message: str,
        *,
        package: str,
        mode: str,
        step: str,
        output: tuple[str, ...] = (),
        log: Path | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.package = package
        self.mode = mode
        self.step = step
        self.output = output
        self.log = log


class BuildCycleError(BuildError):
    """Builds need each other."""


class BuildRequirementsError(BuildError):
    """An environment lacks what a build declares, or what pip needs to call its backend.

    Attributes:
        missing: requirements that nothing in the environment satisfies.
        conflicts: what the environment has (``tool==1.0``) and what is required instead.
        required_by: who requires that, in pip's words.

    """

    missing: tuple[str, ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()
    required_by: str = "the backend dependencies"


class Failures(PipshimError):  # noqa: N818 it is several
    """Errors from work that ran in parallel, in the order of the packages."""

    def __init__(self, errors: tuple[PipshimError, ...]) -> None:
        super().__init__("\n".join(error.message for error in errors))
        self.errors = errors


def together(errors: Iterable[BaseException]) -> BaseException:
    """Join errors into one, each once; unexpected errors win over errors for users."""
    distinct: list[PipshimError] = []
    for error in errors:
        if not isinstance(error, PipshimError):
            return error
        for one in error.errors if isinstance(error, Failures) else (error,):
            if all(str(one) != str(known) for known in distinct):
                distinct.append(one)
    return distinct[0] if len(distinct) == 1 else Failures(tuple(distinct))


class InstallError(PipshimError):
    """The environment could not be changed; it is as before."""
