"""Detect, create and lock virtual environments."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipshim import __version__
from pipshim.base.errors import TargetError
from pipshim.base.file_lock import FileLock
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.write_errors import reason, refusal
from pipshim.envs import venv_template
from pipshim.envs.interpreter import query
from pipshim.envs.interpreter_fingerprint import signature
from pipshim.envs.venv_template import INCOMPLETE, LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.model.interpreter import Target

Origin = Literal["--python", "VIRTUAL_ENV", "project"]

_MARK = "pipshim"
# Says who made the environment when its pyvenv.cfg is gone.
_GITIGNORE = "# Created by pipshim\n*\n"
_INTERPRETERS = ("bin/python", "Scripts/python.exe")
HINTS: dict[Origin, str] = {
    "--python": "give a virtual environment, a Python interpreter or a version",
    "VIRTUAL_ENV": "unset VIRTUAL_ENV, activate a virtual environment, or choose one with --python",
    "project": "move it away, and pipshim creates an environment; or choose one with --python",
}


@dataclass(frozen=True)
class Environment:
    """A working virtual environment.

    Attributes:
        created_now: whether it was made just now, and so is empty.

    """

    target: Target
    created_now: bool = False

    @property
    def directory(self) -> Path:
        return self.target.prefix

    def check_writable(self) -> None:
        if not self.target.python.exists():
            raise TargetError(f"the environment {self.directory} is gone")
        for folder in (self.directory, self.target.purelib, self.target.scripts):
            if folder.exists() and not os.access(folder, os.W_OK):
                raise TargetError(
                    f"the environment {self.directory} cannot be written: {folder}: "
                    f"{refusal(folder)}",
                    hint="choose another one with --python",
                )

    @contextmanager
    def lock(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Keep other commands out; ``waiting`` is called once if another command has it."""
        self.check_writable()
        with _locked(self.directory, waiting):
            yield


@dataclass(frozen=True)
class FolderState:
    """The state of a folder.

    Attributes:
        state: an environment that is ``ready``; or one that has to be made, as it is ``absent`` (or
            empty), ``incomplete``, or ``broken``: its Python is gone.

    """

    state: Literal["absent", "incomplete", "broken", "ready"]
    created_by_pipshim: bool


def inspect_folder(directory: Path, origin: Origin) -> FolderState:
    """Return the state of a folder.

    Raises:
        TargetError: it is neither a working environment nor pipshim's to make.

    """
    if not os.path.lexists(directory):
        return FolderState("absent", True)
    if not directory.is_dir():
        raise TargetError(f"{directory} is not a folder", hint=HINTS[origin])
    try:
        names = set(os.listdir(directory))  # noqa: PTH208
    except OSError as error:
        raise TargetError(
            f"cannot read {directory}: {error.strerror}", hint=HINTS[origin]
        ) from error
    if INCOMPLETE in names:
        return FolderState("incomplete", True)
    if names <= {LOCK}:
        return FolderState("absent", True)
    settings = _settings(directory)
    ours = _MARK in settings or ("pyvenv.cfg" not in names and _says_ours(directory))
    home = settings.get("home")
    if home is None and not ours:
        lacks = "its pyvenv.cfg names no home" if "pyvenv.cfg" in names else "it has no pyvenv.cfg"
        raise TargetError(f"{directory} is not a virtual environment: {lacks}", hint=HINTS[origin])
    python = interpreter_in(directory)
    if home is None or not Path(home).is_dir() or not python.exists():
        if not ours:
            gone = os.path.realpath(python) if home and Path(home).is_dir() else home
            raise TargetError(
                f"the environment {directory} is broken: its Python is gone ({gone})",
                hint=f"pipshim did not create it; recreate it: python3 -m venv --clear {directory}",
            )
        return FolderState("broken", True)
    return FolderState("ready", ours)


def create(
    directory: Path,
    base: Target,
    *,
    cache_dir: Path | None,
    waiting: Callable[[], None] | None = None,
) -> Environment:
    """Make an environment without pip, or take the one that another command has just made.

    The folder may be missing, empty, half-made, or pipshim's and broken: then its content is
    removed.

    Raises:
        TargetError: it has files that pipshim did not make, cannot be written, or venv fails.

    """
    inspect_folder(directory, "project")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory, waiting):
            made = inspect_folder(directory, "project").state != "ready"
            if made:
                _make(directory, base)
                if cache_dir is not None and not directory.is_symlink():
                    known = signature(str(base.base_python))
                    venv_template.keep(str(cache_dir), str(base.base_python), str(directory), known)
            target = query(interpreter_in(directory), cache_dir)
    except OSError as error:
        raise TargetError(
            f"cannot create the environment {directory}: {reason(error, directory)}"
        ) from error
    return Environment(target, made)


def is_begun(directory: Path) -> bool:
    """Return whether an environment was made in the folder, or begun."""
    return any((directory / name).exists() for name in ("pyvenv.cfg", INCOMPLETE))


def interpreter_in(directory: Path) -> Path:
    """Find the interpreter of a folder as pip's ``--python`` does."""
    found = (directory / name for name in _INTERPRETERS if (directory / name).exists())
    return next(found, directory / _INTERPRETERS[0])


def _says_ours(directory: Path) -> bool:
    try:
        return (directory / ".gitignore").read_text(encoding="utf-8") == _GITIGNORE
    except (OSError, UnicodeDecodeError):
        return False


def _settings(directory: Path) -> dict[str, str]:
    """Read ``pyvenv.cfg`` as ``site`` does."""
    try:
        text = (directory / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def shared_folders(target: Target) -> tuple[Path, ...]:
    """Return the folders of packages that an environment sees besides its own.

    None, unless it was made with ``--system-site-packages``. Only its Python knows them.
    """
    if _settings(target.prefix).get("include-system-site-packages", "").lower() != "true":
        return ()
    import json  # noqa: PLC0415 few environments have any

    from pipshim.base.program_output import output_of  # noqa: PLC0415

    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(target.python), "-c", "import json, sys; print(json.dumps(sys.path))"]
    try:
        folders = [Path(each) for each in json.loads(output_of(command, environ=variables))]
    except ValueError:
        return ()  # a startup file of the system's is broken: the command will show how
    own = (target.purelib, target.platlib)
    ending = ("site-packages", "dist-packages")
    return tuple(one for one in folders if one.name in ending and one not in own)


@contextmanager
def _locked(directory: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    with ExitStack() as until_end:
        try:
            until_end.enter_context(FileLock(directory / LOCK, waiting))
        except OSError as error:
            raise TargetError(
                f"the environment {directory} cannot be written: {reason(error, directory)}",
                hint="choose another one with --python",
            ) from error
        yield


def _make(directory: Path, base: Target) -> None:
    import shutil  # noqa: PLC0415 rarely needed

    marker = directory / INCOMPLETE
    marker.write_text("pipshim is creating this environment. If interrupted, it starts again.\n")
    for entry in list(os.scandir(directory)):
        if entry.name in {INCOMPLETE, LOCK}:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    # venv refuses a symbolic link to a folder.
    place = Path(os.path.realpath(directory)) if directory.is_symlink() else directory
    _run_venv(place, base)
    (directory / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
    settings = directory / "pyvenv.cfg"
    text = settings.read_text(encoding="utf-8").rstrip("\n")
    settings.write_text(f"{text}\n{_MARK} = {__version__}\n", encoding="utf-8")
    marker.unlink()


def _run_venv(directory: Path, base: Target) -> None:
    import subprocess  # noqa: PLC0415 rarely needed

    done = subprocess.run(
        [base.base_python, "-I", "-m", "venv", "--without-pip", directory],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        version = f"{base.version[0]}.{base.version[1]}"
        no_module = "No module named" in reason
        raise TargetError(
            f"{base.base_python} cannot create the environment {directory}: {reason}",
            hint=f"install its venv module (on Debian: apt install python{version}-venv)"
            if no_module
            else None,
        )
