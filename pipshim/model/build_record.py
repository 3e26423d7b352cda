"""Build records: what a wheel was built from, and whether that still holds.

A wheel is reused only if a build now would start from the same source, with the same settings and
requirements, and would use the same distributions that compiled code can be built against. An
isolated or matched build uses all of its environment; a build without isolation uses what its
requirements brought and what it was seen to import.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipshim.model.build_mode import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA = 2
_OLDER_SCHEMA = 1
"""Records of this schema do not say which distributions count, so all of them do. Without isolation
they may lack what child processes imported: such a record is not read."""


@dataclass(frozen=True)
class Used:
    """A distribution that a build used.

    Attributes:
        version: its version.
        identity: tells its content: the hash of the wheel, or of the source that it was built of.
        counts: whether another version of it invalidates the wheel: compiled code can be built
            against it (`pipshim.builds.native`).

    """

    version: str
    identity: str
    counts: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Record:
    """What a wheel was built from and against.

    Attributes:
        name: the distribution.
        version: its version.
        source: digest of the sdist or commit (`pipshim.model.artifacts.source_digest`).
        mode: the build mode.
        python: implementation and minor version, ``cpython 3.11``.
        platform: system and machine, ``linux x86_64``.
        requirements: the build requirements, declared and extra.
        constraints: the build constraints (isolated and matched builds).
        config_settings: as given to the backend.
        variables: the extra environment variables.
        against: by name, the distributions that the build used.

    """

    name: str
    version: str
    source: str
    mode: str
    python: str
    platform: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    config_settings: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    against: Mapping[str, Used] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Say it as plain data."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Record | None:
        """Read what ``to_json`` returned; None for anything that cannot tell enough."""
        if not isinstance(data, dict) or data.get("schema") not in {_OLDER_SCHEMA, SCHEMA}:
            return None
        if data["schema"] == _OLDER_SCHEMA and data.get("mode") == Mode.NO_ISOLATION:
            return None
        try:
            fields = {key: value for key, value in data.items() if key != "schema"}
            fields["requirements"] = tuple(fields["requirements"])
            fields["constraints"] = tuple(fields["constraints"])
            fields["against"] = {name: Used(**used) for name, used in fields["against"].items()}
            return cls(**fields)
        except (KeyError, TypeError, AttributeError):
            return None

    def why(self) -> str:
        """Say why a wheel can be taken whose record this is, and still holds."""
        shown = [f"{name} {used.version}" for name, used in self.against.items() if used.counts]
        if not shown:
            return "built earlier"
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""  # noqa: PLR2004 fits a line
        return f"built earlier against the same {', '.join(shown[:3])}{more}"

    def key(self) -> str:
        """Name it: equal records have equal keys."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def difference(
    record: Record,
    now: Record,
    available: Mapping[str, Used],
    *,
    exact: bool = False,
    content: Callable[[str], str] = str,
) -> str | None:
    """Say why a wheel may not be reused; None if its record still holds.

    Args:
        record: of the wheel that is there.
        now: of the build that would be made; its ``against`` is not looked at.
        available: what the environment of that build has.
        exact: whether every distribution counts, pure Python ones too.
        content: tells of two different identities whether they are of the same content: a wheel,
            and what was installed from it.

    """
    for what in ("source", "python", "platform"):
        before, after = getattr(record, what), getattr(now, what)
        if before != after:
            return f"another {what}"
    if dict(record.config_settings) != dict(now.config_settings):
        return "other config settings"
    if dict(record.variables) != dict(now.variables):
        return "other build variables"
    changed = _changed(record, available, exact=exact, content=content)
    if changed is not None:
        return changed
    if record.requirements != now.requirements:
        return "other build requirements"
    if now.mode != Mode.NO_ISOLATION:  # it uses all that its environment has
        if record.constraints != now.constraints:
            return "other build constraints"
        new = sorted(
            name
            for name, found in available.items()
            if name not in record.against and (found.counts or exact)
        )
        if new:
            return f"built without {', '.join(new)}"
    return None


def _changed(
    record: Record,
    available: Mapping[str, Used],
    *,
    exact: bool,
    content: Callable[[str], str],
) -> str | None:
    for name, used in sorted(record.against.items()):
        if not (used.counts or exact):
            continue
        found = available.get(name)
        if found is None:
            return f"built against {name} {used.version}, which the build environment no longer has"
        if found.version != used.version:
            return f"built against {name} {used.version}, the lock has {found.version}"
        if found.identity != used.identity and content(found.identity) != content(used.identity):
            return f"built against another build of {name} {used.version}"
    return None
