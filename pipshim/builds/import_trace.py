"""Notes which files a Python process imports modules from, as it imports them.

Usage: ``python trace.py FOLDER SCRIPT ARGUMENTS...`` in the build environment runs the script of a
build hook. In environments where it matters what a hook's children import, this file stands in
site-packages too, and each Python that is started there imports it: it notes the same if the
variable NOTES names the folder. Python does not import it with ``-S``. Forked processes inherit it.

Each process appends lines to a file of its own: a process that is killed, or ends without running
exit handlers, has noted what it imported. It is run by the environment's own interpreter, so it
needs nothing but the standard library of any Python 3.8 or newer.
"""

import atexit
import os
import runpy
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NOTES = "PIPSHIM_MODULES"

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 this starts in each Python


def _trace(folder: str) -> None:
    """Note the files of all modules: of those that are imported already, and of all to come."""
    noted: set[object] = set()

    def note(files: "Iterable[object]") -> None:
        # The file is opened each time: the process may close descriptors that it does not know.
        new = [file for file in files if file not in noted]
        noted.update(new)
        lines = b"".join(map(_line, new))
        if not lines:
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            notes = os.open(f"{folder}/{os.getpid()}", flags, 0o600)
            try:
                os.write(notes, lines)
            finally:
                os.close(notes)
        except OSError:
            return  # a child that has outlived its hook

    def hear(event: str, arguments: "tuple[Any, ...]") -> None:
        # Python raises these events for source files and for extension modules.
        try:
            if event == "exec":
                note([arguments[0].co_filename])
            elif event == "import" and arguments[1] is not None:
                note([arguments[1]])
        except Exception:  # noqa: BLE001 an exception here would end the import
            return

    sys.addaudithook(hear)
    note(_imported())
    atexit.register(lambda: note(_imported()))  # other loaders raise no such event


def _imported() -> "list[object]":
    files = []
    for module in list(sys.modules.values()):
        try:
            # Plain getattr would load the modules of lazy loaders.
            files.append(object.__getattribute__(module, "__dict__").get("__file__"))
        except AttributeError:
            continue
    return [file for file in files if isinstance(file, str)]


def _line(file: object) -> bytes:
    if not isinstance(file, str) or not file or file[0] == "<":
        return b""
    path = os.path.abspath(file)  # noqa: PTH100 cheap, and links stay
    if path.startswith(_STANDARD_LIBRARY) and "-packages" not in path:
        return b""
    return os.fsencode(path) + b"\n"


if __name__ == "__main__":
    _folder, _script = sys.argv[1:3]
    _trace(_folder)
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(_script)  # noqa: PTH120
    runpy.run_path(_script, run_name="__main__")
elif NOTES in os.environ:
    _trace(os.environ[NOTES])
