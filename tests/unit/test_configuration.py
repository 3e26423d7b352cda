from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from pipshim.base.errors import ProjectError
from pipshim.base.spelling import nearest
from pipshim.base.toml_files import line_finder
from pipshim.model.settings import (
    Configuration,
    ExtraBuildRequirement,
    StaticMetadata,
    load_configuration,
)
from pipshim.model.targets import TargetName
from pipshim.model.value_reader import Reader, format_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path("pyproject.toml")


def load(text: str) -> Configuration:
    """Read what stands under [tool.pipshim]; the table's header is line 1."""
    text = "[tool.pipshim]\n" + text
    reader = Reader(FILE, line_finder(text))
    return load_configuration(reader, tomllib.loads(text)["tool"]["pipshim"])


def refused(text: str) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        load(text)
    assert caught.value.path == FILE
    return caught.value


def test_nothing_said() -> None:
    assert load("") == Configuration()


def test_all_that_the_design_shows() -> None:
    configuration = load("""
no-build-isolation = false
no-build-isolation-package = ["NATTEN"]
match-runtime = ["Torch", "numpy"]
default-groups = ["Dev_Tools"]
target-environments = ["linux-x86_64-cp312", "macos-arm64-cp312"]
constraint-dependencies = ["a<2"]
override-dependencies = ["b==1"]
build-constraint-dependencies = ["c<3"]
package = true

[tool.pipshim.extra-build-dependencies]
Flash_Attn = ["torch", {requirement = "ninja>1", match-runtime = true}, {requirement = "d"}]

[tool.pipshim.extra-build-variables]
flash-attn = { FLASH_ATTENTION_SKIP_CUDA_BUILD = "TRUE" }

[tool.pipshim.config-settings-package]
mesonpkg = { setup-args = ["-Dblas=openblas"], editable = "yes" }

[[tool.pipshim.dependency-metadata]]
name = "Natten"
version = "0.17.5"
requires-dist = ["torch"]
requires-python = ">=3.8"
provides-extra = ["All_Of"]
build-requires = ["ninja"]

[[tool.pipshim.dependency-metadata]]
name = "natten"
""")
    assert configuration == Configuration(
        no_build_isolation=False,
        no_build_isolation_package=frozenset({"natten"}),  # type: ignore[arg-type]
        match_runtime=frozenset({"torch", "numpy"}),  # type: ignore[arg-type]
        default_groups=("dev-tools",),
        target_environments=(
            TargetName("linux", "x86_64", 12),
            TargetName("macos", "arm64", 12),
        ),
        constraint_dependencies=(Requirement("a<2"),),
        override_dependencies=(Requirement("b==1"),),
        build_constraint_dependencies=(Requirement("c<3"),),
        extra_build_dependencies={
            "flash-attn": (  # type: ignore[dict-item]
                ExtraBuildRequirement(Requirement("torch"), match_runtime=False),
                ExtraBuildRequirement(Requirement("ninja>1"), match_runtime=True),
                ExtraBuildRequirement(Requirement("d"), match_runtime=False),
            )
        },
        extra_build_variables={
            "flash-attn": {"FLASH_ATTENTION_SKIP_CUDA_BUILD": "TRUE"}  # type: ignore[dict-item]
        },
        config_settings_package={
            "mesonpkg": {"setup-args": ["-Dblas=openblas"], "editable": "yes"}  # type: ignore[dict-item]
        },
        dependency_metadata=(
            StaticMetadata(
                name="natten",  # type: ignore[arg-type]
                version=Version("0.17.5"),
                requires_dist=(Requirement("torch"),),
                requires_python=SpecifierSet(">=3.8"),
                provides_extra=("all-of",),  # type: ignore[arg-type]
                build_requires=(Requirement("ninja"),),
            ),
            StaticMetadata("natten", None, (), None, ()),  # type: ignore[arg-type]
        ),
        package=True,
    )


@pytest.mark.parametrize("key", ["no-build-isolation", "package"])
@pytest.mark.parametrize("value", [True, False])
def test_said_false_is_not_unsaid(key: str, value: bool) -> None:
    assert getattr(load(f"{key} = {str(value).lower()}"), key.replace("-", "_")) is value
    assert getattr(load(""), key.replace("-", "_")) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [('"auto"', "auto"), ("[]", frozenset()), ('["auto"]', frozenset({"auto"}))],
)
def test_match_runtime(written: str, read: object) -> None:
    assert load(f"match-runtime = {written}").match_runtime == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"auto"', "auto"),
        ('"exact"', "exact"),
        ('{ PyEmd = "exact", natten = "auto" }', frozenset({"pyemd"})),
    ],
)
def test_rebuild(written: str, read: object) -> None:
    assert load(f"rebuild = {written}").rebuild == read


@pytest.mark.parametrize("written", ["[]", '["a", "A"]'])
def test_default_groups_said(written: str) -> None:
    assert load(f"default-groups = {written}").default_groups == (("a",) if "a" in written else ())


@pytest.mark.parametrize(
    ("text", "line", "key", "known"),
    [
        ("no-build-isolaton = true", 2, "no-build-isolaton", "no-build-isolation"),
        ("no_build_isolation = true", 2, "no_build_isolation", "no-build-isolation"),
        ("\n\nmatch-run-time = 'auto'", 4, "match-run-time", "match-runtime"),
        ("Package = true", 2, "Package", "package"),
        ("extra-build-dependency = {}", 2, "extra-build-dependency", "extra-build-dependencies"),
        (
            "extra-build-dependencies.a = [\n 'b',\n {requirment = 'c'},\n]",
            4,
            "requirment",
            "requirement",
        ),
        (
            "extra-build-dependencies.a = [{requirement = 'c', match_runtime = true}]",
            2,
            "match_runtime",
            "match-runtime",
        ),
        (
            "[[tool.pipshim.dependency-metadata]]\nname='a'\nversion='1'\nrequires_dists=[]",
            5,
            "requires_dists",
            "requires-dist",
        ),
    ],
)
def test_unknown_key_names_the_nearest(text: str, line: int, key: str, known: str) -> None:
    error = refused(text)
    assert error.line == line
    assert f"unknown key {key!r}" in error.problem
    assert error.problem.endswith(f"did you mean {known!r}?")
    assert error.hint is not None
    assert known in error.hint


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("no-build-isolation = 'yes'", 2, "no-build-isolation must be true or false, not the str"),
        ("no-build-isolation = 1", 2, "must be true or false, not a number"),
        ("package = []", 2, "package must be true or false, not an array"),
        ("package = 2020-01-01", 2, "not a date or time"),
        ("no-build-isolation-package = 'a'", 2, "must be an array, not the string 'a'"),
        (
            "no-build-isolation-package = [\n'a',\n1]",
            4,
            "package[1] must be a string, not a number",
        ),
        ("no-build-isolation-package = ['a b']", 2, "package[0] is not a valid name: 'a b'"),
        ("rebuild = 'always'", 2, 'must be "auto" or "exact", or a table of these by package'),
        ("[tool.pipshim.rebuild]\na = true", 3, "tool.pipshim.rebuild.a must be"),
        ("match-runtime = 'torch'", 2, 'must be "auto" or an array of names, not the string'),
        ("match-runtime = true", 2, 'must be "auto" or an array of names, not true'),
        ("match-runtime = {torch = true}", 2, "or an array of names, not a table"),
        ("match-runtime = ['torch>1']", 2, "match-runtime[0] is not a valid name: 'torch>1'"),
        ("default-groups = 'all'", 2, "default-groups must be an array"),
        ("target-environments = [1]", 2, "target-environments[0] must be a string"),
        (
            'target-environments = ["linux-aarch64-cp312"]',
            2,
            "'linux-aarch64-cp312' is not a target; did you mean 'linux-arm64-cp312'",
        ),
        ("constraint-dependencies = [\n'a',\n 'b c']", 4, "dependencies[1] is not a valid req"),
        ("constraint-dependencies = ['a[x]<2']", 2, "is a constraint with extras: 'a[x]<2'"),
        ("build-constraint-dependencies = ['a[x]']", 2, "is a constraint with extras"),
        ("override-dependencies = ['a>=']", 2, "override-dependencies[0] is not a valid req"),
        ("extra-build-dependencies = []", 2, "extra-build-dependencies must be a table"),
        ("extra-build-dependencies.a = 'b'", 2, "dependencies.a must be an array, not the string"),
        ("extra-build-dependencies.a = [1]", 2, "a[0] must be a requirement or {requirement, m"),
        ("extra-build-dependencies.a = [['b']]", 2, "must be a requirement or {requirement, m"),
        ("extra-build-dependencies.a = ['b c']", 2, "dependencies.a[0] is not a valid req"),
        ("extra-build-dependencies.a = [{}]", 2, "dependencies.a[0] has no 'requirement'"),
        (
            "extra-build-dependencies.a = [{requirement = 'b c'}]",
            2,
            "dependencies.a[0].requirement is not a valid req",
        ),
        (
            "extra-build-dependencies.a = [\n{requirement = 'b', match-runtime = 'auto'}]",
            3,
            "dependencies.a[0].match-runtime must be true or false, not the string 'auto'",
        ),
        (
            "[tool.pipshim.extra-build-dependencies]\na-b = []\nA_B = []",
            4,
            "dependencies.A_B is the same name as 'a-b'",
        ),
        ("extra-build-dependencies.'a b' = []", 2, "\"a b\" is not a valid name: 'a b'"),
        ('abi.numpy = "patch"', 2, "abi.numpy must be one of exact, micro, minor, major"),
        ("abi = ['numpy']", 2, "abi must be a table"),
        ("record-variables = ['A?']", 2, "not a pattern of variable names: 'A?'"),
        ("ignore-variables = 'CI'", 2, "ignore-variables must be an array"),
        ("extra-build-variables.a.X = 1", 2, "extra-build-variables.a.X must be a string"),
        ("extra-build-variables.a = ['X=1']", 2, "extra-build-variables.a must be a table"),
        ("extra-build-variables.a = {'X=1' = ''}", 2, "cannot be an environment variable"),
        ("extra-build-variables.a = {'' = 'x'}", 2, "cannot be an environment variable"),
        ('extra-build-variables.a = {X = "\\u0000"}', 2, "cannot be an environment variable"),
        ("config-settings-package.a.x = true", 2, "a.x must be a string or an array of strings"),
        ("config-settings-package.a.x = [1]", 2, "config-settings-package.a.x[0] must be a str"),
        ("config-settings-package.a = 'x=y'", 2, "config-settings-package.a must be a table"),
        ("dependency-metadata = {name = 'a'}", 2, "dependency-metadata must be an array"),
        ("dependency-metadata = ['a']", 2, "dependency-metadata[0] must be a table"),
        ("\ndependency-metadata = [{version = '1'}]", 3, "[0] has no 'name'"),
        ("dependency-metadata = [{name = 'a', version = 'x'}]", 2, "is not a valid version: 'x'"),
        ("dependency-metadata = [{name = 'a', version = 1.0}]", 2, "version must be a string"),
        (
            "[[tool.pipshim.dependency-metadata]]\nname = 'a'\n\nrequires-dist = [\n'b',\n'c d']",
            7,
            "dependency-metadata[0].requires-dist[1] is not a valid requirement: 'c d'",
        ),
        (
            "[[tool.pipshim.dependency-metadata]]\nname = 'a'\nrequires-python = '3.8'",
            4,
            "requires-python is not a valid version specifier: '3.8'",
        ),
        (
            "dependency-metadata = [{name='a', version='1.0'},\n{name='A', version='1'}]",
            3,
            "dependency-metadata[1] is a second entry for version 1 of a",
        ),
        (
            "dependency-metadata = [{name='a'},\n{name='A'}]",
            3,
            "dependency-metadata[1] is a second entry for all versions of a",
        ),
    ],
)
def test_refused_with_its_line(text: str, line: int, problem: str) -> None:
    error = refused(text)
    assert problem in error.problem
    assert error.line == line
    assert error.message == f"pyproject.toml:{line}: {error.problem}"


@pytest.mark.parametrize("table", [1, [], "x", True])
def test_the_table_itself(table: object) -> None:
    reader = Reader(FILE, lambda path: 7 if path == ("tool", "pipshim") else None)
    with pytest.raises(ProjectError, match=r"^pyproject\.toml:7: tool\.pipshim must be a table"):
        load_configuration(reader, table)


def test_match_runtime_says_how_to_write_one_name() -> None:
    assert refused("match-runtime = 'torch'").hint == 'for one package: match-runtime = ["torch"]'


def test_an_overridden_requirement_keeps_its_extras_and_marker() -> None:
    written = 'a[x]==1; python_version > "3"'
    assert load(f"override-dependencies = ['{written}']").override_dependencies == (
        Requirement(written),
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("project", "dependencies", 2), "project.dependencies[2]"),
        (("tool", "a.b", 0, "c d"), 'tool."a.b"[0]."c d"'),
        (("a", ""), 'a.""'),
    ],
)
def test_format_key(path: Any, text: str) -> None:
    assert format_key(path) == text


@pytest.mark.parametrize(
    ("word", "best"), [("MATCH_RUNTIME", "match-runtime"), ("pakage", "package"), ("zz", None)]
)
def test_nearest(word: str, best: str | None) -> None:
    known = ("match-runtime", "package", "default-groups")
    assert nearest(word, known) in ((best,) if best else known)
