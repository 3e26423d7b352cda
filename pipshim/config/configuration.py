"""``[tool.pipshim]``, read strictly: no setting is ignored for a slip of the pen.

`Reader` turns values as ``tomllib`` gives them into typed ones, and is used for the rest of
pyproject.toml too (`pipshim.config.project`); what it refuses is a `ProjectError` with file and
line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.config import cutoff
from pipshim.config.direct import DirectSource, read_sources
from pipshim.errors import ProjectError
from pipshim.python.targets import FORM, KNOWN, TargetName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

KeyPath = tuple["str | int", ...]
"""Where a value stands: ``("project", "dependencies", 2)``."""

STRATEGIES = ("highest", "lowest", "lowest-direct")
"""Which versions are chosen; the names are uv's."""

Rebuild = Literal["auto", "exact"] | frozenset[NormalizedName]
"""Which distributions count in build records; with names, all do for these packages."""

LineOf = Callable[[KeyPath], "int | None"]
"""Gives the line (from 1) of a value's key or array item, or of the nearest thing around it."""


@dataclass(frozen=True)
class ExtraBuildRequirement:
    """A requirement that a package's build needs beyond those it declares.

    Attributes:
        match_runtime: it must be the version that the lock has for run time.

    """

    requirement: Requirement
    match_runtime: bool


@dataclass(frozen=True)
class StaticMetadata:
    """Metadata written by hand for an sdist that cannot give it.

    Attributes:
        version: None means all versions.
        build_requires: what the build requires besides ``[build-system]``; None means unknown.

    """

    name: NormalizedName
    version: Version | None
    requires_dist: tuple[Requirement, ...]
    requires_python: SpecifierSet | None
    provides_extra: tuple[NormalizedName, ...]
    build_requires: tuple[Requirement, ...] | None = None

    def is_about(self, name: NormalizedName | None, version: Version | None) -> bool:
        """Whether this is the metadata of a version."""
        return self.name == name and version is not None and self.version in (None, version)


@dataclass(frozen=True)
class Configuration:
    """``[tool.pipshim]``; ``Configuration()`` is "nothing said"."""

    no_build_isolation: bool | None = None
    no_build_isolation_package: frozenset[NormalizedName] = frozenset()
    match_runtime: Literal["auto"] | frozenset[NormalizedName] = "auto"
    default_groups: tuple[str, ...] | None = None
    target_environments: tuple[TargetName, ...] = ()
    constraint_dependencies: tuple[Requirement, ...] = ()
    override_dependencies: tuple[Requirement, ...] = ()
    build_constraint_dependencies: tuple[Requirement, ...] = ()
    extra_build_dependencies: Mapping[NormalizedName, tuple[ExtraBuildRequirement, ...]] = field(
        default_factory=dict
    )
    extra_build_variables: Mapping[NormalizedName, Mapping[str, str]] = field(default_factory=dict)
    config_settings_package: Mapping[NormalizedName, Mapping[str, str | list[str]]] = field(
        default_factory=dict
    )
    dependency_metadata: tuple[StaticMetadata, ...] = ()
    package: bool | None = None
    sources: Mapping[NormalizedName, DirectSource] = field(default_factory=dict)
    resolution: str | None = None
    exclude_newer: str | None = None
    rebuild: Rebuild = "auto"


def load_configuration(table: object, where: Path, line_of: LineOf) -> Configuration:
    """Read the value of ``[tool.pipshim]``.

    That the names of ``default-groups`` exist is for the caller to check, who knows the groups.

    Raises:
        ProjectError: an unknown key, a value of the wrong type, or an invalid name, version,
            specifier or requirement.

    """
    reader = Reader(where, line_of)
    path: KeyPath = ("tool", "pipshim")
    settings: dict[str, Any] = {}
    for key, value in reader.known_table(table, path, tuple(SETTINGS)).items():
        settings[key.replace("-", "_")] = SETTINGS[key].read(reader, value, (*path, key))
    return Configuration(**settings)


@dataclass(frozen=True)
class Reader:
    """Checks the values of one TOML file; every method raises `ProjectError`."""

    where: Path
    line_of: LineOf

    def error(self, path: KeyPath, problem: str, *, hint: str | None = None) -> ProjectError:
        """Make the error for what stands at a key path (its line is looked up)."""
        return ProjectError(
            self.where, f"{format_key(path)} {problem}", line=self.line_of(path), hint=hint
        )

    def wrong_type(
        self, path: KeyPath, wanted: str, value: object, *, hint: str | None = None
    ) -> ProjectError:
        """Make the error for a value of another type than the wanted one."""
        return self.error(path, f"must be {wanted}, not {_describe(value)}", hint=hint)

    def table(self, value: object, path: KeyPath) -> dict[str, Any]:
        """Return a table."""
        if not isinstance(value, dict):
            raise self.wrong_type(path, "a table", value)
        return value

    def known_table(self, value: object, path: KeyPath, known: tuple[str, ...]) -> dict[str, Any]:
        """Return a table, all of whose keys are among the known."""
        table = self.table(value, path)
        for key in table:
            if key not in known:
                raise ProjectError(
                    self.where,
                    f"unknown key {key!r} in {format_key(path)};"
                    f" the nearest known one is {nearest(key, known)!r}",
                    line=self.line_of((*path, key)),
                    hint=f"the known keys are: {', '.join(known)}",
                )
        return table

    def by_name(
        self, value: object, path: KeyPath
    ) -> Iterator[tuple[NormalizedName, Any, KeyPath]]:
        """Give a table's entries; its keys are names, no two of them the same once normalised."""
        spelled: dict[NormalizedName, str] = {}
        for key, item in self.table(value, path).items():
            name = self.name(key, (*path, key))
            if name in spelled:
                raise self.error(
                    (*path, key), f"is the same name as {spelled[name]!r} (both are {name!r})"
                )
            spelled[name] = key
            yield name, item, (*path, key)

    def array(self, value: object, path: KeyPath) -> Iterator[tuple[Any, KeyPath]]:
        """Give an array's items, each with where it stands."""
        if not isinstance(value, list):
            raise self.wrong_type(path, "an array", value)
        return ((item, (*path, index)) for index, item in enumerate(value))

    def boolean(self, value: object, path: KeyPath) -> bool:
        """Return a boolean (a number or a word is none)."""
        if not isinstance(value, bool):
            raise self.wrong_type(path, "true or false", value)
        return value

    def string(self, value: object, path: KeyPath) -> str:
        """Return a string."""
        if not isinstance(value, str):
            raise self.wrong_type(path, "a string", value)
        return value

    def strings(self, value: object, path: KeyPath) -> tuple[str, ...]:
        """Return an array of strings."""
        return tuple(self.string(item, at) for item, at in self.array(value, path))

    def name(self, value: object, path: KeyPath) -> NormalizedName:
        """Return a package's, extra's or group's name, normalised (PEP 503, PEP 685, PEP 735)."""
        text = self.string(value, path)
        try:
            return canonicalize_name(text, validate=True)
        except InvalidName:
            raise self.error(
                path,
                f"is not a valid name: {text!r}",
                hint="letters, digits, '.', '-' and '_'; a letter or digit first and last",
            ) from None

    def names(self, value: object, path: KeyPath) -> tuple[NormalizedName, ...]:
        """Return an array of names, in its order, each once."""
        return tuple(dict.fromkeys(self.name(item, at) for item, at in self.array(value, path)))

    def version(self, value: object, path: KeyPath) -> Version:
        """Return a version (PEP 440)."""
        text = self.string(value, path)
        try:
            return Version(text)
        except InvalidVersion:
            raise self.error(path, f"is not a valid version: {text!r}") from None

    def specifiers(self, value: object, path: KeyPath) -> SpecifierSet:
        """Return version specifiers (PEP 440)."""
        text = self.string(value, path)
        try:
            return SpecifierSet(text)
        except InvalidSpecifier as error:
            raise self.error(
                path,
                f"is not a valid version specifier: {text!r}: {error}",
                hint="an operator and a version, such as '>=3.10'",
            ) from None

    def requirement(self, value: object, path: KeyPath) -> Requirement:
        """Return a requirement (PEP 508) whose marker can be evaluated."""
        text = self.string(value, path)
        try:
            requirement = Requirement(text)
            if requirement.marker is not None:
                # not with this machine's values, so that the answer is the same everywhere
                requirement.marker.evaluate(_ANY_ENVIRONMENT)
        except InvalidRequirement as error:
            raise self.error(path, f"is not a valid requirement: {text!r}: {error}") from None
        except UndefinedComparison:
            raise self.error(
                path,
                f"is not a valid requirement: {text!r}: its marker has an operator"
                " that is not defined for these values",
            ) from None
        except UndefinedEnvironmentName as error:
            raise self.error(
                path,
                f"is not a valid requirement: {text!r}: its marker asks for {error.args[0]!r},"
                " which has a value in lock files only",
            ) from None
        return requirement

    def requirements(self, value: object, path: KeyPath) -> tuple[Requirement, ...]:
        """Return an array of requirements."""
        return tuple(self.requirement(item, at) for item, at in self.array(value, path))


def format_key(path: KeyPath) -> str:
    """Write a key path as TOML would: ``tool.pipshim."a.b"[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{quoted}" if text else quoted
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like another, whatever the other's case."""
    return max(known, key=lambda each: SequenceMatcher(None, word.lower(), each).ratio())


# Only to see that a marker can be evaluated: PEP 508 leaves `os_name ~= "x"` undefined.
_ANY_ENVIRONMENT = dict.fromkeys(
    (
        "implementation_name",
        "implementation_version",
        "os_name",
        "platform_machine",
        "platform_python_implementation",
        "platform_release",
        "platform_system",
        "platform_version",
        "python_full_version",
        "python_version",
        "sys_platform",
    ),
    "1",
)


def _describe(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {value!r}"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def _match_runtime(
    reader: Reader, value: object, path: KeyPath
) -> Literal["auto"] | frozenset[NormalizedName]:
    if value == "auto":
        return "auto"
    if not isinstance(value, list):
        hint = f'for one package: match-runtime = ["{value}"]' if isinstance(value, str) else None
        raise reader.wrong_type(path, '"auto" or an array of names', value, hint=hint)
    return frozenset(reader.names(value, path))


def _rebuild(reader: Reader, value: object, path: KeyPath) -> Rebuild:
    if isinstance(value, dict):
        found = {
            name: _rebuild_word(reader, word, at) for name, word, at in reader.by_name(value, path)
        }
        return frozenset(name for name, word in found.items() if word == "exact")
    return _rebuild_word(reader, value, path)


def _rebuild_word(reader: Reader, value: object, path: KeyPath) -> Literal["auto", "exact"]:
    if value == "exact":
        return "exact"
    if value == "auto":
        return "auto"
    raise reader.wrong_type(
        path,
        '"auto" or "exact", or a table of these by package',
        value,
        hint='for one package: rebuild = { NAME = "exact" }',
    )


def _name_set(reader: Reader, value: object, path: KeyPath) -> frozenset[NormalizedName]:
    return frozenset(reader.names(value, path))


def _target_environments(reader: Reader, value: object, path: KeyPath) -> tuple[TargetName, ...]:
    found = []
    for text, at in reader.array(value, path):
        try:
            found.append(TargetName.parse(reader.string(text, at)))
        except ValueError as error:
            problem = f"must be a target: {error}; the nearest one is {nearest(text, KNOWN)!r}"
            raise reader.error(at, problem, hint=FORM) from None
    return tuple(dict.fromkeys(found))


def _resolution(reader: Reader, value: object, path: KeyPath) -> str:
    word = reader.string(value, path)
    if word not in STRATEGIES:
        raise reader.error(path, f"must be one of {', '.join(STRATEGIES)}, not {word!r}")
    return word


def _exclude_newer(reader: Reader, value: object, path: KeyPath) -> str:
    """Read a moment; TOML's own dates and times are taken as well as strings."""
    text = value.isoformat() if isinstance(value, date) else reader.string(value, path)
    try:
        return cutoff.normalised(text)
    except ValueError as error:
        raise reader.error(
            path,
            f"is neither a date, a time nor a duration: {text!r}: {error}",
            hint='write "2026-11-25", "2026-11-25T12:00:00Z", or "7 days"',
        ) from None


def _constraints(reader: Reader, value: object, path: KeyPath) -> tuple[Requirement, ...]:
    constraints = reader.requirements(value, path)
    for index, constraint in enumerate(constraints):
        if constraint.extras:
            # pip's rule too (pip._internal.req.req_install.check_invalid_constraint_type)
            raise reader.error((*path, index), f"is a constraint with extras: {str(constraint)!r}")
    return constraints


def _extra_build_dependencies(
    reader: Reader, value: object, path: KeyPath
) -> dict[NormalizedName, tuple[ExtraBuildRequirement, ...]]:
    return {
        name: tuple(_extra_build_requirement(reader, *each) for each in reader.array(items, at))
        for name, items, at in reader.by_name(value, path)
    }


def _extra_build_requirement(reader: Reader, value: object, path: KeyPath) -> ExtraBuildRequirement:
    if isinstance(value, str):
        return ExtraBuildRequirement(reader.requirement(value, path), match_runtime=False)
    if not isinstance(value, dict):
        raise reader.wrong_type(path, "a requirement or {requirement, match-runtime}", value)
    table = reader.known_table(value, path, ("requirement", "match-runtime"))
    if "requirement" not in table:
        raise reader.error(path, "has no 'requirement'")
    return ExtraBuildRequirement(
        reader.requirement(table["requirement"], (*path, "requirement")),
        reader.boolean(table.get("match-runtime", False), (*path, "match-runtime")),
    )


def _extra_build_variables(
    reader: Reader, value: object, path: KeyPath
) -> dict[NormalizedName, dict[str, str]]:
    variables: dict[NormalizedName, dict[str, str]] = {}
    for name, table, at in reader.by_name(value, path):
        variables[name] = {}
        for variable, text in reader.table(table, at).items():
            here = (*at, variable)
            variables[name][variable] = reader.string(text, here)
            # what execve could not pass on
            if not variable or "=" in variable or "\0" in variable + text:
                raise reader.error(here, "cannot be an environment variable")
    return variables


def _config_settings_package(
    reader: Reader, value: object, path: KeyPath
) -> dict[NormalizedName, dict[str, str | list[str]]]:
    settings: dict[NormalizedName, dict[str, str | list[str]]] = {}
    for name, table, at in reader.by_name(value, path):
        settings[name] = {}
        for key, setting in reader.table(table, at).items():
            here = (*at, key)
            if not isinstance(setting, (str, list)):
                raise reader.wrong_type(here, "a string or an array of strings", setting)
            settings[name][key] = (
                setting if isinstance(setting, str) else list(reader.strings(setting, here))
            )
    return settings


def _dependency_metadata(
    reader: Reader, value: object, path: KeyPath
) -> tuple[StaticMetadata, ...]:
    entries: dict[tuple[NormalizedName, Version | None], StaticMetadata] = {}
    for item, at in reader.array(value, path):
        entry = _static_metadata(reader, item, at)
        if entries.setdefault((entry.name, entry.version), entry) is not entry:
            version = "all versions" if entry.version is None else f"version {entry.version}"
            raise reader.error(at, f"is a second entry for {version} of {entry.name}")
    return tuple(entries.values())


def _static_metadata(reader: Reader, value: object, path: KeyPath) -> StaticMetadata:
    known = (
        "name",
        "version",
        "requires-dist",
        "requires-python",
        "provides-extra",
        "build-requires",
    )
    table = reader.known_table(value, path, known)
    if "name" not in table:
        raise reader.error(path, "has no 'name'")

    def get(key: str, read: Callable[[object, KeyPath], Any], default: object) -> Any:
        return read(table[key], (*path, key)) if key in table else default

    return StaticMetadata(
        name=get("name", reader.name, None),
        version=get("version", reader.version, None),
        requires_dist=get("requires-dist", reader.requirements, ()),
        requires_python=get("requires-python", reader.specifiers, None),
        provides_extra=get("provides-extra", reader.names, ()),
        build_requires=get("build-requires", reader.requirements, None),
    )


class Setting(NamedTuple):
    """A key of ``[tool.pipshim]``, which is also the name of its field.

    Attributes:
        read: checks and converts the value.
        values: describes the values that it takes, for the documentation.
        meaning: describes what it does, for the documentation.

    """

    read: Callable[[Reader, object, KeyPath], object]
    values: str
    meaning: str


_PACKAGES = "an array of package names"
_REQUIREMENTS = "an array of requirements"

SETTINGS = {
    "no-build-isolation": Setting(
        Reader.boolean, "true or false", "Build every sdist in the project's environment."
    ),
    "no-build-isolation-package": Setting(
        _name_set, _PACKAGES, "Build these packages in the project's environment."
    ),
    "match-runtime": Setting(
        _match_runtime,
        f'`"auto"` or {_PACKAGES}',
        "Which build requirements get the version that the lock has for run time.",
    ),
    "default-groups": Setting(
        Reader.names,
        "an array of group names",
        "The dependency groups that are installed by default; without it `dev`, if it exists.",
    ),
    "target-environments": Setting(
        _target_environments,
        "an array of target names",
        "The Pythons and platforms that the lock is for; without it the current ones.",
    ),
    "constraint-dependencies": Setting(
        _constraints, _REQUIREMENTS, "Limit the versions of packages that are required anyway."
    ),
    "override-dependencies": Setting(
        Reader.requirements,
        _REQUIREMENTS,
        "Replace every requirement of these packages, whoever requires them.",
    ),
    "build-constraint-dependencies": Setting(
        _constraints, _REQUIREMENTS, "Limit the versions of packages in build environments."
    ),
    "extra-build-dependencies": Setting(
        _extra_build_dependencies,
        "for each package, an array of requirements or of `{requirement, match-runtime}`",
        "Requirements that the build of a package needs and does not declare.",
    ),
    "extra-build-variables": Setting(
        _extra_build_variables,
        "for each package, a table of strings",
        "Environment variables for the build of a package.",
    ),
    "config-settings-package": Setting(
        _config_settings_package,
        "for each package, a table of strings or arrays of strings",
        "Settings for the build backend of a package.",
    ),
    "dependency-metadata": Setting(
        _dependency_metadata,
        "an array of tables",
        "Metadata of sdists, so that their build backends are not asked for it.",
    ),
    "package": Setting(
        Reader.boolean,
        "true or false",
        "Install the project itself; without it only if there is a `[build-system]` table.",
    ),
    "sources": Setting(
        read_sources,
        "for each package, a table with `path`, `git` or `url`",
        "Where packages come from that are not taken from an index.",
    ),
    "resolution": Setting(
        _resolution,
        ", ".join(f'`"{strategy}"`' for strategy in STRATEGIES),
        "Which versions are locked; without it the highest.",
    ),
    "exclude-newer": Setting(
        _exclude_newer,
        "a date, a time or a duration",
        "Ignore files that were uploaded to the index later.",
    ),
    "rebuild": Setting(
        _rebuild,
        '`"auto"`, `"exact"`, or one of these for each package',
        "Which changes of its build environment invalidate a built wheel.",
    ),
}
