"""Run this copy of pipshim and pip with another Python, like pip's ``__pip-runner__.py``.

Its name keeps it from being imported. The other Python sees only those installed modules that
pipshim needs.
"""
# ruff: noqa: N999, UP031, UP036

# Every Python there ever was must be able to parse this, to say its version.
import sys

if sys.version_info[:2] < (3, 10):
    raise SystemExit(
        "This version of pip does not support python %d.%d (requires >=3.10)."
        % sys.version_info[:2]
    )
del sys.path[0]  # this folder, whose modules are nobody's top-level modules

import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
from importlib.machinery import PathFinder  # noqa: E402

FOLDERS = json.loads(os.environ.pop("_PIPSHIM_MODULES"))


class Redirecting:
    """Finds the modules that pipshim needs in the copy that started this process."""

    @classmethod
    def find_spec(cls, fullname, _path=None, target=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN206
        folder = FOLDERS.get(fullname)
        return PathFinder.find_spec(fullname, [folder], target) if folder else None


sys.meta_path.insert(0, Redirecting)
runpy.run_module("pipshim", run_name="__main__", alter_sys=True)
