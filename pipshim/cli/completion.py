"""Shell completion for pipshim's own commands.

pip completes commands, options and paths (``pip._internal.cli.autocompletion``), pipshim's too.
This adds what pip's commands do not have: values from a list, names in the project, a command with
two names, and another program's arguments.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipshim._pip import commands
from pipshim._pip.commands import auto_complete_paths, create_command
from pipshim.cli.cache_store import ACTIONS
from pipshim.cli.command_base import DeclaredCommand, register_subcommand
from pipshim.cli.command_names import STORE_ACTIONS, SUBCOMMANDS
from pipshim.fastpath.up_to_date import environments
from pipshim.model.option_parsing import GROUPS, ParserOption

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
    from optparse import OptionParser, Values

    from pipshim.project.completion_names import Names

_STORE = "cache-store"
_PIPS = {"--group": GROUPS}
"""pip's options whose values are names that the project has."""


def complete(environ: MutableMapping[str, str], own: Collection[str]) -> None:
    """Answer a shell about one of pipshim's own commands; pip answers the rest.

    Args:
        environ: has the shell's question, as pip's scripts ask it; it is rewritten if pip can
            answer it then.

    Raises:
        SystemExit: it is answered; the status is the one that pip gives.

    """
    line = _Line.of(environ)
    if line is None:
        return
    word = line.before[0] if line.before else ""
    if line.name == "cache" and word in STORE_ACTIONS:
        line, word = line._replace(before=["store", *line.before]), "store"
    if word in SUBCOMMANDS.get(line.name, ()):
        words = ["pip", register_subcommand(f"{line.name} {word}"), *line.before[1:]]
        environ["COMP_WORDS"] = " ".join([*words, line.current])
        environ["COMP_CWORD"] = str(len(words))
        line = line._replace(name=words[1], before=line.before[1:])
    elif line.name not in own:
        if line.name == "cache" and not line.before:
            also = [one for one in ("store", *STORE_ACTIONS) if one.startswith(line.current)]
            sys.stdout.write("".join(f"{word}\n" for word in also))  # and pip goes on with its own
        return
    answer = _answer(line, environ)
    if answer is not None:
        sys.stdout.write("".join(f"{word}\n" for word in answer))
        sys.exit(1)


class _Line(NamedTuple):
    """A line that is being typed.

    Attributes:
        before: the words between that and the current one.
        current: the beginning of the word to complete.

    """

    name: str
    before: list[str]
    current: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> _Line | None:
        """Read the shell's question; None if there is no command yet."""
        if "PIP_AUTO_COMPLETE" not in environ or not environ.get("COMP_CWORD", "").isdecimal():
            return None
        words = environ.get("COMP_WORDS", "").split()[1:]
        position = int(environ["COMP_CWORD"]) - 1
        before, current = words[:position], "".join(words[position : position + 1])
        for number, word in enumerate(before):
            if commands.has(word):
                return cls(word, before[number + 1 :], current)
        return None


def _answer(line: _Line, environ: Mapping[str, str]) -> Iterable[str] | None:
    """Return all completions of the current word; None if pip knows them."""
    command = create_command(line.name)
    assert isinstance(command, DeclaredCommand)
    declared, parser = command.declared, command.parser
    if declared.runs_program:
        program = _program(parser, line.before)
        if program or (program is not None and not line.current.startswith("-")):
            paths = auto_complete_paths(line.current, "path")
            return paths if any(program) else [*_scripts(line.current, environ), *paths]
    option, typed, kept = _value(line)
    found = parser.get_option(option) if option.startswith("-") else None
    if found is None or not found.takes_value():
        if declared.arguments is not None and not line.current.startswith("-"):
            values = _parsed(parser, line.before)
            words = declared.arguments(_names(values), values)
            return [w for w in words if w.startswith(line.current) and w not in line.before]
        if line.name != _STORE or line.current.startswith("-"):
            return None
        said = not set(ACTIONS).isdisjoint(line.before)
        return [] if said else [one for one in ACTIONS if one.startswith(line.current)]
    if found.choices:
        return [f"{kept}{one}" for one in found.choices if one.startswith(typed)]
    if found.metavar in ("file", "dir", "path"):
        return [f"{kept}{path}" for path in auto_complete_paths(typed, found.metavar)]
    if isinstance(found, ParserOption):
        names = found.declared.names
    else:
        names = _PIPS.get(found.get_opt_string())
    words = names(_names(_parsed(parser, line.before))) if names is not None else []
    return [f"{kept}{word}" for word in words if word.startswith(typed)]


def _names(values: Values) -> Names:
    from pipshim.project.completion_names import Names  # noqa: PLC0415 not needed for options

    return Names(values.project or Path.cwd())


def _value(line: _Line) -> tuple[str, str, str]:
    """Return the option that the current word may be the value of.

    Returns:
        the option, the beginning of the value, and what precedes that in the same word. To bash the
        equals sign is a word.

    """
    *others, previous = ["", *line.before]
    if line.current == "=":
        return previous, "", ""
    if previous == "=" and others:
        return others[-1], line.current, ""
    option, equals, typed = line.current.partition("=")
    if equals and option.startswith("--"):
        return option, typed, f"{option}="
    return previous, line.current, ""


def _program(parser: OptionParser, before: Sequence[str]) -> list[str] | None:
    """Return the words of the program to run so far, `--` as an empty one; None before them."""
    if before and before[-1] == "=":
        return None
    joined = _joined(before)
    with suppress(SystemExit), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        values, rest = parser.parse_args(joined)
        if values.module is not None:
            return list(values.module)
        return rest or [""] * (joined[-1:] == ["--"])
    return None


def _parsed(parser: OptionParser, before: Sequence[str]) -> Values:
    """Parse the words before the current one, unless they cannot be parsed without it."""
    with suppress(SystemExit), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return parser.parse_args(_joined(before))[0]
    return parser.get_default_values()


def _joined(words: Sequence[str]) -> list[str]:
    """Join what bash splits at equals signs."""
    return " ".join(words).replace(" = ", "=").split()


def _scripts(start: str, environ: Mapping[str, str]) -> list[str]:
    folder = Path(environments([], environ)[0], "bin")
    return sorted(path.name for path in folder.glob("*") if path.name.startswith(start))
