"""Check stamps, so that an unchanged ``run``, ``sync`` or ``lock`` ends early.

A stamp says: with these options and variables, and with these files as they were, there was nothing
to do. It lies in the environment; that of ``lock``, or of an environment in pipshim's cache, in the
cache. A file counts as unchanged while its size and modification time are; a folder (site-packages,
a distribution's ``.dist-info``) while nothing was added or removed; a script while its metadata is.
Otherwise the command runs as usual and writes a new stamp.

This imports only what every start of Python has loaded, or is written in C: an unchanged ``run``
takes little longer than that start.
"""

from __future__ import annotations

import os
import sys

try:
    from _blake2 import blake2b  # without OpenSSL, which hashlib loads
except ImportError:  # a Python without its own implementation
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

FOLDER = ".pipshim-fresh"
"""Where stamps are, in the environment."""

CACHE_FOLDER = "fresh"
"""Where the others are, in pipshim's cache."""

_FORMAT = "pipshim stamp 5"
_KEY = 5
_MOST_OPTIONS = 40
_VARIABLES = ("PIP_", "PIPSHIM_", "VIRTUAL_ENV", "HOME", "XDG_CONFIG_", "REQUESTS_CA", "CURL_CA")
_OF_SHELLS = ("_", "SHLVL", "PWD", "OLDPWD")
_COMMANDS = ("sync", "run", "lock")
_PLAIN: list[list[str]] = [[], ["--check"]]
"""Options of commands that say whether the project's own lock is up to date."""
_BETWEEN = "\x1f"
_FIELDS = (
    *("command", "options", "variables", "directory", "prefix", "python", "scripts"),
    *("env_files", "metadata", "say", "inputs"),
)
"""Attributes of a stamp, each on a line; its files follow."""
_LISTS = ("options", "env_files")


class Stamp:
    """A command that had nothing to do.

    Attributes:
        command: ``sync``, ``run`` or ``lock``.
        options: as they were typed.
        variables: a digest of the environment variables that count.
        directory: the working directory.
        prefix: the environment; empty for ``lock``, as are the next two.
        scripts: its folder of scripts; several as in PATH.
        env_files: files of variables for the command (``--env-file``).
        metadata: of a script, its metadata, as Python writes bytes; its name is the last of the
            options then.
        say: what the command says when nothing has changed.
        inputs: what built wheels depend on besides (`pipshim.fastpath.build_inputs`).
        files: the state of each file that counts, and its path.

    """

    command: str
    options: list[str]
    variables: str
    directory: str
    prefix: str = ""
    python: str = ""
    scripts: str = ""
    env_files: Sequence[str] = ()
    metadata: str = ""
    say: str
    inputs: str = ""
    files: Sequence[str]

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    @classmethod
    def read(cls, path: str) -> Stamp | None:
        """Read a stamp; None if there is none, or one of another format."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\n")
        except OSError:
            return None
        if len(lines) <= len(_FIELDS) or lines[0] != _FORMAT:
            return None
        fields = {
            name: _split(line) if name in _LISTS else line
            for name, line in zip(_FIELDS, lines[1:], strict=False)
        }
        return cls(**fields, files=lines[len(_FIELDS) + 1 :])

    def write(self, folder: str) -> None:
        """Write it atomically into a folder of stamps, if that can be written."""
        fields = [getattr(self, name) for name in _FIELDS]
        texts = (one if isinstance(one, str) else _BETWEEN.join(one) for one in fields)
        lines = [_FORMAT, *texts, *self.files]
        if any("\n" in line for line in lines):
            return
        from pipshim.base.atomic_write import write_cache_file

        content = "\n".join(lines).encode("utf-8", "surrogateescape")
        write_cache_file(f"{folder}/{_name(lines[:_KEY])}", content)

    def holds(self, environ: Mapping[str, str]) -> bool:
        """Return whether all files, and all that built wheels depend on, are unchanged."""
        for line in self.files:
            time, size, path = line.split(" ", 2)
            if state(path) != f"{time} {size}":
                return False
        return inputs_hold(self.inputs, environ)


def attempt(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Run a command, if a stamp says that there is nothing to prepare.

    Args:
        arguments: of the command line, without the program.

    Returns:
        the exit status; None if the command has to run as usual. ``run`` does not return when it
            becomes
        its command.

    """
    command, words = split(arguments)
    if command not in _COMMANDS:
        return None
    counting = variables(environ)
    cached: list[str] = []
    if command == "run":
        cached = _cached(command, [words[:count] for count in _lengths(words)], counting, environ)
    elif command == "lock" or "--script" in words:
        cached = _cached(command, [words], counting, environ)
    found = [] if command == "lock" else _stamps(words, environ)
    for path in (*found, *cached):
        stamp = Stamp.read(path)
        if stamp is None or stamp.command != command or stamp.variables != counting:
            continue
        if words[: len(stamp.options)] != stamp.options or stamp.directory != os.getcwd():
            continue
        rest = words[len(stamp.options) :]
        if not (_is_asked(rest, stamp) if command == "run" else not rest):
            continue
        if not stamp.holds(environ):
            continue
        if path in cached and stamp.prefix:
            _note_use(path, os.path.dirname(stamp.prefix))
        if command == "run":
            return become(rest, stamp, environ)
        if stamp.say:
            sys.stderr.write(f"{stamp.say}\n")
        return 0
    return None


def is_unchanged(environ: Mapping[str, str]) -> bool:
    """Return whether a stamp says that the project's lock is up to date."""
    counting = variables(environ)
    for path in (*_stamps([], environ), *_cached("lock", _PLAIN, counting, environ)):
        stamp = Stamp.read(path)
        if (
            stamp is not None
            and stamp.options in _PLAIN
            and stamp.variables == counting
            and stamp.directory == os.getcwd()
            and stamp.holds(environ)
        ):
            return True
    return False


def variables(environ: Mapping[str, str]) -> str:
    """Digest the variables that may change a command's result (they may contain credentials)."""
    counting = sorted(
        f"{name}={value}" for name, value in environ.items() if name.startswith(_VARIABLES)
    )
    return digest("\n".join(counting))


def digest(text: str) -> str:
    """Digest a text: 64 bits, in hexadecimal."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def state(path: str) -> str:
    """Return a file's or folder's modification time (ns) and size, or ``- -``."""
    try:
        found = os.stat(path)
    except OSError:
        return "- -"
    return f"{found.st_mtime_ns} {found.st_size}"


def inputs_line(programs: Sequence[str], variables: str, environ: Mapping[str, str]) -> str:
    """Say how all is that built wheels depend on outside the project, in one line.

    Args:
        programs: those that count.
        variables: describes those that count (`pipshim.fastpath.build_inputs`).

    """
    names = _BETWEEN.join(programs)
    return "\t".join((_all_variables(environ), _programs(programs, environ), names, variables))


def inputs_hold(inputs: str, environ: Mapping[str, str]) -> bool:
    """Return whether all is as `inputs_line` has said."""
    if not inputs:
        return True
    same, programs, names, variables = inputs.split("\t", 3)
    if programs != _programs(_split(names), environ):
        return False
    if same == _all_variables(environ):
        return True
    from pipshim.fastpath import build_inputs

    return build_inputs.variables_hold(variables, environ)


def _programs(names: Sequence[str], environ: Mapping[str, str]) -> str:
    """Digest how files are, and those of programs that PATH has."""
    path = environ.get("PATH", "")
    found = (name if os.sep in name else find_program(name, path) for name in names)
    return digest("\n".join("-" if one is None else state(one) for one in found))


def _all_variables(environ: Mapping[str, str]) -> str:
    """Digest all variables but those that differ in every shell."""
    return digest("\n".join(sorted(f"{k}={v}" for k, v in environ.items() if k not in _OF_SHELLS)))


def split(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Split a command line into the command and its other words; ``--project`` may come first."""
    count = 0
    while count < len(arguments) and _is_project(arguments[count]):
        count += 1 if "=" in arguments[count] else 2
    command = arguments[count] if count < len(arguments) else ""
    return command, [*arguments[:count], *arguments[count + 1 :]]


def environments(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the environments that a command may serve (see ``pipshim.envs.environment_choice``).

    Only the parser knows which words are options and which are their values, so there may be
    several. A stamp says for which words it was written.
    """
    active = environ.get("VIRTUAL_ENV")
    if active:
        return [active]
    folders = [environ.get("PIPSHIM_PROJECT") or os.curdir]
    for position, word in enumerate(words):
        if _is_project(word):
            _, equals, value = word.partition("=")
            folders += [value] if equals else words[position + 1 : position + 2]
    projects = dict.fromkeys(one for folder in folders for one in _projects(folder))
    return [f"{project}/.venv" for project in projects]


def _is_project(word: str) -> bool:
    """Return whether a word is ``--project``, perhaps abbreviated, as optparse allows."""
    name = word.partition("=")[0]
    return name.startswith("--proj") and "--project".startswith(name)


def _projects(start: str) -> list[str]:
    """Return the folders with a pyproject.toml, the nearest first: `start`, and its parents.

    The environment of a workspace is that of its root.
    """
    start = os.path.expanduser(start)
    # As `pipshim.project.pyproject.find_project` does.
    is_plain = os.pardir not in start.split(os.sep)
    folder = here = os.path.abspath(start) if is_plain else os.path.realpath(start)
    found = []
    while True:
        if os.path.lexists(f"{folder}/pyproject.toml"):
            found.append(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            return found or [here]  # as for requirements, or a lock, without a project
        folder = parent


def _stamps(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for prefix in environments(words, environ):
        try:
            entries = os.scandir(f"{prefix}/{FOLDER}")
        except OSError:
            continue
        found += [entry.path for entry in entries if "." not in entry.name]
    return found


def cache_folder(environ: Mapping[str, str]) -> str:
    """Return the folder of the stamps of ``lock``, without reading pip.conf."""
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


def _lengths(words: Sequence[str]) -> range:
    """Return how many words may be options: only the stamps know which have values."""
    return range(1, min(len(words), _MOST_OPTIONS) + 1)


def _cached(
    command: str, options: Sequence[Sequence[str]], counting: str, environ: Mapping[str, str]
) -> list[str]:
    """Return the paths of stamps in the cache for one of these lists of options."""
    folder, directory = cache_folder(environ), os.getcwd()
    keys = ([_FORMAT, command, _BETWEEN.join(one), counting, directory] for one in options)
    return [f"{folder}/{_name(key)}" for key in keys]


def _note_use(*paths: str) -> None:
    """Note the use of a cached environment (`pipshim.store.inventory`)."""
    try:
        for path in paths:
            os.utime(path)
    except OSError:
        return


def _name(key: list[str]) -> str:
    return digest("\n".join(key))


def is_command(words: list[str]) -> bool:
    """Return whether these words begin with a command for the environment, not an option.

    A script from standard input, or one with metadata (PEP 723), may need another environment.
    """
    if words[:1] == ["-m"]:
        return len(words) > 1 and not words[1].startswith("-")
    if words[:1] == ["--"]:
        words = words[1:]
    elif words and words[0].startswith("-"):
        return False
    return bool(words) and words[0] != "-" and not (is_script(words[0]) and _metadata(words[0]))


def _is_asked(words: list[str], stamp: Stamp) -> bool:
    if not stamp.metadata:
        return is_command(words)
    block = _metadata(stamp.options[-1])
    return block is not None and repr(block) == stamp.metadata


def is_script(word: str) -> bool:
    """Return whether Python runs a command: a Python file, or a folder given as one."""
    if word[-3:].lower() == ".py" or word[-4:].lower() in {".pyw", ".pyz"}:
        return os.path.isfile(word)
    # Without a separator it may as well be the command of a package that has a folder here.
    return os.sep in word and os.path.isfile(f"{word}/__main__.py")


def process(
    words: Sequence[str], python: str, path: str, *, as_script: bool = False
) -> tuple[str | None, list[str]]:
    """Return the program and arguments for the words of a command.

    Args:
        words: the command and its arguments, or ``-m`` and a module with its.
        python: the environment's interpreter.
        path: where commands are looked for.
        as_script: the command is a Python script, whatever its name.

    Returns:
        the program, None if there is none; and its arguments, with its name.

    """
    if as_script or words[0] in {"-m", "-"} or is_script(words[0]):
        return python, [python, *words]
    # As it is: a normalized path would say tool for ./tool, and scripts see that as their $0.
    return find_program(words[0], path), list(words)


def activated(environ: Mapping[str, str], prefix: str, scripts: str) -> dict[str, str]:
    """Return the variables that an activation script sets; ``""`` for one that it removes."""
    made = {name: value for name, value in environ.items() if name != "PYTHONHOME"}
    made.pop("VIRTUAL_ENV", None)
    if prefix:
        made["VIRTUAL_ENV"] = prefix
    made["PATH"] = os.pathsep.join([scripts, environ.get("PATH", os.defpath)])
    return made


def become(words: list[str], stamp: Stamp, environ: Mapping[str, str]) -> int | None:
    """Become the command, as ``pipshim.cli.run`` would; None if it is not found."""
    if stamp.env_files:
        from pipshim.base.errors import PipshimError
        from pipshim.project import env_files

        try:
            environ = {**environ, **env_files.read(stamp.env_files, environ)}
        except PipshimError:
            return None
    made = activated(environ, stamp.prefix, stamp.scripts)
    words = words[1:] if words[:1] == ["--"] and not stamp.metadata else words
    words = [stamp.options[-1], *words] if stamp.metadata else words
    program, words = process(words, stamp.python, made["PATH"], as_script=bool(stamp.metadata))
    if program is None:
        return None
    from pipshim.base.light import signals

    signals.restore_defaults()
    try:
        os.execve(program, words, made)  # noqa: S606
    except OSError:
        return None


def _metadata(path: str) -> bytes | None:
    from pipshim.project import script_metadata

    return script_metadata.read(path)


def find_program(name: str, path: str) -> str | None:
    """Find a program as a shell does; None if there is none."""
    if os.sep in name:
        return name if _is_program(name) else None
    for folder in path.split(os.pathsep):
        program = f"{folder or os.curdir}/{name}"
        if _is_program(program):
            return program
    return None


def _is_program(path: str) -> bool:
    return os.access(path, os.X_OK) and os.path.isfile(path)


def _split(text: str) -> list[str]:
    return text.split(_BETWEEN) if text else []
