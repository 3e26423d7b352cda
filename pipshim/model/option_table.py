"""Which command accepts which options; `pipshim.model.requests` declares most of them.

Parsers, PIPSHIM_* variables, the values of requests, help, completion and docs/reference/options.md
follow from this table.
"""

from __future__ import annotations

from difflib import get_close_matches
from optparse import AmbiguousOptionError, BadOptionError
from typing import TYPE_CHECKING

from pipshim.model.option_parsing import (
    LOCKED,
    CommandOptions,
    Option,
    declared,
    long_names,
    read_name,
)
from pipshim.model.requests import (
    OUTPUT_FORMATS,
    AddRequest,
    BuildOptions,
    BuildsHistoryOptions,
    BuildsPlanRequest,
    BuildsShowRequest,
    CommonOptions,
    EditRequest,
    ExplainRequest,
    ExportOptions,
    LeftOut,
    LockOptions,
    ProjectForm,
    Reinstall,
    RunOptions,
    SelectedParts,
    SelectionOptions,
    StoreRequest,
    SyncOptions,
    TreeRequest,
    Upgrade,
    UpToDate,
    WhyRequest,
)
from pipshim.model.settings import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from optparse import OptionParser

BUILD = (
    Option(
        "--build-isolation",
        "Build in isolation, whatever variables and configuration say.",
        dest="build_isolation",
    ),
    Option(
        "--no-build-isolation-package",
        "Build this package without isolation. Can be given several times.",
        "name",
        read_name,
        is_list=True,
        names=LOCKED,
    ),
    *declared(BuildOptions),
)
"""Options of building from source, beside pip's own."""

(PROJECT,) = declared(CommonOptions, "project")
_OUTPUT = declared(CommonOptions, "output_format")
_REMOTE = declared(CommonOptions, "remote", "push", "no_remote")

_BUILDING = (
    PROJECT,
    *declared(CommonOptions, "jobs", "link_mode", "offline"),
    Option(
        "--default-index",
        "The default index, in place of pip's and of the project's.",
        "url",
    ),
    *declared(CommonOptions, "progress", "timings"),
    *_REMOTE,
    *declared(CommonOptions, "builders"),
)

COMMON = (
    Option(
        "--resolution",
        "Which versions are locked: highest (default), lowest, or lowest-direct (lowest for "
        "direct requirements, highest for all others).",
        "strategy",
        choices=STRATEGIES,
    ),
    *_BUILDING,
)
"""Options of the commands that may lock."""

SELECTION = (
    *declared(SelectedParts),
    Option(
        "--only-dev",
        "The same as --only-group dev.",
        is_list=True,
        const="dev",
        dest="only_group",
    ),
)
"""Options that choose extras and groups."""

INSTALL = (*declared(ProjectForm), *declared(LeftOut), *declared(Reinstall))
"""Options that say what is installed how."""

COMPILE = (
    *declared(SelectionOptions),
    Option(
        "--no-compile",
        "Do not compile Python source files to bytecode.",
        const=False,
        dest="compile",
    ),
)
"""pip's options about bytecode; their default is the command's to choose."""

LOCK = CommandOptions(
    build=BUILD, options=(*COMMON, *declared(Upgrade), *declared(LockOptions), *_OUTPUT)
)

_INSTALLING = (
    *COMMON,
    *SELECTION,
    *INSTALL,
    *declared(Upgrade),
    *declared(UpToDate),
    *COMPILE,
)

SYNC = CommandOptions(
    build=BUILD,
    keeps=("--requirement", "--no-deps", "--require-hashes", "--script"),
    helps={
        "--requirement": "Follow this lock (pylock.toml, pylock.NAME.toml), or install what "
        "this requirements file pins. Requirements files can be given several times.",
        "--no-deps": "With a requirements file: ignore the dependencies of its pins.",
        "--script": "Make the environment of this script (PEP 723), not that of the project.",
    },
    options=(
        *_INSTALLING,
        Option("--exact", "Remove packages that the lock does not have.", excludes="--inexact"),
        Option("--inexact", "Remove nothing."),
        *declared(SyncOptions),
        *declared(LockOptions, "script"),
        *_OUTPUT,
    ),
)

RUN = CommandOptions(
    build=BUILD,
    options=(
        *_INSTALLING,
        *declared(RunOptions, "no_sync"),
        Option(
            "--with",
            "Run with this requirement too, in a layer over the environment, which is not "
            "changed. Can be given several times.",
            "requirement",
            is_list=True,
        ),
        Option(
            "--with-editable",
            "Run with the project in this folder too, as an editable.",
            "folder",
            is_list=True,
        ),
        Option(
            "--with-requirements",
            "Run with the requirements of this file, or of a script's metadata, too.",
            "file",
            is_list=True,
        ),
        *declared(RunOptions, "isolated"),
        *declared(CommonOptions, "no_project"),
        *declared(RunOptions, "script", "env_files"),
        Option(
            "-m --module",
            "Run this module; everything after it is an argument of the module.",
            "module",
            has_variable=False,
            ends_options=True,
        ),
    ),
)

_EXPORTING = (
    *COMMON,
    *SELECTION,
    *declared(LeftOut),
    *declared(Upgrade),
    *declared(UpToDate),
)

EXPORT = CommandOptions(
    build=BUILD,
    keeps=("--requirement",),
    helps={"--requirement": "Export this lock (pylock.toml, pylock.NAME.toml), as it is."},
    options=(*_EXPORTING, *declared(ExportOptions)),
)

_MEMBER = {"--package": "{verb} this member of the workspace."}
_EDIT = (
    *COMMON,
    *declared(SelectedParts, "packages"),
    *declared(EditRequest, "group", "optional"),
    Option("--dev", "{verb} the dependency group dev.", const="dev", dest="group"),
    *declared(EditRequest, "no_sync", "frozen"),
    *declared(Upgrade),
)

ADD = CommandOptions(
    build=BUILD,
    verb="Add to",
    helps=_MEMBER,
    options=(*_EDIT, *declared(AddRequest), *INSTALL, *COMPILE, *_OUTPUT),
)

REMOVE = CommandOptions(
    build=BUILD,
    verb="Remove from",
    helps=_MEMBER,
    options=(*_EDIT, *INSTALL, *COMPILE, *_OUTPUT),
    arguments=lambda names, values: names.required(extra=values.optional, group=values.group),
)

_EXPLAIN = (PROJECT, *declared(ExplainRequest), *_OUTPUT)

TREE = CommandOptions(
    verb="Show",
    arguments=lambda names, _: LOCKED(names),
    options=(*declared(TreeRequest), *SELECTION, *_EXPLAIN),
)

WHY = CommandOptions(
    arguments=lambda names, _: LOCKED(names), options=(*declared(WhyRequest), *_EXPLAIN)
)

STORE = CommandOptions(
    verb="Prune",
    options=(
        Option(
            "--format",
            "The format of info and list: text (default) or json.",
            "format",
            choices=OUTPUT_FORMATS,
            default="text",
        ),
        *declared(StoreRequest),
    ),
)

BUILDS = CommandOptions(options=(PROJECT,))

BUILDS_LIST = CommandOptions(
    verb="List", options=(PROJECT, *declared(StoreRequest, "remote", "remote_url"), *_OUTPUT)
)

_FOLLOW = {"--requirement": "Follow this lock (pylock.toml, pylock.NAME.toml)."}

BUILDS_SHOW = CommandOptions(
    build=BUILD,
    verb="Select",
    keeps=("--requirement",),
    helps=_FOLLOW,
    arguments=lambda names, _: LOCKED(names),
    options=(*COMMON, *SELECTION, *declared(BuildsShowRequest), *_OUTPUT),
)

BUILDS_PLAN = CommandOptions(
    build=BUILD,
    verb="Plan for",
    keeps=("--requirement",),
    helps=_FOLLOW,
    options=(*_EXPORTING, *declared(BuildsPlanRequest)),
)

BUILDS_RUN = CommandOptions(build=declared(BuildOptions, "rebuild"), options=(*_BUILDING, *_OUTPUT))

BUILDS_HISTORY = CommandOptions(options=(*declared(BuildsHistoryOptions), *_OUTPUT))

BUILDS_LOG = CommandOptions(options=())

BUILDS_KEYGEN = CommandOptions(options=())

BUILDS_TRUST = CommandOptions(options=(PROJECT,))

BUILDING = CommandOptions(
    options=(
        *BUILD,
        PROJECT,
        *declared(CommonOptions, "jobs", "progress", "timings"),
        *_REMOTE,
        *declared(CommonOptions, "builders"),
    )
)
"""Options of pip's commands that build: install, wheel, download."""

ALL_FLAGS = long_names(
    option
    for command in tuple(globals().values())
    if isinstance(command, CommandOptions)
    for option in command.all
)
"""The long flags of all commands."""


def typed_for_builds(words: Iterable[str]) -> str | None:
    """Return the first word that is one of `BUILDING`, without a parser."""
    flags = long_names(BUILDING.options) - {"--progress"}  # pip's too: an abbreviation
    for word in words:
        if word == "--":
            return None
        if word.partition("=")[0] in flags or word.startswith("-j"):
            return word
    return None


class UnknownOptionError(BadOptionError):
    """An option that a command does not have, with the nearest one that it has."""

    def __init__(self, option: str, parser: OptionParser) -> None:
        super().__init__(option)
        # An option of another command is not misspelt.
        known = [] if option in ALL_FLAGS else [one[2:] for one in sorted(parser._long_opt)]  # noqa: SLF001
        nearest = get_close_matches(option[2:], known, n=1, cutoff=0.7)
        self.nearest = f"--{nearest[0]}" if nearest else None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.nearest is None else f"{text}; did you mean {self.nearest}?"


def keep_abbreviations(
    parser: OptionParser, added: Collection[str], elsewhere: Collection[str] = ()
) -> None:
    """Let abbreviations mean what they mean in pip.

    Args:
        parser: a parser of pip's, with options added by pipshim.
        added: their long names. An abbreviation means one of them only if it means nothing in pip.
        elsewhere: options of other commands, which abbreviate nothing here: ``--extra``.

    """

    def match(opt: str) -> str:
        if parser.has_option(opt):
            return opt
        if opt in elsewhere:
            raise UnknownOptionError(opt, parser)
        names: list[str] = [name for name in parser._long_opt if name.startswith(opt)]  # noqa: SLF001
        found = [name for name in names if name not in added] or names
        if len(found) > 1:
            raise AmbiguousOptionError(opt, sorted(found))
        if not found:
            raise UnknownOptionError(opt, parser)
        return found[0]

    vars(parser).update(_match_long_opt=match)  # a method of optparse's
