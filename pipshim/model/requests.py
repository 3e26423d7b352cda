"""A command's options, variables and pip.conf settings as typed values.

The options of pipshim are declared here, each at the field that it fills: the help describes the
field. `pipshim.model.option_table` says which command accepts which. Docstrings describe the other
fields, and what else a value may mean.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter, not_
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.sizes import read_size
from pipshim.model.build_mode import ALL
from pipshim.model.option_parsing import (
    EXTRAS,
    GROUPS,
    LOCKED,
    extras_by_package,
    field,
    names_field,
    read_days,
    read_extra_build,
    read_index,
    read_name,
    read_name_or_all,
    read_package_setting,
    read_path,
    read_positive,
    read_torch_backend,
    settings_by_package,
)
from pipshim.model.selection_preferences import GivenPreferences
from pipshim.model.settings import PUSHES, BuildersAddress
from pipshim.model.targets import TargetName
from pipshim.model.torch_backends import TORCH_BACKENDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from pipshim.model.build_mode import IsolationLayer
    from pipshim.model.settings import ConfigSettings, Push

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
        shim_cache: pipshim's cache: PIPSHIM_CACHE_DIR, else ``pipshim`` beside pip's; None if
            pip's is off or another user's.
        jobs, link_mode: None: pipshim chooses.

    """

    project: Path | None = field(
        "--project",
        "Where to look for pyproject.toml (default: the working directory and above).",
        "dir",
        read_path,
    )
    jobs: int | None = field(
        "-j --jobs", "How many builds run, or targets are resolved, at once.", "n", read_positive
    )
    link_mode: LinkMode | None = field(
        "--link-mode",
        f"How files get into environments: {', '.join(LINK_MODES)}.",
        "mode",
        choices=LINK_MODES,
    )
    offline: bool = field("--offline", "Contact no server; use only the caches.")
    progress: Progress = field(
        "--progress",
        "How progress is shown on standard error: auto (default; live on a terminal), "
        "plain, or json (one line per event).",
        "how",
        choices=PROGRESS,
        default="auto",
        abbreviates="--progress-bar",
    )
    timings: Path | None = field(
        "--timings", "Write an HTML page that shows where the time went.", "file", read_path
    )
    output_format: OutputFormat = field(
        "--output-format",
        "The format of the result: text (default), or json on standard output.",
        "format",
        choices=OUTPUT_FORMATS,
        default="text",
    )
    builders: BuildersAddress | None = field(
        "--builders",
        "Build on other machines: dask://HOST:PORT, slurm or slurm:PARTITION. Their wheels come "
        "through the remote.",
        "where",
        BuildersAddress.parse,
    )
    no_project: bool = field("--no-project", "Do not look for a project.")
    remote: str | None = field(
        "--remote",
        "Where the wheels of other machines are: a folder, or a URL (s3, gs, abfs, sftp, https).",
        "url",
        named="PIPSHIM_REMOTE_URL",
        is_shown=False,
    )
    push: Push | None = field(
        "--push",
        "Add the results of builds to the remote.",
        choices=PUSHES,
        const="always",
        convert=lambda stored: stored or None,
        named="PIPSHIM_REMOTE_PUSH",
    )
    no_remote: bool = field("--no-remote", "Do not use the remote.")
    python: str | None = None
    verbosity: int = 0
    no_color: bool = False
    progress_bar: str = "on"
    shim_cache: Path | None = None
    require_virtualenv: bool = False


@dataclass(frozen=True)
class BuildOptions:
    """How to build from source; pyproject.toml's settings go between the two layers.

    Attributes:
        layers_above: the isolation settings of the command line, then those of variables.
        layers_below: those of pip.conf.
        config_settings: for every backend (``-C``), in pip's form (PEP 517).

    """

    extra_build_dependencies: Mapping[NormalizedName, tuple[Requirement, ...]] = field(
        "--extra-build-dependency",
        "A requirement that the build of a package needs and does not declare. "
        "Can be given several times.",
        "package=requirement",
        read_extra_build,
        is_list=True,
        convert=extras_by_package,
    )
    config_settings_package: Mapping[NormalizedName, ConfigSettings] = field(
        "--config-settings-package",
        "A setting for the build backend of one package. Can be given several times.",
        "package:key=value",
        read_package_setting,
        is_list=True,
        convert=settings_by_package,
    )
    rebuild: frozenset[str] = field(
        "--rebuild",
        f"Build this package now, although an earlier build can be reused; {ALL} for all "
        "packages that are built. Can be given several times.",
        "name",
        read_name_or_all,
        is_list=True,
        convert=frozenset,
        names=LOCKED,
        has_variable=False,  # what to build now is no setting
    )
    layers_above: tuple[IsolationLayer, ...] = ()
    layers_below: tuple[IsolationLayer, ...] = ()
    config_settings: ConfigSettings = dataclasses.field(default_factory=dict)
    build_constraints: tuple[str, ...] = ()
    check_build_dependencies: bool = False


@dataclass(frozen=True)
class Upgrade:
    """What to lock anew."""

    upgrade: bool = field("-U --upgrade", "Use the newest versions instead of the locked ones.")
    upgrade_packages: tuple[NormalizedName, ...] = names_field(
        "-P --upgrade-package",
        "Use the newest version of this package. Can be given several times.",
        LOCKED,
    )


@dataclass(frozen=True)
class LockOptions(Upgrade):
    """What to lock, and where to.

    Attributes:
        requirements: the arguments: specifiers, paths or URLs.
        constraints: ``-c``; on sync and run too, since they may lock.
        groups: ``--group``: a file, and a dependency group in it.
        output: the lock file, ``-`` for standard output; None for the project's pylock.toml.
        preferences: which versions and files to choose.
        pinned: every requirement must be a pin, and nothing else may be needed.
        packages: must exist; the lock always includes all members of the workspace.

    """

    check: bool = field("--check", "Change nothing; fail if the lock is out of date.")
    dry_run: bool = field("--dry-run", "Change nothing; show what would change.")
    script: Path | None = field(
        "--script",
        "Lock the requirements of this script (PEP 723), in a file beside it.",
        "file",
        read_path,
        has_variable=False,
    )
    packages: tuple[NormalizedName, ...] = names_field(
        "--package",
        "Lock the workspace of this member (always the whole workspace). Can be given "
        "several times.",
        attrgetter("members"),
    )
    all_packages: bool = field("--all-packages", "Lock the whole workspace (the default).")
    target_environments: tuple[TargetName, ...] = field(
        "--target-environment",
        "Lock for this Python and platform as well (linux-x86_64-cp312, macos-arm64-cp313, "
        "windows-x86_64-cp310 and the like), with the same versions where possible. Can be "
        "given several times.",
        "name",
        TargetName.parse,
        is_list=True,
        convert=lambda given: tuple(dict.fromkeys(given)),
    )
    requirements: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    editables: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    output: str | None = None
    preferences: GivenPreferences = dataclasses.field(default_factory=GivenPreferences)
    pinned: bool = False

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
class SelectedParts:
    """Which members, extras and groups to install. Names are normalised."""

    packages: tuple[NormalizedName, ...] = names_field(
        "--package",
        "{verb} this member of the workspace. Can be given several times.",
        attrgetter("members"),
    )
    all_packages: bool = field("--all-packages", "{verb} all members of the workspace.")
    extras: tuple[NormalizedName, ...] = names_field("--extra", "{verb} this extra.", EXTRAS)
    all_extras: bool = field("--all-extras", "{verb} every extra.")
    no_extras: tuple[NormalizedName, ...] = names_field(
        "--no-extra", "Leave out this extra.", EXTRAS
    )
    groups: tuple[NormalizedName, ...] = names_field(
        "--group", "{verb} this dependency group.", GROUPS
    )
    no_groups: tuple[NormalizedName, ...] = names_field(
        "--no-group", "Leave out this group.", GROUPS
    )
    only_groups: tuple[NormalizedName, ...] = names_field(
        "--only-group", "{verb} this group, and neither the project nor what it depends on.", GROUPS
    )
    all_groups: bool = field("--all-groups", "{verb} every dependency group.")
    no_default_groups: bool = field("--no-default-groups", "Leave out the default groups.")
    no_dev: bool = field("--no-dev", "Leave out the group dev.")


@dataclass(frozen=True)
class ProjectForm:
    """Whether the project is installed, and how."""

    no_editable: bool = field("--no-editable", "Install the project and other editables as wheels.")
    no_install_project: bool = field("--no-install-project", "Leave out the project itself.")


@dataclass(frozen=True)
class LeftOut:
    """What is not installed."""

    no_install_local: bool = field(
        "--no-install-local", "Leave out packages that come from folders or files on this machine."
    )
    no_install_packages: tuple[NormalizedName, ...] = names_field(
        "--no-install-package", "Leave this out.", LOCKED
    )


@dataclass(frozen=True)
class Reinstall:
    """What is installed again."""

    reinstall: bool = field("--reinstall", "Install everything again.")
    reinstall_packages: tuple[NormalizedName, ...] = names_field(
        "--reinstall-package",
        "Install this again; a built package from its cached wheel (see --rebuild).",
        LOCKED,
    )


@dataclass(frozen=True)
class SelectionOptions(SelectedParts, ProjectForm, LeftOut, Reinstall):
    """Which part of the lock to install, and how.

    Attributes:
        exact: None: depends on who made the environment.
        compile: None: the command's default.

    """

    compile: bool | None = field(
        "--compile",
        "Compile Python source files to bytecode.",
        dest="compile",
        convert=lambda stored: None if stored is None else bool(stored),
    )
    exact: bool | None = None


@dataclass(frozen=True)
class UpToDate:
    """Whether the lock may change."""

    locked: bool = field("--locked", "Fail if the lock is out of date.", excludes="--frozen")
    frozen: bool = field("--frozen", "Do not check whether the lock is out of date.")


@dataclass(frozen=True)
class SyncOptions(UpToDate):
    """How sync treats the lock and the environment."""

    check: bool = field("--check", "Change nothing; fail if the environment differs.")
    dry_run: bool = field("--dry-run", "Change nothing; show what would change.")


@dataclass(frozen=True)
class RunOptions:
    """What to run.

    Attributes:
        module: run as ``python -m MODULE``; None if a command was given.
        command: the command and its arguments; with ``module`` only the arguments.
        over: the requirements of a layer over the environment (``--with``).

    """

    no_sync: bool = field("--no-sync", "Run in the environment as it is.")
    isolated: bool = field(
        "--isolated",
        "Run in a separate environment that has only the project's lock.",
    )
    script: bool = field(
        "-s --script",
        "The command is a Python script, whatever its name (PEP 723).",
        has_variable=False,
    )
    env_files: tuple[Path, ...] = field(
        "--env-file",
        "Set the variables of this file (NAME=VALUE lines) for the command, unless they are "
        "set already. Can be given several times; a later file wins.",
        "file",
        read_path,
        is_list=True,
    )
    module: str | None = None
    command: tuple[str, ...] = ()
    over: LockOptions = dataclasses.field(default_factory=LockOptions)


@dataclass(frozen=True)
class ExportOptions:
    """What to write; `output` is None, or ``-``, for standard output."""

    output: str | None = field(
        "-o --output --output-file", "The requirements file (default: standard output).", "path"
    )
    build: NormalizedName | None = field(
        "--build",
        "Write the locked build environment of this package, or of the project, instead.",
        "name",
        read_name,
    )
    hashes: bool = field("--no-hashes", "Leave out the hashes of the files.", convert=not_)
    header: bool = field(
        "--no-header", "Leave out the comment that says where it comes from.", convert=not_
    )
    annotate: bool = field(
        "--no-annotate", "Leave out the comments that name who requires each package.", convert=not_
    )


@dataclass(frozen=True)
class LockRequest:
    """``pipshim lock``, and the base of the requests that may lock.

    Attributes:
        asks_for_lock: whether the command is about the lock.
        asks_for_environment: whether the command needs an environment.
        project_is_optional: whether ``--no-project`` may be given.
        heeds_requires_python: whether the project says which Pythons can be served.

    """

    asks_for_lock: ClassVar[bool] = True
    asks_for_environment: ClassVar[bool] = False
    project_is_optional: ClassVar[bool] = False
    heeds_requires_python: ClassVar[bool] = True

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
    """``pipshim builds show``."""

    all: bool = field(
        "--all", "Show the builds of other versions and sources too.", has_variable=False
    )
    names: tuple[NormalizedName, ...] = ()


@dataclass(frozen=True)
class BuildsPlanRequest(SyncRequest):
    """``pipshim builds plan``; `output` is None, or ``-``, for standard output."""

    asks_for_environment = False

    output: str | None = field(
        "-o --output", "The file to write (default: standard output).", "file"
    )
    missing: bool = field(
        "--missing", "Leave out builds whose wheels could be reused here.", has_variable=False
    )
    tools: tuple[str, ...] = field(
        "--tool",
        "State the version of this compiler (cc, c++, fortran, nvcc, rustc) or program: "
        "builds run fails where it differs. Can be given several times.",
        "name",
        is_list=True,
    )


@dataclass(frozen=True)
class BuildsRunRequest(LockRequest):
    """``pipshim builds run``.

    Attributes:
        file: the plan, ``-`` for standard input.
        names: of packages, or ids of builds; all without any.

    """

    asks_for_lock = False
    heeds_requires_python = False

    file: str = "-"
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditRequest(SyncRequest):
    """What ``pipshim add`` and ``remove`` have in common."""

    group: str | None = field(
        "--group", "{verb} this dependency group.", "name", read_name, names=GROUPS
    )
    optional: str | None = field(
        "--optional",
        "{verb} this extra (optional-dependencies).",
        "extra",
        read_name,
        names=EXTRAS,
    )
    no_sync: bool = field("--no-sync", "Lock, but leave the environment as it is.")
    frozen: bool = field("--frozen", "Edit pyproject.toml only: neither lock nor sync.")


@dataclass(frozen=True)
class AddRequest(EditRequest):
    """``pipshim add``.

    Attributes:
        requirements: the arguments: specifiers, paths or URLs.
        index: the name of the index that it comes from, and the URL if that is to be added.

    """

    files: tuple[str, ...] = field(
        "-r --requirement",
        "Add what this requirements file lists. Can be given several times.",
        "file",
        is_list=True,
    )
    editables: tuple[str, ...] = field(
        "-e --editable",
        "Add the project in this folder, as an editable. Can be given several times.",
        "path",
        is_list=True,
    )
    extras: tuple[NormalizedName, ...] = names_field("--extra", "Add the package with this extra.")
    index: tuple[str, str | None] | None = field(
        "--index",
        "The name of the only index that it comes from; NAME=URL adds that index to "
        "pyproject.toml.",
        "name",
        read_index,
        names=attrgetter("indexes"),
        has_variable=False,
    )
    torch_backend: str | None = field(
        "--torch-backend",
        "Take torch, torchvision and torchaudio from PyTorch's index for cpu, cu128, "
        "rocm6.4, xpu and so on; auto asks the driver of the GPU.",
        "backend",
        read_torch_backend,
        names=lambda _: list(TORCH_BACKENDS),
        has_variable=False,
    )
    marker: str | None = field(
        "-m --marker", "Add it with this environment marker (PEP 508).", "marker"
    )
    bounds: Bounds = field(
        "--bounds",
        "The kind of specifier to write for a requirement without one, by its locked version: "
        f"{', '.join(BOUNDS)} (default: lower, as in >=1.2.3).",
        "kind",
        choices=BOUNDS,
        default="lower",
    )
    raw: bool = field("--raw", "Write the requirement as given, without bounds.")
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoveRequest(EditRequest):
    """``pipshim remove``."""

    names: tuple[NormalizedName, ...] = ()


@dataclass(frozen=True)
class StoreRequest:
    """``pipshim cache store``.

    Attributes:
        action: ``info``, ``list``, ``remove``, ``prune``, ``verify``, ``push`` or ``pull``.
        arguments: of ``list`` at most one pattern; of ``remove``, ``push`` and ``pull`` packages.

    """

    common: CommonOptions
    action: str
    arguments: tuple[str, ...]
    as_json: bool
    days: int | None = field(
        "--days",
        "With prune: remove what was not used for this many days (default: 30); from a "
        "remote, what was added earlier.",
        "n",
        read_days,
    )
    remote: bool = field(
        "--remote", "{verb} the remote's wheels, not those of this machine.", has_variable=False
    )
    remote_url: str | None = field(
        "--remote-url", "The remote (default: that of the project).", "url", is_shown=False
    )
    max_size: int | None = field(
        "--max-size",
        "With prune --remote: the total size of the wheels to keep (50GB); the oldest are removed.",
        "size",
        read_size,
    )
    dry_run: bool = field(
        "--dry-run", "With remove and prune: change nothing; show what would be removed."
    )


@dataclass(frozen=True)
class BuildsHistoryOptions:
    """What ``pipshim builds history`` shows."""

    limit: int = field(
        "--limit",
        "Show at most this many builds, the newest (default: 50).",
        "n",
        read_positive,
        default=50,
    )


@dataclass(frozen=True)
class ExplainRequest:
    """What ``pipshim tree`` and ``why`` have in common.

    Attributes:
        names: the packages to show; all without any.
        isolated: ignore variables and the user's configuration.

    """

    common: CommonOptions
    names: tuple[NormalizedName, ...]
    isolated: bool
    lock: Path | None = field(
        "--lock", "The lock to read (default: the project's pylock.toml).", "file", read_path
    )


@dataclass(frozen=True)
class TreeRequest(ExplainRequest):
    """``pipshim tree``."""

    invert: bool = field("--invert", "Show what needs a package, instead of what it needs.")
    builds: bool = field("--builds", "Show the build requirements of each build too.")
    depth: int | None = field("-d --depth", "Show at most this many levels.", "n", read_positive)
    dedupe: bool = field(
        "--no-dedupe", "Repeat the dependencies of a package wherever it occurs.", convert=not_
    )


@dataclass(frozen=True)
class WhyRequest(ExplainRequest):
    """``pipshim why``."""

    limit: int = field(
        "--limit",
        "Show at most this many chains for each package (default: 10).",
        "n",
        read_positive,
        default=10,
    )


def shim_cache_directory(pip_cache: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return where pipshim keeps its store, records and metadata."""
    named = environ.get("PIPSHIM_CACHE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    return Path(pip_cache).absolute().with_name("pipshim") if pip_cache else None
