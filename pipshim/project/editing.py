"""Edit requirements in pyproject.toml; comments and layout stay.

The only importer of tomlkit. The edited text is parsed and compared with the document and with the
original, so that a bug of a library cannot damage a file.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import tomlkit
import tomlkit.items
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tomlkit.exceptions import TOMLKitError

from pipshim.base import toml_files
from pipshim.base.errors import ProjectError
from pipshim.model.requirements import valid
from pipshim.project.uv_settings import tool_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        self._settings = ("tool", tool_of(toml_files.loads(text)))
        self._sources = (*self._settings, "sources")
        self._index = (*self._settings, "index")
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
        if not self._is_as_meant(text):
            raise ProjectError(
                self._path,
                "its layout cannot be edited automatically",
                hint="edit it by hand, then: pipshim sync",
            )
        return text

    def _is_as_meant(self, text: str) -> bool:
        """Return whether a text has what the document has, and all else that the original has."""
        edited = (
            *(("project", key) for key in ("dependencies", "optional-dependencies")),
            ("dependency-groups",),
            *((*self._settings, key) for key in ("sources", "index", "conflicts", "remote")),
        )
        try:
            data = toml_files.loads(text)
        except toml_files.TomlError:
            return False
        original = toml_files.loads(self.original)
        is_kept = _without(data, edited) == _without(original, edited)
        return is_kept and data == self._document.unwrap()

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
            if Requirement(old).marker == new.marker:
                made = written(text) if raw else _merged(old, text)
                if made != old:
                    array[index] = made
                return made
        made = written(text)
        position = _position(self._requirements(place), made, array)
        if position is None:
            array.append(made)
        elif position == 0 and "\n" not in array.as_string():
            # tomlkit writes no space behind an item that is put first.
            table, key = self._table(place.path[:-1]), place.path[-1]
            table[key] = _parsed(toml_files.inline([made, *array.unwrap()]))
            array = table[key]
        else:
            array.insert(position, made)
        if len(array) == 1 or ("\n" not in array.as_string() and _line(place, array) > _WIDTH):
            array.multiline(True)
        return made

    def bound(self, place: RequirementList, old: str, version: Version, bounds: Bounds) -> str:
        """Give a requirement without a version a bound."""
        made = bounded(old, version, bounds)
        (index,) = [at for at, text in self._requirements(place) if text == old]
        self._array(place)[index] = made
        return made

    def remove(self, place: RequirementList, name: NormalizedName) -> list[str]:
        """Remove all requirements of a name, and return them."""
        found = list(self._of(place, name))
        if found:
            array = self._array(place)
            for index, _ in reversed(found):
                del array[index]
            if not array and "#" not in array.as_string():
                self._table(place.path[:-1])[place.path[-1]] = tomlkit.array()
        if not self.having(name):
            self._forget_source(name)
        return [text for _, text in found]

    def places(self) -> list[RequirementList]:
        """Return all lists."""
        project = self._value(("project",), {})
        found = [RequirementList()] if "dependencies" in project else []
        found += [RequirementList("extra", one) for one in project.get("optional-dependencies", {})]
        groups = self._value(("dependency-groups",), {})
        return found + [RequirementList("group", name) for name in groups]

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
        found: list[dict[str, object]] = []
        for key, value in self._value(self._sources, {}).items():
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
            self._configure(f"{name} = {toml_files.inline(entry)}", self._sources)

    def _set_entries(self, name: NormalizedName, entries: list[dict[str, object]]) -> None:
        table = self._table(self._sources)
        known = next((key for key in table if canonicalize_name(key) == name), name)
        texts = [toml_files.inline(entry) for entry in entries]
        several = "[\n" + "".join(f"    {text},\n" for text in texts) + "]"
        table[known] = _parsed(texts[0] if len(texts) == 1 else several)

    def conflict(self, extra: str, name: NormalizedName) -> None:
        """Let an extra exclude the other extras that have a source of the same package."""
        others = [one["extra"] for one in self._entries(name) if one.get("extra", extra) != extra]
        if not others:
            return
        sets: list[list[object]] = self._value((*self._settings, "conflicts"), [])
        entries = [{"extra": str(one)} for one in dict.fromkeys((*others, extra))]
        found = next((one for one in sets if any(entry in one for entry in entries)), None)
        members = [*(found or ())]
        members += [entry for entry in entries if entry not in members]
        if members == found:
            return
        made = [members if one is found else one for one in sets]
        made += [members] if found is None else []
        self._configure(f"conflicts: {toml_files.inline(members)}", self._settings)
        self._set_conflicts(toml_files.inline(made))

    def _set_conflicts(self, value: str) -> None:
        place, text = ".".join(self._settings), self._document.as_string()
        head = re.search(rf"^\[{re.escape(place)}\][^\n]*\n", text, re.MULTILINE)
        below = re.search(rf"^\[+{re.escape(place)}\.", text, re.MULTILINE)
        table = self._table(self._settings)
        if "conflicts" in table or (head is None and below is None):
            table["conflicts"] = _parsed(value)
            return
        # tomlkit would put a new key behind the tables in this one.
        line = f"conflicts = {value}\n"
        if head is not None:
            text = f"{text[: head.end()]}{line}{text[head.end() :]}"
        elif below is not None:
            text = f"{text[: below.start()]}[{place}]\n{line}\n{text[below.start() :]}"
        self._document = tomlkit.parse(text)

    def index_urls(self) -> dict[str, str]:
        """Return the URL of each named index."""
        return {index["name"]: index["url"] for index in self._value(self._index, [])}

    def set_index(self, name: str, url: str, **more: object) -> None:
        """Add a named index; of an existing one, only the URL is set.

        Args:
            url: its URL, or a path relative to the file.
            more: its other keys.

        """
        known = self.index_urls()
        if known.get(name) == url:
            return
        self._configure(f"{name} = {url}", self._index)
        table = self._table(self._settings, has_header=False)
        if name in known:
            table["index"][list(known).index(name)]["url"] = url
            return
        if "index" not in table:
            table["index"] = tomlkit.aot()
        is_array = isinstance(table["index"], tomlkit.items.Array)
        made = tomlkit.inline_table() if is_array else tomlkit.table()
        made.update({"name": name, "url": url, **more})
        table["index"].append(made)
        self._made.add(f"[{'.'.join(self._index)}]")

    def trust(self, key: str) -> bool:
        """Add a public key to those that are trusted; return False if it is one of them.

        Raises:
            ProjectError: the settings are those of uv, which has none for this.

        """
        if self._settings[-1] != "pipshim":
            raise ProjectError(
                self._path,
                "has [tool.uv] and no [tool.pipshim], where trusted keys are written",
                hint="rename [tool.uv] to [tool.pipshim]",
            )
        table = self._table((*self._settings, "remote"))
        keys = table.setdefault("trust", tomlkit.array())
        if key in keys:
            return False
        keys.append(key)
        if len(keys) > 1:
            keys.multiline(multiline=True)
        return True

    def _configure(self, text: str, path: Iterable[str]) -> None:
        self.configured.append((text, ".".join(path)))

    def _forget_source(self, name: NormalizedName) -> None:
        table = self._item(self._sources)
        for key in [one for one in table or () if canonicalize_name(one) == name]:
            del table[key]
        # Remove the table, and its parents, if they are empty then.
        for depth in range(len(self._sources), 0, -1):
            *above, last = self._sources[:depth]
            if self._item(self._sources[:depth]) is None or self._value(self._sources[:depth], {}):
                return
            del self._item(above)[last]

    def _requirements(self, place: RequirementList) -> list[tuple[int, str]]:
        """Return the requirements of a list with their index; included groups may be between."""
        found = enumerate(self._value(place.path, []))
        return [(at, one) for at, one in found if isinstance(one, str)]

    def _of(self, place: RequirementList, name: NormalizedName) -> Iterator[tuple[int, str]]:
        for index, text in self._requirements(place):
            if any(canonicalize_name(one.name) == name for one in valid([text])):
                yield index, text

    def _array(self, place: RequirementList) -> Array:
        table, last = self._table(place.path[:-1]), place.path[-1]
        if last not in table:
            table[last] = tomlkit.array()
        return cast("Array", table[last])

    def _table(self, path: Sequence[str], *, has_header: bool = True) -> Any:
        """Return the table at a key path, which is made if it is missing."""
        table: Any = self._document
        for depth, key in enumerate(path, 1):
            if key not in table:
                table[key] = tomlkit.table(is_super_table=depth < len(path) or not has_header)
                self._made.add(".".join(path[:depth]))
            table = table[key]
        return table

    def _item(self, path: Iterable[str]) -> Any:
        """Return what the document has at a key path; None if there is nothing."""
        item: Any = self._document
        for key in path:
            if not isinstance(item, MutableMapping) or key not in item:
                return None
            item = item[key]
        return item

    def _value(self, path: Iterable[str], default: object) -> Any:
        """Return the plain value at a key path."""
        item = self._item(path)
        return default if item is None else item.unwrap()


def _without(table: dict[str, Any], paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return a table without the values at these key paths, and what is empty without them."""
    made = {}
    for key, value in table.items():
        below = [path[1:] for path in paths if path[0] == key]
        if () not in below:
            rest = _without(value, below) if below and isinstance(value, dict) else value
            if rest or not below:
                made[key] = rest
    return made


def _parsed(value: str) -> Any:
    return tomlkit.parse(f"x = {value}")["x"]


def _conditions(entry: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key in _CONDITIONS}


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


def _position(there: list[tuple[int, str]], new: str, array: Array) -> int | None:
    """Return where a requirement goes in a sorted list; None for the end."""
    texts = [text.lower() for _, text in there]
    plain = len(there) == len(array) and not re.search(r"^\s*#", array.as_string(), re.MULTILINE)
    if not plain or texts != sorted(texts):
        return None
    return next((at for at, text in enumerate(texts) if text > new.lower()), None)


def _line(place: RequirementList, array: Array) -> int:
    return len(place.path[-1]) + 3 + len(array.as_string())
