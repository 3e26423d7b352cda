"""Build records: what a wheel was built from, and whether that still holds.

A wheel is reused only if a build now would start from the same source, with the same settings and
requirements, would find the same variables and tools, and would use the same distributions that
compiled code can be built against. An isolated or matched build uses all of its environment; a
build without isolation uses what its requirements brought and what it was seen to import.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from pipshim.base.light.dataclasses import dataclass
from pipshim.model import build_tools, build_variables
from pipshim.model.build_mode import Mode
from pipshim.model.build_tools import BUILD_BACKENDS, BUILD_SYSTEMS, OF_CHANNEL, Tool
from pipshim.model.build_variables import VariableRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipshim.model.settings import Abi

SCHEMA = 3
"""Records of schema 2 and older do not have the variables that a build read: they are not read."""

OLDER = "its build record is that of an older pipshim"
"""Why a wheel is not reused whose record lacks what counts today."""

PARTS = {"major": 1, "minor": 2, "micro": 3}
"""How many numbers of a version are the same at each level of `Abi`; all of it for ``exact``."""


@dataclass(frozen=True)
class Used:
    """A distribution that a build used.

    Attributes:
        identity: tells its content: the hash of the wheel, or of the source that it was built of.
        counts: whether another version of it invalidates the wheel: compiled code can be built
            against it (`pipshim.builds.native`).

    """

    version: str
    identity: str
    counts: bool = field(default=True, compare=False)


def no_tool(_name: str, _systems: frozenset[str]) -> Tool | None:
    """Find no tool."""
    return None


@dataclass(frozen=True)
class Conditions:
    """What a build would meet now.

    Attributes:
        available: the distributions of its environment.
        rules: which variables count.
        tools: finds a compiler or program that it would use, by its name and the names of all
            distributions and programs that the build uses; None if there is none.
        exact: whether every distribution counts, pure Python ones too, in the very same version.
        abi: by distribution, how far versions may differ; not listed ones not at all.
        content: tells of two different identities whether they are of the same content: a wheel,
            and what was installed from it.

    """

    available: Mapping[str, Used] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    rules: VariableRules = field(default_factory=VariableRules)
    tools: Callable[[str, frozenset[str]], Tool | None] = no_tool
    exact: bool = False
    abi: Mapping[str, Abi] = field(default_factory=dict)
    content: Callable[[str], str] = str


@dataclass(frozen=True)
class Record:
    """What a wheel was built from and against.

    Attributes:
        source: digest of the sdist or commit (`pipshim.model.artifacts.digest_of_source`).
        python: implementation and minor version, ``cpython 3.11``.
        platform: system and machine, ``linux x86_64``.
        requirements: the build requirements, declared and extra.
        constraints: the build constraints (isolated and matched builds).
        config_settings: as given to the backend.
        variables: the environment variables that count (`pipshim.model.build_variables`): digests
            of their values, None for one that was not set.
        compiled: whether the wheel is for one platform only: compilers may have made it.
        tools: of such a wheel, the compilers and programs that it depends on, by name; None for a
            compiler that was not found.
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
    variables: Mapping[str, str | None] = field(default_factory=dict)
    compiled: bool = False
    tools: Mapping[str, Tool | None] = field(default_factory=dict)
    against: Mapping[str, Used] = field(default_factory=dict)

    @property
    def languages(self) -> frozenset[str]:
        """What was compiled (`pipshim.model.build_variables.LANGUAGES`)."""
        return languages_of(self.tools, self.against) if self.compiled else frozenset()

    @property
    def systems(self) -> frozenset[str]:
        """The names of the programs and distributions that decide which compilers are taken."""
        return frozenset([*self.tools, *self.against])

    def to_json(self) -> dict[str, Any]:
        """Say it as plain data."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Record | None:
        """Read what ``to_json`` returned; None for anything that cannot tell enough."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            return None
        try:
            fields = {key: value for key, value in data.items() if key != "schema"}
            fields["requirements"] = tuple(fields["requirements"])
            fields["constraints"] = tuple(fields["constraints"])
            fields["tools"] = {
                name: None if tool is None else Tool(**tool)
                for name, tool in fields["tools"].items()
            }
            fields["against"] = {name: Used(**used) for name, used in fields["against"].items()}
            return cls(**fields)
        except (KeyError, TypeError, AttributeError):
            return None

    def why(self, *, elsewhere: bool = False) -> str:
        """Say why a wheel can be taken whose record this is, and still holds."""
        built = "built on another machine" if elsewhere else "built earlier"
        shown = [f"{name} {used.version}" for name, used in self.against.items() if used.counts]
        if not shown:
            return built
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""  # noqa: PLR2004 fits a line
        return f"{built} against the same {', '.join(shown[:3])}{more}"

    def key(self) -> str:
        """Name it: equal records have equal keys."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def languages_of(tools: Iterable[str], against: Iterable[str]) -> frozenset[str]:
    """Return what a build that used these tools and distributions has compiled.

    CMake and the like may compile for GPUs what is not in the source tree.
    """
    tools, against, found = set(tools), set(against), {"c"}
    for_gpus = {"nvcc", "torch", *BUILD_SYSTEMS, *BUILD_BACKENDS}
    if for_gpus & (tools | against):
        found.add("gpu")
    if any(name.partition(OF_CHANNEL)[0] == "rustc" for name in tools):
        found.add("rust")
    return frozenset(found)


def is_compatible(version: str, other: str, abi: Abi) -> bool:
    """Return whether what was built against a version can be used with another one.

    ``major`` is for versions of the same first number, ``minor`` of the same first two, ``micro``
    of the same first three; ``exact`` for none but the same.
    """
    count = PARTS.get(abi)
    if count is None:
        return False
    try:
        one, two = Version(version), Version(other)
    except InvalidVersion:
        return False
    parts = ((*each.release, 0, 0)[:count] for each in (one, two))
    return one.epoch == two.epoch and len(set(parts)) == 1


def difference(record: Record, now: Record, conditions: Conditions) -> str | None:
    """Say why a wheel may not be reused, each reason in words; None if its record still holds.

    Args:
        record: of the wheel that is there.
        now: of the build that would be made; what only a build can tell is not looked at.
        conditions: what that build would meet.

    """
    for what in ("source", "python", "platform"):
        if getattr(record, what) != getattr(now, what):
            return f"another {what}"
    return "; ".join(_differences(record, now, conditions)) or None


def _differences(record: Record, now: Record, conditions: Conditions) -> Iterator[str]:
    if dict(record.config_settings) != dict(now.config_settings):
        yield "other config settings"
    yield from build_variables.differences(
        record.variables, conditions.environ, conditions.rules, record.languages
    )
    now_found = {name: conditions.tools(name, record.systems) for name in record.tools}
    yield from build_tools.differences(record.tools, now_found)
    yield from _changed(record, conditions)
    if record.requirements != now.requirements:
        yield "other build requirements"
    if now.mode == Mode.NO_ISOLATION:
        return
    # It uses all that its environment has.
    if record.constraints != now.constraints:
        yield "other build constraints"
    new = sorted(
        name
        for name, found in conditions.available.items()
        if name not in record.against and (found.counts or conditions.exact)
    )
    if new:
        yield f"built without {', '.join(new)}"


def _changed(record: Record, conditions: Conditions) -> Iterator[str]:
    content = conditions.content
    for name, used in sorted(record.against.items()):
        if not (used.counts or conditions.exact):
            continue
        found = conditions.available.get(name)
        if found is None:
            yield f"built against {name} {used.version}, which the build environment no longer has"
        elif not conditions.exact and is_compatible(
            used.version, found.version, conditions.abi.get(name, "exact")
        ):
            continue
        elif found.version != used.version:
            yield f"built against {name} {used.version}, the lock has {found.version}"
        elif found.identity != used.identity and content(found.identity) != content(used.identity):
            yield f"built against another build of {name} {used.version}"
