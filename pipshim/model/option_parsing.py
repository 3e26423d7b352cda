"""Parse pipshim's options, on the command line and in PIPSHIM_* variables.

`pipshim.model.option_table` declares them. They are ``optparse`` options, as pip's parser is one.
"""

from __future__ import annotations

import dataclasses
import optparse
import re
from operator import attrgetter
from optparse import NO_DEFAULT, OptionValueError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.model.build_mode import ALL, IsolationLayer
from pipshim.model.torch_backends import TORCH_BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipshim.model.settings import ConfigSettings

COMMAND_LINE = "command line"

OPTION = "option"
"""The key of a field's option in its metadata."""

EXTRAS = attrgetter("extras")
GROUPS = attrgetter("groups")
LOCKED = attrgetter("locked")

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class Option(NamedTuple):
    """The declaration of an option: parser, variable, help, completion and value follow from it.

    Attributes:
        flags: separated by spaces; the variable is named after the first long one.
        help: ``{verb}`` in it stands for what the command does with extras and groups.
        metavar: what help calls the value; empty for an option without one.
        read: returns the value of a text; a ValueError says what is wrong with it.
        choices: the values that it takes.
        default: None is no value, an empty list, or False.
        is_list: it can be given several times.
        const: what an option without a value stores.
        dest: what the parser stores it as; None for the first long flag. Options of the same
            ``dest`` fill the same field.
        convert: turns what the parser stored into the value of a request's field.
        names: returns the completions of the value, given the names in a project's files.
        has_variable: whether a PIPSHIM_* variable sets it.
        ends_options: what follows its value are the arguments of that.
        excludes: the option that it cannot be used together with.
        abbreviates: an option of pip's that this one's flag abbreviates, whose values it takes too.
        named: the variable, if it is not named after the flag. That of an option without a value
            takes one of `choices`, if there are any.

    """

    flags: str
    help: str
    metavar: str = ""
    read: Callable[[str], object] | None = None
    choices: tuple[str, ...] = ()
    default: object = None
    is_list: bool = False
    const: object = True
    dest: str | None = None
    convert: Callable[[Any], object] | None = None
    names: Callable[[Any], list[str]] | None = None
    has_variable: bool = True
    ends_options: bool = False
    excludes: str = ""
    abbreviates: str = ""
    named: str = ""

    @property
    def name(self) -> str:
        """The first long flag."""
        return next(flag for flag in self.flags.split() if flag.startswith("--"))

    @property
    def destination(self) -> str:
        """What the parser stores it as."""
        return self.dest or self.name[2:].replace("-", "_")

    @property
    def variable(self) -> str | None:
        """The PIPSHIM_* variable that means the same."""
        if not self.has_variable or self.named:
            return self.named or None
        return "PIPSHIM_" + self.name[2:].upper().replace("-", "_")

    @property
    def unset(self) -> object:
        """What the parser stores without the option."""
        if self.is_list:
            return []
        return self.default if self.metavar or self.dest else False

    def value(self, stored: Any) -> object:
        """Return the value of the field, given what the parser stored."""
        if self.convert is not None:
            return self.convert(stored)
        if self.is_list:
            return tuple(stored)
        return stored if self.metavar else bool(stored)


class CommandOptions(NamedTuple):
    """The options of a command, in the order of its help.

    Attributes:
        options: those listed with the command's own options.
        build: those listed as build options.
        keeps: options of pip's lock that other commands do not have.
        helps: the help of options that differs for this command.
        verb: what it does with extras and groups.
        arguments: returns the completions of an argument, given the names in a project's files and
            what was parsed so far.

    """

    options: tuple[Option, ...]
    build: tuple[Option, ...] = ()
    keeps: tuple[str, ...] = ()
    helps: Mapping[str, str] = {}
    verb: str = "Install"
    arguments: Callable[[Any, optparse.Values], list[str]] | None = None

    @property
    def all(self) -> tuple[Option, ...]:
        return (*self.build, *self.options)

    @property
    def runs_program(self) -> bool:
        """Whether options end where the words of another program begin."""
        return any(option.ends_options for option in self.options)

    @property
    def exclusive(self) -> list[tuple[Option, Option]]:
        """The pairs of options that cannot be used together."""
        by_name = {option.name: option for option in self.all}
        return [(option, by_name[option.excludes]) for option in self.all if option.excludes]

    def fields(self, cls: type, values: optparse.Values) -> dict[str, Any]:
        """Return the fields of a part of the request, given what the parser stored."""
        return {
            field.name: option.value(getattr(values, option.destination))
            for field in dataclasses.fields(cls)
            for option in self.all
            if option is field.metadata.get(OPTION)
        }


def field(flags: str, help_: str, *args: Any, **more: Any) -> Any:
    """Declare an option and the field of a request that it fills, whose default follows from it."""
    is_shown = more.pop("is_shown", True)
    option = Option(flags, help_, *args, **more)
    return dataclasses.field(
        repr=is_shown,  # a value with secrets is not
        default_factory=lambda: option.value(option.unset),
        metadata={OPTION: option},
    )


def names_field(flags: str, text: str, names: Any = None) -> Any:
    """Declare an option that takes a name, and can be given several times."""
    return field(flags, text, "name", read_name, is_list=True, names=names)


def declared(part: type, *names: str) -> tuple[Option, ...]:
    """Return the options of the fields that a part of a request has itself, or of these."""
    fields = {one.name: one.metadata.get(OPTION) for one in dataclasses.fields(part)}
    options = (fields[name] for name in names or part.__annotations__)
    return tuple(option for option in options if option is not None)


class ParserOption(optparse.Option):
    """An option of pipshim as a parser has it."""

    def __init__(self, declared: Option, verb: str = "") -> None:
        self.declared = declared
        more: dict[str, Any] = {"dest": declared.destination}
        more["help"] = declared.help.replace("{verb}", verb)
        if declared.dest is None or (declared.metavar and declared.is_list):
            more["default"] = declared.unset
        if declared.ends_options:
            more |= {"metavar": declared.metavar, "type": "str"}
            more |= {"action": "callback", "callback": _take_rest}
        elif declared.metavar:
            more |= {"metavar": declared.metavar, "type": "choice" if declared.choices else "str"}
            more |= {"choices": declared.choices} if declared.choices else {}
            more["action"] = "append" if declared.is_list else "store"
        elif isinstance(declared.const, bool):
            more["action"] = "store_true" if declared.const else "store_false"
        else:
            more["action"] = "append_const" if declared.is_list else "store_const"
            more["const"] = declared.const
        super().__init__(*declared.flags.split(), **more)

    def check_value(self, opt: str, value: str) -> Any:
        checked = super().check_value(opt, value)
        try:
            return checked if self.declared.read is None else self.declared.read(value)
        except ValueError as error:
            raise OptionValueError(f"{opt}: {error}") from None

    def process(
        self, opt: str, value: Any, values: optparse.Values, parser: optparse.OptionParser
    ) -> int:
        """Store the value, for the option that this one's flag abbreviates too."""
        other = parser.get_option(self.declared.abbreviates) if self.declared.abbreviates else None
        if other is not None and value in (other.choices or ()):
            other.process(opt, value, values, parser)
            if value not in (self.choices or ()):
                return 1
        return super().process(opt, value, values, parser)

    def read_variable(self, name: str, text: str) -> object:
        """Return the value of a variable; `NO_DEFAULT` if it is empty."""
        if self.takes_value():
            if self.declared.is_list:
                return [self.check_value(name, part) for part in text.split()]
            return self.check_value(name, text)
        choices = self.declared.choices
        if choices and text not in choices:
            raise OptionValueError(f"{name}: {text!r} is not one of {', '.join(choices)}")
        if choices:
            return text
        said, const = read_switch(name, text), self.declared.const
        if isinstance(const, bool):
            return said is const
        if not said:
            return NO_DEFAULT
        return [const] if self.declared.is_list else const


def _take_rest(
    option: optparse.Option, _opt: str, value: str, parser: optparse.OptionParser
) -> None:
    """End the options: what follows are arguments of the value."""
    if parser.rargs is None or parser.values is None or option.dest is None:
        return  # from a variable or file: what to run is no setting
    setattr(parser.values, option.dest, (value, *parser.rargs))
    parser.rargs[:] = []


def parser_options(options: Iterable[Option], verb: str = "") -> list[ParserOption]:
    return [ParserOption(option, verb) for option in options]


def long_names(options: Iterable[Option]) -> frozenset[str]:
    """Return all long flags of these options."""
    flags = (flag for option in options for flag in option.flags.split())
    return frozenset(flag for flag in flags if flag.startswith("--"))


def read_variables(
    options: Iterable[ParserOption], values: optparse.Values, environ: Mapping[str, str]
) -> None:
    """Store the PIPSHIM_* variables of these options in `values`.

    Raises:
        UsageError: a value that the option would not take either.

    """
    for option in options:
        name = option.declared.variable
        text = environ.get(name) if name is not None else None
        if name is None or not text:
            continue
        try:
            value = option.read_variable(name, text)
        except OptionValueError as error:
            raise UsageError(str(error)) from None
        if value is not NO_DEFAULT:
            setattr(values, option.declared.destination, value)


def read_switch(name: str, text: str) -> bool:
    """Read yes or no from a variable of pipshim's."""
    word = text.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise UsageError(f"{name}: {text!r} is neither yes nor no", hint=f"{name}=1, or {name}=0")


def isolation_layer(source: str, values: optparse.Values) -> IsolationLayer:
    """Return the isolation settings of the command line, or of a line of a requirements file."""
    isolated = values.build_isolation
    return IsolationLayer(
        source,
        None if isolated is None else not isolated,
        frozenset(values.no_build_isolation_package or ()),
    )


def own_layers(environ: Mapping[str, str]) -> tuple[IsolationLayer, ...]:
    """Return what the PIPSHIM_* variables say about build isolation.

    Raises:
        UsageError: a value is neither yes nor no, or no package's name.

    """
    layers = []
    name = "PIPSHIM_NO_BUILD_ISOLATION_PACKAGE"
    try:
        packages = frozenset(map(read_name, environ.get(name, "").split()))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
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
    """Decide between two exclusive flags; the command line wins over variables."""
    said = typed if any(typed) else below
    if all(said):
        raise UsageError(f"{one} and {other} cannot be used together", hint="leave one of them out")
    return said


def extras_by_package(
    given: Iterable[tuple[NormalizedName, Requirement]],
) -> dict[NormalizedName, tuple[Requirement, ...]]:
    gathered: dict[NormalizedName, tuple[Requirement, ...]] = {}
    for name, requirement in given:
        gathered[name] = (*gathered.get(name, ()), requirement)
    return gathered


def settings_by_package(
    given: Iterable[tuple[NormalizedName, str, str]],
) -> dict[NormalizedName, ConfigSettings]:
    """Group settings by package; a key given twice makes a list, as with pip's ``-C``."""
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
    """Read a package's name that is an argument."""
    try:
        return read_name(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def read_name(text: str) -> NormalizedName:
    """Read the name of a package, an extra or a dependency group."""
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise ValueError(f"{text!r} is not a valid name") from None


def read_name_or_all(text: str) -> str:
    """Read the name of a package, or the word for all of them."""
    return text if text == ALL else read_name(text)


def read_path(text: str) -> Path:
    """Read a path; ``~`` is the user's folder."""
    return Path(text).expanduser()


def read_positive(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"{text!r} is not a whole number above 0")
    return int(text)


def read_days(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a number of days")
    return int(text)


def read_index(text: str) -> tuple[str, str | None]:
    """Read ``NAME`` or ``NAME=URL``; return the name and the URL."""
    name, equals, url = text.partition("=")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is None or (equals and not url):
        raise ValueError(f"{text!r} is neither the name of an index nor NAME=URL")
    return name, url or None


def read_torch_backend(text: str) -> str:
    """Read the name of a PyTorch backend, or ``auto``."""
    if text not in TORCH_BACKENDS:
        raise ValueError(
            f"PyTorch has no index {text!r}; did you mean {nearest(text, TORCH_BACKENDS)!r}? "
            f"Choose from {', '.join(TORCH_BACKENDS)}"
        )
    return text


def read_extra_build(text: str) -> tuple[NormalizedName, Requirement]:
    """Read PACKAGE=REQUIREMENT."""
    package, _, requirement = text.partition("=")
    if not requirement:
        raise ValueError(f"{text!r} is not of the form PACKAGE=REQUIREMENT")
    try:
        return read_name(package.strip()), Requirement(requirement)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{requirement!r} is not a requirement: {reason}") from None


def read_package_setting(text: str) -> tuple[NormalizedName, str, str]:
    """Read PACKAGE:KEY=VALUE."""
    package, _, setting = text.partition(":")
    key, equals, value = setting.partition("=")
    if not (equals and key):
        raise ValueError(f"{text!r} is not of the form PACKAGE:KEY=VALUE")
    return read_name(package.strip()), key, value
