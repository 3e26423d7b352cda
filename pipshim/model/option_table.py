"""pipshim's options, each declared once, with the commands that accept it.

Parsers, PIPSHIM_* variables, the values of requests, help, completion and docs/reference/options.md
follow from this table.
"""

from __future__ import annotations

from operator import attrgetter, not_
from typing import TYPE_CHECKING, Any

from pipshim.model.build_settings import ALL
from pipshim.model.option_parsing import (
    EXTRAS,
    GROUPS,
    LOCKED,
    CommandOptions,
    Option,
    extras_by_package,
    long_names,
    read_days,
    read_extra_build,
    read_index,
    read_name,
    read_name_or_all,
    read_package_setting,
    read_path,
    read_positive,
    read_target,
    read_torch_backend,
    settings_by_package,
)
from pipshim.model.requests import BOUNDS, LINK_MODES, OUTPUT_FORMATS, PROGRESS
from pipshim.model.requirements import separated
from pipshim.model.settings import STRATEGIES
from pipshim.model.torch_backends import TORCH_BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterable


def _names(flags: str, field: str, text: str, names: Any = None) -> Option:
    """Declare an option that takes a name, and can be given several times."""
    return Option(flags, field, text, "name", read_name, is_list=True, names=names)


def _all_separated(values: list[str]) -> tuple[str, ...]:
    return tuple(part for value in values for part in separated(value))


BUILD = (
    Option(
        "--build-isolation",
        "",
        "Build in isolation, whatever variables and configuration say.",
        dest="build_isolation",
    ),
    _names(
        "--no-build-isolation-package",
        "",
        "Build this package without isolation. Can be given several times.",
        LOCKED,
    ),
    Option(
        "--extra-build-dependency",
        "build.extra_build_dependencies",
        "A requirement that the build of a package needs and does not declare. "
        "Can be given several times.",
        "package=requirement",
        read_extra_build,
        is_list=True,
        convert=extras_by_package,
    ),
    Option(
        "--config-settings-package",
        "build",
        "A setting for the build backend of one package. Can be given several times.",
        "package:key=value",
        read_package_setting,
        is_list=True,
        convert=settings_by_package,
    ),
    Option(
        "--rebuild",
        "build",
        f"Build this package now, although an earlier build can be reused; {ALL} for all "
        "packages that are built. Can be given several times.",
        "name",
        read_name_or_all,
        is_list=True,
        convert=frozenset,
        names=LOCKED,
        has_variable=False,  # what to build now is no setting
    ),
)
"""Options of building from source, beside pip's own."""

RESOLUTION = Option(
    "--resolution",
    "",
    "Which versions are locked: highest (default), lowest, or lowest-direct (lowest "
    "of what is required directly, highest of all else).",
    "strategy",
    choices=STRATEGIES,
)
PROJECT = Option(
    "--project",
    "common",
    "Where to look for pyproject.toml (default: the working directory and above).",
    "dir",
    read_path,
)
JOBS = Option(
    "-j --jobs",
    "common",
    "How many builds run, or targets are resolved, at once.",
    "n",
    read_positive,
)
PROGRESS_VIEW = Option(
    "--progress",
    "common",
    "How work is shown, on standard error: auto (default; live on a terminal), "
    "plain, or json (a line an event).",
    "how",
    choices=PROGRESS,
    default="auto",
    abbreviates="--progress-bar",
)
TIMINGS = Option(
    "--timings", "common", "Write an HTML page that shows where the time went.", "file", read_path
)
COMMON = (
    RESOLUTION,
    PROJECT,
    JOBS,
    Option(
        "--link-mode",
        "common",
        f"How files get into environments: {', '.join(LINK_MODES)}.",
        "mode",
        choices=LINK_MODES,
    ),
    Option("--offline", "common", "Use only what the caches hold."),
    Option(
        "--default-index",
        "",
        "The default index, in place of pip's and of the project's.",
        "url",
    ),
    PROGRESS_VIEW,
    TIMINGS,
)
"""Options of the commands that may lock."""

OUTPUT = Option(
    "--output-format",
    "common",
    "How the result is told: text (default), or json on standard output.",
    "format",
    choices=OUTPUT_FORMATS,
    default="text",
)

UPGRADE = (
    Option("-U --upgrade", "lock", "Take the newest versions, not those that are locked."),
    _names(
        "-P --upgrade-package",
        "lock.upgrade_packages",
        "Take the newest version of this package. Can be given several times.",
        LOCKED,
    ),
)

MEMBER = _names(
    "--package",
    "selection.packages",
    "{verb} this member of the workspace. Can be given several times.",
    attrgetter("members"),
)
SELECTION = (
    MEMBER,
    Option("--all-packages", "selection", "{verb} all members of the workspace."),
    _names("--extra", "selection.extras", "{verb} this extra.", EXTRAS),
    Option("--all-extras", "selection", "{verb} every extra."),
    _names("--no-extra", "selection.no_extras", "Leave out this extra.", EXTRAS),
    _names("--group", "selection.groups", "{verb} this dependency group.", GROUPS),
    _names("--no-group", "selection.no_groups", "Leave out this group.", GROUPS),
    _names(
        "--only-group",
        "selection.only_groups",
        "{verb} this group, and neither the project nor what it depends on.",
        GROUPS,
    ),
    Option("--all-groups", "selection", "{verb} every dependency group."),
    Option("--no-default-groups", "selection", "Leave out the default groups."),
    Option("--no-dev", "selection", "Leave out the group dev."),
    Option(
        "--only-dev",
        "",
        "The same as --only-group dev.",
        is_list=True,
        const="dev",
        dest="only_group",
    ),
)
"""Options that choose extras and groups."""

PROJECT_FORM = (
    Option("--no-editable", "selection", "Install the project, and what is editable, as wheels."),
    Option("--no-install-project", "selection", "Leave out the project itself."),
)
LEFT_OUT = (
    Option("--no-install-local", "selection", "Leave out all that is a folder or file here."),
    _names("--no-install-package", "selection.no_install_packages", "Leave this out.", LOCKED),
)
REINSTALL = (
    Option("--reinstall", "selection", "Install everything again."),
    _names(
        "--reinstall-package",
        "selection.reinstall_packages",
        "Install this again; a built package from its cached wheel (see --rebuild).",
        LOCKED,
    ),
)
INSTALL = (*PROJECT_FORM, *LEFT_OUT, *REINSTALL)
"""Options that say what is installed how."""

UP_TO_DATE = (
    Option("--locked", "sync", "Fail if the lock is out of date.", excludes="--frozen"),
    Option("--frozen", "sync", "Do not look whether the lock is out of date."),
)

COMPILE = (
    Option(
        "--compile",
        "selection",
        "Compile Python source files to bytecode.",
        dest="compile",
        convert=lambda stored: None if stored is None else bool(stored),
    ),
    Option(
        "--no-compile",
        "",
        "Do not compile Python source files to bytecode.",
        const=False,
        dest="compile",
    ),
)
"""pip's options about bytecode; their default is the command's to choose."""


def _script(text: str) -> Option:
    return Option("--script", "lock", text, "file", read_path, has_variable=False)


LOCK = CommandOptions(
    build=BUILD,
    options=(
        *COMMON,
        *UPGRADE,
        Option("--check", "lock", "Change nothing; fail if the lock is out of date."),
        Option("--dry-run", "lock", "Change nothing; show what would change."),
        _script("Lock what the metadata of this script requires (PEP 723), beside it."),
        _names(
            "--package",
            "lock.packages",
            "Lock the workspace of this member: all of it, as always. Can be given several times.",
            attrgetter("members"),
        ),
        Option("--all-packages", "lock", "Lock the whole workspace, as always."),
        Option(
            "--target-environment",
            "lock.target_environments",
            "Lock for this Python and platform as well (linux-x86_64-cp312, "
            "macos-arm64-cp313, windows-x86_64-cp310 and the like), with the same versions where "
            "that can be. Can be given several times.",
            "name",
            read_target,
            is_list=True,
            convert=lambda given: tuple(dict.fromkeys(given)),
        ),
        OUTPUT,
    ),
)

_INSTALLING = (*COMMON, *SELECTION, *INSTALL, *UPGRADE, *UP_TO_DATE, *COMPILE)

SYNC = CommandOptions(
    build=BUILD,
    pips={
        "--requirement": "Follow this lock (pylock.toml, pylock.NAME.toml), or install what "
        "this requirements file pins. Requirements files can be given several times.",
        "--no-deps": "With a requirements file: do not ask what the pins themselves need.",
        "--require-hashes": "",
    },
    options=(
        *_INSTALLING,
        Option("--exact", "", "Remove what the lock does not have.", excludes="--inexact"),
        Option("--inexact", "", "Remove nothing."),
        Option("--check", "sync", "Change nothing; fail if the environment differs."),
        Option("--dry-run", "sync", "Change nothing; show what would change."),
        _script("Make the environment of this script (PEP 723), not that of the project."),
        OUTPUT,
    ),
)

RUN = CommandOptions(
    build=BUILD,
    options=(
        *_INSTALLING,
        Option("--no-sync", "run", "Run in the environment as it is."),
        Option(
            "--with",
            "over.requirements",
            "Run with this too, in a layer over the environment, which stays as it is. "
            "Can be given several times.",
            "requirement",
            is_list=True,
            convert=_all_separated,
        ),
        Option(
            "--with-editable",
            "over.editables",
            "The same for a project in a folder, as an editable.",
            "folder",
            is_list=True,
            convert=_all_separated,
        ),
        Option(
            "--with-requirements",
            "",
            "The same for the requirements of a file, or of a script's metadata.",
            "file",
            is_list=True,
        ),
        Option(
            "--isolated",
            "run",
            "Run in an environment of the project's lock alone, which is not the project's.",
        ),
        Option("--no-project", "common", "Look for no project."),
        Option(
            "-s --script",
            "run",
            "The command is a Python script, whatever its name (PEP 723).",
            has_variable=False,
        ),
        Option(
            "--env-file",
            "run.env_files",
            "Give the command the variables of this file (NAME=VALUE, a line each) that are "
            "not set. Can be given several times; a later file wins.",
            "file",
            read_path,
            is_list=True,
        ),
        Option(
            "-m --module",
            "",
            "Run this module; all that follows are its arguments.",
            "module",
            has_variable=False,
            ends_options=True,
        ),
    ),
)

EXPORT = CommandOptions(
    build=BUILD,
    pips={"--requirement": "Export this lock (pylock.toml, pylock.NAME.toml), as it is."},
    options=(
        *COMMON,
        *SELECTION,
        *LEFT_OUT,
        *UPGRADE,
        *UP_TO_DATE,
        Option(
            "-o --output --output-file",
            "export",
            "The requirements file (default: standard output).",
            "path",
        ),
        Option(
            "--build",
            "export",
            "Write the locked build environment of this package, or of the project, instead.",
            "name",
            read_name,
        ),
        Option("--no-hashes", "export.hashes", "Leave out the hashes of the files.", convert=not_),
        Option(
            "--no-header",
            "export.header",
            "Leave out the comment that says where it comes from.",
            convert=not_,
        ),
        Option(
            "--no-annotate",
            "export.annotate",
            "Leave out the comments that say what requires what.",
            convert=not_,
        ),
    ),
)

_EDIT = (
    *COMMON,
    MEMBER._replace(help="{verb} this member of the workspace."),
    Option("--group", "edit", "{verb} this dependency group.", "name", read_name, names=GROUPS),
    Option(
        "--optional",
        "edit",
        "{verb} this extra (optional-dependencies).",
        "extra",
        read_name,
        names=EXTRAS,
    ),
    Option("--dev", "", "{verb} the dependency group dev.", const="dev", dest="group"),
    Option("--no-sync", "edit", "Lock, but leave the environment as it is."),
    Option("--frozen", "edit", "Edit pyproject.toml only: neither lock nor sync."),
    *UPGRADE,
)

ADD = CommandOptions(
    build=BUILD,
    verb="Add to",
    options=(
        *_EDIT,
        Option(
            "-r --requirement",
            "add.files",
            "Add what this requirements file lists. Can be given several times.",
            "file",
            is_list=True,
        ),
        Option(
            "-e --editable",
            "add.editables",
            "Add the project in this folder, as an editable. Can be given several times.",
            "path",
            is_list=True,
        ),
        _names("--extra", "add.extras", "Add it with this extra of its own."),
        Option(
            "--index",
            "add",
            "The named index that it comes from, and nowhere else; NAME=URL adds that index to "
            "pyproject.toml.",
            "name",
            read_index,
            names=attrgetter("indexes"),
            has_variable=False,
        ),
        Option(
            "--torch-backend",
            "add",
            "Take torch and what belongs to it from PyTorch's index for cpu, cu128, rocm6.4, xpu "
            "and so on; auto asks the driver of the GPU.",
            "backend",
            read_torch_backend,
            names=lambda _: list(TORCH_BACKENDS),
            has_variable=False,
        ),
        Option("-m --marker", "add", "Add it for these environments (PEP 508).", "marker"),
        Option(
            "--bounds",
            "add",
            "The specifier to write where none is given, by the version that is locked: "
            f"{', '.join(BOUNDS)} (default: lower, as in >=1.2.3).",
            "kind",
            choices=BOUNDS,
            default="lower",
        ),
        Option("--raw", "add", "Write what is given as it is, without bounds."),
        *INSTALL,
        *COMPILE,
        OUTPUT,
    ),
)

REMOVE = CommandOptions(
    build=BUILD,
    verb="Remove from",
    options=(*_EDIT, *INSTALL, *COMPILE, OUTPUT),
    arguments=lambda names, values: names.required(extra=values.optional, group=values.group),
)

_EXPLAIN = (
    PROJECT,
    Option(
        "--lock",
        "explain",
        "The lock to read (default: the project's pylock.toml).",
        "file",
        read_path,
    ),
    OUTPUT,
)

TREE = CommandOptions(
    verb="Show",
    arguments=lambda names, _: LOCKED(names),
    options=(
        Option("--invert", "tree", "Show what needs a package, instead of what it needs."),
        Option("--builds", "tree", "Show build requirements too: which build has what."),
        Option("-d --depth", "tree", "Show so many levels at most.", "n", read_positive),
        Option(
            "--no-dedupe",
            "tree.dedupe",
            "Show what a package needs wherever it is needed.",
            convert=not_,
        ),
        *SELECTION,
        *_EXPLAIN,
    ),
)

WHY = CommandOptions(
    arguments=lambda names, _: LOCKED(names),
    options=(
        Option(
            "--limit",
            "why",
            "Show so many chains of each package at most (default: 10).",
            "n",
            read_positive,
            default=10,
        ),
        *_EXPLAIN,
    ),
)

STORE = CommandOptions(
    options=(
        Option(
            "--format",
            "common.output_format",
            "How info and list answer: text (default) or json.",
            "format",
            choices=OUTPUT_FORMATS,
            default="text",
        ),
        Option(
            "--days",
            "store",
            "With prune: what was not used for so many days can go (default: 30).",
            "n",
            read_days,
            default=30,
        ),
        Option("--dry-run", "store", "With remove and prune: change nothing; show what would go."),
    )
)

BUILDS = CommandOptions(options=(PROJECT,))

BUILDS_SHOW = CommandOptions(
    build=BUILD,
    verb="Count",
    pips={"--requirement": "Follow this lock (pylock.toml, pylock.NAME.toml)."},
    arguments=lambda names, _: LOCKED(names),
    options=(
        *COMMON,
        *SELECTION,
        Option(
            "--all",
            "show",
            "Show the builds of other versions and sources too.",
            has_variable=False,
        ),
        OUTPUT,
    ),
)

BUILDS_HISTORY = CommandOptions(
    options=(
        Option(
            "--limit",
            "history",
            "Show so many builds at most, the newest (default: 50).",
            "n",
            read_positive,
            default=50,
        ),
        OUTPUT,
    )
)

BUILDS_LOG = CommandOptions(options=())

BUILDING = CommandOptions(options=(*BUILD, PROJECT, JOBS, PROGRESS_VIEW, TIMINGS))
"""Options of pip's commands that build: install, wheel, download."""

ALL_FLAGS = long_names(
    option
    for command in (
        LOCK,
        SYNC,
        RUN,
        EXPORT,
        ADD,
        REMOVE,
        TREE,
        WHY,
        STORE,
        BUILDS,
        BUILDS_SHOW,
        BUILDS_HISTORY,
        BUILDS_LOG,
        BUILDING,
    )
    for option in command.all
)
"""The long flags of all commands."""


def typed_for_builds(words: Iterable[str]) -> str | None:
    """Return the first word that is one of `BUILDING`, without a parser."""
    flags = long_names(BUILDING.options) - {PROGRESS_VIEW.name}  # pip's too: an abbreviation
    for word in words:
        if word == "--":
            return None
        if word.partition("=")[0] in flags or word.startswith("-j"):
            return word
    return None
