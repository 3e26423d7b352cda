"""Check and convert the values of TOML and JSON files; errors name the file and the value."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from packaging.markers import (
    Marker,
    UndefinedComparison,
    UndefinedEnvironmentName,
    default_environment,
)
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pipshim.base.errors import FileError, ProjectError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipshim.base.toml_files import KeyPath, LineOf

ReadValue: TypeAlias = "Callable[[object, KeyPath], Any]"
"""Checks and converts the value at a key path."""

Read: TypeAlias = "Callable[[Any, object, KeyPath], Any]"
"""The same with a reader: one of its methods, for example."""

READ = "read"
"""The key of a field's reader in its metadata."""

T = TypeVar("T")
W = TypeVar("W", bound=str)

# Only to see that a marker can be evaluated: PEP 508 leaves `os_name ~= "x"` undefined.
_ANY_ENVIRONMENT = dict.fromkeys(default_environment(), "1")


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
    """Checks the values of one file; every method raises what `failure` makes."""

    separator: ClassVar[str] = "-"
    """Of the words of keys."""

    where: Path | str
    line_of: LineOf = lambda _: None

    def failure(self, problem: str, *, line: int | None, hint: str | None) -> FileError:
        """Make the error that a value is invalid."""
        return ProjectError(self.where, problem, line=line, hint=hint)

    def error(self, path: KeyPath, problem: str, *, hint: str | None = None) -> FileError:
        """Make the error for a key path (its line is looked up)."""
        problem = f"{format_key(path)} {problem}".lstrip()
        return self.failure(problem, line=self.line_of(path), hint=hint)

    def wrong_type(
        self, path: KeyPath, wanted: str, value: object, *, hint: str | None = None
    ) -> FileError:
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
                place = f" in {format_key(path)}" if path else ""
                raise self.failure(
                    f"unknown key {key!r}{place}; did you mean {nearest(key, known)!r}?",
                    line=self.line_of((*path, key)),
                    hint=f"the known keys are: {', '.join(known)}",
                )
        return table

    def record(
        self,
        value: object,
        path: KeyPath,
        kinds: Mapping[str, ReadValue],
        *,
        needs: Iterable[str] = (),
        hint: str | None = None,
    ) -> dict[str, Any]:
        """Return the values of a table, by the names of fields.

        Args:
            kinds: by key that may be there, what reads its value.
            needs: keys that must be there.
            hint: if one of them is not.

        """
        table = self.known_table(value, path, tuple(kinds))
        for key in needs:
            if key not in table:
                raise self.error(path, f"has no {key!r}", hint=hint)
        return {
            key.replace("-", "_"): kinds[key](item, (*path, key)) for key, item in table.items()
        }

    def instance(self, value: object, path: KeyPath, cls: type[T], *, hint: str | None = None) -> T:
        """Return a table as an instance of a class, whose fields say how they are read.

        Args:
            hint: if a field without a default is not there.

        """
        missing = dataclasses.MISSING
        needs = [
            key
            for key, one in fields_by_key(cls).items()
            if one.default is one.default_factory is missing
        ]
        return cls(**self.record(value, path, self.kinds(cls), needs=needs, hint=hint))

    def kinds(self, cls: type) -> dict[str, ReadValue]:
        """Return what reads the values of a class's fields, by their keys."""
        found = fields_by_key(cls, self.separator).items()
        return {key: partial(one.metadata[READ], self) for key, one in found}

    def get(
        self,
        table: Mapping[str, object],
        path: KeyPath,
        key: str,
        read: ReadValue,
        default: Any = None,
    ) -> Any:
        """Return what `read` makes of the value of a key; the default if there is none."""
        return read(table[key], (*path, key)) if key in table else default

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

    def texts(self, value: object, path: KeyPath) -> dict[str, str]:
        """Return a table of strings."""
        return {
            self.string(key, path): self.string(item, (*path, key))
            for key, item in self.table(value, path).items()
        }

    def config_settings(self, value: object, path: KeyPath) -> dict[str, str | list[str]]:
        """Return config settings (PEP 517): a table of strings or arrays of strings."""
        found: dict[str, str | list[str]] = {}
        for key, one in self.table(value, path).items():
            at = (*path, self.string(key, path))
            if not isinstance(one, (str, list)):
                raise self.wrong_type(at, "a string or an array of strings", one)
            found[key] = [*self.strings(one, at)] if isinstance(one, list) else self.string(one, at)
        return found

    def strings(self, value: object, path: KeyPath) -> tuple[str, ...]:
        return tuple(self.string(item, at) for item, at in self.array(value, path))

    def word(self, value: object, path: KeyPath, words: tuple[W, ...]) -> W:
        """Return one of some words."""
        for word in words:
            if value == word:
                return word
        raise self.error(path, f"must be one of {', '.join(words)}, not {value!r}")

    def parsed(
        self,
        value: object,
        path: KeyPath,
        parse: Callable[[str], T],
        what: str,
        *,
        why: bool = True,
        hint: str | None = None,
    ) -> T:
        """Return what `parse` makes of a string.

        Args:
            parse: raises ValueError for what is not valid.
            what: it should be.
            why: whether its error says more than that.

        """
        text = self.string(value, path)
        try:
            return parse(text)
        except ValueError as error:
            reason = f": {error}" if why else ""
            problem = f"is not a valid {what}: {text!r}{reason}"
            raise self.error(path, problem, hint=hint) from None

    def name(self, value: object, path: KeyPath) -> NormalizedName:
        """Return a package's, extra's or group's name, normalised (PEP 503, PEP 685, PEP 735)."""
        hint = "letters, digits, '.', '-' and '_'; a letter or digit first and last"
        parse = partial(canonicalize_name, validate=True)
        return self.parsed(value, path, parse, "name", why=False, hint=hint)

    def names(self, value: object, path: KeyPath) -> tuple[NormalizedName, ...]:
        """Return an array of names, in its order, each once."""
        return tuple(dict.fromkeys(self.name(item, at) for item, at in self.array(value, path)))

    def version(self, value: object, path: KeyPath) -> Version:
        """Return a version (PEP 440)."""
        return self.parsed(value, path, Version, "version", why=False)

    def specifiers(self, value: object, path: KeyPath) -> SpecifierSet:
        """Return version specifiers (PEP 440)."""
        hint = "an operator and a version, such as '>=3.10'"
        return self.parsed(value, path, SpecifierSet, "version specifier", hint=hint)

    def requirement(self, value: object, path: KeyPath) -> Requirement:
        """Return a requirement (PEP 508) whose marker can be evaluated."""
        return self.parsed(value, path, _requirement, "requirement")

    def marker(self, value: object, path: KeyPath) -> Marker:
        """Return an environment marker (PEP 508) that can be evaluated."""
        return self.parsed(value, path, _marker, "marker")

    def requirements(self, value: object, path: KeyPath) -> tuple[Requirement, ...]:
        """Return an array of requirements."""
        return tuple(self.requirement(item, at) for item, at in self.array(value, path))


def fields_by_key(cls: Any, separator: str = "-") -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a class by their keys: ``exclude-newer`` of `exclude_newer`."""
    return {one.name.replace("_", separator): one for one in dataclasses.fields(cls)}


def read_by(read: Read, **more: Any) -> Any:
    """Declare a field, and how its value is read (`Reader.instance`)."""
    return dataclasses.field(metadata={READ: read}, **more)


def instance_of(cls: type) -> Read:
    """Return the reader of a table for `Reader.instance`."""
    return partial(Reader.instance, cls=cls)


def array_of(read: Read) -> Read:
    """Return the reader of an array of what `read` reads."""
    return lambda reader, value, path: tuple(
        read(reader, item, at) for item, at in reader.array(value, path)
    )


def by_package(read: Read) -> Read:
    """Return the reader of a table that has what `read` reads for each package."""
    return lambda reader, value, path: {
        name: read(reader, item, at) for name, item, at in reader.by_name(value, path)
    }


def _requirement(text: str) -> Requirement:
    requirement = Requirement(text)
    _check_marker(requirement.marker)
    return requirement


def _marker(text: str) -> Marker:
    marker = Marker(text)
    _check_marker(marker)
    return marker


def _check_marker(marker: Marker | None) -> None:
    """Check that a marker can be evaluated; not with this machine's values: anywhere."""
    try:
        if marker is not None:
            marker.evaluate(_ANY_ENVIRONMENT)
    except UndefinedComparison:
        problem = "has an operator that is not defined for these values"
    except UndefinedEnvironmentName as error:
        problem = f"asks for {error.args[0]!r}, which has a value in lock files only"
    else:
        return
    raise ValueError(f"its marker {problem}")


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
