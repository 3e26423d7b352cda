"""The digest of what a lock is made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.lock import lock_inputs
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.build_settings import Settings
from pipshim.model.project import Project
from pipshim.model.requests import LockOptions
from pipshim.model.settings import Configuration, ExtraBuildRequirement, StaticMetadata

NAME = canonicalize_name("src")
BB = Requirement("bb")


def requirements(*texts: str) -> tuple[Requirement, ...]:
    return tuple(map(Requirement, texts))


PROJECT = Project(
    directory=Path("/nowhere"),
    name=canonicalize_name("demo"),
    display_name="demo",
    version="1.0",
    requires_python=None,
    dependencies=requirements("aa>=1,<2", "bb"),
    optional_dependencies={canonicalize_name("e"): requirements("cc", "dd")},
    dependency_groups={"dev": requirements("ee"), "test": requirements("ff")},
    dynamic=frozenset(),
    has_build_system=False,
    configuration=Configuration(),
)


def digest(
    project: Project | None = PROJECT,
    settings: Settings | None = None,
    build_constraints: tuple[str, ...] = (),
    selection: dict[str, Any] | None = None,
    **given: Any,
) -> str:
    return lock_inputs.digest(
        project,
        settings or Settings(),
        LockOptions(**given),
        build_constraints,
        selection or {},
    )


def configured(**settings: Any) -> Project:
    return replace(PROJECT, configuration=Configuration(**settings))


def test_it_says_how_it_was_made() -> None:
    kind, _, value = digest().partition(":")
    assert kind == "sha256"
    assert len(value) == 64


@pytest.mark.parametrize(
    "project",
    [
        replace(PROJECT, name=canonicalize_name("other")),
        replace(PROJECT, requires_python=SpecifierSet(">=3.9")),
        replace(PROJECT, dependencies=requirements("aa>=1", "bb")),
        replace(PROJECT, dependencies=requirements("aa>=1,<2")),
        replace(PROJECT, dependencies=requirements("aa>=1,<2", "bb[x]")),
        replace(PROJECT, dependencies=requirements("aa>=1,<2", "bb; python_version>'3'")),
        replace(PROJECT, dependencies=requirements("aa>=1,<2", "bb @ https://host/bb.whl")),
        replace(PROJECT, optional_dependencies={}),
        replace(PROJECT, optional_dependencies={canonicalize_name("e"): requirements("cc")}),
        replace(PROJECT, dependency_groups={"dev": requirements("ee")}),
        replace(PROJECT, dependency_groups={"dev": requirements("ff"), "test": ()}),
        replace(PROJECT, dynamic=frozenset({"dependencies"})),
        configured(constraint_dependencies=(BB,)),
        configured(override_dependencies=(BB,)),
        configured(default_groups=("test",)),
        configured(package=True),
        configured(package=False),
        None,
    ],
)
def test_it_changes_with_the_project(project: Project | None) -> None:
    assert digest(project) != digest()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(layers=(IsolationLayer("x", no_build_isolation=True),)),
        Settings(layers=(IsolationLayer("x", packages=frozenset({NAME})),)),
        Settings(match_runtime=frozenset()),
        Settings(match_runtime=frozenset({NAME})),
        Settings(
            extra_build_dependencies={NAME: (ExtraBuildRequirement(BB, match_runtime=False),)}
        ),
        Settings(extra_build_dependencies={NAME: (ExtraBuildRequirement(BB, match_runtime=True),)}),
        Settings(extra_build_variables={NAME: {"A": "1"}}),
        Settings(config_settings={"a": "1"}),
        Settings(config_settings={"a": ["1", "2"]}),
        Settings(config_settings_package={NAME: {"a": "1"}}),
        Settings(build_constraint_dependencies=(Requirement("bb<2"),)),
        Settings(dependency_metadata=(StaticMetadata(NAME, None, (BB,), None, ()),)),
        Settings(dependency_metadata=(StaticMetadata(NAME, Version("1"), (BB,), None, ()),)),
    ],
)
def test_it_changes_with_the_build_settings(settings: Settings) -> None:
    assert digest(settings=settings) != digest()


def test_each_change_has_its_own_digest() -> None:
    found = [
        digest(),
        digest(configured(package=True)),
        digest(configured(package=False)),
        digest(settings=Settings(match_runtime=frozenset())),
        digest(settings=Settings(build_constraint_dependencies=(Requirement("bb"),))),
        digest(configured(constraint_dependencies=(BB,))),
        digest(selection={"prefer_binary": True}),
        digest(requirements=("bb",)),
        digest(editables=("bb",)),
        digest(groups=(("pyproject.toml", "bb"),)),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "project",
    [
        replace(PROJECT, version="2.0"),
        replace(PROJECT, display_name="Demo"),
        replace(PROJECT, directory=Path("/elsewhere")),
        replace(PROJECT, dependencies=requirements("bb", "aa<2,>=1")),
        replace(PROJECT, dynamic=frozenset({"version"})),
        replace(
            PROJECT,
            dependency_groups=dict(reversed([*PROJECT.dependency_groups.items()])),
        ),
    ],
)
def test_it_does_not_change_with_what_does_not_matter(project: Project) -> None:
    assert digest(project) == digest()


def test_who_chose_a_mode_does_not_matter() -> None:
    one, other = (
        Settings(layers=(IsolationLayer(source, packages=frozenset({NAME})),))
        for source in ("command line", "pyproject.toml")
    )
    assert digest(settings=one) == digest(settings=other)


def test_what_a_folder_of_dynamic_dependencies_says_matters(tmp_path: Path) -> None:
    project = replace(PROJECT, directory=tmp_path, dynamic=frozenset({"dependencies"}))
    found = [digest(project)]
    for name in ("pyproject.toml", "setup.py", "setup.cfg"):
        (tmp_path / name).write_text("x")
        found.append(digest(project))
    (tmp_path / "other.py").write_text("x")
    assert len({*found, digest(project)}) == 4


def test_the_build_system_matters_and_the_rest_of_its_file_does_not(tmp_path: Path) -> None:
    project = replace(PROJECT, directory=tmp_path, has_build_system=True)
    file = tmp_path / "pyproject.toml"
    file.write_text('[build-system]\nrequires = ["a"]\n')
    first = digest(project)
    file.write_text('[tool.x]\n[build-system]\nrequires = [ "a" ]  # x\n')
    assert digest(project) == first
    file.write_text('[build-system]\nrequires = ["b"]\n')
    assert digest(project) != first


@pytest.mark.parametrize("form", ["other @ {uri}", "other @ {uri}/", "other[x] @ {uri} ; a"])
def test_a_source_tree_that_is_required_matters(tmp_path: Path, form: str) -> None:
    (tmp_path / "setup.py").write_text("x")
    text = form.format(uri=tmp_path.as_uri()).replace("; a", "; python_version > '3'")
    project = replace(PROJECT, dependencies=requirements(text))
    first = digest(project)
    (tmp_path / "module.py").write_text("y")
    assert digest(project) == first
    (tmp_path / "setup.py").write_text("y")
    assert digest(project) != first


@pytest.mark.parametrize("form", ["{path}", "{path}[x]", "{uri}", "-", "other @ {uri}"])
@pytest.mark.parametrize("where", ["requirements", "editables", "file", "editable in a file"])
def test_a_source_tree_that_is_given_matters(tmp_path: Path, form: str, where: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "setup.py").write_text("x")
    text = form.format(path=tree, uri=tree.as_uri())
    given: dict[str, Any] = {where: (text,)}
    if "file" in where:
        prefix = "-e " if where.startswith("editable") else ""
        (tmp_path / "r.txt").write_text(f"{prefix}{text}  # why\n")
        given = {"requirement_files": (str(tmp_path / "r.txt"),)}
    first = digest(None, **given)
    (tree / "setup.py").write_text("y")
    assert (digest(None, **given) == first) is (form == "-")


def test_the_content_of_files_matters_and_where_they_are_does_not(tmp_path: Path) -> None:
    files = {"r.txt": "-r sub/more.txt\n", "sub/more.txt": "-c../c.txt\nbb\n", "c.txt": "cc<2\n"}
    found = []
    for folder in ("one", "two"):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found.append(digest(constraints=(str(tmp_path / folder / "r.txt"),)))
    assert found[0] == found[1]
    for name in files:
        with (tmp_path / "one" / name).open("a") as file:
            file.write("dd\n")
        found.append(digest(constraints=(str(tmp_path / "one" / "r.txt"),)))
    assert len(set(found)) == 4


@pytest.mark.parametrize("option", ["-r ", "-r", "--requirement ", "--requirement=", "-c ", " -c "])
def test_every_spelling_of_an_included_file_counts(tmp_path: Path, option: str) -> None:
    path = tmp_path / "r.txt"
    path.write_text(f"aa\n{option}more.txt\n")
    (tmp_path / "more.txt").write_text("bb\n")
    first = digest(requirement_files=(str(path),))
    (tmp_path / "more.txt").write_text("cc\n")
    assert digest(requirement_files=(str(path),)) != first


def test_files_that_include_each_other_or_are_not_there_do_no_harm(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("-r two.txt\n-r nowhere.txt\n-r https://host/r.txt\n")
    two.write_text("-r one.txt\n")
    assert digest(requirement_files=(str(one),)) != digest(requirement_files=(str(two),))


def test_build_constraint_files_matter_by_content(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("bb<2\n")
    first = digest(build_constraints=(str(path),))
    assert first != digest()
    path.write_text("bb<3\n")
    assert digest(build_constraints=(str(path),)) != first


def test_a_group_matters_by_its_table(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[dependency-groups]\ndev = ["a"]\n')
    first = digest(None, groups=((str(path), "dev"),))
    path.write_text('[tool.x]\n[dependency-groups]\ndev = ["a"]\n')
    assert digest(None, groups=((str(path), "dev"),)) == first
    path.write_text('[dependency-groups]\ndev = ["b"]\n')
    assert digest(None, groups=((str(path), "dev"),)) != first


def test_what_was_given_is_said_as_it_was_typed() -> None:
    given = LockOptions(
        requirements=("aa",),
        requirement_files=("r.txt",),
        editables=("./x",),
        scripts=("s.py",),
        groups=(("p.toml", "dev"),),
    )
    assert lock_inputs.requirements_given(given) == [
        "aa",
        "-r r.txt",
        "-e ./x",
        "--requirements-from-script s.py",
        "--group p.toml:dev",
    ]
