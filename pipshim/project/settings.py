"""Read ``[tool.pipshim]``. Unknown settings are errors."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from pipshim.base.sizes import read_size
from pipshim.base.spelling import nearest
from pipshim.model import cutoff
from pipshim.model.build_variables import Patterns, is_pattern
from pipshim.model.combinations import PROJECT, named, origin_of_member
from pipshim.model.package_sources import FORMATS, Index, Limit, PackageSource
from pipshim.model.settings import (
    ABIS,
    PUSHES,
    STRATEGIES,
    BuildersAddress,
    BuildersTable,
    Configuration,
    ExtraBuildRequirement,
    Rebuild,
    RemoteTable,
    StaticMetadata,
    WorkspaceTable,
)
from pipshim.model.signing_keys import read_public_key
from pipshim.model.targets import FORM, TargetName
from pipshim.model.value_reader import Reader, ReadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.base.toml_files import KeyPath
    from pipshim.model.package_sources import PackageSources

    Read = Callable[[Reader, object, KeyPath], Any]

_LEAST = 2
"""How many extras and groups can exclude each other, at least."""


def load_configuration(
    reader: Reader,
    table: object,
    tool: str = "pipshim",
    more_indexes: Iterable[Index] = (),
) -> Configuration:
    """Read ``[tool.pipshim]``, or what `uv_settings` made of another tool's table.

    The sources may name ``more_indexes`` of the workspace too. The caller checks that the names of
    ``default-groups`` exist.

    Raises:
        ProjectError: an unknown key, a value of the wrong type, or an invalid name, version,
            specifier or requirement.

    """
    path: KeyPath = ("tool", tool)
    kinds = {key: partial(setting.read, reader) for key, setting in SETTINGS.items()}
    configuration = Configuration(**reader.record(table, path, kinds))
    indexes = (*configuration.index, *more_indexes)
    check_index_names(reader, indexes, configuration.sources, (*path, "sources"))
    return configuration


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


def _target_environments(reader: Reader, value: object, path: KeyPath) -> tuple[TargetName, ...]:
    found = (
        reader.parsed(text, at, TargetName.parse, "target", hint=FORM)
        for text, at in reader.array(value, path)
    )
    return tuple(dict.fromkeys(found))


def _by_package(read: Read) -> Read:
    """Return the reader of a table that has what `read` reads for each package."""

    def by_package(reader: Reader, value: object, path: KeyPath) -> dict[NormalizedName, Any]:
        return {name: read(reader, item, at) for name, item, at in reader.by_name(value, path)}

    return by_package


def _constraints(reader: Reader, value: object, path: KeyPath) -> tuple[Requirement, ...]:
    constraints = reader.requirements(value, path)
    for index, constraint in enumerate(constraints):
        if constraint.extras:
            # pip's rule too (pip._internal.req.req_install.check_invalid_constraint_type)
            raise reader.error((*path, index), f"is a constraint with extras: {str(constraint)!r}")
    return constraints


def _array(read: Read) -> Read:
    """Return the reader of an array of what `read` reads."""
    return lambda reader, value, path: tuple(
        read(reader, item, at) for item, at in reader.array(value, path)
    )


def _conflict(reader: Reader, value: object, path: KeyPath) -> tuple[str, ...]:
    """Read a set of extras and groups, as origins: ``extra cpu``."""
    members: dict[str, None] = {}
    for item, at in reader.array(value, path):
        table = dict(reader.known_table(item, at, ("extra", "group", "package")))
        package = table.pop("package", None)
        if len(table) > 1 or not (table or package):
            raise reader.error(
                at, "must have one of 'extra' and 'group'", hint='for example: { extra = "cpu" }'
            )
        origin = PROJECT  # of a member: what it requires without extras and groups
        for kind, name in table.items():
            origin = origin_of(reader, kind, name, at)
        if package is not None:
            origin = origin_of_member(reader.name(package, (*at, "package")), origin)
        if origin in members:
            raise reader.error(at, f"is listed twice: {named(origin)}")
        members[origin] = None
    if len(members) < _LEAST:
        raise reader.error(path, "must have two extras or groups, or more")
    return tuple(members)


def _extra_build_requirement(reader: Reader, value: object, path: KeyPath) -> ExtraBuildRequirement:
    if isinstance(value, str):
        return ExtraBuildRequirement(reader.requirement(value, path))
    if not isinstance(value, dict):
        raise reader.wrong_type(path, "a requirement or {requirement, match-runtime}", value)
    kinds = {"requirement": reader.requirement, "match-runtime": reader.boolean}
    return ExtraBuildRequirement(**reader.record(value, path, kinds, needs=["requirement"]))


def _variables(reader: Reader, value: object, path: KeyPath) -> dict[str, str]:
    variables = reader.texts(value, path)
    for name, text in variables.items():
        # what execve could not pass on
        if not name or "=" in name or "\0" in name + text:
            raise reader.error((*path, name), "cannot be an environment variable")
    return variables


def _size(reader: Reader, value: object, path: KeyPath) -> int:
    hint = 'a number and a unit, such as "8 GB", "500 MB" or "1.5 GiB"'
    return reader.parsed(value, path, read_size, "size", why=False, hint=hint)


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
    kinds: dict[str, ReadValue] = {
        "name": reader.name,
        "version": reader.version,
        "requires-dist": reader.requirements,
        "requires-python": reader.specifiers,
        "provides-extra": reader.names,
        "build-requires": reader.requirements,
    }
    return StaticMetadata(**reader.record(value, path, kinds, needs=["name"]))


def _workspace(reader: Reader, value: object, path: KeyPath) -> WorkspaceTable:
    kinds = dict.fromkeys(("members", "exclude"), reader.strings)
    return WorkspaceTable(**reader.record(value, path, kinds))


def _remote(reader: Reader, value: object, path: KeyPath) -> RemoteTable:
    push = partial(reader.word, words=PUSHES)
    kinds: dict[str, ReadValue] = {"url": reader.string, "push": push, "trust": reader.strings}
    table = RemoteTable(**reader.record(value, path, kinds))
    if table.url == "":
        raise reader.error((*path, "url"), "is empty")
    for index, key in enumerate(table.trust):
        try:
            read_public_key(key)
        except ValueError as error:  # says it without the key, which may be a private one
            hint = "public keys look like ed25519:…; pipshim builds keygen creates one"
            raise reader.error((*path, "trust", index), str(error), hint=hint) from None
    return table


def _builders(reader: Reader, value: object, path: KeyPath) -> BuildersTable:
    kinds: dict[str, ReadValue] = {
        "use": partial(reader.parsed, parse=BuildersAddress.parse, what="address"),
        "setup": partial(reader.record, kinds=dict.fromkeys(("dask", "slurm"), reader.string)),
        "sbatch": reader.texts,
    }
    return BuildersTable(**reader.record(value, path, kinds))


def _variable_patterns(reader: Reader, value: object, path: KeyPath) -> Patterns:
    found = []
    for item, at in reader.array(value, path):
        text = reader.string(item, at)
        if not is_pattern(text):
            problem = f"is no pattern of variables' names: {text!r}"
            raise reader.error(at, problem, hint="* stands for any characters, as in MYLIB_*")
        found.append(text)
    return Patterns(found)


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
            _array(_source)(reader, item, at)
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


class Setting(NamedTuple):
    """A key of ``[tool.pipshim]``, which is also the name of its field.

    Attributes:
        read: checks and converts the value.
        values: describes the values, for the documentation.
        meaning: describes the effect, for the documentation.

    """

    read: Read
    values: str
    meaning: str


_PACKAGES = "an array of package names"
_REQUIREMENTS = "an array of requirements"
_VARIABLES = "an array of names, with `*` for any characters"

SETTINGS = {
    "no-build-isolation": Setting(
        Reader.boolean, "true or false", "Build every sdist in the project's environment."
    ),
    "no-build-isolation-package": Setting(
        lambda reader, value, path: frozenset(reader.names(value, path)),
        _PACKAGES,
        "Build these packages in the project's environment.",
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
    "conflicts": Setting(
        _array(_conflict),
        "an array of arrays of `{ extra = NAME }` or `{ group = NAME }`",
        "Extras and groups that are never installed together; each is locked without the others.",
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
        _by_package(_array(_extra_build_requirement)),
        "for each package, an array of requirements or of `{requirement, match-runtime}`",
        "Requirements that the build of a package needs and does not declare.",
    ),
    "extra-build-variables": Setting(
        _by_package(_variables),
        "for each package, a table of strings",
        "Environment variables for the build of a package.",
    ),
    "build-memory": Setting(
        _by_package(_size),
        'for each package, a size: `"8 GB"`',
        "How much memory the build of a package needs, instead of what was measured.",
    ),
    "config-settings": Setting(
        Reader.config_settings,
        "a table of strings or arrays of strings",
        "Settings for all build backends.",
    ),
    "config-settings-package": Setting(
        _by_package(Reader.config_settings),
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
    "index": Setting(
        read_indexes,
        "an array of tables",
        "Named indexes beside those of pip's options.",
    ),
    "sources": Setting(
        read_sources,
        "for each package, a table with `path`, `git`, `url`, `index` or `workspace`, "
        "or an array of these",
        "Where packages come from instead of pip's indexes.",
    ),
    "workspace": Setting(
        _workspace,
        "a table with the arrays of patterns `members` and `exclude`",
        "The folders of projects that share this project's lock and environment.",
    ),
    "builders": Setting(
        _builders,
        "a table with `use` (as `--builders`), `setup` (a line of shell code for `dask` or "
        "`slurm`) and `sbatch` (options of Slurm jobs)",
        "The machines that build ([Build on a cluster](../how-to/build-on-a-cluster.md)).",
    ),
    "resolution": Setting(
        partial(Reader.word, words=STRATEGIES),
        ", ".join(f'`"{strategy}"`' for strategy in STRATEGIES),
        "Which versions are locked; without it the highest.",
    ),
    "exclude-newer": Setting(
        read_moment,
        "a date, a time or a duration",
        "Ignore files that were uploaded to the index later.",
    ),
    "exclude-newer-package": Setting(
        _by_package(read_limit),
        "for each package, a date, a time, a duration or `false`",
        "The same for single packages; `false` ignores no file.",
    ),
    "rebuild": Setting(
        _rebuild,
        '`"auto"`, `"exact"`, or one of these for each package',
        "Which changes of its build environment invalidate a built wheel.",
    ),
    "abi": Setting(
        _by_package(partial(Reader.word, words=ABIS)),
        'for each distribution `"exact"`, `"micro"`, `"minor"` or `"major"`',
        "How far its version may differ from the one that a wheel was built against.",
    ),
    "remote": Setting(
        _remote,
        'a table with `url`, `push` (`"never"` or `"always"`) and `trust`',
        "Where the wheels that other machines built are, and whether this one adds its own.",
    ),
    "record-variables": Setting(
        _variable_patterns,
        _VARIABLES,
        "Environment variables that every built wheel depends on.",
    ),
    "ignore-variables": Setting(
        _variable_patterns,
        _VARIABLES,
        "Environment variables that no built wheel depends on.",
    ),
}
