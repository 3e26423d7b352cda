"""The settings of ``[tool.pipshim]`` as values."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from packaging.utils import NormalizedName

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_variables import Patterns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from pipshim.model.package_sources import Index, Limit, PackageSource
    from pipshim.model.targets import TargetName

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

    requirement: Requirement
    match_runtime: bool = False


@dataclass(frozen=True)
class StaticMetadata:
    """Metadata written by hand for an sdist that cannot give it.

    Attributes:
        version: None means all versions.
        build_requires: additional build requirements; None means unknown.

    """

    name: NormalizedName
    version: Version | None = None
    requires_dist: tuple[Requirement, ...] = ()
    requires_python: SpecifierSet | None = None
    provides_extra: tuple[NormalizedName, ...] = ()
    build_requires: tuple[Requirement, ...] | None = None

    def is_about(self, name: NormalizedName | None, version: Version | None) -> bool:
        """Return whether this is the metadata of a version."""
        return self.name == name and version is not None and self.version in (None, version)


@dataclass(frozen=True)
class WorkspaceTable:
    """The folders of a workspace's members: patterns, relative to the root."""

    members: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteTable:
    """Where the results of other machines' builds are.

    Attributes:
        url: a folder, or a URL.
        push: whether what is built is added.
        trust: the public keys of which one must have signed a result; without any, none has to.

    """

    url: str | None = field(default=None, repr=False)
    push: Push = "never"
    trust: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class BuildersTable:
    """``[tool.pipshim.builders]``.

    Attributes:
        use: where to build; None: here.
        setup: by engine, a line of shell code that workers run before each build.
        sbatch: options of jobs, by name.

    """

    use: BuildersAddress | None = None
    setup: Mapping[str, str] = field(default_factory=dict, repr=False)
    sbatch: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """``[tool.pipshim]``; ``Configuration()`` has only defaults."""

    no_build_isolation: bool | None = None
    no_build_isolation_package: frozenset[NormalizedName] = frozenset()
    match_runtime: Literal["auto"] | frozenset[NormalizedName] = "auto"
    default_groups: tuple[str, ...] | None = None
    conflicts: tuple[tuple[str, ...], ...] = ()
    target_environments: tuple[TargetName, ...] = ()
    constraint_dependencies: tuple[Requirement, ...] = ()
    override_dependencies: tuple[Requirement, ...] = ()
    build_constraint_dependencies: tuple[Requirement, ...] = ()
    extra_build_dependencies: Mapping[NormalizedName, tuple[ExtraBuildRequirement, ...]] = field(
        default_factory=dict
    )
    extra_build_variables: Mapping[NormalizedName, Mapping[str, str]] = field(default_factory=dict)
    build_memory: Mapping[NormalizedName, int] = field(default_factory=dict)
    config_settings: ConfigSettings = field(default_factory=dict)
    config_settings_package: Mapping[NormalizedName, ConfigSettings] = field(default_factory=dict)
    dependency_metadata: tuple[StaticMetadata, ...] = ()
    package: bool | None = None
    index: tuple[Index, ...] = ()
    sources: Mapping[NormalizedName, tuple[PackageSource, ...]] = field(default_factory=dict)
    resolution: str | None = None
    exclude_newer: str | None = None
    exclude_newer_package: Mapping[NormalizedName, Limit] = field(default_factory=dict)
    rebuild: Rebuild = "auto"
    abi: Mapping[NormalizedName, Abi] = field(default_factory=dict)
    record_variables: Patterns = field(default_factory=Patterns)
    ignore_variables: Patterns = field(default_factory=Patterns)
    workspace: WorkspaceTable | None = None
    remote: RemoteTable = field(default_factory=RemoteTable)
    builders: BuildersTable = field(default_factory=BuildersTable)
