"""Run the script of a build hook in a process that is traced.

Usage: ``python hook_runner.py WHAT:FOLDER SCRIPT ARGUMENTS...``, where the first argument is for
`pipshim.builds.process_trace`. It is run by the environment's own interpreter, so it needs nothing
but the standard library of any Python 3.8 or newer.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    _what, _script = sys.argv[1:3]
    if "_pipshim_trace" not in sys.modules:  # not an environment of pipshim's
        sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 it is beside this script
        import process_trace  # type: ignore[import-not-found]

        del sys.path[0]
        sys.modules[process_trace.NAME] = sys.modules.pop(process_trace.__name__)
    sys.modules["_pipshim_trace"].begin(_what)
    sys.argv = sys.argv[2:]
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = os.path.dirname(os.path.realpath(_script))  # noqa: PTH120 this starts in each hook
    runpy.run_path(_script, run_name="__main__")
