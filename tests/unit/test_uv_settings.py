"""``[tool.uv]`` read as ``[tool.pipshim]``."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pipshim.base.errors import ProjectError
from pipshim.model.settings import SETTINGS
from pipshim.project.pyproject import read_project
from pipshim.project.uv_settings import read_versions, translate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pipshim.model.project import Project

HERE = Path("/work/app")


def project(text: str) -> Project:
    return read_project(HERE, f'[project]\nname = "app"\n{dedent(text)}')


def ignored(text: str) -> tuple[str, ...]:
    return translate(tomllib.loads(dedent(text)), SETTINGS)[1]


def test_settings_with_the_same_meaning_are_read() -> None:
    found = project(
        """
        [dependency-groups]
        dev = ["pytest"]
        docs = ["sphinx"]
        [tool.uv]
        dev-dependencies = ["ruff"]
        default-groups = "all"
        constraint-dependencies = ["urllib3<2"]
        override-dependencies = ["protobuf==5"]
        exclude-dependencies = ["triton"]
        no-build-isolation-package = ["flash-attn"]
        config-settings = { editable_mode = "compat" }
        exclude-newer = "2026-01-01"
        index-url = "https://main/simple"
        extra-index-url = ["https://extra/simple"]
        find-links = ["wheels"]
        package = false
        managed = true
        [tool.uv.extra-build-dependencies]
        flash-attn = [{ requirement = "torch", match-runtime = true }]
        [[tool.uv.index]]
        url = "https://nameless/simple"
        [[tool.uv.index]]
        name = "torch"
        url = "https://torch/cpu"
        explicit = true
        [tool.uv.sources]
        torch = { index = "torch" }
        [tool.uv.build-backend]
        module-root = ""
        """
    )
    settings = found.configuration
    assert found.ignored_settings == ()
    assert [str(one) for one in found.dependency_groups["dev"]] == ["pytest", "ruff"]
    assert settings.default_groups == ("dev", "docs")
    assert [str(one) for one in settings.override_dependencies] == [
        "protobuf==5",
        'triton; sys_platform == "none"',
    ]
    assert settings.no_build_isolation_package == {"flash-attn"}
    assert settings.config_settings == {"editable_mode": "compat"}
    assert settings.package is False
    assert [(one.name, one.url, one.default, one.format) for one in settings.index] == [
        ("index-1", "https://nameless/simple", False, "simple"),
        ("torch", "https://torch/cpu", False, "simple"),
        ("index-url", "https://main/simple", True, "simple"),
        ("extra-index-url-1", "https://extra/simple", False, "simple"),
        ("find-links-1", "wheels", False, "flat"),
    ]


def test_other_settings_are_listed() -> None:
    assert ignored(
        """
        python-preference = "system"
        prerelease = "allow"
        managed = true
        cache-keys = [{ file = "x" }]
        override-dependencies = ["a", { name = "b" }]
        [[index]]
        name = "a"
        url = "https://a"
        publish-url = "https://b"
        authenticate = "always"
        [sources]
        x = { git = "https://x", lfs = true }
        """
    ) == (
        "python-preference",
        "prerelease",
        "cache-keys",
        "override-dependencies (tables)",
        "index.publish-url",
        "index.authenticate",
        "sources.x.lfs",
    )
    assert ignored('prerelease = "if-necessary"') == ()


def test_conflicts_may_name_default_groups_but_not_the_project_itself() -> None:
    found = project(
        """
        version = "1"
        optional-dependencies = { old = [] }
        [dependency-groups]
        dev = []
        [tool.uv]
        conflicts = [
            [{ extra = "old" }, { group = "dev" }],
            [{ package = "app" }, { extra = "old" }],
        ]
        """
    )
    assert found.conflicts.sets == (("extra old", "group dev"),)
    assert found.ignored_settings == ("conflicts (of the project itself)",)


def test_a_table_of_pipshim_counts_alone() -> None:
    found = project(
        """
        [tool.pipshim]
        [tool.uv]
        dev-dependencies = ["ruff"]
        constraint-dependencies = ["urllib3<2"]
        python-preference = "system"
        """
    )
    assert found.configuration.constraint_dependencies == ()
    assert found.dependency_groups == {}
    assert found.ignored_settings == ()


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("[tool]\nuv = 3", "tool.uv must be a table", 4),
        ("[tool.uv]\nsources = 3", "tool.uv.sources must be a table", 4),
        ("[tool.uv]\nindex = {}", "tool.uv.index must be an array", 4),
        ("[tool.uv]\nsources.a = { index = 'b' }", "which [[tool.uv.index]] does not have", 4),
        ("[tool.uv]\ndefault-groups = ['x']", "tool.uv.default-groups[0] names a group", 4),
        ("[tool.uv]\nexclude-dependencies = ['a b']", "is not a valid requirement", 3),
    ],
)
def test_wrong_values_are_errors_with_a_line(text: str, problem: str, line: int) -> None:
    with pytest.raises(ProjectError) as caught:
        project(text)
    assert problem in str(caught.value)
    assert caught.value.line == line


def test_a_lock_of_uv_gives_the_versions_that_are_the_only_ones(tmp_path: Path) -> None:
    assert read_versions(tmp_path) == {}
    lock = tmp_path / "uv.lock"
    lock.write_text(
        dedent(
            """
            version = 1
            [[package]]
            name = "app"
            version = "0.1"
            source = { editable = "." }
            [[package]]
            name = "torch"
            version = "2.9.0+cpu"
            source = { registry = "https://torch/cpu" }
            [[package]]
            name = "numpy"
            version = "1.26.0"
            source = { registry = "https://index.example.org/simple" }
            [[package]]
            name = "numpy"
            version = "2.3.0"
            source = { registry = "https://index.example.org/simple" }
            """
        )
    )
    assert {name: [*map(str, each)] for name, each in read_versions(tmp_path).items()} == {
        "torch": ["2.9.0+cpu"],
        "numpy": ["1.26.0", "2.3.0"],
    }
    lock.write_text("package = 3")
    assert read_versions(tmp_path) == {}
