"""pipshim's own options: how they are typed, and the PIPSHIM_* variables that mean the same.

They are ``optparse`` options because pip's parser, which they are added to, is one.
"""

from __future__ import annotations

from optparse import Option, OptionValueError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.build_settings import ALL
from pipshim.model.requests import BOUNDS, LINK_MODES, OUTPUT_FORMATS, PROGRESS
from pipshim.model.settings import STRATEGIES
from pipshim.model.targets import KNOWN, TargetName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from optparse import OptionParser, Values

    from pipshim.model.config_settings import ConfigSettings

COMMAND_LINE = "command line"

PROJECT_HELP = "Where to look for pyproject.toml (default: the working directory and above)."

_NO_VARIABLES = frozenset({"PIPSHIM_SCRIPT", "PIPSHIM_REBUILD"})
"""What to lock or run, and what to build now, is no setting."""

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class OwnOption(Option):
    """An option with the types that pipshim's settings have."""

    TYPES = (
        *Option.TYPES,
        "package",
        "package_or_all",
        "count_of",
        "days",
        "folder",
        "extra_build",
        "package_setting",
        "target",
    )
    TYPE_CHECKER = {  # noqa: RUF012 as optparse has it
        **Option.TYPE_CHECKER,
        "package": lambda _option, opt, value: _name(opt, value),
        "package_or_all": lambda _option, opt, value: value if value == ALL else _name(opt, value),
        "count_of": lambda _option, opt, value: _positive(opt, value),
        "days": lambda _option, opt, value: _days(opt, value),
        "folder": lambda _option, _opt, value: Path(value).expanduser(),
        "extra_build": lambda _option, opt, value: _extra_build(opt, value),
        "package_setting": lambda _option, opt, value: _package_setting(opt, value),
        "target": lambda _option, opt, value: _target(opt, value),
    }


class _ProgressOption(OwnOption):
    """``--progress``; in pip it abbreviates ``--progress-bar``, whose values it takes too."""

    def process(self, opt: str, value: Any, values: Values, parser: OptionParser) -> int:
        """Store the value for the options that have such a value."""
        bar = parser.get_option("--progress-bar")
        if bar is not None and value in (bar.choices or ()):
            bar.process(opt, value, values, parser)
            if value not in (self.choices or ()):
                return 1
        return super().process(opt, value, values, parser)


def _flag(*names: str, help: str) -> Option:  # noqa: A002 optparse's word
    return OwnOption(*names, action="store_true", default=False, help=help)


def _each(*names: str, kind: str, metavar: str, help: str) -> Option:  # noqa: A002
    return OwnOption(*names, action="append", type=kind, default=[], metavar=metavar, help=help)


def _project_option() -> Option:
    return OwnOption(
        "--project",
        type="folder",
        metavar="dir",
        help=PROJECT_HELP,
    )


def _script_option(text: str) -> Option:
    return OwnOption("--script", type="folder", metavar="file", help=text)


def common_options() -> list[Option]:
    """Options of every command."""
    return [
        _project_option(),
        OwnOption(
            "-j",
            "--jobs",
            type="count_of",
            metavar="n",
            help="How many builds run, or targets are resolved, at once.",
        ),
        OwnOption(
            "--link-mode",
            type="choice",
            choices=LINK_MODES,
            metavar="mode",
            help=f"How files get into environments: {', '.join(LINK_MODES)}.",
        ),
        _flag("--offline", help="Use only what the caches hold."),
        _ProgressOption(
            "--progress",
            type="choice",
            choices=PROGRESS,
            default="auto",
            metavar="how",
            help="How work is shown, on standard error: auto (default; live on a terminal), "
            "plain, or json (a line an event).",
        ),
        OwnOption(
            "--timings",
            type="folder",
            metavar="file",
            help="Write an HTML page that shows where the time went.",
        ),
    ]


def output_options() -> list[Option]:
    """Options of the commands whose result goes to standard output."""
    return [
        OwnOption(
            "--output-format",
            type="choice",
            choices=OUTPUT_FORMATS,
            default="text",
            metavar="format",
            help="How the result is told: text (default), or json on standard output.",
        )
    ]


def build_options() -> list[Option]:
    """Options of building from source, beside pip's own."""
    return [
        OwnOption(
            "--build-isolation",
            dest="build_isolation",
            action="store_true",
            help="Build in isolation, whatever variables and configuration say.",
        ),
        _each(
            "--no-build-isolation-package",
            kind="package",
            metavar="name",
            help="Build this package without isolation. Can be given several times.",
        ),
        _each(
            "--extra-build-dependency",
            kind="extra_build",
            metavar="package=requirement",
            help="A requirement that the build of a package needs and does not declare. "
            "Can be given several times.",
        ),
        _each(
            "--config-settings-package",
            kind="package_setting",
            metavar="package:key=value",
            help="A setting for the build backend of one package. Can be given several times.",
        ),
        _each(
            "--rebuild",
            kind="package_or_all",
            metavar="name",
            help=f"Build this package now, although an earlier build can be reused; {ALL} for all "
            "packages that are built. Can be given several times.",
        ),
    ]


def resolution_options() -> list[Option]:
    """Options of every command that locks, beside pip's package index options."""
    return [
        OwnOption(
            "--resolution",
            type="choice",
            choices=STRATEGIES,
            metavar="strategy",
            help="Which versions are locked: highest (default), lowest, or lowest-direct (lowest "
            "of what is required directly, highest of all else).",
        )
    ]


def passed_options() -> list[Option]:
    """Options of the commands of pip's that build: install, wheel, download."""
    wanted = {"--project", "--jobs", "--progress", "--timings"}
    return [
        *build_options(),
        *(option for option in common_options() if option.get_opt_string() in wanted),
    ]


def passed_option(words: Iterable[str]) -> str | None:
    """Give the first of `passed_options` among the words of a command line, without a parser."""
    names = long_names(passed_options()) - {"--progress"}  # pip's too: an abbreviation
    for word in words:
        if word == "--":
            return None
        if word.partition("=")[0] in names or word.startswith("-j"):
            return word
    return None


def upgrade_options() -> list[Option]:
    """Options of the commands that lock: which pins of the lock that is there are not kept."""
    return [
        _flag("-U", "--upgrade", help="Take the newest versions, not those that are locked."),
        _each(
            "-P",
            "--upgrade-package",
            kind="package",
            metavar="name",
            help="Take the newest version of this package. Can be given several times.",
        ),
    ]


def lock_options() -> list[Option]:
    """Options of lock, beside those that pip's lock has."""
    return [
        *upgrade_options(),
        _flag("--check", help="Change nothing; fail if the lock is out of date."),
        _flag("--dry-run", help="Change nothing; show what would change."),
        _script_option("Lock what the metadata of this script requires (PEP 723), beside it."),
        _each(
            "--target-environment",
            kind="target",
            metavar="name",
            help="Lock for this Python and platform as well (linux-x86_64-cp312, "
            "macos-arm64-cp313, windows-x86_64-cp310 and the like), with the same versions where "
            "that can be. Can be given several times.",
        ),
    ]


def choice_options(verb: str) -> list[Option]:
    """Options that choose extras and groups; `verb` says what for."""
    return [
        _each("--extra", kind="package", metavar="name", help=f"{verb} this extra."),
        _flag("--all-extras", help=f"{verb} every extra."),
        _each("--no-extra", kind="package", metavar="name", help="Leave out this extra."),
        _each("--group", kind="package", metavar="name", help=f"{verb} this dependency group."),
        _each("--no-group", kind="package", metavar="name", help="Leave out this group."),
        _each(
            "--only-group",
            kind="package",
            metavar="name",
            help=f"{verb} this group, and neither the project nor what it depends on.",
        ),
        _flag("--all-groups", help=f"{verb} every dependency group."),
        _flag("--no-default-groups", help="Leave out the default groups."),
        _flag("--no-dev", help="Leave out the group dev."),
        OwnOption(
            "--only-dev",
            dest="only_group",
            action="append_const",
            const="dev",
            help="The same as --only-group dev.",
        ),
    ]


def selection_options() -> list[Option]:
    """Options of sync and run that choose what is installed."""
    return [
        *choice_options("Install"),
        *install_options(),
        *upgrade_options(),
        _flag("--locked", help="Fail if the lock is out of date."),
        _flag("--frozen", help="Do not look whether the lock is out of date."),
    ]


def install_options() -> list[Option]:
    """Options of sync, run, add and remove that say what is installed how."""
    return [
        _flag("--no-editable", help="Install the project, and what is editable, as wheels."),
        _flag("--no-install-project", help="Leave out the project itself."),
        _flag("--no-install-local", help="Leave out all that is a folder or file here."),
        _each("--no-install-package", kind="package", metavar="name", help="Leave this out."),
        _flag("--reinstall", help="Install everything anew."),
        _each(
            "--reinstall-package",
            kind="package",
            metavar="name",
            help="Install this anew; a built package from its cached wheel (see --rebuild).",
        ),
    ]


def edit_options(*, verb: str) -> list[Option]:
    """Options of add and remove."""
    return [
        OwnOption(
            "--group",
            dest="edit_group",
            type="package",
            metavar="name",
            help=f"{verb} this dependency group.",
        ),
        OwnOption(
            "--optional",
            dest="edit_optional",
            type="package",
            metavar="extra",
            help=f"{verb} this extra (optional-dependencies).",
        ),
        OwnOption(
            "--dev",
            dest="edit_group",
            action="store_const",
            const="dev",
            help=f"{verb} the dependency group dev.",
        ),
        _flag("--no-sync", help="Lock, but leave the environment as it is."),
        _flag("--frozen", help="Edit pyproject.toml only: neither lock nor sync."),
        *upgrade_options(),
    ]


def add_options() -> list[Option]:
    """Options of add alone."""
    return [
        OwnOption(
            "-r",
            "--requirement",
            dest="add_files",
            action="append",
            default=[],
            metavar="file",
            help="Add what this requirements file lists. Can be given several times.",
        ),
        OwnOption(
            "-e",
            "--editable",
            dest="add_editables",
            action="append",
            default=[],
            metavar="path",
            help="Add the project in this folder, as an editable. Can be given several times.",
        ),
        _each("--extra", kind="package", metavar="name", help="Add it with this extra of its own."),
        OwnOption(
            "-m", "--marker", metavar="marker", help="Add it for these environments (PEP 508)."
        ),
        OwnOption(
            "--bounds",
            type="choice",
            choices=BOUNDS,
            default="lower",
            metavar="kind",
            help="The specifier to write where none is given, by the version that is locked: "
            f"{', '.join(BOUNDS)} (default: lower, as in >=1.2.3).",
        ),
        _flag("--raw", help="Write what is given as it is, without bounds."),
    ]


def compile_options() -> list[Option]:
    """Options about bytecode, by pip's names; their default is the command's to choose."""
    return [
        OwnOption(
            "--compile",
            dest="compile",
            action="store_true",
            help="Compile Python source files to bytecode.",
        ),
        OwnOption(
            "--no-compile",
            dest="compile",
            action="store_false",
            help="Do not compile Python source files to bytecode.",
        ),
    ]


def sync_options() -> list[Option]:
    """Options of sync alone."""
    return [
        _flag("--exact", help="Remove what the lock does not have."),
        _flag("--inexact", help="Remove nothing."),
        _flag("--check", help="Change nothing; fail if the environment differs."),
        _flag("--dry-run", help="Change nothing; show what would change."),
        _script_option("Make the environment of this script (PEP 723), not that of the project."),
    ]


def explain_options() -> list[Option]:
    """Options of tree and why."""
    return [
        _project_option(),
        OwnOption(
            "--lock",
            type="folder",
            metavar="file",
            help="The lock to read (default: the project's pylock.toml).",
        ),
        *output_options(),
    ]


def tree_options() -> list[Option]:
    """Options of tree alone."""
    return [
        _flag("--invert", help="Show what needs a package, instead of what it needs."),
        _flag("--builds", help="Show build requirements too: which build has what."),
        OwnOption(
            "-d", "--depth", type="count_of", metavar="n", help="Show so many levels at most."
        ),
        _flag("--no-dedupe", help="Show what a package needs wherever it is needed."),
        *choice_options("Show"),
    ]


def why_options() -> list[Option]:
    """Options of why alone."""
    return [
        OwnOption(
            "--limit",
            type="count_of",
            default=10,
            metavar="n",
            help="Show so many chains of each package at most (default: 10).",
        )
    ]


def export_options() -> list[Option]:
    """Options of export alone."""
    return [
        OwnOption(
            "-o",
            "--output",
            "--output-file",
            dest="output_file",
            metavar="path",
            help="The requirements file (default: standard output).",
        ),
        OwnOption(
            "--build",
            type="package",
            metavar="name",
            help="Write the locked build environment of this package, or of the project, instead.",
        ),
        _flag("--no-hashes", help="Leave out the hashes of the files."),
        _flag("--no-header", help="Leave out the comment that says where it comes from."),
        _flag("--no-annotate", help="Leave out the comments that say what requires what."),
    ]


def store_options() -> list[Option]:
    """Options of ``cache store``."""
    return [
        OwnOption(
            "--format",
            dest="output_format",
            type="choice",
            choices=("text", "json"),
            default="text",
            metavar="format",
            help="How info and list answer: text (default) or json.",
        ),
        OwnOption(
            "--days",
            type="days",
            default=30,
            metavar="n",
            help="With prune: what was not used for so many days can go (default: 30).",
        ),
        _flag("--dry-run", help="With remove and prune: change nothing; show what would go."),
    ]


def _take_module(option: Option, _opt: str, value: str, parser: OptionParser) -> None:
    """End the options: what follows belongs to the module."""
    if parser.rargs is None or parser.values is None or option.dest is None:
        return  # from a variable or file: what to run is no setting
    setattr(parser.values, option.dest, value)
    parser.values.module_arguments = tuple(parser.rargs)
    parser.rargs[:] = []


def run_options() -> list[Option]:
    """Options of run alone."""
    return [
        _flag("--no-sync", help="Run in the environment as it is."),
        _each(
            "--with",
            kind="str",
            metavar="requirement",
            help="Run with this too, in a layer over the environment, which stays as it is. "
            "Can be given several times.",
        ),
        _each(
            "--with-editable",
            kind="str",
            metavar="folder",
            help="The same for a project in a folder, as an editable.",
        ),
        _each(
            "--with-requirements",
            kind="str",
            metavar="file",
            help="The same for the requirements of a file, or of a script's metadata.",
        ),
        _flag(
            "--isolated",
            help="Run in an environment of the project's lock alone, which is not the project's.",
        ),
        _flag("--no-project", help="Look for no project."),
        _flag(
            "-s",
            "--script",
            help="The command is a Python script, whatever its name (PEP 723).",
        ),
        _each(
            "--env-file",
            kind="folder",
            metavar="file",
            help="Give the command the variables of this file (NAME=VALUE, a line each) that are "
            "not set. Can be given several times; a later file wins.",
        ),
        OwnOption(
            "-m",
            "--module",
            dest="module",
            action="callback",
            callback=_take_module,
            type="str",
            metavar="module",
            help="Run this module; all that follows are its arguments.",
        ),
    ]


OWN_NAMES = frozenset(
    option.get_opt_string()
    for made in (
        common_options(),
        build_options(),
        resolution_options(),
        lock_options(),
        output_options(),
        selection_options(),
        sync_options(),
        run_options(),
        edit_options(verb=""),
        add_options(),
        explain_options(),
        tree_options(),
        why_options(),
        export_options(),
    )
    for option in made
)
"""The long names of all of them."""


def long_names(options: Iterable[Option]) -> frozenset[str]:
    """Give all long names of these options, aliases too."""
    return frozenset(name for option in options for name in vars(option)["_long_opts"])


def read_variables(options: Iterable[Option], values: Values, environ: Mapping[str, str]) -> None:
    """Put the PIPSHIM_* variables of these options into `values`, in their plain meaning.

    Raises:
        UsageError: a value that the option would not take either.

    """
    for option in options:
        name = variable(option)
        text = environ.get(name) if name is not None else None
        if not name or not text or option.dest is None:
            continue
        if option.action in ("store_true", "store_false"):
            value: object = read_switch(name, text) is (option.action == "store_true")
        elif option.action in ("store_const", "append_const"):
            if not read_switch(name, text):
                continue
            value = option.const if option.action == "store_const" else [option.const]
        else:
            try:
                if option.action == "append":
                    value = [option.check_value(name, part) for part in text.split()]
                else:
                    value = option.check_value(name, text)
            except OptionValueError as error:
                raise UsageError(str(error)) from None
        setattr(values, option.dest, value)


def read_switch(name: str, text: str) -> bool:
    """Read yes or no from a variable of pipshim's.

    Raises:
        UsageError: it is neither.

    """
    word = text.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise UsageError(f"{name}: {text!r} is neither yes nor no", hint=f"{name}=1, or {name}=0")


def variable(option: Option) -> str | None:
    """Return the name of the PIPSHIM_* variable that means the same, if there is one."""
    name = "PIPSHIM_" + option.get_opt_string().removeprefix("--").upper().replace("-", "_")
    if name in _NO_VARIABLES or option.dest is None or option.action == "callback":
        return None
    return name


def own_layers(environ: Mapping[str, str]) -> tuple[IsolationLayer, ...]:
    """Tell what the PIPSHIM_* variables say about build isolation.

    Raises:
        UsageError: a value is neither yes nor no, or no package's name.

    """
    layers = []
    name = "PIPSHIM_NO_BUILD_ISOLATION_PACKAGE"
    try:
        packages = frozenset(_name(name, part) for part in environ.get(name, "").split())
    except OptionValueError as error:
        raise UsageError(str(error)) from None
    if packages:
        layers.append(IsolationLayer(name, packages=packages))
    for name, meaning in (("PIPSHIM_NO_BUILD_ISOLATION", True), ("PIPSHIM_BUILD_ISOLATION", False)):
        text = environ.get(name)
        if text:
            said = read_switch(name, text) is meaning
            layers.append(IsolationLayer(name, no_build_isolation=said))
    return tuple(layers)


def decide_between(
    one: str, other: str, *, typed: tuple[bool, bool], below: tuple[bool, bool]
) -> tuple[bool, bool]:
    """Decide between two flags that exclude each other; what was typed wins over variables.

    Raises:
        UsageError: one source asks for both.

    """
    said = typed if any(typed) else below
    if all(said):
        raise UsageError(f"{one} and {other} cannot be used together", hint="leave one of them out")
    return said


def extras_by_package(
    given: Iterable[tuple[NormalizedName, Requirement]],
) -> dict[NormalizedName, tuple[Requirement, ...]]:
    """Gather extra build dependencies by package."""
    gathered: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for name, requirement in given:
        gathered[name] = (*gathered.get(name, ()), requirement)
    return gathered


def settings_by_package(
    given: Iterable[tuple[NormalizedName, str, str]],
) -> dict[NormalizedName, ConfigSettings]:
    """Gather settings by package; a key given twice makes a list, as with pip's ``-C``."""
    gathered: dict[NormalizedName, dict[str, str | list[str]]] = {}
    for name, key, value in given:
        settings = gathered.setdefault(name, {})
        before = settings.get(key)
        if before is None:
            settings[key] = value
        else:
            settings[key] = [*before, value] if isinstance(before, list) else [before, value]
    return dict(gathered)


def name(text: str) -> NormalizedName:
    """Read a package's name that is an argument.

    Raises:
        UsageError: it is none.

    """
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise UsageError(f"{text!r} is not a valid name") from None


def _name(opt: str, value: str) -> NormalizedName:
    try:
        return canonicalize_name(value, validate=True)
    except InvalidName:
        raise OptionValueError(f"{opt}: {value!r} is not a valid name") from None


def _positive(opt: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and int(value)):
        raise OptionValueError(f"{opt}: {value!r} is not a whole number above 0")
    return int(value)


def _target(opt: str, value: str) -> TargetName:
    try:
        return TargetName.parse(value)
    except ValueError as error:
        raise OptionValueError(
            f"{opt}: {error}; the nearest one is {nearest(value, KNOWN)!r}"
        ) from None


def _days(opt: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise OptionValueError(f"{opt}: {value!r} is not a number of days")
    return int(value)


def _extra_build(opt: str, value: str) -> tuple[NormalizedName, Requirement]:
    package, separator, text = value.partition("=")
    if not separator or not text:
        raise OptionValueError(f"{opt}: {value!r} is not of the form PACKAGE=REQUIREMENT")
    try:
        return _name(opt, package.strip()), Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise OptionValueError(f"{opt}: {text!r} is not a requirement: {reason}") from None


def _package_setting(opt: str, value: str) -> tuple[NormalizedName, str, str]:
    package, colon, setting = value.partition(":")
    key, equals, text = setting.partition("=")
    if not (colon and equals and key):
        raise OptionValueError(f"{opt}: {value!r} is not of the form PACKAGE:KEY=VALUE")
    return _name(opt, package.strip()), key, text
