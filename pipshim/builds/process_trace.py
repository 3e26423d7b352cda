"""Note what a Python process imports, reads from its environment and starts, as it does so.

Each Python that is started in a build environment imports this, and it begins if the variable NOTES
says so, as WHAT:FOLDER. Forked processes inherit it. With ``-S``, Python imports nothing at its
start: a traced process that starts such a Python adds it to the command.

WHAT has a letter for each kind that is noted: MODULES are files that modules were imported from,
VARIABLES are names of environment variables that were read, each with a digest of its first value
(``-`` if it is not set), and PROGRAMS are files that were executed. OPTIONS come with these: words
of their command lines that may ask for the processor of this machine. Copying the whole environment
reads nothing. Without a FOLDER, notes wait until `begin` names one.

Each process appends lines to a file of its own: a process that is killed, or ends without running
exit handlers, has noted what it did. It is run by the environment's own interpreter, so it needs
nothing but the standard library of any Python 3.8 or newer.
"""

import atexit
import os
import sys
from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

NOTES = "PIPSHIM_TRACE"
NAME = "_pipshim_trace"
"""What it is called in a build environment."""

_FILE = "process_trace"

MODULES, VARIABLES, PROGRAMS, OPTIONS = "m", "v", "p", "o"

_MODULE_FOLDER = (
    "sys.flags.isolated or getattr(sys.flags, 'safe_path', 0) or "
    "sys.path.__setitem__(0, __import__('os').getcwd())"
)
"""Lets the path begin as it does with ``-m``."""

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 this starts in each Python
_PROGRAM_EVENTS = {
    "subprocess.Popen": (0, 1, 3),
    "os.exec": (0, 1, 2),
    "os.posix_spawn": (0, 1, 2),
    "os.spawn": (1, 2, 3),
}
"""Where events have the file, the arguments and the environment of a program."""

_OF_SHELL = frozenset("$`\\;&|<>()*?[]{}~#\n")
"""What a shell does more with than to split a command at spaces and quotes."""


class _Notes:
    """Lines that are written once each, to a file of the process's own."""

    def __init__(self) -> None:
        self.folder = ""
        self.has_begun = False
        self._known: set[bytes] = set()
        self._waiting: list[bytes] = []

    def add(self, kind: str, texts: "Iterable[str]") -> None:
        """Write what is not written yet."""
        for text in texts:
            line = kind.encode() + os.fsencode(text).replace(b"\n", b"?")
            if line not in self._known:
                self._waiting.append(line)
                self._known.add(line)
        if self._waiting and self.folder:
            self._write()

    def _write(self) -> None:
        # A lock would not survive a fork: lines are taken one by one, each by one thread.
        lines = []
        while self._waiting:
            try:
                lines.append(self._waiting.pop(0))
            except IndexError:  # another thread took it
                break
        # The file is opened each time: the process may close descriptors that it does not know.
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            notes = os.open(f"{self.folder}/{os.getpid()}", flags, 0o600)
            try:
                os.write(notes, b"".join(line + b"\n" for line in lines))
            finally:
                os.close(notes)
        except OSError:
            pass  # a child that has outlived its hook


_notes = _Notes()


def import_line() -> str:
    """Return the line of a ``.pth`` file that imports this, compiled once for all environments."""
    folder = os.path.dirname(__file__)  # noqa: PTH120
    return (
        f"import sys; sys.path.insert(0, {folder!r}); import {_FILE}; sys.path.pop(0); "
        f"sys.modules[{NAME!r}] = sys.modules.pop({_FILE!r})"
    )


def start(what: str) -> None:
    """Note what this process has done and does from now on."""
    kinds, _, _notes.folder = what.partition(":")
    _notes.has_begun = True
    if VARIABLES in kinds:
        _trace_reads(_notes)
    if sys.flags.no_site:
        _trace_workers()
    hear = _listener(_notes, kinds)
    if hear is not None:
        sys.addaudithook(hear)
    if MODULES in kinds:
        _notes.add(MODULES, _imported())
        # Other loaders raise no event.
        atexit.register(lambda: _notes.add(MODULES, _imported()))


def begin(what: str) -> None:
    """Trace a hook: start, or write to a folder what waits since this process started."""
    if not _notes.has_begun:
        start(what)
    _notes.folder = what.partition(":")[2]
    _notes.add(MODULES, ())


def _listener(notes: _Notes, kinds: str) -> "Callable[[str, tuple[Any, ...]], None] | None":
    """Make an audit hook."""
    modules, programs = MODULES in kinds, PROGRAMS in kinds

    def hear(event: str, arguments: "tuple[Any, ...]") -> None:
        # Python raises events of imports for source files and for extension modules.
        try:
            if modules and event == "exec":
                notes.add(MODULES, _own_file(arguments[0].co_filename))
            elif modules and event == "import" and arguments[1] is not None:
                notes.add(MODULES, _own_file(arguments[1]))
            elif programs and event in _PROGRAM_EVENTS:
                file, words, environ = (arguments[at] for at in _PROGRAM_EVENTS[event])
                started = list(_programs(file, words, environ))
                notes.add(PROGRAMS, started)
                notes.add(OPTIONS, _native_options(words))
                if event == "subprocess.Popen" and isinstance(words, list):
                    _trace_child(started, words)
        except Exception:  # noqa: BLE001 an exception here would end what is heard of
            return

    return hear if modules or programs else None


def _trace_reads(notes: _Notes) -> None:
    """Note names that are read from `os.environ` and `os.environb`, whatever reads them."""
    kind = type(os.environ)
    get, iterate = kind.__getitem__, kind.__iter__
    state: Any = _local()
    known: set[object] = set()

    def __getitem__(self: "os._Environ[Any]", key: "Any") -> "Any":  # noqa: N807
        expected = getattr(state, "expected", None)
        if expected:
            if expected[-1] == key:  # the mapping is copied
                expected.pop()
                return get(self, key)
            expected.clear()
        if key in known:
            return get(self, key)
        try:
            value = get(self, key)
        except KeyError:
            value = None
        known.add(key)
        _note_read(notes, key, value)
        return get(self, key) if value is None else value

    def __iter__(self: "os._Environ[Any]") -> "Iterator[Any]":  # noqa: N807
        names = list(iterate(self))
        state.expected = names[::-1]
        yield from names

    for made, original in ((__getitem__, get), (__iter__, iterate)):
        made.__module__ = original.__module__
        made.__qualname__ = original.__qualname__
        setattr(kind, made.__name__, made)


def _note_read(notes: _Notes, key: "Any", value: "Any") -> None:
    try:
        name = os.fsdecode(key)
        notes.add(VARIABLES, [f"{name} {'-' if value is None else _digest(value)}"])
    except Exception:  # noqa: BLE001 an exception here would end what reads
        return


def _digest(value: "str | bytes") -> str:
    """Digest a value as `pipshim.model.build_variables` does."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found] # noqa: PLC0415 without OpenSSL, which hashlib loads
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found] # noqa: PLC0415
        except ImportError:
            from hashlib import sha256  # noqa: PLC0415
    return str(sha256(os.fsencode(value)).hexdigest())[:16]


def _programs(file: object, words: "Any", environ: "Any") -> "Iterator[str]":
    """Return the file of a program that is started, and of the one that a shell starts first."""
    names = [os.fsdecode(file or words[0])]  # type: ignore[arg-type]
    is_shell = names[0].endswith("sh")
    if is_shell and len(words) > 2 and os.fsdecode(words[1]) == "-c":  # noqa: PLR2004 and COMMAND
        names += [name.strip("\"'") for name in os.fsdecode(words[2]).split()[:1]]
    # The copy reads no variable.
    known = dict(os.environ if environ is None else environ)
    path = os.fsdecode(known.get("PATH") or known.get(b"PATH") or os.defpath)
    for name in names:
        folders = [""] if os.sep in name else [f"{one}/" for one in path.split(os.pathsep)]
        for folder in folders:
            found = os.path.abspath(f"{folder}{name}")  # noqa: PTH100 links stay
            if os.path.isfile(found) and os.access(found, os.X_OK):  # noqa: PTH113
                yield found
                break


def _native_options(words: "Any") -> "Iterator[str]":
    """Return the options, of a shell's command too, that may name the processor of this machine."""
    if isinstance(words, (str, bytes)):
        words = [words]
    for word in map(os.fsdecode, words or ()):
        if "native" in word or "xHost" in word:
            yield from (one for one in word.split() if "native" in one or "xHost" in one)


def _trace_child(programs: "list[str]", words: "list[Any]") -> None:
    """Let a Python that is to be started with ``-S`` be traced: change its command line.

    A shell's command line is changed only if it does no more than start a Python.
    """
    is_own = [_is_this_python(program) for program in programs]
    if is_own == [True]:
        _trace_bare_python(words)
    elif is_own == [False, True] and len(words) == 3:  # noqa: PLR2004 sh -c COMMAND
        line = os.fsdecode(words[2])
        if " -" in line and "S" in line and not _OF_SHELL.intersection(line):
            import shlex  # noqa: PLC0415 seldom

            command: list[Any] = shlex.split(line)
            _trace_bare_python(command)
            if command != shlex.split(line):
                words[2] = shlex.join(command)


def _is_this_python(program: str) -> bool:
    name = os.path.basename(program)  # noqa: PTH119
    is_python = name.startswith(("python", "pypy"))
    return is_python and os.path.realpath(program) == os.path.realpath(sys.executable)


def _trace_bare_python(words: "list[Any]") -> None:
    what = os.environ.get(NOTES)
    if what is None:
        return
    is_bare, at = False, 1
    while at < len(words):
        word = os.fsdecode(words[at])
        if word[:1] != "-" or word == "-":
            break
        at += 1
        if word == "--":
            break
        if word[:2] == "--":
            at += word == "--check-hash-based-pycs"
            continue
        flags, value = _flags_and_value(word)
        is_bare = is_bare or "S" in flags
        if "x" in flags:  # skips the first line of the script
            return
        if value[:1] in ("c", "m"):
            if is_bare:
                _trace_code(words, at - 1, flags, value)
            return
        at += len(value) == 1  # -W and -X have it in the next word
    runner = os.path.join(os.path.dirname(__file__), "hook_runner.py")  # noqa: PTH118, PTH120
    if is_bare and at < len(words) and os.fsdecode(words[at]) not in ("-", runner):
        words[at:at] = [runner, what]


def _flags_and_value(word: str) -> "tuple[str, str]":
    """Split combined short options of Python (``-Sc``) before the one that takes a value."""
    at = next((at for at, letter in enumerate(word) if letter in "cmWX"), len(word))
    return word[1:at], word[at:]


def _trace_code(words: "list[Any]", at: int, flags: str, value: str) -> None:
    """Change the code, or the module, that a Python is to run (``-c``, ``-m``)."""
    end = at + (2 if len(value) == 1 else 1)
    code = value[1:] or os.fsdecode(words[at + 1])
    if value[0] == "m":
        code = f"import runpy; {_MODULE_FOLDER}; runpy._run_module_as_main({code!r})"
    elif (
        "__future__" in code  # has to come first
        or code.strip("\n")[:1] in (" ", "\t")  # Python 3.14 removes what all lines begin with
        or code.startswith(import_line())
    ):
        return
    words[at:end] = [f"-{flags}c", f"{import_line()}\n{code}"]


def _trace_workers() -> None:
    """Let workers of `multiprocessing`, which get the options of this process, be traced.

    They are started without an event. What has ``-S`` has not imported `subprocess` yet.
    """
    if sys.platform == "win32":
        return
    try:
        import _posixsubprocess as starter  # noqa: PLC0415 only with -S
    except ImportError:
        return
    fork_exec = starter.fork_exec

    def traced(words: "Any", *more: "Any") -> int:
        if isinstance(words, list):
            try:  # noqa: SIM105 contextlib is not needed yet
                _trace_child([os.fsdecode(words[0])], words)
            except Exception:  # noqa: BLE001, S110 the worker starts nevertheless
                pass
        return fork_exec(words, *more)

    starter.fork_exec = traced


def _imported() -> "Iterator[str]":
    for module in list(sys.modules.values()):
        try:
            # Plain getattr would load the modules of lazy loaders.
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except AttributeError:
            continue
        yield from _own_file(file)


def _own_file(file: object) -> "tuple[str, ...]":
    """Return the path of a module's file, unless it belongs to the standard library."""
    if not isinstance(file, str) or not file or file[0] == "<":
        return ()
    path = os.path.abspath(file)  # noqa: PTH100 cheap, and links stay
    if path.startswith(_STANDARD_LIBRARY) and "-packages" not in path:
        return ()
    return (path,)


if __name__ == _FILE and NOTES in os.environ:
    start(os.environ[NOTES])
