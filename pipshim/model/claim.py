"""Claims: who builds what, so that other machines wait for the result. Pure.

A claim is a folder of a remote with one file, whose name is a number. While its holder is alive, it
creates the next number and removes the last one. Files are created exclusively, so whoever creates
the number after one that stays the same takes the claim over. Clocks are not compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.model import build_tools, build_variables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipshim.model.build_record import Conditions, Record

MOST_BYTES = 1000
"""The largest file of a claim that is read."""

MOST_NAME = 40
"""How long the name of a holder may be."""

MACHINE_DIGITS = 8
"""How many digits of a selection key are those of the machine."""

_SCHEMA = 1
_FILE = re.compile(r"[0-9]{10}\.json")
_LAST = 10**10 - 1
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Claim:
    """What a claim says of its holder.

    Attributes:
        id: random, of one build.
        holder: a name that the user has chosen; empty without one.
        seconds: for how long it has been building.

    """

    id: str
    holder: str
    seconds: int

    def to_bytes(self) -> bytes:
        """Return the content of its file."""
        return json.dumps({"schema": _SCHEMA, **vars(self)}, sort_keys=True).encode("ascii")

    @property
    def who(self) -> str:
        """The holder, for people."""
        return self.holder or f"builder {self.id[:6]}"


def read(content: bytes) -> Claim | None:
    """Read a claim; None for anything else: whoever wrote it has the claim, but is not named."""
    try:
        data = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.pop("schema", None) != _SCHEMA:
        return None
    match data:
        case {"id": str() as key, "holder": str() as holder, "seconds": int() as seconds}:
            if _ID.fullmatch(key) is None or not is_name(holder) or not 0 <= seconds < 10**8:
                return None
            return Claim(key, holder, seconds)
    return None


def is_name(text: str) -> bool:
    """Return whether a text can be shown as the name of a holder."""
    return len(text) <= MOST_NAME and text.isprintable() and text == text.strip()


def file_name(number: int) -> str:
    """Return the name of a claim's file."""
    return f"{number:010}.json"


def number_of(names: Iterable[str]) -> int | None:
    """Return the number of a claim's newest file; None if nobody has the claim."""
    return max((int(name[:10]) for name in names if _FILE.fullmatch(name)), default=None)


def can_follow(number: int) -> bool:
    """Return whether there is a number after this one."""
    return number < _LAST


def key_of(now: Record, conditions: Conditions) -> str:
    """Return the name of the claim on a build: the same on machines that would build the same.

    What only a build can tell does not count, so a result may turn out not to fit. Machines that
    differ in something that the build does not use have claims of their own.

    Args:
        now: the record of the build that would be made.
        conditions: what it would meet.

    """
    against = {
        name: [used.version, used.identity]
        for name, used in conditions.available.items()
        if used.counts
    }
    intended = [
        *(now.source, now.python, now.platform, now.requirements, now.constraints),
        dict(now.config_settings),
        *_machine(conditions),
        against,
    ]
    return _digest(intended)[:32]


def machine_key(conditions: Conditions) -> str:
    """Return what is the same on machines with equal compilers and variables that builds read."""
    return _digest(_machine(conditions))[:MACHINE_DIGITS]


def selection_key(machine: str, claim: str) -> str:
    """Return what the name of a result says of what was known before its build.

    Args:
        machine: that which built it (`machine_key`).
        claim: the name of the claim on the build (`key_of`).

    """
    return f"{machine}{claim[:8]}"


def _machine(conditions: Conditions) -> list[dict[str, str | None]]:
    listed = build_variables.recorded(
        (), conditions.environ, conditions.rules, build_variables.LANGUAGES
    )
    tools = {name: conditions.tools(name, frozenset()) for name in build_tools.LANGUAGES}
    return [
        listed,
        {name: tool.version if tool is not None else None for name, tool in tools.items()},
    ]


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
