"""Read ``[[tool.pipshim.index]]`` and ``[tool.pipshim.sources]``."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pipshim.base.spelling import nearest
from pipshim.model import cutoff
from pipshim.model.package_sources import FORMATS, Index, Limit, PackageSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from pipshim.model.package_sources import PackageSources
    from pipshim.model.value_reader import KeyPath, Reader, ReadValue

_REVISIONS = ("rev", "tag", "branch")
_KINDS = {
    "path": ("editable",),
    "url": ("subdirectory",),
    "git": ("subdirectory", *_REVISIONS),
    "index": (),
    "workspace": ("editable",),
}
"""The keys that say where a package comes from, and the keys that go with each."""

_CONDITIONS = ("marker", "extra", "group")
"""The keys that say where an entry applies."""

SOURCE_KEYS = tuple(
    dict.fromkeys([*_KINDS, *(key for keys in _KINDS.values() for key in keys), *_CONDITIONS])
)
INDEX_KEYS = ("name", "url", "explicit", "default", "format", "exclude-newer")


def read_indexes(reader: Reader, value: object, path: KeyPath) -> tuple[Index, ...]:
    """Read the indexes.

    Raises:
        ProjectError: an index lacks its name or URL, a name or the default is there twice, or a key
            or value is unknown.

    """
    indexes: dict[str, Index] = {}
    for item, at in reader.array(value, path):
        index = _index(reader, item, at)
        if index.name in indexes:
            raise reader.error((*at, "name"), f"is the name of two indexes: {index.name!r}")
        if index.default and any(other.default for other in indexes.values()):
            raise reader.error((*at, "default"), "is true for two indexes")
        indexes[index.name] = index
    return tuple(indexes.values())


def _index(reader: Reader, value: object, path: KeyPath) -> Index:
    kinds: dict[str, ReadValue] = {
        "name": reader.string,
        "url": reader.string,
        "explicit": reader.boolean,
        "default": reader.boolean,
        "format": partial(reader.word, words=FORMATS),
        "exclude-newer": partial(read_limit, reader),
    }
    hint = 'for example: name = "company", url = "https://…"'
    return Index(**reader.record(value, path, kinds, needs=("name", "url"), hint=hint))


def read_moment(reader: Reader, value: object, path: KeyPath) -> str:
    """Read a moment; TOML's own dates and times are accepted as well as strings."""
    text = value.isoformat() if isinstance(value, date) else value
    hint = 'write "2026-11-25", "2026-11-25T12:00:00Z", or "7 days"'
    return reader.parsed(text, path, cutoff.normalised, "date, time or duration", hint=hint)


def read_limit(reader: Reader, value: object, path: KeyPath) -> Limit:
    """Read the upload limit of an index or package; ``false`` is for none."""
    if value is False:
        return False
    if value is True:
        raise reader.wrong_type(path, "a date, a time, a duration or false", value)
    return read_moment(reader, value, path)


def read_sources(reader: Reader, value: object, path: KeyPath) -> PackageSources:
    """Read the sources: a table, or an array of tables, for each package.

    Raises:
        ProjectError: an entry is neither path, URL, git nor index, or has a key that does not
            belong.

    """
    return {
        name: (
            tuple(_source(reader, entry, here) for entry, here in reader.array(item, at))
            if isinstance(item, list)
            else (_source(reader, item, at),)
        )
        for name, item, at in reader.by_name(value, path)
    }


def check_index_names(
    reader: Reader,
    indexes: tuple[Index, ...],
    sources: Mapping[NormalizedName, tuple[PackageSource, ...]],
    path: KeyPath,
) -> None:
    """Check that the indexes that sources name exist."""
    names = [index.name for index in indexes]
    for package, entries in sources.items():
        for entry in entries:
            if entry.index is not None and entry.index not in names:
                known = f"; did you mean {nearest(entry.index, names)!r}?" if names else ""
                raise reader.error(
                    (*path, package),
                    f"names the index {entry.index!r}, which [[tool.{path[1]}.index]] does not have"
                    + known,
                )


def _source(reader: Reader, value: object, path: KeyPath) -> PackageSource:
    table = reader.known_table(value, path, SOURCE_KEYS)
    given = [kind for kind in _KINDS if kind in table]
    if len(given) != 1:
        raise reader.error(
            path,
            "must have one of 'path', 'url', 'git', 'index' and 'workspace'",
            hint='for example: { path = "../lib", editable = true }',
        )
    (kind,) = given
    for key in table:
        if key not in (kind, *_CONDITIONS, *_KINDS[kind]):
            raise reader.error((*path, key), f"does not go with '{kind}'")
    marker = reader.get(table, path, "marker", reader.marker)
    origin = _origin(reader, table, path)
    if kind == "workspace":
        if not reader.boolean(table[kind], (*path, kind)):
            raise reader.error((*path, kind), "must be true, or left out")
        editable = reader.boolean(table.get("editable", True), (*path, "editable"))
        return PackageSource(workspace=True, editable=editable, marker=marker, origin=origin)
    text = reader.string(table[kind], (*path, kind))
    if kind == "index":
        return PackageSource(index=text, marker=marker, origin=origin)
    if kind == "path":
        editable = reader.boolean(table.get("editable", False), (*path, "editable"))
        return PackageSource(path=text, editable=editable, marker=marker, origin=origin)
    if not urlsplit(text).scheme or "://" not in text:
        raise reader.error((*path, kind), f"is not a URL: {text!r}")
    return PackageSource(url=_url(reader, kind, table, path), marker=marker, origin=origin)


def _origin(reader: Reader, table: Mapping[str, object], path: KeyPath) -> str | None:
    """Return the extra or group that an entry applies with."""
    given = [kind for kind in ("extra", "group") if kind in table]
    if len(given) > 1:
        raise reader.error(path, "has both 'extra' and 'group'", hint="write an entry for each")
    return origin_of(reader, given[0], table[given[0]], path) if given else None


def origin_of(reader: Reader, kind: str, value: object, path: KeyPath) -> str:
    """Read the name of an extra or group."""
    return f"{kind} {reader.name(value, (*path, kind))}"


def _url(reader: Reader, kind: str, table: Mapping[str, object], path: KeyPath) -> str:
    text = reader.string(table[kind], (*path, kind))
    revisions = [key for key in _REVISIONS if key in table]
    if len(revisions) > 1:
        raise reader.error(path, f"has more than one of {', '.join(_REVISIONS)}")
    if kind == "git":
        text = text if text.startswith("git+") else f"git+{text}"
        for key in revisions:
            text += "@" + reader.string(table[key], (*path, key))
    if "subdirectory" in table:
        folder = reader.string(table["subdirectory"], (*path, "subdirectory"))
        text += f"#subdirectory={quote(folder)}"
    return text
