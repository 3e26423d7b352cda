"""Stamps: what an unchanged ``run``, ``sync`` or ``lock --check`` recognises, so as to stop early.

A stamp lies in the environment that it speaks of; one of ``lock --check``, which needs none, in
pipshim's cache. It says: with these options and variables, and
with these files as they were, there was nothing left to do. A file counts as unchanged while its
size and its time of modification are; a folder (site-packages, a distribution's ``.dist-info``)
while nothing was added or removed in it. Whatever is not recognised goes the long way, which writes
a new stamp.

Nothing is imported here but what every start of Python has loaded, or is written in C: an
unchanged ``run`` costs little more than that start.
"""

from __future__ import annotations

import os
import sys
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = ".pipshim-fresh"
"""Where stamps are, in the environment."""

CACHE_FOLDER = "fresh"
"""Where those of ``lock --check`` are, in pipshim's cache."""

_FORMAT = "pipshim stamp 2"
_KEY = 5
_FIXED = 10
_VARIABLES = ("PIP_", "PIPSHIM_", "VIRTUAL_ENV", "HOME", "XDG_CONFIG_", "REQUESTS_CA", "CURL_CA")
_COMMANDS = ("sync", "run", "lock")
_BETWEEN = "\x1f"


class Stamp:
    """What was found to need nothing.

    Attributes:
        command: ``sync``, ``run`` or ``lock`` (with ``--check``).
        options: the options that were typed.
        variables: a digest of those of the environment variables that count.
        directory: the working directory.
        prefix: the environment; empty for ``lock``, as are the next two.
        python: its interpreter.
        scripts: its folder of scripts; several as in PATH.
        env_files: those whose variables the command gets (``--env-file``).
        say: what the command says when nothing has changed.
        files: the state of each file that counts, and its path.

    """

    __slots__ = (
        "command",
        "directory",
        "env_files",
        "files",
        "options",
        "prefix",
        "python",
        "say",
        "scripts",
        "variables",
    )

    def __init__(  # noqa: PLR0913 what a stamp consists of
        self,
        *,
        command: str,
        options: Sequence[str],
        variables: str,
        directory: str,
        say: str,
        files: Sequence[str],
        prefix: str = "",
        python: str = "",
        scripts: str = "",
        env_files: Sequence[str] = (),
    ) -> None:
        self.command = command
        self.options = list(options)
        self.variables = variables
        self.directory = directory
        self.prefix = prefix
        self.python = python
        self.scripts = scripts
        self.env_files = list(env_files)
        self.say = say
        self.files = list(files)

    @classmethod
    def read(cls, path: str) -> Stamp | None:
        """Read a stamp; None if there is none, or one of another form."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\n")
        except OSError:
            return None
        if len(lines) < _FIXED or lines[0] != _FORMAT:
            return None
        return cls(
            command=lines[1],
            options=_split(lines[2]),
            variables=lines[3],
            directory=lines[4],
            prefix=lines[5],
            python=lines[6],
            scripts=lines[7],
            env_files=_split(lines[8]),
            say=lines[9],
            files=lines[_FIXED:],
        )

    def write(self, folder: str) -> None:
        """Put it into a folder of stamps, whole or not at all; the folder may refuse it."""
        lines = [
            _FORMAT,
            self.command,
            _BETWEEN.join(self.options),
            self.variables,
            self.directory,
            self.prefix,
            self.python,
            self.scripts,
            _BETWEEN.join(self.env_files),
            self.say,
            *self.files,
        ]
        if any("\n" in line for line in lines):
            return
        path = f"{folder}/{_name(lines[:_KEY])}"
        temporary = f"{path}.{os.getpid()}"
        try:
            os.makedirs(folder, exist_ok=True)
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("\n".join(lines))
            os.replace(temporary, path)
        except OSError:
            return

    def holds(self) -> bool:
        """Tell whether every file is as it was."""
        for line in self.files:
            time, size, path = line.split(" ", 2)
            if state(path) != f"{time} {size}":
                return False
        return True


def attempt(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Do what is asked, if a stamp says that there is nothing to prepare.

    Args:
        arguments: of the command line, without the program.
        environ: the environment variables.

    Returns:
        the exit status; None if the long way has to be gone. ``run`` does not return when it
        becomes its command.

    """
    if not arguments or arguments[0] not in _COMMANDS:
        return None
    counting = variables(environ)
    if arguments[0] == "lock":
        found = _stamp_of_lock(arguments[1:], counting, environ)
    else:
        found = _stamps(environ)
    for path in found:
        stamp = Stamp.read(path)
        if stamp is None or stamp.command != arguments[0] or stamp.variables != counting:
            continue
        words = list(arguments[1:])
        if words[: len(stamp.options)] != stamp.options or stamp.directory != os.getcwd():
            continue
        words = words[len(stamp.options) :]
        if not (is_command(words) if stamp.command == "run" else not words):
            continue
        if not stamp.holds():
            continue
        if stamp.command == "run":
            return become(words, stamp, environ)
        if stamp.say:
            sys.stderr.write(f"{stamp.say}\n")
        return 0
    return None


def is_unchanged(environ: Mapping[str, str]) -> bool:
    """Tell whether a stamp says that the project's lock is what the project asks for."""
    counting = variables(environ)
    for path in (*_stamps(environ), *_stamp_of_lock(["--check"], counting, environ)):
        stamp = Stamp.read(path)
        if (
            stamp is not None
            and stamp.options in ([], ["--check"])
            and stamp.variables == counting
            and stamp.directory == os.getcwd()
            and stamp.holds()
        ):
            return True
    return False


def variables(environ: Mapping[str, str]) -> str:
    """Digest the variables that may change what a command does (they may hold credentials)."""
    counting = sorted(
        f"{name}={value}" for name, value in environ.items() if name.startswith(_VARIABLES)
    )
    text = "\n".join(counting).encode("utf-8", "surrogateescape")
    return f"{crc32(text):08x}{crc32(text, 0x9E3779B9):08x}"


def state(path: str) -> str:
    """Say how a file or folder is: when modified (ns) and its size, or ``- -`` without one."""
    try:
        found = os.stat(path)
    except OSError:
        return "- -"
    return f"{found.st_mtime_ns} {found.st_size}"


def served(environ: Mapping[str, str]) -> str | None:
    """Find the environment that is served, as ``pipshim.environment`` would."""
    prefix = environ.get("VIRTUAL_ENV")
    if prefix:
        return prefix
    folder = os.getcwd()
    while not os.path.lexists(f"{folder}/pyproject.toml"):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return f"{folder}/.venv"


def _stamps(environ: Mapping[str, str]) -> list[str]:
    prefix = served(environ)
    if prefix is None:
        return []
    try:
        return [entry.path for entry in os.scandir(f"{prefix}/{FOLDER}") if "." not in entry.name]
    except OSError:
        return []


def cache_folder(environ: Mapping[str, str]) -> str:
    """Tell where stamps of ``lock --check`` are; a cache that pip.conf names is not looked for."""
    shim, pip = environ.get("PIPSHIM_CACHE_DIR"), environ.get("PIP_CACHE_DIR")
    if shim:
        root = os.path.abspath(os.path.expanduser(shim))
    elif pip:
        root = f"{os.path.dirname(os.path.abspath(os.path.expanduser(pip)))}/pipshim"
    elif sys.platform == "darwin":
        root = os.path.expanduser("~/Library/Caches/pipshim")
    else:
        root = f"{environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')}/pipshim"
    return f"{root}/{CACHE_FOLDER}"


def _stamp_of_lock(words: Sequence[str], counting: str, environ: Mapping[str, str]) -> list[str]:
    if "--check" not in words:
        return []
    key = [_FORMAT, "lock", _BETWEEN.join(words), counting, os.getcwd()]
    return [f"{cache_folder(environ)}/{_name(key)}"]


def _name(key: list[str]) -> str:
    return f"{crc32(chr(10).join(key).encode('utf-8', 'surrogateescape')):08x}"


def is_command(words: list[str]) -> bool:
    """Tell whether these words begin with what runs in the served environment, not an option.

    A script from standard input, or one with metadata (PEP 723), may need another environment.
    """
    if words[:1] == ["-m"]:
        return len(words) > 1 and not words[1].startswith("-")
    if words[:1] == ["--"]:
        words = words[1:]
    elif words and words[0].startswith("-"):
        return False
    return bool(words) and words[0] != "-" and not (is_script(words[0]) and _metadata(words[0]))


def is_script(word: str) -> bool:
    """Tell whether a command is for Python to run: a file of Python's, or a folder given as one."""
    if word[-3:].lower() == ".py" or word[-4:].lower() in {".pyw", ".pyz"}:
        return os.path.isfile(word)
    # Without a separator it may as well be the command of a package that has a folder here.
    return os.sep in word and os.path.isfile(f"{word}/__main__.py")


def process(words: Sequence[str], python: str, path: str) -> tuple[str | None, list[str]]:
    """Tell what the words of a command become.

    Args:
        words: the command and its arguments, or ``-m`` and a module with its.
        python: the environment's interpreter.
        path: where commands are looked for.

    Returns:
        the program, None if there is none; and its arguments, with its name.

    """
    if words[0] in {"-m", "-"} or is_script(words[0]):
        return python, [python, *words]
    found = words[0] if os.sep in words[0] else _find(words[0], path)
    # As it is: a normalized path would say tool for ./tool, and scripts see that as their $0.
    return found if found and _is_program(found) else None, list(words)


def activated(environ: Mapping[str, str], prefix: str, scripts: str) -> dict[str, str]:
    """Make an environment's variables as its activation script would."""
    made = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
    made["VIRTUAL_ENV"] = prefix
    made["PATH"] = os.pathsep.join([scripts, environ.get("PATH", os.defpath)])
    return made


def become(words: list[str], stamp: Stamp, environ: Mapping[str, str]) -> int | None:
    """Become the command, as ``pipshim.cli.run`` would; None if it is not found."""
    if stamp.env_files:
        from pipshim import env_files
        from pipshim.errors import PipshimError

        try:
            environ = {**environ, **env_files.read(stamp.env_files, environ)}
        except PipshimError:
            return None
    made = activated(environ, stamp.prefix, stamp.scripts)
    words = words[1:] if words[0] == "--" else words
    program, words = process(words, stamp.python, made["PATH"])
    if program is None:
        return None
    import signal

    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, words, made)  # noqa: S606
    except OSError:
        return None


def _metadata(path: str) -> bytes | None:
    from pipshim import inline

    return inline.read(path)


def _find(name: str, path: str) -> str | None:
    for folder in path.split(os.pathsep):
        program = f"{folder or os.curdir}/{name}"
        if _is_program(program):
            return program
    return None


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)


def _split(text: str) -> list[str]:
    return text.split(_BETWEEN) if text else []
