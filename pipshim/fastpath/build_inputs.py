"""What the built wheels of an environment depend on outside the project: variables and programs.

A stamp, and a note of an environment, have it as one line of text. An unchanged ``run`` compares it
with what there is now, so little is imported.
"""

from __future__ import annotations

from pipshim.base.light import jsons
from pipshim.base.light.digests import hex_of
from pipshim.model.build_variables import LANGUAGES, Patterns, VariableRules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def describe(
    records: Iterable[Mapping[str, Any]],
    rules: VariableRules,
    environ: Mapping[str, str],
    program_state: Callable[[str, str], str],
) -> str:
    """Describe what wheels depend on, and how it is now; empty if there are no wheels.

    Args:
        records: the build records of the wheels, as plain data.
        rules: which variables count.
        environ: the user's environment variables.
        program_state: given the name of a program and PATH, says how its file is.

    """
    import json  # noqa: PLC0415 an unchanged run only reads

    from pipshim.model.build_tools import candidates  # noqa: PLC0415 as above

    records = list(records)
    if not records:
        return ""
    names = {name for record in records for name in record.get("variables", ())}
    tools = {name for record in records for name in record.get("tools", ())}
    described = {
        "names": sorted(filter(rules.counts, names)),
        "compiled": any(record.get("compiled") for record in records),
        "record": rules.record.texts,
        "ignore": rules.ignore.texts,
        "programs": sorted({one for name in tools for one in candidates(name, environ)}),
    }
    return json.dumps({**described, "digest": _digest(described, environ, program_state)})


def hold(
    description: str, environ: Mapping[str, str], program_state: Callable[[str, str], str]
) -> bool:
    """Return whether all that was described is as it was."""
    try:
        described = jsons.loads(description)
        return bool(described["digest"] == _digest(described, environ, program_state))
    except (ValueError, KeyError, TypeError):
        return False


def _digest(
    described: Mapping[str, Any],
    environ: Mapping[str, str],
    program_state: Callable[[str, str], str],
) -> str:
    rules = VariableRules(Patterns(described["record"]), Patterns(described["ignore"]))
    languages = LANGUAGES if described["compiled"] else ()
    names = {name for name in environ if rules.is_listed(name, languages)}
    lines = [f"{name}={environ.get(name)!r}" for name in sorted(names.union(described["names"]))]
    path = environ.get("PATH", "")
    lines += (f"{name} {program_state(name, path)}" for name in described["programs"])
    return hex_of("\n".join(lines).encode("utf-8", "surrogateescape"))[:16]
