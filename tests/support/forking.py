"""Runs scripts in forks of a process that has pip imported: what would be a second each is little.

Started with two descriptors, for requests and for answers: a line of JSON each. What runs is the
script's own file, as ``__main__``, in a process whose surroundings are those of the request.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
from importlib import import_module
from pathlib import Path

MODULES = (
    "pip._internal.cli.main",
    "pip._internal.cli.autocompletion",
    "pip._internal.commands.cache",
    "pip._internal.commands.configuration",
    "pip._internal.commands.download",
    "pip._internal.commands.freeze",
    "pip._internal.commands.install",
    "pip._internal.commands.list",
    "pip._internal.commands.uninstall",
    "pip._internal.commands.wheel",
    "pip._internal.metadata.importlib",
    "pip._internal.resolution.resolvelib.resolver",
    "pip._vendor.distro",
    "pip._vendor.rich._emoji_codes",
    "pip._vendor.rich.traceback",
    "pip._vendor.truststore",
    "argparse",
    "difflib",
)


def main(requests: int, answers: int) -> None:
    sys.path[0] = str(Path(__file__).parents[2])
    for module in (*MODULES, "tests.support.process_end"):
        import_module(module)
    gc.freeze()
    with os.fdopen(requests, encoding="utf-8") as lines, os.fdopen(answers, "w") as out:
        for line in lines:
            request = json.loads(line)
            child = os.fork()
            if not child:
                break
            _, status = os.waitpid(child, 0)
            out.write(f"{os.waitstatus_to_exitcode(status)}\n")
            out.flush()
        else:
            return
    # Only a child comes here, and it goes on to the interpreter's own end.
    become(**request)


def become(
    script: str, arguments: list[str], cwd: str, env: dict[str, str], streams: list[str]
) -> None:
    for number, (path, flags) in enumerate(
        zip(streams, (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        opened = os.open(path, flags | os.O_TRUNC * (number > 0))
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv[:] = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    from tests.support import process_end  # noqa: PLC0415 imported already, by main

    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if isinstance(ended.code, int):
            process_end.end(ended.code)
        raise


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
