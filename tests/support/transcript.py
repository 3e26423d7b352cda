"""Commands for both sides, as a text that reads like what is typed into a shell."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.support.sides import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Scenario:
    """Commands, one after the other.

    Attributes:
        calls: the commands.
        files: what is in the working directory at first.
        whole: it changes pip or pipshim themselves, so that all has to be made anew after it.

    """

    calls: tuple[Call, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


def read(text: str) -> dict[str, Scenario]:
    """Read all scenarios of a text; ``tests/dropin.txt`` says how they are written."""
    found: dict[str, Scenario] = {}
    name, file = "", ""
    exported: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        scenario = found.get(name, Scenario())
        if line.startswith("["):
            name, _, mark = line[1:].partition("]")
            scenario, exported = Scenario(whole="whole" in mark), {}
        elif line.startswith("file "):
            file = line.removeprefix("file ")
            scenario = replace(scenario, files={**scenario.files, file: ""})
        elif line.startswith("    "):
            lines = f"{scenario.files[file]}{line[4:]}\n"
            scenario = replace(scenario, files={**scenario.files, file: lines})
        elif line.startswith("export "):
            exported = exported | dict(word.split("=", 1) for word in shlex.split(line)[1:])
        else:
            scenario = replace(scenario, calls=(*scenario.calls, _call(line, exported)))
        found[name] = scenario
    return found


def _call(line: str, exported: Mapping[str, str]) -> Call:
    line, _, marks = line.partition("  #")
    call = Call(
        "", exported, builds="builds" in marks, tty="tty" in marks, process="process" in marks
    )
    if line.startswith("complete "):
        (words,) = shlex.split(line)[1:]
        position = len(words.split(" ")) - 1
        asked = {"PIP_AUTO_COMPLETE": "1", "COMP_WORDS": words, "COMP_CWORD": f"{position}"}
        return replace(call, env={**exported, **asked})
    if line.startswith("cd "):
        folder, _, line = line.removeprefix("cd ").partition(" && ")
        call = replace(call, cwd=folder.strip("'"))
    if line.startswith("echo"):
        answer, _, line = line.removeprefix("echo").partition("| ")
        call = replace(call, stdin=f"{answer.strip()}\n")
    while _VARIABLE.match(line):
        word = shlex.split(line)[0]
        name, _, value = word.partition("=")
        call = replace(call, env={**call.env, name: value})
        line = re.sub(r"^\w+=('[^']*'|\S*) ", "", line)
    if line.startswith("python -m pip"):
        return replace(call, program="-m", line=line.removeprefix("python -m pip").strip())
    program, _, line = line.partition(" ")
    return replace(call, program=program, line=line)
