"""Check the variables and programs that the built wheels of an environment depend on.

A stamp, and a note of an environment, have it as one line of text. `pipshim.fastpath.up_to_date`
compares the programs, and asks this only if the environment variables are not the very same.
"""

from __future__ import annotations

import os
from hashlib import sha256

from pipshim.base.light import jsons
from pipshim.model.build_variables import LANGUAGES, Patterns, VariableRules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def programs_of(
    records: Iterable[Mapping[str, Any]],
    environ: Mapping[str, str],
    compilers: Mapping[str, str],
) -> list[str]:
    """Return the programs and files that wheels depend on: names to look for on PATH, and paths.

    Relative paths are those of a build's own files.

    Args:
        records: the build records of the wheels, as plain data.
        environ: the user's environment variables.
        compilers: the commands of the compilers that Python was built with.

    """
    from pipshim.model.build_tools import OF_CHANNEL  # noqa: PLC0415 an unchanged run only reads
    from pipshim.model.compiler_choice import FILES, CompilerChoice, candidates  # noqa: PLC0415

    found: set[str | None] = set()
    for record in records:
        tools = record.get("tools", {})
        systems = frozenset([*tools, *record.get("against", ())])
        choice = CompilerChoice(environ, compilers, record.get("config_settings", {}), systems)
        for name, tool in tools.items():
            if name not in FILES:
                found.update(candidates(name.partition(OF_CHANNEL)[0], choice))
            found.add(tool["path"] if tool else None)
        found.update([choice.rustup_settings, *(choice.file(name) for name in FILES)])
    return sorted(one for one in found if one and (os.path.isabs(one) or not os.path.dirname(one)))  # noqa: PTH117, PTH120


def describe_variables(
    records: Iterable[Mapping[str, Any]], rules: VariableRules, environ: Mapping[str, str]
) -> str:
    """Describe which variables wheels depend on, and how they are.

    Args:
        records: the build records of the wheels, as plain data.
        rules: which variables count.
        environ: the user's environment variables.

    """
    import json  # noqa: PLC0415 as above

    records = list(records)
    names = {name for record in records for name in record.get("variables", ())}
    described = {
        "names": sorted(filter(rules.counts, names)),
        "compiled": any(record.get("compiled") for record in records),
        "record": rules.record.texts,
        "ignore": rules.ignore.texts,
    }
    return json.dumps({**described, "digest": _digest(described, environ)})


def variables_hold(description: str, environ: Mapping[str, str]) -> bool:
    """Return whether the described variables are as they were."""
    try:
        described = jsons.loads(description)
        return bool(described["digest"] == _digest(described, environ))
    except (ValueError, KeyError, TypeError):
        return False


def _digest(described: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    rules = VariableRules(Patterns(described["record"]), Patterns(described["ignore"]))
    languages = LANGUAGES if described["compiled"] else ()
    names = {name for name in environ if rules.is_listed(name, languages)}
    lines = [f"{name}={environ.get(name)!r}" for name in sorted(names.union(described["names"]))]
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]
