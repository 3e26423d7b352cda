"""Read the settings of ``[tool.pipshim]`` as values. Unknown settings are errors."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from packaging.utils import NormalizedName

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.sizes import read_size
from pipshim.model.build_variables import Patterns, is_pattern
from pipshim.model.combinations import PROJECT, named, origin_of_member
from pipshim.model.package_sources import (
    check_index_names,
    origin_of,
    read_indexes,
    read_limit,
    read_moment,
    read_sources,
)
from pipshim.model.signing_keys import read_public_key
from pipshim.model.targets import FORM, TargetName
from pipshim.model.value_reader import (
    READ,
    Read,
    Reader,
    array_of,
    by_package,
    fields_by_key,
    instance_of,
    read_by,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from pipshim.base.toml_files import KeyPath
    from pipshim.model.package_sources import Index, Limit, PackageSource

STRATEGIES = ("highest", "lowest", "lowest-direct")
"""Which versions are chosen; the names are uv's."""

Abi = Literal["exact", "micro", "minor", "major"]
"""How far a version may differ from the one that a wheel was built against."""

ABIS: tuple[Abi, ...] = ("exact", "micro", "minor", "major")

Push = Literal["never", "always"]
"""Whether what is built is added to the remote."""

PUSHES: tuple[Push, ...] = ("never", "always")

Rebuild = Literal["auto", "exact"] | frozenset[NormalizedName]
"""Which distributions count in build records; with names, all do for these packages."""

ConfigSettings: TypeAlias = "Mapping[str, str | list[str]]"
"""Those of PEP 517, as pip has them."""


@dataclass(frozen=True)
class ExtraBuildRequirement:
    """An additional build requirement of a package.

    Attributes:
        match_runtime: it must have the version that is locked for run time.

    """

    requirement: Requirement = read_by(Reader.requirement)
    match_runtime: bool = read_by(Reader.boolean, default=False)


@dataclass(frozen=True)
class StaticMetadata:
    """Metadata written by hand for an sdist that cannot give it.

    Attributes:
        version: None means all versions.
        build_requires: additional build requirements; None means unknown.

    """

    name: NormalizedName = read_by(Reader.name)
    version: Version | None = read_by(Reader.version, default=None)
    requires_dist: tuple[Requirement, ...] = read_by(Reader.requirements, default=())
    requires_python: SpecifierSet | None = read_by(Reader.specifiers, default=None)
    provides_extra: tuple[NormalizedName, ...] = read_by(Reader.names, default=())
    build_requires: tuple[Requirement, ...] | None = read_by(Reader.requirements, default=None)

    def is_about(self, name: NormalizedName | None, version: Version | None) -> bool:
        """Return whether this is the metadata of a version."""
        return self.name == name and version is not None and self.version in (None, version)


@dataclass(frozen=True)
class WorkspaceTable:
    """The folders of a workspace's members: patterns, relative to the root."""

    members: tuple[str, ...] = read_by(Reader.strings, default=())
    exclude: tuple[str, ...] = read_by(Reader.strings, default=())


@dataclass(frozen=True)
class RemoteTable:
    """Where the results of other machines' builds are.

    Attributes:
        url: a folder, or a URL.
        push: whether what is built is added.
        trust: the public keys of which one must have signed a result; without any, none has to.

    """

    url: str | None = read_by(Reader.string, default=None, repr=False)
    push: Push = read_by(partial(Reader.word, words=PUSHES), default="never")
    trust: tuple[str, ...] = read_by(Reader.strings, default=())


Kind: TypeAlias = Literal["dask", "slurm"]

_FORM = "dask://HOST:PORT, slurm or slurm:PARTITION"
_DASK = re.compile(r"dask://((?:[^/\s:@]+|\[[0-9a-fA-F:.]+\]):\d{1,5})/?")
_SLURM = re.compile(r"slurm(?::([\w.,-]+))?")


class BuildersAddress(NamedTuple):
    """Where to build.

    Attributes:
        kind: the engine that runs builds.
        place: the scheduler's ``HOST:PORT``, or a partition; empty for the default one.

    """

    kind: Kind
    place: str

    @classmethod
    def parse(cls, text: str) -> BuildersAddress:
        """Read ``dask://HOST:PORT``, ``slurm`` or ``slurm:PARTITION``.

        Raises:
            ValueError: it is none of them.

        """
        if match := _DASK.fullmatch(text):
            return cls("dask", match[1])
        if match := _SLURM.fullmatch(text):
            return cls("slurm", match[1] or "")
        raise ValueError(f"{text!r} is not of the form {_FORM}")


def _setup(reader: Reader, value: object, path: KeyPath) -> dict[str, str]:
    return reader.record(value, path, dict.fromkeys(("dask", "slurm"), reader.string))


@dataclass(frozen=True)
class BuildersTable:
    """``[tool.pipshim.builders]``.

    Attributes:
        use: where to build; None: here.
        setup: by engine, a line of shell code that workers run before each build.
        sbatch: options of jobs, by name.

    """

    use: BuildersAddress | None = read_by(
        partial(Reader.parsed, parse=BuildersAddress.parse, what="address"), default=None
    )
    setup: Mapping[str, str] = read_by(_setup, default_factory=dict, repr=False)
    sbatch: Mapping[str, str] = read_by(Reader.texts, default_factory=dict)


_LEAST = 2
"""How many extras and groups can exclude each other, at least."""


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


def _constraints(reader: Reader, value: object, path: KeyPath) -> tuple[Requirement, ...]:
    constraints = reader.requirements(value, path)
    for index, constraint in enumerate(constraints):
        if constraint.extras:
            # pip's rule too (pip._internal.req.req_install.check_invalid_constraint_type)
            raise reader.error((*path, index), f"is a constraint with extras: {str(constraint)!r}")
    return constraints


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
    return reader.instance(value, path, ExtraBuildRequirement)


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
        entry = reader.instance(item, at, StaticMetadata)
        if entries.setdefault((entry.name, entry.version), entry) is not entry:
            version = "all versions" if entry.version is None else f"version {entry.version}"
            raise reader.error(at, f"is a second entry for {version} of {entry.name}")
    return tuple(entries.values())


def _remote(reader: Reader, value: object, path: KeyPath) -> RemoteTable:
    table = reader.instance(value, path, RemoteTable)
    if table.url == "":
        raise reader.error((*path, "url"), "is empty")
    for index, key in enumerate(table.trust):
        try:
            read_public_key(key)
        except ValueError as error:  # says it without the key, which may be a private one
            hint = "public keys look like ed25519:…; pipshim builds keygen creates one"
            raise reader.error((*path, "trust", index), str(error), hint=hint) from None
    return table


def _variable_patterns(reader: Reader, value: object, path: KeyPath) -> Patterns:
    found = []
    for item, at in reader.array(value, path):
        text = reader.string(item, at)
        if not is_pattern(text):
            problem = f"is not a pattern of variable names: {text!r}"
            raise reader.error(at, problem, hint="* stands for any characters, as in MYLIB_*")
        found.append(text)
    return Patterns(found)


def setting(
    read: Read,
    values: str,
    meaning: str,
    *,
    default: object = None,
    make: Callable[[], object] | None = None,
) -> Any:
    """Declare a setting at its field, which has the same name.

    Args:
        read: checks and converts the value.
        values: describes the values, for the documentation.
        meaning: describes the effect, for the documentation.
        make: makes the default.

    """
    metadata = {READ: read, "values": values, "meaning": meaning}
    if make is None:
        return dataclasses.field(default=default, metadata=metadata)
    return dataclasses.field(default_factory=make, metadata=metadata)


_PACKAGES = "an array of package names"
_REQUIREMENTS = "an array of requirements"
_VARIABLES = "an array of names, with `*` for any characters"


@dataclass(frozen=True)
class Configuration:
    """``[tool.pipshim]``; ``Configuration()`` has only defaults."""

    no_build_isolation: bool | None = setting(
        Reader.boolean, "true or false", "Build every sdist in the project's environment."
    )
    no_build_isolation_package: frozenset[NormalizedName] = setting(
        lambda reader, value, path: frozenset(reader.names(value, path)),
        _PACKAGES,
        "Build these packages in the project's environment.",
        default=frozenset(),
    )
    match_runtime: Literal["auto"] | frozenset[NormalizedName] = setting(
        _match_runtime,
        f'`"auto"` or {_PACKAGES}',
        "Which build requirements get the version that the lock has for run time.",
        default="auto",
    )
    default_groups: tuple[str, ...] | None = setting(
        Reader.names,
        "an array of group names",
        "The dependency groups that are installed by default; without it `dev`, if it exists.",
    )
    conflicts: tuple[tuple[str, ...], ...] = setting(
        array_of(_conflict),
        "an array of arrays of `{ extra = NAME }` or `{ group = NAME }`",
        "Extras and groups that are never installed together; each is locked without the others.",
        default=(),
    )
    target_environments: tuple[TargetName, ...] = setting(
        _target_environments,
        "an array of target names",
        "The Pythons and platforms that the lock is for; without it the current ones.",
        default=(),
    )
    constraint_dependencies: tuple[Requirement, ...] = setting(
        _constraints,
        _REQUIREMENTS,
        "Limit the versions of packages that are required anyway.",
        default=(),
    )
    override_dependencies: tuple[Requirement, ...] = setting(
        Reader.requirements,
        _REQUIREMENTS,
        "Replace every requirement of these packages, whoever requires them.",
        default=(),
    )
    build_constraint_dependencies: tuple[Requirement, ...] = setting(
        _constraints,
        _REQUIREMENTS,
        "Limit the versions of packages in build environments.",
        default=(),
    )
    extra_build_dependencies: Mapping[NormalizedName, tuple[ExtraBuildRequirement, ...]] = setting(
        by_package(array_of(_extra_build_requirement)),
        "for each package, an array of requirements or of `{requirement, match-runtime}`",
        "Requirements that the build of a package needs and does not declare.",
        make=dict,
    )
    extra_build_variables: Mapping[NormalizedName, Mapping[str, str]] = setting(
        by_package(_variables),
        "for each package, a table of strings",
        "Environment variables for the build of a package.",
        make=dict,
    )
    build_memory: Mapping[NormalizedName, int] = setting(
        by_package(_size),
        'for each package, a size: `"8 GB"`',
        "How much memory the build of a package needs, instead of what was measured.",
        make=dict,
    )
    config_settings: ConfigSettings = setting(
        Reader.config_settings,
        "a table of strings or arrays of strings",
        "Settings for all build backends.",
        make=dict,
    )
    config_settings_package: Mapping[NormalizedName, ConfigSettings] = setting(
        by_package(Reader.config_settings),
        "for each package, a table of strings or arrays of strings",
        "Settings for the build backend of a package.",
        make=dict,
    )
    dependency_metadata: tuple[StaticMetadata, ...] = setting(
        _dependency_metadata,
        "an array of tables",
        "Metadata of sdists, so that their build backends are not asked for it.",
        default=(),
    )
    package: bool | None = setting(
        Reader.boolean,
        "true or false",
        "Install the project itself; without it only if there is a `[build-system]` table.",
    )
    index: tuple[Index, ...] = setting(
        read_indexes,
        "an array of tables",
        "Named indexes beside those of pip's options.",
        default=(),
    )
    sources: Mapping[NormalizedName, tuple[PackageSource, ...]] = setting(
        read_sources,
        "for each package, a table with `path`, `git`, `url`, `index` or `workspace`, "
        "or an array of these",
        "Where packages come from instead of pip's indexes.",
        make=dict,
    )
    workspace: WorkspaceTable | None = setting(
        instance_of(WorkspaceTable),
        "a table with the arrays of patterns `members` and `exclude`",
        "The folders of projects that share this project's lock and environment.",
    )
    builders: BuildersTable = setting(
        instance_of(BuildersTable),
        "a table with `use` (as `--builders`), `setup` (a line of shell code for `dask` or "
        "`slurm`) and `sbatch` (options of Slurm jobs)",
        "The machines that build ([Build on a cluster](../how-to/build-on-a-cluster.md)).",
        make=BuildersTable,
    )
    resolution: str | None = setting(
        partial(Reader.word, words=STRATEGIES),
        ", ".join(f'`"{strategy}"`' for strategy in STRATEGIES),
        "Which versions are locked; without it the highest.",
    )
    exclude_newer: str | None = setting(
        read_moment,
        "a date, a time or a duration",
        "Ignore files that were uploaded to the index later.",
    )
    exclude_newer_package: Mapping[NormalizedName, Limit] = setting(
        by_package(read_limit),
        "for each package, a date, a time, a duration or `false`",
        "The same for single packages; `false` ignores no file.",
        make=dict,
    )
    rebuild: Rebuild = setting(
        _rebuild,
        '`"auto"`, `"exact"`, or one of these for each package',
        "Which changes of its build environment invalidate a built wheel.",
        default="auto",
    )
    abi: Mapping[NormalizedName, Abi] = setting(
        by_package(partial(Reader.word, words=ABIS)),
        'for each distribution `"exact"`, `"micro"`, `"minor"` or `"major"`',
        "How far its version may differ from the one that a wheel was built against.",
        make=dict,
    )
    remote: RemoteTable = setting(
        _remote,
        'a table with `url`, `push` (`"never"` or `"always"`) and `trust`',
        "Where the wheels that other machines built are, and whether this one adds its own.",
        make=RemoteTable,
    )
    record_variables: Patterns = setting(
        _variable_patterns,
        _VARIABLES,
        "Environment variables that every built wheel depends on.",
        make=Patterns,
    )
    ignore_variables: Patterns = setting(
        _variable_patterns,
        _VARIABLES,
        "Environment variables that no built wheel depends on.",
        make=Patterns,
    )


SETTINGS = fields_by_key(Configuration)


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
    configuration = reader.instance(table, path, Configuration)
    indexes = (*configuration.index, *more_indexes)
    check_index_names(reader, indexes, configuration.sources, (*path, "sources"))
    return configuration
