"""Read pipshim's build options from lines of requirements files."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pip._internal.cli import cmdoptions
from pip._internal.exceptions import RequirementsFileParseError
from pip._internal.req import req_file

from pipshim._pip.patches import replaced
from pipshim.model.option_parsing import ParserOption, long_names
from pipshim.model.option_table import BUILD, keep_abbreviations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from optparse import Option, OptionParser, Values

    from pipshim.model.build_settings import BuildLines
    from pipshim.model.option_parsing import Option as DeclaredOption


@contextmanager
def accepting_build_options(lines: BuildLines) -> Iterator[None]:
    """Let pip's parser of requirements files accept these options, and note them."""
    original = req_file.handle_option_line
    requirement = req_file.handle_requirement_line
    build_parser = req_file.build_parser
    known = [*req_file.SUPPORTED_OPTIONS, *_factories()]

    def parser() -> OptionParser:
        built = build_parser()
        keep_abbreviations(built, {*long_names(BUILD), "--no-build-isolation"})
        return built

    def handle(opts: Values, filename: str, *args: Any, **kwargs: Any) -> None:
        lines.note(Path(filename).name, opts)
        original(opts, filename, *args, **kwargs)

    def handle_requirement(line: req_file.ParsedLine, options: Values | None = None) -> Any:
        _refuse_beside(line)
        return requirement(line, options)

    with replaced(
        req_file,
        SUPPORTED_OPTIONS=known,
        build_parser=parser,
        handle_requirement_line=handle_requirement,
        handle_option_line=handle,
    ):
        yield


def _refuse_beside(line: req_file.ParsedLine) -> None:
    """Refuse a build option on a requirement's line, where pip would ignore it."""
    for factory in _factories():
        option = factory()
        if getattr(line.opts, str(option.dest), None) is not None:
            raise RequirementsFileParseError(
                f"{line.filename} (line {line.lineno}): {option.get_opt_string()} must be on a "
                "line of its own"
            )


def _factories() -> list[Callable[[], Option]]:
    return [*(partial(_option, declared) for declared in BUILD), _no_build_isolation]


def _option(declared: DeclaredOption) -> Option:
    found = ParserOption(declared)
    found.default = None  # a list would be the same one for all lines
    return found


def _no_build_isolation() -> Option:
    found = cmdoptions.no_build_isolation()
    found.default = None
    return found
