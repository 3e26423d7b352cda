"""The variables by which tools know how many processes they may start.

make, ninja from 1.13 on, cargo and GCC take tokens of a jobserver (`pipshim.builds.jobserver`);
other tools get a number. The user's own settings stay. GNU make understands a FIFO from 4.4 on.
Older ones only take file descriptors, which Python closes in the programs that it starts: so a
script before them on PATH opens the FIFO, and another one tells ninja what they do not understand.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import replace_file
from pipshim.base.cores import available_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

    from pipshim.builds.machine_shares import Share

JOB_VARIABLES = ("MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "NPY_NUM_BUILD_JOBS", "MAKEFLAGS")
"""Variables that limit how many processes a build starts. The user's own values stay.

Only builds that run at the same time get them: alone, packages such as flash-attn compute a number
from the free memory if MAX_JOBS is not set.
"""

JOBSERVER = "PIPSHIM_JOBSERVER"
"""Tells the scripts in place of make and ninja the FIFO."""

_CARGO = "CARGO_MAKEFLAGS"
_PROGRAMS = "programs"
_FIFO_MAKE, _AUTH_MAKE, _FIFO_NINJA = (4, 4), (4, 2), (1, 13)
_MAKE_SCRIPT = r"""#!/bin/sh
# Lets GNU make {version} use the jobserver of pipshim.
if [ -n "$PIPSHIM_JOBSERVER" ] && exec 9<>"$PIPSHIM_JOBSERVER"; then
    others=$(printf %s "$MAKEFLAGS" | sed 's/--jobserver-[^ ]*//g; s/ -j[0-9]*//g')
    MAKEFLAGS="$others -j{jobs} --jobserver-{option}=9,9"
    export MAKEFLAGS
fi
exec {program} "$@"
"""
_NINJA_SCRIPT = """#!/bin/sh
# Lets ninja {version} use the jobserver of pipshim.
if [ -n "$PIPSHIM_JOBSERVER" ]; then
    MAKEFLAGS=" -j{jobs} --jobserver-auth=fifo:$PIPSHIM_JOBSERVER"
    export MAKEFLAGS
fi
exec {program} "$@"
"""

Version = tuple[int, ...]


class JobTools:
    """Knows which make and ninja builds find, each asked once.

    Args:
        folder: where scripts are written.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _PROGRAMS
        self._versions: dict[str, Version] = {}

    def add_variables(self, variables: MutableMapping[str, str], share: Share) -> None:
        """Add to a build's variables what its share is; those that are there stay."""
        if share.jobs is None:
            return
        if share.fifo is None or "MAKEFLAGS" in variables:
            _add_numbers(variables, share.jobs)
            return
        make, ninja = (self._find(name, variables) for name in ("make", "ninja"))
        if make is not None and not make[1]:  # not GNU make: it would not know the option
            _add_numbers(variables, share.jobs)
            return
        numbers = ["NPY_NUM_BUILD_JOBS"]
        has_fifo_ninja = ninja is not None and ninja[1] >= _FIFO_NINJA
        if not has_fifo_ninja:
            numbers += ["MAX_JOBS"] if ninja is None else ["MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL"]
        for name in numbers:
            variables.setdefault(name, str(share.jobs))
        flags = f" -j{available_cores()} --jobserver-auth=fifo:{share.fifo}"
        variables.setdefault(_CARGO, flags)
        if make is None or make[1] >= _FIFO_MAKE:
            variables["MAKEFLAGS"] = flags
            return
        self._write("make", _MAKE_SCRIPT, *make)
        if ninja is not None and has_fifo_ninja:
            self._write("ninja", _NINJA_SCRIPT, *ninja)
        variables[JOBSERVER] = str(share.fifo)
        variables["PATH"] = f"{self._folder}{os.pathsep}{variables['PATH']}"

    def _find(self, name: str, variables: Mapping[str, str]) -> tuple[str, Version] | None:
        program = shutil.which(name, path=variables["PATH"])
        if program is None:
            return None
        if program not in self._versions:
            self._versions[program] = _version_of(program)
        return program, self._versions[program]

    def _write(self, name: str, script: str, program: str, version: Version) -> None:
        """Write the script for a program, unless it is there."""
        text = script.format(
            program=_quoted(program),
            version=".".join(map(str, version)),
            jobs=available_cores(),
            option="auth" if version >= _AUTH_MAKE else "fds",
        )
        path = self._folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), mode=0o700)


def without_jobs(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that differ with a build's share of the machine."""
    left = {
        name: value
        for name, value in variables.items()
        if name not in (*JOB_VARIABLES, _CARGO, JOBSERVER)
    }
    if fifo := variables.get(JOBSERVER):
        programs = os.path.join(os.path.dirname(fifo), _PROGRAMS)  # noqa: PTH118, PTH120 text
        left["PATH"] = left["PATH"].removeprefix(f"{programs}{os.pathsep}")
    return left


def _add_numbers(variables: MutableMapping[str, str], jobs: int) -> None:
    for name in JOB_VARIABLES:
        variables.setdefault(name, f"-j{jobs}" if name == "MAKEFLAGS" else str(jobs))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _version_of(program: str) -> Version:
    """Ask GNU make or ninja for its version; () if it is another program or does not answer."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    match = re.match(r"(?:GNU Make )?(\d+(?:\.\d+)+)", done.stdout)
    return tuple(map(int, match[1].split("."))) if match and done.returncode == 0 else ()
