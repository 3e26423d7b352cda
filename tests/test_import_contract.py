"""Who may import what (docs/architecture.md): read off the source, not off a run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipshim

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(pipshim.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

ALLOWED = {
    "rich": ("progress/",),
    "tomlkit": ("project/editing.py",),
    "tox": ("tox_plugin.py",),
    "distributed": ("workers/dask_engine.py",),
    "submitit": ("workers/slurm_engine.py",),
}
"""By package, the only places that import it; pyproject.toml has the rules between folders."""


def imported(path: Path, *, for_types: bool = True) -> Iterator[tuple[int, str]]:
    """Tell the modules that a file imports, wherever in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not for_types and node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.lineno, node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_packages_are_imported_only_where_they_belong(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    wrong = [
        f"{place}:{line} imports {module}"
        for line, module in imported(path)
        if (home := ALLOWED.get(module.partition(".")[0])) is not None
        and not place.startswith(home)
    ]
    assert not wrong


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    output = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); {code}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return set(output.split())


def test_importing_pipshim_imports_nothing_else() -> None:
    assert set(loaded("import pipshim") - loaded("pass")) == {"pipshim"}


def test_the_command_imports_pip_and_rich_only_when_it_needs_them() -> None:
    names = loaded("import pipshim.__main__, pipshim.fastpath.up_to_date") - loaded("pass")
    own = {"pipshim", "pipshim.__main__", "pipshim.fastpath", "pipshim.fastpath.up_to_date"}
    assert names <= {*own, "__future__", "_blake2"}


def test_an_environment_is_made_again_without_the_heavy_part_of_the_standard_library() -> None:
    fastpath = "pipshim.fastpath.environment_snapshot, pipshim.fastpath.restore"
    made = f"import {fastpath}, pipshim.cli.error_boundary"
    names = {name for name in loaded(made) - loaded("pass") if not name.startswith("pipshim")}
    in_c = {"_bisect", "_blake2", "_hashlib", "_json", "binascii", "fcntl", "zlib"}
    assert names <= {*in_c, "__future__", "bisect", "hashlib"}


def test_the_engine_does_not_import_rich() -> None:
    names = {
        name.partition(".")[0]
        for name in loaded("import pipshim.model.sync_plan, pipshim.model.pylock")
    }
    assert not names & {"pip", "rich"}


def test_the_modules_that_the_architecture_names_exist() -> None:
    text = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if ": removed" not in line]
    named = {*re.findall(r"`(\w+/\w+\.py)`", "\n".join(lines))}
    assert len(named) > 100
    places = (ROOT, ROOT.parent)
    assert not [one for one in sorted(named) if not any((top / one).exists() for top in places)]
