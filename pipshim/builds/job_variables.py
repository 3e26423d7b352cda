"""Set the variables that tell build tools how many processes to start.

make, ninja from 1.13 on, cargo and GCC take tokens of a jobserver (`pipshim.builds.jobserver`);
other tools get a number. The user's own settings stay. GNU make understands a FIFO from 4.4 on.
Older ones only take file descriptors, which Python closes in the programs that it starts: so a
script before them on PATH opens the FIFO, and another one tells ninja what they do not understand.
GCC takes a FIFO from 13 on. An older one runs make at link time, without what it does not know.
An older ninja reads no variable: a script gives it its number.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import replace_file
from pipshim.base.cores import available_cores
from pipshim.base.program_output import output_of
from pipshim.base.shared_results import SharedResults

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
_PROGRAMS = ".programs"
_SECONDS = 5
_FIFO_MAKE, _AUTH_MAKE, _FIFO_NINJA = (4, 4), (4, 2), (1, 13)
_MAKE_SCRIPT = r"""#!/bin/sh
# Lets GNU make {version} use the jobserver of pipshim.
if [ -n "$PIPSHIM_JOBSERVER" ] && exec 9<>"$PIPSHIM_JOBSERVER"; then
    others=$(printf %s "$MAKEFLAGS" | sed 's/--jobserver-[^ ]*//g; s/ -j[0-9]*//g')
    MAKEFLAGS="$others -j{jobs} --jobserver-{option}"
    export MAKEFLAGS
    case "$# $1 $3 $4" in  # of GCC's lto-wrapper: its number of jobs would end the jobserver
        "4 -f -j"*" all") exec {program} -f "$2" all ;;
    esac
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

_OLD_NINJA_SCRIPT = """#!/bin/sh
# Gives ninja {version}, which does not know jobservers, its share of the cores.
exec {program} -j{share} "$@"
"""
_WRAPPED = ".pipshim-ninja"
"""What ninja is called in a build environment whose ninja is a script."""

Version = tuple[int, ...]


class JobTools:
    """Knows which make and ninja builds find, each asked once."""

    def __init__(self) -> None:
        self._versions: SharedResults[Version] = SharedResults()

    def add_variables(self, variables: MutableMapping[str, str], share: Share) -> None:
        """Add to a build's variables what its share is; those that are there stay."""
        if share.jobs is None:
            return
        if share.fifo is None or "MAKEFLAGS" in variables:
            _add_numbers(variables, share.jobs)
            return
        makes = self._found(("make", "gmake"), variables["PATH"])
        ninjas = self._found(("ninja", "ninja-build"), variables["PATH"])
        if any(not version for _, version in makes.values()):  # not GNU make: it would not know it
            _add_numbers(variables, share.jobs)
            return
        is_old_make = any(version < _FIFO_MAKE for _, version in makes.values())
        is_new_ninja = bool(ninjas) and min(one[1] for one in ninjas.values()) >= _FIFO_NINJA
        scripts = {name: (_MAKE_SCRIPT, *one) for name, one in makes.items()}
        for name, one in ninjas.items():
            if one[1] < _FIFO_NINJA or is_old_make:
                script = _OLD_NINJA_SCRIPT if one[1] < _FIFO_NINJA else _NINJA_SCRIPT
                scripts[name] = (script, *one)
        numbers = ["NPY_NUM_BUILD_JOBS", *([] if is_new_ninja else ["MAX_JOBS"])]
        if any(_is_old_and_inside(one, variables) for one in ninjas.values()):
            numbers.append("CMAKE_BUILD_PARALLEL_LEVEL")  # CMake may run it by its path
        for name in numbers:
            variables.setdefault(name, str(share.jobs))
        flags = f" -j{available_cores()} --jobserver-auth=fifo:{share.fifo}"
        variables.setdefault(_CARGO, flags)
        if not is_old_make:
            variables["MAKEFLAGS"] = flags
        if scripts:
            folder = share.fifo.with_name(f"{share.fifo.name}{_PROGRAMS}")
            for name, (script, program, version) in scripts.items():
                _write(folder / name, script, program, version, share.jobs)
            variables[JOBSERVER] = str(share.fifo)
            variables["PATH"] = f"{folder}{os.pathsep}{variables['PATH']}"

    def wrap_ninja(self, programs: Path, path: str) -> None:
        """Put a script before the ninja of a build environment, if it needs one.

        scikit-build-core runs it by its path, and not as PATH has it.

        Args:
            path: the PATH of builds.

        """
        ninja, real = programs / "ninja", programs / _WRAPPED
        if not ninja.is_file() or sys.platform == "win32":
            return
        makes = self._found(("make", "gmake"), path).values()
        if not any(() < version < _FIFO_MAKE for _, version in makes):
            return
        if (version := _version_of(str(ninja))) >= _FIFO_NINJA:
            ninja.rename(real)
            _write(ninja, _NINJA_SCRIPT, str(real), version, available_cores())

    def _found(self, names: tuple[str, ...], path: str) -> dict[str, tuple[str, Version]]:
        """Return which of some programs are on PATH: their files and versions."""
        found = {}
        for name in names:
            program = shutil.which(name, path=path)
            if program is not None:
                found[name] = program, self._versions.get(program, partial(_version_of, program))
        return found


def _is_old_and_inside(ninja: tuple[str, Version], variables: Mapping[str, str]) -> bool:
    environment = variables.get("VIRTUAL_ENV")
    is_inside = environment is not None and ninja[0].startswith(f"{environment}{os.sep}")
    return is_inside and ninja[1] < _FIFO_NINJA


def _write(path: Path, script: str, program: str, version: Version, share: int) -> None:
    text = script.format(
        program=shlex.quote(program),
        version=".".join(map(str, version)),
        jobs=available_cores(),
        share=share,
        option=_option_of(version),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), mode=0o700)


def _option_of(make: Version) -> str:
    if make >= _FIFO_MAKE:
        return "auth=fifo:$PIPSHIM_JOBSERVER"
    return "auth=9,9" if make >= _AUTH_MAKE else "fds=9,9"


def without_jobs(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that differ with a build's share of the machine."""
    left = {
        name: value
        for name, value in variables.items()
        if name not in (*JOB_VARIABLES, _CARGO, JOBSERVER)
    }
    if fifo := variables.get(JOBSERVER):
        left["PATH"] = left["PATH"].removeprefix(f"{fifo}{_PROGRAMS}{os.pathsep}")
    return left


def _add_numbers(variables: MutableMapping[str, str], jobs: int) -> None:
    for name in JOB_VARIABLES:
        variables.setdefault(name, f"-j{jobs}" if name == "MAKEFLAGS" else str(jobs))


def _version_of(program: str) -> Version:
    """Ask GNU make or ninja for its version; () if it is another program or does not answer."""
    text = output_of([program, "--version"], _SECONDS)
    match = re.match(r"(?:GNU Make )?(\d+(?:\.\d+)+)", text)
    return tuple(map(int, match[1].split("."))) if match else ()
