"""Workspaces as values: which settings of pip's commands count, and what is selected."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from pipshim.base.errors import UnknownNameError, UsageError
from pipshim.model.combinations import group_of_extra
from pipshim.model.pylock import Lock
from pipshim.model.requests import SelectionOptions
from pipshim.model.workspace_selection import groups_of, member_to_edit, selected
from pipshim.project.workspaces import load_builder, load_project

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.model.project import Project

A, B, ROOT = (canonicalize_name(name) for name in ("a", "b", "root"))
FAST, DEV, DOCS = (canonicalize_name(name) for name in ("fast", "dev", "docs"))


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(dedent(text))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the folder of a workspace."""
    write(
        tmp_path,
        """
        [project]
        name = "root"
        [project.optional-dependencies]
        fast = ["one"]
        [dependency-groups]
        docs = ["two"]
        [tool.pipshim]
        workspace.members = ["a", "b"]
        default-groups = ["docs"]
        """,
    )
    write(
        tmp_path / "a",
        """
        [project]
        name = "a"
        [project.optional-dependencies]
        fast = ["three"]
        [dependency-groups]
        dev = ["four"]
        docs = ["five"]
        """,
    )
    write(tmp_path / "b", '[project]\nname = "b"\n')
    return tmp_path


def groups(folder: Path, **options: object) -> tuple[list[str], list[str], bool]:
    """Return the extras and groups that are selected, and whether the root is."""
    found = selected(SelectionOptions(**options), load_project(folder))  # type: ignore[arg-type]
    chosen = found.only_groups or found.groups
    return sorted(found.extras), sorted(chosen), not found.only_groups


def test_the_folder_says_what_is_selected(root: Path) -> None:
    assert groups(root) == ([], ["docs"], True)
    assert groups(root / "a") == ([], ["member-a", "member-a-group-dev"], False)
    assert groups(root / "b") == ([], ["member-b"], False)


def test_options_say_it_too(root: Path) -> None:
    everything = ["docs", "member-a", "member-a-group-dev", "member-b"]
    assert groups(root / "a", all_packages=True) == ([], everything, True)
    assert groups(root, packages=(A, B), no_dev=True) == ([], ["member-a", "member-b"], False)
    extra = ["member-a", "member-a-extra-fast", "member-a-group-dev"]
    assert groups(root, packages=(A,), extras=(FAST,)) == ([], extra, False)
    assert groups(root, packages=(ROOT, B), extras=(FAST,)) == (
        ["fast"],
        ["docs", "member-b"],
        True,
    )
    assert groups(root, packages=(A,), only_groups=(DOCS,)) == ([], ["member-a-group-docs"], False)
    own = ["member-a", "member-a-group-dev", "member-a-group-docs"]
    assert groups(root / "a", all_groups=True) == ([], own, False)
    assert groups(root / "a", all_groups=True, no_groups=(DEV, DOCS))[1] == ["member-a"]
    left_out = selected(SelectionOptions(no_install_project=True), load_project(root / "a"))
    assert left_out.no_install_packages == ("a",)


def test_names_that_there_are_not_are_errors(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such member; did you mean 'a'"):
        groups(root, packages=(canonicalize_name("aa"),))
    with pytest.raises(UnknownNameError, match="no extra 'fast' in b"):
        groups(root / "b", extras=(FAST,))
    with pytest.raises(UnknownNameError, match="no group 'dev' in root"):
        groups(root, groups=(DEV,))
    alone = load_project(write(tmp_path.parent / "alone", '[project]\nname = "alone"\n'))
    with pytest.raises(UsageError, match="there is no workspace"):
        selected(SelectionOptions(packages=(A,)), alone)
    options = SelectionOptions(packages=(canonicalize_name("alone"),))
    assert selected(options, alone) is options


def test_a_member_is_edited(root: Path) -> None:
    def edited(folder: Path, *packages: str) -> Project:
        return member_to_edit(load_project(folder), list(map(canonicalize_name, packages)))

    assert edited(root / "a").name == "a"
    assert edited(root).name == "root"
    assert edited(root / "a", "root").name == "root"
    assert edited(root, "b").directory == (root / "b").resolve()
    with pytest.raises(UsageError, match="names several members: a b"):
        edited(root, "a", "b")


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ('[project]\nname = "x"\ndependencies = ["uvicorn", "uv"]\n', False),
        ('[project]\nname = "x"\n[tool.uv]\n', True),
        ('[project]\nname = "x"\n[tool]\nuv.package = false\n', True),
        ('[project]\nname = "x"\n[tool.pipshim]\n', True),
    ],
)
def test_pips_commands_read_a_project_that_has_settings(
    tmp_path: Path, text: str, is_read: bool
) -> None:
    folder = write(tmp_path, text)
    assert (load_builder(None, folder) is not None) is is_read


def test_extras_that_only_a_members_backend_knows_are_those_of_the_lock(root: Path) -> None:
    write(
        root / "b",
        """
        [build-system]
        requires = []
        [project]
        name = "b"
        dynamic = ["optional-dependencies"]
        [tool.pipshim]
        conflicts = [[{ extra = "fast" }, { extra = "slow" }]]
        """,
    )
    project = load_project(root)
    lock = Lock(
        (), {}, groups=tuple(group_of_extra("b", extra) for extra in ("fast", "slow", "odd"))
    )
    asked = SelectionOptions(packages=(B,), extras=(canonicalize_name("odd"),))
    for known in (lock, None):  # before there is a lock, any may exist
        assert selected(asked, project, known).only_groups == ("member-b", "member-b-extra-odd")
    every = SelectionOptions(packages=(B,), all_extras=True, no_extras=(FAST,))
    assert selected(every, project, lock).only_groups[1:] == (
        "member-b-extra-odd",
        "member-b-extra-slow",
    )
    with pytest.raises(UnknownNameError, match="no extra 'none' in b"):
        selected(replace(asked, extras=(canonicalize_name("none"),)), project, lock)
    assert not {"member-b-extra-fast"} - groups_of(project)
