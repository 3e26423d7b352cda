"""Which extras and groups of a project the arguments of pip's commands ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.cli.pip_commands import requested_origins
from pipshim.project.workspaces import load_project

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = """
[project]
name = "demo"
version = "1"
optional-dependencies = { cpu = [] }
[tool.pipshim.workspace]
members = ["kernels"]
"""
MEMBER = """
[project]
name = "kernels"
version = "1"
optional-dependencies = { cu128 = [] }
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "kernels" / "pyproject.toml").write_text(MEMBER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "origins"),
    [
        (".", {"project"}),
        (".[cpu]", {"project", "extra cpu"}),
        ("./[CPU, more]", {"project", "extra cpu", "extra more"}),
        ("demo[cpu]>=1", {"project", "extra cpu"}),
        ("./kernels[cu128]", {"group member-kernels", "group member-kernels-extra-cu128"}),
        ("kernels[cu128]", {"group member-kernels", "group member-kernels-extra-cu128"}),
        ("other[cpu]", set()),
        ("./elsewhere[cpu]", set()),
        ("", set()),
    ],
)
def test_paths_and_names_of_the_project_and_its_members_count(
    root: Path, argument: str, origins: set[str]
) -> None:
    project = load_project(root)
    assert requested_origins(project, [argument] if argument else [], [], []) == origins
    (root / "needs.txt").write_text(f"# a comment\n-i https://host/simple\n-e {argument} # x\n")
    assert requested_origins(project, [], ["needs.txt", "absent.txt"], []) == origins


def test_groups_of_the_project_and_its_members_count(root: Path) -> None:
    groups = [("pyproject.toml", "dev"), ("kernels/pyproject.toml", "gpu"), ("other/x", "dev")]
    assert requested_origins(load_project(root), [], [], groups) == {
        "group dev",
        "group member-kernels-group-gpu",
    }
    url = root.as_uri()
    assert requested_origins(load_project(root), [f"{url}[cpu]"], [], []) == {
        "project",
        "extra cpu",
    }
