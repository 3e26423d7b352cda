"""Write the generated parts of docs/: the options, the settings of [tool.pipshim], the modules.

``python docs/make_reference.py``, with the newest supported pip. ``--check`` changes nothing, and
fails if a page is out of date.
"""

from __future__ import annotations

import ast
import re
import sys
from optparse import SUPPRESS_HELP
from pathlib import Path
from typing import TYPE_CHECKING

from pip import __version__ as pip_version

from pipshim.cli.pip_main import create
from pipshim.model.option_parsing import ParserOption
from pipshim.model.settings import SETTINGS, Configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from optparse import Option
DOCS = Path(__file__).resolve().parent
REFERENCE = DOCS / "reference"
PACKAGE = DOCS.parent / "pipshim"
COMMANDS = (
    "run",
    "lock",
    "sync",
    "export",
    "add",
    "remove",
    "tree",
    "why",
    "cache store",
    "builds show",
    "builds plan",
    "builds run",
    "builds history",
    "builds log",
    "builds keygen",
    "builds trust",
    "install",
    "wheel",
    "download",
)
INTRODUCTION = f"""\
# Options

`python docs/make_reference.py` generates this page from the parsers; do not edit it. Each section
lists the options that pipshim adds, and then the names of the options of pip {pip_version}, which
`pipshim COMMAND --help` explains.
[Commands](commands.md) describes the rules, [uv's flags](uv-flags.md) compares with uv.

The variables have the plain meaning: `1`, `true`, `yes` or `on` sets an option without a value, and
`0`, `false`, `no` or `off` does not. Options that can be given several times take several values,
separated by spaces. Options of pip have variables too (`PIP_*`).
"""
START = "<!-- {}: python docs/make_reference.py -->\n"
END = "<!-- end of {} -->"
FOLDERS = (
    "cli",
    "fastpath",
    "progress",
    "sync",
    "lock",
    "builds",
    "workers",
    "remote",
    "store",
    "_pip",
    "envs",
    "project",
    "model",
    "base",
)


def options_page() -> str:
    """Return the text of options.md."""
    sections = (
        f"## {command}\n\n" + "\n".join(option_lines(list(options(command))))
        for command in COMMANDS
    )
    return "\n".join([INTRODUCTION, "\n\n".join(sections), ""])


def options(command: str) -> Iterator[Option]:
    """Yield the options of a command that its help shows."""
    made = create(command)
    for container in (*made.parser.option_groups, made.parser):
        for option in container.option_list:
            if option.help != SUPPRESS_HELP:
                yield option


def option_lines(shown: Iterable[Option]) -> Iterator[str]:
    """Yield the table of pipshim's options, and a paragraph that names pip's."""
    own = [option for option in shown if isinstance(option, ParserOption)]
    yield "| option | variable | meaning |"
    yield "|---|---|---|"
    for option in own:
        name = option.declared.variable
        yield f"| {signature(option)} | {f'`{name}`' if name else ''} | {cell(option.help)} |"
    names = ", ".join(f"`{option.get_opt_string()}`" for option in shown if option not in own)
    yield ""
    yield f"pip's: {names}."


def signature(option: Option) -> str:
    """Return an option's names and its value, as they are typed."""
    names = [*vars(option)["_short_opts"], *vars(option)["_long_opts"]]
    if option.takes_value():
        names[-1] += f" {(option.metavar or option.dest or '').upper()}"
    return ", ".join(f"`{name}`" for name in names)


def settings_table() -> str:
    """Return the table of configuration.md."""
    defaults = vars(Configuration())
    rows = ["| setting | values | meaning |", "|---|---|---|"]
    for key, setting in SETTINGS.items():
        about, default = setting.metadata, defaults[key.replace("-", "_")]
        note = f'; default `"{default}"`' if isinstance(default, str) else ""
        rows.append(f"| `{key}` | {cell(about['values'])}{note} | {cell(about['meaning'])} |")
    return "\n".join(rows) + "\n"


def cell(text: str | None) -> str:
    """Return a text as a cell of a table."""
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|")


def module_lists() -> str:
    """Return the lists of architecture.md: the first line of each module's docstring."""
    return "\n\n".join(map(module_list, FOLDERS)) + "\n"


def module_list(folder: str) -> str:
    """Return what a folder is for, and one line for each module in it and in its folders."""
    modules = (
        f"- `{path.relative_to(PACKAGE).as_posix()}`: {first_line(path)}"
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        if path.stem != "__init__"
    )
    purpose = first_line(PACKAGE / folder / "__init__.py")
    return "\n".join([f"### {folder}/", "", purpose, "", *modules])


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


def with_part(path: Path, name: str, part: str) -> str:
    """Return the text of a page with its generated part."""
    start, end = START.format(name), END.format(name)
    before, _, rest = path.read_text(encoding="utf-8").partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{part}{end}{after}"


def pages() -> dict[Path, str]:
    """Return the text that each page is to have."""
    configuration, architecture = REFERENCE / "configuration.md", DOCS / "architecture.md"
    return {
        REFERENCE / "options.md": options_page(),
        configuration: with_part(configuration, "settings", settings_table()),
        architecture: with_part(architecture, "modules", module_lists()),
    }


def main() -> int:
    """Write the pages, or compare them."""
    status = 0
    for path, text in pages().items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is out of date: run python docs/make_reference.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
