"""Check and convert the values of a TOML file; errors name the file and line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.markers import (
    InvalidMarker,
    Marker,
    UndefinedComparison,
    UndefinedEnvironmentName,
)
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base.errors import ProjectError
from pipshim.base.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KeyPath = tuple["str | int", ...]
"""The path to a value: ``("project", "dependencies", 2)``."""

LineOf = Callable[[KeyPath], "int | None"]
"""Returns the line (from 1) of a value's key or array item, or of the nearest one around it."""

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


@dataclass(frozen=True)
class Reader:
    """Checks the values of one TOML file; every method raises `ProjectError`."""

    where: Path
    line_of: LineOf

    def error(self, path: KeyPath, problem: str, *, hint: str | None = None) -> ProjectError:
        """Make the error for a key path (its line is looked up)."""
        return ProjectError(
            self.where, f"{format_key(path)} {problem}", line=self.line_of(path), hint=hint
        )

    def wrong_type(
        self, path: KeyPath, wanted: str, value: object, *, hint: str | None = None
    ) -> ProjectError:
        """Make the error for a value of the wrong type."""
        return self.error(path, f"must be {wanted}, not {_describe(value)}", hint=hint)

    def table(self, value: object, path: KeyPath) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong_type(path, "a table", value)
        return value

    def known_table(self, value: object, path: KeyPath, known: tuple[str, ...]) -> dict[str, Any]:
        """Return a table without unknown keys."""
        table = self.table(value, path)
        for key in table:
            if key not in known:
                raise ProjectError(
                    self.where,
                    f"unknown key {key!r} in {format_key(path)};"
                    f" did you mean {nearest(key, known)!r}?",
                    line=self.line_of((*path, key)),
                    hint=f"the known keys are: {', '.join(known)}",
                )
        return table

    def by_name(
        self, value: object, path: KeyPath
    ) -> Iterator[tuple[NormalizedName, Any, KeyPath]]:
        """Yield a table's entries; its keys are names, distinct once normalised."""
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
        """Yield an array's items, each with its key path."""
        if not isinstance(value, list):
            raise self.wrong_type(path, "an array", value)
        return ((item, (*path, index)) for index, item in enumerate(value))

    def boolean(self, value: object, path: KeyPath) -> bool:
        """Return a boolean (not a number or a word)."""
        if not isinstance(value, bool):
            raise self.wrong_type(path, "true or false", value)
        return value

    def string(self, value: object, path: KeyPath) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(path, "a string", value)
        return value

    def strings(self, value: object, path: KeyPath) -> tuple[str, ...]:
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

    def marker(self, value: object, path: KeyPath) -> Marker:
        """Return an environment marker (PEP 508) that can be evaluated."""
        text = self.string(value, path)
        try:
            marker = Marker(text)
            marker.evaluate(_ANY_ENVIRONMENT)
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise self.error(path, f"is not a valid marker: {text!r}: {error}") from None
        return marker

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
