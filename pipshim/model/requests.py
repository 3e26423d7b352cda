"""A command's options, variables and pip.conf settings as typed values.

The help of an option (`pipshim.model.option_table`) describes the field that it fills; docstrings
describe the other fields, and what else a value may mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pipshim.model.selection_preferences import GivenPreferences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from pipshim.model.build_mode import IsolationLayer
    from pipshim.model.config_settings import ConfigSettings
    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock
    from pipshim.model.targets import TargetName

LinkMode: TypeAlias = Literal["reflink", "hardlink", "copy"]

Bounds: TypeAlias = Literal["lower", "major", "minor", "exact"]
Progress: TypeAlias = Literal["auto", "plain", "json"]
OutputFormat: TypeAlias = Literal["text", "json"]

PROGRESS: tuple[Progress, ...] = ("auto", "plain", "json")
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("text", "json")
BOUNDS: tuple[Bounds, ...] = ("lower", "major", "minor", "exact")
LINK_MODES: tuple[LinkMode, ...] = ("reflink", "hardlink", "copy")


@dataclass(frozen=True)
class CommonOptions:
    """What every command of pipshim takes.

    Attributes:
        python: as it was typed.
        verbosity: the number of ``-v`` less that of ``-q``.
        no_color: ``--no-color``, or NO_COLOR is set.
        progress_bar: ``on``, ``off`` or ``raw``; ``auto`` is resolved already.
        cache: pip's cache; None if it is off or another user's.
        shim_cache: pipshim's cache: PIPSHIM_CACHE_DIR, else ``pipshim`` beside pip's, if that is
            on.
        jobs, link_mode: None: pipshim chooses.

    """

    project: Path | None = None
    no_project: bool = False
    python: str | None = None
    verbosity: int = 0
    debug: bool = False
    no_color: bool = False
    no_input: bool = False
    progress_bar: str = "on"
    progress: Progress = "auto"
    output_format: OutputFormat = "text"
    timings: Path | None = None
    log: Path | None = None
    cache: Path | None = None
    shim_cache: Path | None = None
    jobs: int | None = None
    link_mode: LinkMode | None = None
    offline: bool = False
    require_virtualenv: bool = False


@dataclass(frozen=True)
class BuildOptions:
    """How to build from source; pyproject.toml's settings go between the two layers.

    Attributes:
        layers_above: the isolation settings of the command line, then those of variables.
        layers_below: those of pip.conf.
        config_settings: for every backend (``-C``), in pip's form (PEP 517).
        rebuild: names, or `pipshim.model.build_settings.ALL`.

    """

    layers_above: tuple[IsolationLayer, ...] = ()
    layers_below: tuple[IsolationLayer, ...] = ()
    extra_build_dependencies: Mapping[NormalizedName, tuple[Requirement, ...]] = field(
        default_factory=dict
    )
    config_settings: ConfigSettings = field(default_factory=dict)
    config_settings_package: Mapping[NormalizedName, ConfigSettings] = field(default_factory=dict)
    build_constraints: tuple[str, ...] = ()
    check_build_dependencies: bool = False
    rebuild: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LockOptions:
    """What to lock, and where to.

    Attributes:
        requirements: the arguments: specifiers, paths or URLs.
        constraints: ``-c``; on sync and run too, since they may lock.
        groups: ``--group``: a file, and a dependency group in it.
        output: the lock file, ``-`` for standard output; None for the project's pylock.toml.
        said: which versions and files to choose.
        pinned: every requirement must be a pin, and nothing else may be needed.
        packages: members of the workspace that must exist; the lock always includes all.

    """

    requirements: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    editables: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    upgrade: bool = False
    upgrade_packages: tuple[NormalizedName, ...] = ()
    check: bool = False
    dry_run: bool = False
    target_environments: tuple[TargetName, ...] = ()
    output: str | None = None
    said: GivenPreferences = field(default_factory=GivenPreferences)
    script: Path | None = None
    pinned: bool = False
    packages: tuple[NormalizedName, ...] = ()
    all_packages: bool = False

    @property
    def given(self) -> bool:
        """Whether requirements were given; without any the project is locked."""
        return bool(
            self.requirements
            or self.requirement_files
            or self.scripts
            or self.editables
            or self.groups
        )


@dataclass(frozen=True)
class SelectionOptions:
    """Which part of the lock to install, and how. Names are normalised.

    Attributes:
        exact: None: depends on who made the environment.
        compile: None: the command's default.

    """

    packages: tuple[NormalizedName, ...] = ()
    all_packages: bool = False
    extras: tuple[NormalizedName, ...] = ()
    all_extras: bool = False
    groups: tuple[NormalizedName, ...] = ()
    no_groups: tuple[NormalizedName, ...] = ()
    only_groups: tuple[NormalizedName, ...] = ()
    all_groups: bool = False
    no_default_groups: bool = False
    no_extras: tuple[NormalizedName, ...] = ()
    no_dev: bool = False
    no_editable: bool = False
    no_install_project: bool = False
    no_install_local: bool = False
    no_install_packages: tuple[NormalizedName, ...] = ()
    exact: bool | None = None
    reinstall: bool = False
    reinstall_packages: tuple[NormalizedName, ...] = ()
    compile: bool | None = None


@dataclass(frozen=True)
class SyncOptions:
    """How sync treats the lock and the environment."""

    locked: bool = False
    frozen: bool = False
    check: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Attributes:
        module: run as ``python -m MODULE``; None if a command was given.
        command: the command and its arguments; with ``module`` only the arguments.
        over: the requirements of a layer over the environment (``--with``).

    """

    no_sync: bool = False
    module: str | None = None
    command: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    script: bool = False
    isolated: bool = False
    over: LockOptions = field(default_factory=LockOptions)


@dataclass(frozen=True)
class ExportOptions:
    """What to write; `output` is None, or ``-``, for standard output."""

    output: str | None = None
    hashes: bool = True
    header: bool = True
    annotate: bool = True
    build: NormalizedName | None = None


@dataclass(frozen=True)
class LockRequest:
    """``pipshim lock``, and the base of the requests that may lock.

    Attributes:
        asks_for_lock: whether the command is about the lock.
        asks_for_environment: whether the command needs an environment.
        project_is_optional: whether ``--no-project`` may be given.

    """

    asks_for_lock: ClassVar[bool] = True
    asks_for_environment: ClassVar[bool] = False
    project_is_optional: ClassVar[bool] = False

    common: CommonOptions
    build: BuildOptions
    lock: LockOptions


@dataclass(frozen=True)
class SyncRequest(LockRequest):
    """``pipshim sync``; ``lock`` is used if the lock is out of date."""

    asks_for_lock = False
    asks_for_environment = True

    selection: SelectionOptions
    sync: SyncOptions


@dataclass(frozen=True)
class RunRequest(SyncRequest):
    """``pipshim run``."""

    project_is_optional = True

    run: RunOptions


@dataclass(frozen=True)
class ExportRequest(SyncRequest):
    """``pipshim export``."""

    asks_for_environment = False

    export: ExportOptions


@dataclass(frozen=True)
class BuildsShowRequest(SyncRequest):
    """``pipshim builds show``.

    Attributes:
        names: the packages.
        all: show the builds of other sources too.

    """

    names: tuple[NormalizedName, ...] = ()
    all: bool = False


@dataclass(frozen=True)
class EditRequest(SyncRequest):
    """What ``pipshim add`` and ``remove`` have in common.

    Attributes:
        group, optional: the dependency group or extra to edit; without both, the dependencies.

    """

    group: str | None = None
    optional: str | None = None
    frozen: bool = False
    no_sync: bool = False


@dataclass(frozen=True)
class AddRequest(EditRequest):
    """``pipshim add``.

    Attributes:
        requirements: the arguments: specifiers, paths or URLs.
        index: the name of the index that it comes from, and the URL if that is to be added.

    """

    requirements: tuple[str, ...] = ()
    editables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    extras: tuple[NormalizedName, ...] = ()
    marker: str | None = None
    raw: bool = False
    bounds: Bounds = "lower"
    index: tuple[str, str | None] | None = None
    torch_backend: str | None = None


@dataclass(frozen=True)
class RemoveRequest(EditRequest):
    """``pipshim remove``."""

    names: tuple[NormalizedName, ...] = ()


@dataclass(frozen=True)
class StoreRequest:
    """``pipshim cache store``.

    Attributes:
        cache: pipshim's cache; None if there is none.
        action: ``info``, ``list``, ``remove``, ``prune`` or ``verify``.
        arguments: of ``list`` at most one pattern; of ``remove`` what to remove.
        verbosity: the number of ``-v`` less that of ``-q``.

    """

    cache: Path | None
    action: str
    arguments: tuple[str, ...] = ()
    days: int = 30
    dry_run: bool = False
    as_json: bool = False
    verbosity: int = 0


@dataclass(frozen=True)
class BuildsHistoryRequest:
    """``pipshim builds history``.

    Attributes:
        cache: pipshim's cache folder; None: there is no cache.
        names: the packages; all of them without any.
        limit: how many builds at most.
        as_json: for programs to read.
        no_color: never colour what is shown.

    """

    cache: Path | None
    names: tuple[NormalizedName, ...] = ()
    limit: int = 50
    as_json: bool = False
    no_color: bool = False


@dataclass(frozen=True)
class BuildsLogRequest:
    """``pipshim builds log``.

    Attributes:
        cache: pipshim's cache folder; None: there is no cache.
        name: the package.

    """

    cache: Path | None
    name: NormalizedName


@dataclass(frozen=True)
class ExplainRequest:
    """What ``pipshim tree`` and ``why`` have in common.

    Attributes:
        names: the packages to show; all without any.
        verbosity: the number of ``-v`` less that of ``-q``.
        inputs_now: returns the digest of a lock's current inputs, given the project and its lock;
            it imports all of pip's machinery.

    """

    names: tuple[NormalizedName, ...]
    project: Path | None
    lock: Path | None
    as_json: bool
    no_color: bool
    verbosity: int
    inputs_now: Callable[[Project, Lock], str]


@dataclass(frozen=True)
class TreeRequest(ExplainRequest):
    """``pipshim tree``.

    Attributes:
        selection: which extras and groups; None for all that the lock has.
        depth: how many levels; None for all.

    """

    selection: SelectionOptions | None = None
    invert: bool = False
    builds: bool = False
    depth: int | None = None
    dedupe: bool = True


@dataclass(frozen=True)
class WhyRequest(ExplainRequest):
    """``pipshim why``; `limit` is the number of chains shown for each package."""

    limit: int = 10


def shim_cache_directory(pip_cache: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return where pipshim keeps its store, records and metadata."""
    named = environ.get("PIPSHIM_CACHE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    return None if pip_cache is None else pip_cache.absolute().with_name("pipshim")
