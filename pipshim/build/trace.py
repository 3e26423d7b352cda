"""Notes, at the end of a Python process, which files its modules came from.

Usage: ``python trace.py FOLDER SCRIPT ARGUMENTS...`` in the build environment runs the script of a
build hook. In environments where it matters what a hook's children import, this file stands in
site-packages too, and each Python that is started there imports it: it notes the same if the
variable NOTES names the folder. It is run by the environment's own interpreter, so it needs nothing
but the standard library of any Python 3.
"""

import atexit
import json
import os
import runpy
import sys

NOTES = "PIPSHIM_MODULES"


def _note(folder: str) -> None:
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            files.add(os.path.abspath(file))  # noqa: PTH100 cheap, and links stay
    try:
        with open(f"{folder}/{os.getpid()}", "w", encoding="utf-8") as notes:  # noqa: PTH123
            json.dump(sorted(files), notes)
    except OSError:
        return  # a child that has outlived its hook


if __name__ == "__main__":
    _folder, _script = sys.argv[1:3]
    atexit.register(_note, _folder)
    sys.argv = sys.argv[2:]
    sys.path[0] = os.path.dirname(_script)  # noqa: PTH120
    runpy.run_path(_script, run_name="__main__")
elif NOTES in os.environ:
    atexit.register(_note, os.environ[NOTES])
