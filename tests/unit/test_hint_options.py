"""Options that hints and errors name exist on the command that was typed."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pipshim.cli.pip_main import create
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUILDING = ("lock", "sync", "run", "add", "remove", "export", "install", "wheel", "download")
"""Commands that any message of resolving, fetching and building may reach."""

SYNCING = ("sync", "run", "add", "remove")
PROJECT = ("lock", "export", *SYNCING)

SHOWN_BY: dict[tuple[str, str], tuple[str, ...]] = {
    ("cli/lock.py", "--script"): ("lock",),
    ("cli/lock.py", "--output-format"): ("lock",),
    ("cli/sync.py", "--script"): ("sync",),
    ("cli/project_commands.py", "--no-deps"): ("sync",),
    ("cli/edit_commands.py", "--dev"): ("add", "remove"),
    ("cli/edit_commands.py", "--optional"): ("add", "remove"),
    ("cli/edit_commands.py", "--index"): ("add",),
    ("cli/edit_commands.py", "--torch-backend"): ("add",),
    ("cli/added_requirements.py", "--index"): ("add",),
    ("cli/remote.py", "--remote-url"): ("cache store", "builds list"),
    ("cli/cache_store_remote.py", "--days"): ("cache store",),
    ("cli/cache_store_remote.py", "--max-size"): ("cache store",),
    ("model/workspace_selection.py", "--package"): (*SYNCING, "export", "tree", "add", "remove"),
    ("model/workspace_selection.py", "--extra"): ("sync", "run", "export"),
    ("model/combinations.py", "--package"): (*SYNCING, "export"),
    ("cli/export.py", "--build"): ("export",),
    ("model/fetch_errors.py", "--offline"): PROJECT,
    ("cli/tree.py", "--invert"): ("tree",),
    ("builds/hooks.py", "--no-editable"): SYNCING,
    ("cli/project_commands.py", "--frozen"): ("sync", "run", "export"),
    ("cli/project_commands.py", "--locked"): ("sync", "run", "export"),
    ("cli/edit.py", "--optional"): ("add", "remove"),
    ("cli/run.py", "--no-sync"): ("run",),
    ("cli/run.py", "--with"): ("run",),
    ("cli/sync.py", "--frozen"): ("sync", "run", "export"),
    ("cli/why.py", "--limit"): ("why",),
    ("cli/builds_show.py", "--all"): ("builds show",),
    ("cli/builds_show.py", "--extra"): ("builds show",),
    ("cli/builds_show.py", "--group"): ("builds show",),
    ("cli/builds_plan.py", "--extra"): ("builds plan",),
    ("cli/builds_plan.py", "--group"): ("builds plan",),
    ("cli/builds_plan.py", "--tool"): ("builds plan",),
    ("cli/builds_run.py", "--tool"): ("builds plan",),
    ("cli/builds_run.py", "--python"): ("builds run",),
    ("project/env_files.py", "--env-file"): ("run",),
    ("cli/context.py", "--no-project"): ("run",),
    ("cli/context.py", "--target-environment"): ("lock",),
    ("model/lower_bound_hint.py", "--resolution"): PROJECT,
    ("lock/requirements_export.py", "--no-hashes"): ("export",),
    ("lock/requirements_export.py", "--no-install-package"): ("export",),
    ("lock/lock_maker.py", "--no-deps"): ("sync",),
    ("lock/project_locking.py", "--target-environment"): ("lock",),
    ("store/bytecode.py", "--compile"): SYNCING,
    ("sync/synchronizer.py", "--reinstall-package"): SYNCING,
    ("sync/transaction.py", "--no-install-package"): SYNCING,
    ("cli/remote.py", "--builders"): (*PROJECT, "builds run"),
    ("cli/remote.py", "--remote"): (*PROJECT, "builds run"),
    ("project/settings.py", "--builders"): (*PROJECT, "builds run"),
    ("workers/dask_engine.py", "--builders"): (*PROJECT, "builds run"),
    ("workers/slurm_engine.py", "--builders"): (*PROJECT, "builds run"),
}
"""Where a text names an option that not all of these have: the commands that show the text."""

NOT_SHOWN = (
    *(
        "model/requests.py",
        "model/option_table.py",
        "cli/dispatch.py",
    ),  # tables of options, and what help says of them
    *("cli/cache_store.py", "cli/pip_command_extensions.py"),  # usage
    *("lock/lock_inputs.py", "lock/requirements_export.py:--hash"),  # what files have
    *("tox_plugin.py", "builds/job_variables.py"),  # what they run
    *(f"workers/slurm_engine.py:--{one}" for one in ("format", "noheader", "states", "jobs")),
    "workers/plan_task.py",
    "model/combinations.py:--no",  # the kind and the name come behind it
)
"""Modules whose texts with options are neither errors nor hints."""


class Named(NamedTuple):
    """An option in a text.

    Attributes:
        command: the command that the text types out before it (``pipshim lock -P``), or none.

    """

    module: str
    line: int
    option: str
    command: str | None


@cache
def options(command: str) -> frozenset[str]:
    return frozenset(vars(create(command).parser)["_long_opt"])


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Give the sentences in a module that are not docstrings; what is put in is ``{}``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ignored: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # a docstring
            ignored.add(node.value)
        elif isinstance(node, ast.JoinedStr) and node not in ignored:
            ignored.update(ast.walk(node))
            yield (
                node.lineno,
                "".join(
                    str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in ignored:
            yield node.lineno, node.value


def named() -> Iterator[Named]:
    for path in sorted((ROOT / "pipshim").rglob("*.py")):
        module = path.relative_to(ROOT / "pipshim").as_posix()
        if module in NOT_SHOWN:
            continue
        for line, text in texts(path):
            if " " not in text:
                continue
            for match in re.finditer(r"(?<![\w-])--[a-z][a-z-]*\b", text):
                typed = re.findall(
                    r"(pipshim [a-z]+|\S*python\S* -m [a-z]+|apt-get|pip [a-z]+)(?=[^.;:,\n]*$)",
                    text[: match.start()],
                )
                if f"{module}:{match[0]}" in NOT_SHOWN:
                    continue
                yield Named(module, line, match[0], typed[-1] if typed else None)


NAMED = [*named()]


def test_there_are_options_in_texts() -> None:
    assert len(NAMED) > 50


@pytest.mark.parametrize("one", NAMED, ids=lambda one: f"{one.module}:{one.line}:{one.option}")
def test_option_exists_where_it_is_named(one: Named) -> None:
    if one.command is not None:
        program, _, name = one.command.partition(" ")
        if program == "pipshim":
            assert one.option in options("cache store" if name == "cache" else name)
        return
    for command in SHOWN_BY.get((one.module, one.option), BUILDING):
        assert one.option in options(command), f"{command} has no {one.option}"
