"""A command's options, variables and pip.conf settings as typed values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pipshim.model.preferences import GivenPreferences

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
        project: where to look for pyproject.toml (``--project``).
        no_project: look for none.
        python: the interpreter or environment to serve (``--python``), as it was typed.
        verbosity: the number of ``-v`` less that of ``-q``.
        debug: show tracebacks.
        no_color: ``--no-color``, or NO_COLOR is set.
        no_input: ask nothing.
        progress_bar: ``on``, ``off`` or ``raw``; ``auto`` is resolved already.
        timings: where to write the timings page.
        log: pip's log file.
        cache: pip's cache; None if it is off or another user's.
        shim_cache: pipshim's cache: PIPSHIM_CACHE_DIR, else ``pipshim`` beside pip's, if that is
            on.
        jobs: how many builds, or targets, at once; None: pipshim chooses.
        link_mode: how files get into environments; None: pipshim chooses.
        offline: use only caches.
        require_virtualenv: serve nothing but a virtual environment.

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
        layers_above: the command line's, then the variables'.
        layers_below: pip.conf's.
        extra_build_dependencies: added to the package's own build requirements.
        config_settings: for every backend (``-C``), in pip's form (PEP 517).
        config_settings_package: for one package's backend.
        build_constraints: files or URLs that constrain isolated and matched builds.
        check_build_dependencies: check that a no-isolation build has what it declares.
        rebuild: packages to build even if a wheel could be reused, or
            `pipshim.model.build_settings.ALL`.

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
        requirements: specifiers, paths or URLs.
        requirement_files: ``-r``.
        scripts: ``--requirements-from-script``.
        editables: ``-e``.
        constraints: ``-c``; on sync and run too, since they may lock.
        groups: ``--group``: a file, and a dependency group in it.
        upgrade: keep no pin of the existing lock.
        upgrade_packages: keep no pin of these.
        check: change nothing; fail if the lock is out of date.
        dry_run: change nothing; show what would change.
        target_environments: additional targets (``--target-environment``).
        output: the lock file, ``-`` for standard output; None for the project's pylock.toml.
        said: which versions and files to choose.
        script: lock what this script's metadata requires (PEP 723), beside the script.
        pinned: every requirement must be a pin, and nothing else may be needed.
        packages: members of the workspace that must exist; the lock always includes all.
        all_packages: the same for all.

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
        packages: members of the workspace to select from.
        all_packages: select from all members.
        exact: remove what the lock does not have; None: depends on who made the environment.
        compile: write bytecode; None: the command's default.

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
    """How sync treats the lock and the environment; ``locked`` and ``frozen`` exclude each other.

    Attributes:
        locked: fail if the lock is out of date.
        frozen: do not check whether it is.
        check: change nothing; fail if the environment differs.
        dry_run: change nothing; show what would change.

    """

    locked: bool = False
    frozen: bool = False
    check: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Attributes:
        no_sync: run in the environment as it is.
        module: run as ``python -m MODULE``; None if a command was given.
        command: the command and its arguments; with ``module`` only the arguments.
        env_files: files of variables for the command.
        script: the command is a Python script, whatever its name.
        isolated: run in an environment other than the project's.
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
    """What to write.

    Attributes:
        output: the file; None, or ``-``, for standard output.
        header: with a comment that names the lock.
        annotate: with comments that say what requires what.
        build: write the build environment of this package instead of the runtime packages.

    """

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
        group: edit this dependency group.
        optional: edit this extra; without both, the project's dependencies.
        frozen: neither lock nor sync.
        no_sync: do not sync.

    """

    group: str | None = None
    optional: str | None = None
    frozen: bool = False
    no_sync: bool = False


@dataclass(frozen=True)
class AddRequest(EditRequest):
    """``pipshim add``.

    Attributes:
        requirements: specifiers, paths or URLs.
        editables: folders (``-e``).
        files: of requirements (``-r``).
        extras: of the new requirements.
        marker: of the new requirements.
        raw: write requirements as given, without bounds.
        bounds: the kind of specifier to write where none is given.
        index: the name of the index that it comes from, and the URL if that is to be added.
        torch_backend: the PyTorch backend that torch comes from; ``auto`` for the GPU's.

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
        days: remove what was unused for so long.
        dry_run: change nothing; show what would be removed.
        as_json: for programs to read.
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
        project: where to look for pyproject.toml (``--project``).
        lock: the lock to read; None for the project's pylock.toml.
        as_json: for programs to read.
        no_color: use no colours.
        verbosity: the number of ``-v`` less that of ``-q``.
        inputs_now: returns the digest of a lock's current inputs, given the project and its lock;
            it
            imports all of pip's machinery.

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
        invert: show what needs a package, instead of what it needs.
        builds: show build requirements too.
        depth: how many levels; None for all.
        dedupe: show what a package needs once only.

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
