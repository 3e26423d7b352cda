"""``[[tool.pipshim.index]]`` and ``[tool.pipshim.sources]``: where packages come from.

The keys are those of uv's tables. A source applies to the name wherever it is required; a version
that does not fit a requirement is still an error.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.spelling import nearest
from pipshim.model import cutoff
from pipshim.model.combinations import named
from pipshim.model.value_reader import Reader, array_of, read_by

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.markers import Marker
    from packaging.utils import NormalizedName

    from pipshim.base.toml_files import KeyPath


Format = Literal["simple", "flat"]
FORMATS: tuple[Format, ...] = ("simple", "flat")

Limit = str | Literal[False]
"""A moment before which files have to be uploaded (`pipshim.model.cutoff`); False for none."""


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


@dataclass(frozen=True)
class Index:
    """A named index.

    Attributes:
        url: its address, or the path of a folder.
        explicit: it serves only the packages that ``sources`` sends here.
        default: it takes the place of pip's ``--index-url``.
        format: ``simple`` (PEP 503, PEP 691), or ``flat``: one page or folder of links, as
            ``--find-links`` takes.
        exclude_newer: its own upload limit; False for none.

    """

    name: str = read_by(Reader.string)
    url: str = read_by(Reader.string)
    explicit: bool = read_by(Reader.boolean, default=False)
    default: bool = read_by(Reader.boolean, default=False)
    format: Format = read_by(partial(Reader.word, words=FORMATS), default="simple")
    exclude_newer: Limit | None = read_by(read_limit, default=None)

    def located(self, directory: Path) -> Index:
        """Return the index with an absolute URL; paths are relative to pyproject.toml's folder."""
        if "://" in self.url or self.url.startswith("file:"):
            return self
        return replace(self, url=(directory / Path(self.url).expanduser()).resolve().as_uri())

    def with_credentials(self, environ: Mapping[str, str]) -> Index:
        """Return the index with the credentials that the environment has for it.

        A user without a password is one whose password pip finds in keyring.
        """
        variable = credentials_variable(self.name)
        user = environ.get(f"{variable}_USERNAME", "")
        password = environ.get(f"{variable}_PASSWORD", "")
        parts = urlsplit(self.url)
        if not (user or password) or not parts.hostname:
            return self
        login, _, host = parts.netloc.rpartition("@")
        user = quote(user, safe="") or login.partition(":")[0]
        login = f"{user}:{quote(password, safe='')}" if password else user
        return replace(self, url=urlunsplit(parts._replace(netloc=f"{login}@{host}")))


def credentials_variable(name: str) -> str:
    """Return the prefix of the variables with an index's credentials."""
    return "PIPSHIM_INDEX_" + "".join(
        letter if letter.isalnum() else "_" for letter in name.upper()
    )


@dataclass(frozen=True)
class PackageSource:
    """Where one distribution comes from; one of `path`, `url`, `index` and `workspace` is set.

    Attributes:
        path: a folder or file, relative to pyproject.toml's.
        url: what pip takes behind ``@`` (``git+https://…@main``).
        index: the name of the index that it comes from.
        workspace: it is a member of the workspace.
        editable: installed as a link to its folder.
        marker: where the entry applies; None means everywhere.
        origin: the extra or group that it applies with (``extra cpu``); None means always.

    """

    path: str | None = None
    url: str | None = None
    index: str | None = None
    workspace: bool = False
    editable: bool = False
    marker: Marker | None = None
    origin: str | None = None

    def applies_to(self, markers: Mapping[str, str], chosen: Collection[str] = ()) -> bool:
        """Return whether the entry applies to a target, with these extras and groups."""
        if self.origin is not None and self.origin not in chosen:
            return False
        return self.marker is None or self.marker.evaluate(dict(markers))

    @property
    def condition(self) -> str:
        """Describe where the entry applies."""
        parts = [named(self.origin)] if self.origin is not None else []
        parts += [f"marker '{self.marker}'"] if self.marker is not None else []
        return " and ".join(parts) or "no marker"

    def link(self, directory: Path) -> str:
        """Return the URL of a path (relative to `directory`) or URL."""
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Return the absolute path."""
        return (directory / Path(self.path or ".").expanduser()).resolve()


PackageSources = dict["NormalizedName", tuple[PackageSource, ...]]
"""The entries of each package; at most one of them applies to a target."""


_EXAMPLE = 'for example: name = "company", url = "https://…"'


def read_indexes(reader: Reader, value: object, path: KeyPath) -> tuple[Index, ...]:
    """Read the indexes.

    Raises:
        ProjectError: an index lacks its name or URL, a name or the default is there twice, or a key
            or value is unknown.

    """
    indexes: dict[str, Index] = {}
    for item, at in reader.array(value, path):
        index = reader.instance(item, at, Index, hint=_EXAMPLE)
        if index.name in indexes:
            raise reader.error((*at, "name"), f"is the name of two indexes: {index.name!r}")
        if index.default and any(other.default for other in indexes.values()):
            raise reader.error((*at, "default"), "is true for two indexes")
        indexes[index.name] = index
    return tuple(indexes.values())


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


def read_sources(reader: Reader, value: object, path: KeyPath) -> PackageSources:
    """Read the sources: a table, or an array of tables, for each package.

    Raises:
        ProjectError: an entry is neither path, URL, git nor index, or has a key that does not
            belong.

    """
    return {
        name: (
            array_of(_source)(reader, item, at)
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
