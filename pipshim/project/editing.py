"""Edit requirements in pyproject.toml; comments and layout stay.

The only importer of tomlkit. The edited text is parsed and compared with what was meant, so that a
bug of a library cannot damage a file.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import tomlkit
import tomlkit.items
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tomlkit.exceptions import TOMLKitError

from pipshim.base import toml_files
from pipshim.base.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName
    from tomlkit.items import Array

    from pipshim.model.requests import Bounds

_CONDITIONS = ("marker", "extra", "group")
"""Keys of a source that say where it applies."""
_WIDTH = 100
_HEAD = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?P<specifier>[^;@]*)")


@dataclass(frozen=True, order=True)
class RequirementList:
    """One of a project's lists of requirements.

    Attributes:
        kind: ``project``, ``extra`` or ``group``.
        name: of the extra or group.

    """

    kind: Literal["project", "extra", "group"] = "project"
    name: str = ""

    def __str__(self) -> str:
        return ".".join(self.path)

    @property
    def path(self) -> tuple[str, ...]:
        """Its key path in pyproject.toml."""
        if self.kind == "project":
            return ("project", "dependencies")
        if self.kind == "extra":
            return ("project", "optional-dependencies", self.name)
        return ("dependency-groups", self.name)


class Document:
    """A pyproject.toml that is being edited.

    Args:
        text: its text, valid TOML.
        path: of the file, for errors.

    Attributes:
        original: the text before any edit.
        configured: the indexes and sources that were written, and where.

    """

    def __init__(self, text: str, path: Path) -> None:
        self.original = text
        self._path = path
        self._expected = toml_files.loads(text)
        tool = self._expected.get("tool", {})
        settings = "uv" if "uv" in tool and "pipshim" not in tool else "pipshim"
        self._sources = ("tool", settings, "sources")
        self._index = ("tool", settings, "index")
        self._made: set[str] = set()
        self.configured: list[tuple[str, str]] = []
        self._blank_at_end = text.endswith(("\n\n", "\n\r\n")) or not text.endswith("\n")
        self._line_end = "\r\n" if text.count("\n") == text.count("\r\n") > 0 else "\n"
        try:
            self._document = tomlkit.parse(text)
        except TOMLKitError as error:
            raise ProjectError(path, f"cannot be edited: {error}") from error

    @property
    def text(self) -> str:
        """The edited text.

        Raises:
            ProjectError: it does not mean what it should.

        """
        text = _spaced(self._document.as_string(), self._made)
        if not self._blank_at_end:
            text = f"{text.rstrip()}\n"
        if self._line_end != "\n":
            text = re.sub("(?<!\r)\n", self._line_end, text)
        try:
            as_meant = toml_files.loads(text) == self._expected
        except toml_files.TomlError:
            as_meant = False
        if not as_meant:
            raise ProjectError(
                self._path,
                "its layout cannot be edited automatically",
                hint="edit it by hand, then: pipshim sync",
            )
        return text

    def add(self, place: RequirementList, text: str, *, raw: bool = False) -> str:
        """Add a requirement, or change the one of the same name and marker.

        Extras are added to existing ones; a specifier or URL replaces the existing one.

        Args:
            place: the list.
            text: the requirement (PEP 508).
            raw: replace an existing requirement as a whole.

        Returns:
            the resulting requirement.

        """
        new = Requirement(text)
        array = self._array(place)
        for index, old in self._of(place, canonicalize_name(new.name)):
            if _marker(Requirement(old)) == _marker(new):
                made = written(text) if raw else _merged(old, text)
                if made != old:
                    self._set(place, index, made)
                return made
        made = written(text)
        position = _position(self._requirements(place), made, array)
        if position is None:
            array.append(made)
        elif position == 0 and "\n" not in array.as_string():
            # tomlkit writes no space behind an item that is put first.
            items = ", ".join(tomlkit.item(one).as_string() for one in (made, *array.unwrap()))
            table = self._table(place)
            table[place.path[-1]] = tomlkit.parse(f"x = [{items}]")["x"]
            array = self._array(place)
        else:
            array.insert(position, made)
        if len(array) == 1 or ("\n" not in array.as_string() and _line(place, array) > _WIDTH):
            array.multiline(True)
        self._note(place)
        return made

    def bound(self, place: RequirementList, old: str, version: Version, bounds: Bounds) -> str:
        """Give a requirement without a version a bound."""
        made = bounded(old, version, bounds)
        (index,) = [at for at, text in self._requirements(place) if text == old]
        self._set(place, index, made)
        return made

    def remove(self, place: RequirementList, name: NormalizedName) -> list[str]:
        """Remove all requirements of a name, and return them."""
        found = list(self._of(place, name))
        if found:
            array = self._array(place)
            for index, _ in reversed(found):
                del array[index]
            if not array and "#" not in array.as_string():
                self._table(place)[place.path[-1]] = tomlkit.array()
            self._note(place)
        if not any(True for other in self.places() for _ in self._of(other, name)):
            self._forget_source(name)
        return [text for _, text in found]

    def places(self) -> list[RequirementList]:
        """Return all lists."""
        project = self._expected.get("project", {})
        found = [RequirementList()] if "dependencies" in project else []
        found += [
            RequirementList("extra", name) for name in project.get("optional-dependencies", {})
        ]
        return found + [
            RequirementList("group", name) for name in self._expected.get("dependency-groups", {})
        ]

    def place(self, kind: Literal["project", "extra", "group"], name: str = "") -> RequirementList:
        """Return a place with its spelling in this file."""
        for place in self.places():
            if place.kind == kind and canonicalize_name(place.name) == canonicalize_name(name):
                return place
        return RequirementList(kind, name)

    def stated(self, place: RequirementList, names: Iterable[NormalizedName]) -> list[str]:
        """Return the requirements on these names in a list."""
        return [text for name in sorted(names) for _, text in self._of(place, name)]

    def has_source(self, name: NormalizedName) -> bool:
        """Return whether a distribution comes from elsewhere than an index."""
        return any("index" not in entry for entry in self._entries(name))

    def _entries(self, name: NormalizedName) -> list[dict[str, object]]:
        table: Any = self._expected
        for key in self._sources:
            table = table.get(key, {})
        found: list[dict[str, object]] = []
        for key, value in table.items():
            if canonicalize_name(key) == name:
                found += value if isinstance(value, list) else [value]
        return found

    def having(self, name: NormalizedName) -> list[RequirementList]:
        """Return the lists that have a requirement of this name."""
        return [place for place in self.places() if any(True for _ in self._of(place, name))]

    def set_source(self, name: NormalizedName, entry: Mapping[str, object] | None) -> None:
        """Set the source of a distribution; None: an index, as for others."""
        if entry is None:
            self._forget_source(name)
        else:
            self._set_entries(name, [dict(entry)])

    def add_source(self, name: NormalizedName, entry: Mapping[str, object]) -> None:
        """Set the source of a distribution under the entry's conditions.

        Entries with other conditions stay; one without any replaces all.
        """
        conditions = _conditions(entry)
        before = self._entries(name)
        others = [one for one in before if conditions and _conditions(one) != conditions]
        entries = [*others, dict(entry)]
        if dict(entry) not in before or len(entries) < len(before):
            self._set_entries(name, entries)
            value = ", ".join(f"{key} = {_toml(value)}" for key, value in entry.items())
            self.configured.append((f"{name} = {{ {value} }}", ".".join(self._sources)))

    def _set_entries(self, name: NormalizedName, entries: list[dict[str, object]]) -> None:
        table = self._document
        expected = self._expected
        for depth, key in enumerate(self._sources, 1):
            if key not in table:
                table[key] = tomlkit.table(is_super_table=key != "sources")
                self._made.add(".".join(self._sources[:depth]))
            table = cast("Any", table[key])
            expected = expected.setdefault(key, {})
        known = next((key for key in expected if canonicalize_name(key) == name), name)
        texts = [
            f"{{ {', '.join(f'{key} = {_toml(value)}' for key, value in entry.items())} }}"
            for entry in entries
        ]
        several = "[\n" + "".join(f"    {text},\n" for text in texts) + "]"
        value = texts[0] if len(texts) == 1 else several
        table[known] = tomlkit.parse(f"x = {value}")["x"]
        expected[known] = entries[0] if len(entries) == 1 else entries

    def conflict(self, extra: str, name: NormalizedName) -> None:
        """Let an extra exclude the other extras that have a source of the same package."""
        others = [one["extra"] for one in self._entries(name) if one.get("extra", extra) != extra]
        if not others:
            return
        expected: Any = self._expected
        table: Any = self._document
        for key in self._sources[:-1]:
            table, expected = table[key], expected[key]
        sets: list[Any] = expected.get("conflicts", [])
        names = [str(one) for one in dict.fromkeys((*others, extra))]
        found = next((one for one in sets if any({"extra": name} in one for name in names)), None)
        if found is not None and all({"extra": name} in found for name in names):
            return
        members = [*(found or ()), *({"extra": name} for name in names)]
        unique = [one for at, one in enumerate(members) if one not in members[:at]]
        made = [unique if one is found else one for one in sets]
        expected["conflicts"] = made if found is not None else [*sets, unique]
        place, value = ".".join(self._sources[:-1]), _inline(expected["conflicts"])
        self.configured.append((f"conflicts: {_inline(unique)}", place))
        text = self._document.as_string()
        head = re.search(rf"^\[{re.escape(place)}\][^\n]*\n", text, re.MULTILINE)
        below = re.search(rf"^\[+{re.escape(place)}\.", text, re.MULTILINE)
        if "conflicts" in table or (head is None and below is None):
            table["conflicts"] = tomlkit.parse(f"x = {value}")["x"]
            return
        # tomlkit would put a new key behind the tables in this one.
        line = f"conflicts = {value}\n"
        if head is not None:
            made_text = f"{text[: head.end()]}{line}{text[head.end() :]}"
        else:
            assert below is not None
            at = below.start()
            made_text = f"{text[:at]}[{place}]\n{line}\n{text[at:]}"
        self._document = tomlkit.parse(made_text)

    def index_urls(self) -> dict[str, str]:
        """Return the URL of each named index."""
        table: Any = self._expected
        for key in self._index:
            table = table.get(key, {})
        return {index["name"]: index["url"] for index in table}

    def set_index(self, name: str, url: str, **more: object) -> None:
        """Add a named index; of an existing one, only the URL is set.

        Args:
            url: its URL, or a path relative to the file.
            more: its other keys.

        """
        known = self.index_urls()
        if known.get(name) == url:
            return
        self.configured.append((f"{name} = {url}", ".".join(self._index)))
        tables: Any = self._document
        expected: Any = self._expected
        for key in self._index[:-1]:
            if key not in tables:
                tables[key] = tomlkit.table(is_super_table=True)
            tables, expected = tables[key], expected.setdefault(key, {})
        if name in known:
            position = list(known).index(name)
            tables["index"][position]["url"] = expected["index"][position]["url"] = url
            return
        entry = {"name": name, "url": url, **more}
        if "index" not in tables:
            tables["index"] = tomlkit.aot()
        is_array = isinstance(tables["index"], tomlkit.items.Array)
        made = tomlkit.inline_table() if is_array else tomlkit.table()
        made.update(entry)
        tables["index"].append(made)
        expected.setdefault("index", []).append(entry)
        self._made.add(f"[{'.'.join(self._index)}]")

    def trust(self, key: str) -> bool:
        """Add a public key to those that are trusted; return False if it is one of them.

        Raises:
            ProjectError: the settings are those of uv, which has none for this.

        """
        path = ("tool", "pipshim", "remote")
        if self._index[1] != "pipshim":
            raise ProjectError(
                self._path,
                "has [tool.uv] and no [tool.pipshim], where trusted keys are written",
                hint="rename [tool.uv] to [tool.pipshim]",
            )
        table: Any = self._document
        expected: Any = self._expected
        for depth, name in enumerate(path, 1):
            if name not in table:
                table[name] = tomlkit.table(is_super_table=depth < len(path))
                self._made.add(".".join(path[:depth]))
            table, expected = table[name], expected.setdefault(name, {})
        keys: list[str] = expected.setdefault("trust", [])
        if key in keys:
            return False
        if "trust" not in table:
            table["trust"] = tomlkit.array()
        table["trust"].append(key)
        keys.append(key)
        if len(keys) > 1:
            table["trust"].multiline(multiline=True)
        return True

    def _forget_source(self, name: NormalizedName) -> None:
        table: Any = self._document
        expected: Any = self._expected
        for key in self._sources:
            if not isinstance(expected, MutableMapping) or key not in expected:
                return
            table, expected = table[key], expected[key]
        for key in [one for one in expected if canonicalize_name(one) == name]:
            del table[key]
            del expected[key]
        if not expected:
            self._drop(self._sources)

    def _drop(self, path: tuple[str, ...]) -> None:
        """Remove a table, and its parents if they are empty then."""
        for depth in range(len(path), 0, -1):
            table: Any = self._document
            expected: Any = self._expected
            for key in path[: depth - 1]:
                table, expected = table[key], expected[key]
            if expected[path[depth - 1]]:
                return
            del table[path[depth - 1]]
            del expected[path[depth - 1]]

    def _requirements(self, place: RequirementList) -> list[tuple[int, str]]:
        """Return the requirements of a list with their index; included groups may be between."""
        table: Any = self._expected
        for key in place.path:
            table = table.get(key, {})
        return [(at, one) for at, one in enumerate(table) if isinstance(one, str)]

    def _of(self, place: RequirementList, name: NormalizedName) -> Iterator[tuple[int, str]]:
        for index, text in self._requirements(place):
            try:
                found = canonicalize_name(Requirement(text).name)
            except InvalidRequirement:
                continue
            if found == name:
                yield index, text

    def _set(self, place: RequirementList, index: int, text: str) -> None:
        self._array(place)[index] = text
        self._note(place)

    def _array(self, place: RequirementList) -> Array:
        table, last = self._table(place), place.path[-1]
        if last not in table:
            table[last] = tomlkit.array()
        return cast("Array", table[last])

    def _table(self, place: RequirementList) -> Any:
        table: Any = self._document
        for depth, key in enumerate(place.path[:-1], 1):
            if key not in table:
                table[key] = tomlkit.table()
                self._made.add(".".join(place.path[:depth]))
            table = table[key]
        return table

    def _note(self, place: RequirementList) -> None:
        table: Any = self._expected
        *above, last = place.path
        for key in above:
            table = table.setdefault(key, {})
        table[last] = self._array(place).unwrap()


def _conditions(entry: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key in _CONDITIONS}


def _inline(value: object) -> str:
    """Write arrays and tables on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return _toml(value)


def _toml(value: object) -> str:
    return str(tomlkit.item(value).as_string())


def written(text: str) -> str:
    """Write a requirement so that it needs no escapes in TOML, otherwise as it was typed."""
    text = text.strip()
    return text.replace('"', "'") if "'" not in text else text


def with_parts(text: str, *, extras: Iterable[str] = (), marker: str | None = None) -> str:
    """Add extras and a marker to a requirement (PEP 508)."""
    given = Requirement(text)
    given.extras |= set(extras)
    if marker is not None:
        both = f"({given.marker}) and ({marker})" if given.marker is not None else marker
        given.marker = Requirement(f"x; {both}").marker
    return _composed(given, _specifier(text))


def bounded(text: str, version: Version, bounds: Bounds) -> str:
    """Give a requirement a bound from a version, without its local label."""
    public = Version(version.public)
    release = [*public.release, 0, 0]
    if bounds == "exact":
        specifier = f"=={public}"
    elif bounds == "lower":
        specifier = f">={public}"
    else:
        # What semantic versioning takes for compatible: before 1.0 each minor is a major.
        first = next((at for at, part in enumerate(release) if part), 0)
        kept = first if bounds == "major" else 1
        top = [*release[:kept], release[kept] + 1]
        top += [0] * (len(public.release) - len(top))
        epoch = f"{public.epoch}!" if public.epoch else ""
        specifier = f">={public},<{epoch}{'.'.join(map(str, top))}"
    return written(_composed(Requirement(text), specifier))


def _spaced(text: str, tables: Iterable[str]) -> str:
    """Put an empty line before and after each of these tables."""
    lines = text.splitlines(keepends=True)
    for name in tables:
        starts = [at for at, line in enumerate(lines) if line.strip() == f"[{name}]"]
        for start in reversed(starts):
            heads = (at for at in range(start + 1, len(lines)) if lines[at].startswith("["))
            for at in (next(heads, 0), start):
                if at and lines[at - 1].strip():
                    lines.insert(at, "\n")
    return "".join(lines)


def _merged(old: str, new: str) -> str:
    there, given = Requirement(old), Requirement(new)
    if given.extras <= there.extras and not given.specifier and given.url is None:
        return old
    there.extras |= given.extras
    if given.url is not None or given.specifier:
        there.url = given.url
        return written(_composed(there, _specifier(new)))
    return written(_composed(there, _specifier(old)))


def _composed(requirement: Requirement, specifier: str) -> str:
    """Write a requirement with its specifier as it was typed."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    where = f" @ {requirement.url}" if requirement.url else specifier
    space = " " if requirement.url and requirement.marker else ""
    marker = f"{space}; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}{where}{marker}"


def _specifier(text: str) -> str:
    head = _HEAD.match(text)
    return (
        head["specifier"].strip()
        if head is not None and "@" not in text.split(";", maxsplit=1)[0]
        else ""
    )


def _marker(requirement: Requirement) -> str:
    return str(requirement.marker or "")


def _position(there: list[tuple[int, str]], new: str, array: Array) -> int | None:
    """Return where a requirement goes in a sorted list; None for the end."""
    texts = [text.lower() for _, text in there]
    plain = len(there) == len(array) and not re.search(r"^\s*#", array.as_string(), re.MULTILINE)
    if not plain or texts != sorted(texts):
        return None
    return next((at for at, text in enumerate(texts) if text > new.lower()), None)


def _line(place: RequirementList, array: Array) -> int:
    return len(place.path[-1]) + 3 + len(array.as_string())
