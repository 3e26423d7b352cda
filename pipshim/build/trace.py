"""Runs the script of a build hook, and notes at its end which files modules came from.

Usage: ``python trace.py NOTES SCRIPT ARGUMENTS...`` in the build environment. It is started by the
environment's own interpreter, so it needs nothing but the standard library of any Python 3.
"""

import atexit
import json
import os
import runpy
import sys


def _note(path: str, process: int) -> None:
    # A child made with os.fork runs exit handlers too, but its modules are not the hook's.
    if os.getpid() != process:
        return
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            files.add(os.path.abspath(file))  # noqa: PTH100 cheap, and links stay
    with open(path, "w", encoding="utf-8") as notes:  # noqa: PTH123
        json.dump(sorted(files), notes)


if __name__ == "__main__":
    target, script = sys.argv[1:3]
    atexit.register(_note, target, os.getpid())
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(script)  # noqa: PTH120
    runpy.run_path(script, run_name="__main__")
