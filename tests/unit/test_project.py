from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipshim.base.errors import ProjectError
from pipshim.base.toml_files import _Locator, line_finder
from pipshim.model.project import Project
from pipshim.model.settings import Configuration
from pipshim.project.pyproject import find_project
from pipshim.project.workspaces import load_project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = '[project]\nname = "My.Proj"\nversion = "1.5"\n'  # three lines


def load(directory: Path, text: str | bytes) -> Project:
    data = text if isinstance(text, bytes) else text.encode()
    (directory / "pyproject.toml").write_bytes(data)
    return load_project(directory)


def refused(directory: Path, text: str | bytes) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        load(directory, text)
    assert caught.value.path == directory / "pyproject.toml"
    return caught.value


def written(requirements: tuple[Requirement, ...]) -> list[str]:
    return [str(each) for each in requirements]


# ---- finding


@pytest.mark.parametrize("below", [".", "a", "a/b/c", "a/../a"])
def test_find_project_here_or_above(tmp_path: Path, below: str) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    assert find_project(tmp_path / below) == tmp_path


def test_find_project_takes_the_nearest(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "pyproject.toml").touch()
    (inner / "pyproject.toml").touch()
    assert find_project(inner) == inner


def test_find_project_from_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_project(Path("a")) == tmp_path


def test_find_project_none(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no pyproject\.toml in this folder or any above") as e:
        find_project(tmp_path)
    assert e.value.path == tmp_path
    assert e.value.hint is not None
    assert "--project DIR" in e.value.hint


def test_find_project_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(ProjectError, match="there is no such folder"):
        find_project(tmp_path / "missing")
    with pytest.raises(ProjectError, match="is not a folder"):
        find_project(tmp_path / "pyproject.toml")


def test_a_dangling_link_does_not_give_way_to_the_parents_project(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "pyproject.toml").touch()
    (inner / "pyproject.toml").symlink_to("missing.toml")
    assert find_project(inner) == inner
    with pytest.raises(ProjectError, match="there is no such file"):
        load_project(inner)


def test_parents_of_a_link_and_dots_are_the_file_systems(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "pyproject.toml").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "sub")
    assert find_project(tmp_path / "link" / "..") == tmp_path / "real"


# ---- reading


def test_empty(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Project(
        directory=tmp_path,
        name=None,
        display_name=tmp_path.name,
        version=None,
        requires_python=None,
        dependencies=(),
        optional_dependencies={},
        dependency_groups={},
        dynamic=frozenset(),
        has_build_system=False,
        configuration=Configuration(),
    )


def test_everything(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        HEAD
        + """
requires-python = ">=3.10"
dynamic = ["readme"]
dependencies = ["a>1", 'b; sys_platform == "linux"']
[project.optional-dependencies]
Extra_One = ["c"]
[dependency-groups]
Dev_Tools = ["d", {include-group = "TEST"}]
test = ["e"]
[build-system]
requires = ["setuptools"]
[tool.pipshim]
package = false
[tool.other]
unknown = 1
""",
    )
    assert project == Project(
        directory=tmp_path,
        name="my-proj",  # type: ignore[arg-type]
        display_name="My.Proj",
        version="1.5",
        requires_python=SpecifierSet(">=3.10"),
        dependencies=(Requirement("a>1"), Requirement('b; sys_platform == "linux"')),
        optional_dependencies={"extra-one": (Requirement("c"),)},  # type: ignore[dict-item]
        dependency_groups={
            "dev-tools": (Requirement("d"), Requirement("e")),
            "test": (Requirement("e"),),
        },
        dynamic=frozenset({"readme"}),
        has_build_system=True,
        configuration=Configuration(package=False),
        includes={"group dev-tools": frozenset({"group test"})},
    )


def test_only_groups(tmp_path: Path) -> None:
    project = load(tmp_path, "[dependency-groups]\ndev = ['a']")
    assert project.name is None
    assert written(project.dependency_groups["dev"]) == ["a"]


def test_dynamic_is_kept(tmp_path: Path) -> None:
    text = "[project]\nname='p'\ndynamic=['version', 'dependencies', 'optional-dependencies']"
    project = load(tmp_path, text)
    assert project.dynamic == {"version", "dependencies", "optional-dependencies"}
    assert (project.version, project.dependencies) == (None, ())


def test_windows_line_ends(tmp_path: Path) -> None:
    text = HEAD + "dependencies = [\n'a',\n'b c'] # d\n"
    assert refused(tmp_path, text.replace("\n", "\r\n").encode()).line == 6
    assert refused(tmp_path, b"[project]\r\nname = 'p'\r\nversion = 'x y'\r\n").line == 3


# ---- default groups


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("", ()),
        ("[dependency-groups]\ntest=[]", ()),
        ("[dependency-groups]\ntest=[]\nDev=[]", ("dev",)),
        ("[dependency-groups]\ndev=[]\n[tool.pipshim]\ndefault-groups=[]", ()),
        ("[dependency-groups]\ndev=[]\nT_t=[]\n[tool.pipshim]\ndefault-groups=['t-T']", ("t-t",)),
    ],
)
def test_default_groups(tmp_path: Path, text: str, groups: tuple[str, ...]) -> None:
    assert load(tmp_path, text).default_groups == groups


@pytest.mark.parametrize(
    ("groups", "hint"),
    [
        ("[dependency-groups]\ndev=[]\ntest=[]\n", "the groups are: dev, test"),
        ("\n\n\n", "there is no [dependency-groups]"),
    ],
)
def test_unknown_default_group(tmp_path: Path, groups: str, hint: str) -> None:
    error = refused(tmp_path, f"{groups}[tool.pipshim]\ndefault-groups = [\n'dev',\n'tets']")
    if "dev" in groups:
        assert (error.line, error.hint) == (7, hint)
        assert "default-groups[1] names a group that does not exist: 'tets'" in error.problem
    else:
        assert (error.line, error.hint) == (6, hint)


# ---- groups


def test_includes_are_expanded_in_their_place_and_once(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """[dependency-groups]
all = ["x", {include-group = "left"}, {include-group = "right"}, "z", "x"]
left = [{include-group = "base"}, "l"]
right = [{include-group = "base"}, "r"]
base = ["b"]
""",
    )
    assert written(project.dependency_groups["all"]) == ["x", "b", "l", "r", "z"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a = [{include-group='a'}]", 2, "a[0] makes the group 'a' include itself"),
        (
            "a = [{include-group='B'}]\nb = ['x',\n{include-group='A'}]",
            4,
            "b[1] closes a cycle of groups: 'b' is included by 'a'",
        ),
        (
            "a = [{include-group='b'}]\nb = [{include-group='c'}]\nc = [{include-group='b'}]",
            4,
            "c[0] closes a cycle of groups: 'c' is included by 'b'",
        ),
        ("a = [\n{include-group='bb'}]", 3, "a[0] names a group that does not exist: 'bb'"),
        ("a = [{include-grup='a'}]", 2, "unknown key 'include-grup' in dependency-groups.a[0]"),
        ("a = [{}]", 2, "a[0] has no 'include-group'"),
        ("a = [{include-group=1}]", 2, "must be a string"),
        ("a-b = []\nA_b = []", 3, "A_b is the same name as 'a-b'"),
        ("'a b' = []", 2, "is not a valid name"),
        ("a = 'x'", 2, "dependency-groups.a must be an array"),
        ("a = ['x', 1]", 2, "a[1] must be a requirement or {include-group}, not a number"),
        ("a = [\n'x',\n\n'y z']", 5, "a[1] is not a valid requirement: 'y z'"),
    ],
)
def test_groups_refused(tmp_path: Path, text: str, line: int, problem: str) -> None:
    error = refused(tmp_path, "[dependency-groups]\n" + text)
    assert problem in error.problem
    assert error.line == line


# ---- the project's own extras


@pytest.mark.parametrize(
    ("extras", "extra", "expanded"),
    [
        ("a=['x']\nb=['y']\nall=['my_proj[a,b]', 'z']", "all", ["x", "y", "z"]),
        ("a=['x']\nall=['My-Proj[A]']", "all", ["x"]),
        ("a=['x']\nb=['my-proj[a]', 'y']\nall=['my-proj[b]']", "all", ["x", "y"]),
        ("a=['my-proj[b]', 'x']\nb=['my-proj[a]', 'y']", "a", ["y", "x"]),
        ("a=['my-proj[b]', 'x']\nb=['my-proj[a]', 'y']", "b", ["x", "y"]),
        ("a=['my-proj[a]', 'x']", "a", ["x"]),
        ("a=['my-proj', 'x']", "a", ["x"]),
        ("a=['x']\nb=['my-proj[a]>=1', 'x', 'x>1']", "b", ["x", "x>1"]),
        ("a=['my-project[a]']", "a", ["my-project[a]"]),
        ("a=['x']\nb=['my-proj[a]', 'my-proj[a]; os_name == \"nt\"']", "b", ["x"]),
    ],
)
def test_own_extras(tmp_path: Path, extras: str, extra: Any, expanded: list[str]) -> None:
    project = load(tmp_path, f"{HEAD}[project.optional-dependencies]\n{extras}")
    assert written(project.optional_dependencies[extra]) == expanded


def marker_of(project: Project, extra: Any) -> dict[str, Marker | None]:
    return {each.name: each.marker for each in project.optional_dependencies[extra]}


def test_a_references_marker_holds_for_what_it_brings(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        HEAD
        + """[project.optional-dependencies]
a = ["x; python_version >= '3.11' or os_name == 'nt'", "y"]
b = ["my-proj[a]; sys_platform == 'linux'", "z"]
""",
    )
    markers = marker_of(project, "b")
    assert markers["z"] is None
    assert str(markers["y"]) == 'sys_platform == "linux"'
    both = Marker(str(markers["x"]))
    linux = {"sys_platform": "linux", "python_version": "3.11", "os_name": "posix"}
    assert both.evaluate(linux)
    assert not both.evaluate({**linux, "sys_platform": "win32", "os_name": "nt"})
    assert not both.evaluate({**linux, "python_version": "3.10"})
    assert marker_of(project, "a")["y"] is None


def test_a_cycle_with_markers_ends(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        HEAD
        + """[project.optional-dependencies]
a = ["my-proj[b]; os_name == 'nt'", "x"]
b = ["my-proj[a]; sys_platform == 'linux'", "y"]
""",
    )
    assert {n: str(m) for n, m in marker_of(project, "a").items()} == {
        "y": 'os_name == "nt"',
        "x": "None",
    }
    assert {n: str(m) for n, m in marker_of(project, "b").items()} == {
        "x": 'sys_platform == "linux"',
        "y": "None",
    }


def test_an_extra_under_two_markers_holds_under_either(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        HEAD
        + """[project.optional-dependencies]
a = ["x"]
b = ["my-proj[a]; os_name == 'nt'", "my-proj[a]; sys_platform == 'linux'"]
""",
    )
    assert written(project.optional_dependencies["b"]) == [  # type: ignore[index]
        'x; os_name == "nt"',
        'x; sys_platform == "linux"',
    ]


def test_own_extras_in_groups_and_dependencies(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        HEAD
        + """dependencies = ["d", "my-proj[test]"]
[project.optional-dependencies]
test = ["t"]
[dependency-groups]
dev = ["my-proj[test]", "e", {include-group = "more"}]
more = ["my.proj", "m"]
""",
    )
    assert written(project.dependencies) == ["d", "t"]
    # the extra's requirements and nothing else: not the project's own dependencies
    assert written(project.dependency_groups["dev"]) == ["t", "e", "m"]


def test_dynamic_extras_stay_references(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        "[project]\nname='p'\ndynamic=['optional-dependencies']\n"
        "[dependency-groups]\ndev=['p[test]', 'p']",
    )
    assert written(project.dependency_groups["dev"]) == ["p[test]"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "[project.optional-dependencies]\na = []\nb = [\n'my-proj[c]']",
            7,
            "project.optional-dependencies.b[0] names an extra that the project does not have: 'c'",
        ),
        (
            "[dependency-groups]\ndev = ['x',\n'my-proj[c]']",
            6,
            "dependency-groups.dev[1] names an extra that the project does not have: 'c'",
        ),
        ("dependencies = ['my-proj[c]']", 4, "project.dependencies[0] names an extra"),
        ("dependencies = ['my-proj>2']", 4, "requires another version of the project (1.5)"),
        (
            "dependencies = ['my-proj @ https://example.org/p.zip']",
            4,
            "requires the project itself from a URL",
        ),
    ],
)
def test_own_extras_refused(tmp_path: Path, text: str, line: int, problem: str) -> None:
    error = refused(tmp_path, HEAD + text)
    assert problem in error.problem
    assert error.line == line


def test_unknown_own_extra_names_those_there_are(tmp_path: Path) -> None:
    text = f"{HEAD}dependencies=['my-proj[c]']\n[project.optional-dependencies]\na=[]\nB_b=[]"
    assert refused(tmp_path, text).hint == "the extras are: a, b-b"


def test_any_prerelease_of_its_own_satisfies(tmp_path: Path) -> None:
    text = "[project]\nname='p'\nversion='2.0.dev1'\ndependencies=['p>1']"
    assert load(tmp_path, text).dependencies == ()


# ---- bad input


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("project = 1", 1, "project must be a table, not a number"),
        ("[[project]]\nname = 'a'", 1, "project must be a table, not an array"),
        ("\n[project]\nversion = '1'", 2, "project has no 'name'"),
        ("[project]\nname = 1", 2, "project.name must be a string"),
        ("[project]\nname = '-a'", 2, "project.name is not a valid name: '-a'"),
        ("[project]\nname = 'a'\nversion = 'x'", 3, "project.version is not a valid version: 'x'"),
        ("[project]\nname = 'a'\nversion = 1.0", 3, "project.version must be a string"),
        (
            HEAD + "requires-python = '3.11'",
            4,
            "project.requires-python is not a valid version specifier: '3.11'",
        ),
        (HEAD + "dependencies = 'a'", 4, "project.dependencies must be an array"),
        (HEAD + "dependencies = ['a', 1]", 4, "project.dependencies[1] must be a string"),
        (HEAD + "[project.dependencies]\na = '1'", 4, "project.dependencies must be an array"),
        (
            HEAD + "dependencies = [\n  'a',  # 'b c'\n  'a',\n  'b c',\n]",
            7,
            "project.dependencies[2] is not a valid requirement: 'b c': Expected",
        ),
        (HEAD + "dependencies = ['']", 4, "[0] is not a valid requirement: ''"),
        (HEAD + "dependencies = ['a=1']", 4, "[0] is not a valid requirement: 'a=1'"),
        (HEAD + "dependencies = ['a>=x']", 4, "[0] is not a valid requirement: 'a>=x'"),
        (
            HEAD + "dependencies = ['a; python_versio > \"3\"']",
            4,
            "[0] is not a valid requirement: 'a; python_versio > \"3\"': Expected a marker",
        ),
        (HEAD + "dependencies = ['a; os_name ~= \"x\"']", 4, "operator that is not defined"),
        (HEAD + "dependencies = ['a; \"x\" in extras']", 4, "its marker asks for 'extras'"),
        (HEAD + "optional-dependencies = []", 4, "project.optional-dependencies must be a table"),
        (
            HEAD + "[project.optional-dependencies]\na-b = []\na_b = []",
            6,
            "a_b is the same name as 'a-b'",
        ),
        (HEAD + "[project.optional-dependencies]\na = ['b',\n'c d']", 6, "a[1] is not a valid req"),
        (HEAD + "dynamic = 'version'", 4, "project.dynamic must be an array"),
        (HEAD + "dynamic = ['version']", 3, "version is both given and listed in project.dynamic"),
        ("[project]\nname='a'\ndynamic=['name']", 2, "name is both given and listed"),
        ("dependency-groups = []", 1, "dependency-groups must be a table"),
        ("tool = 1", 1, "tool must be a table"),
        ("[tool]\npipshim = true", 2, "tool.pipshim must be a table, not true"),
        ("[tool.pipshim]\npackag = true", 2, "did you mean 'package'?"),
        ("build-system = 1", 1, "build-system must be a table"),
        ("[build-system]\nbuild-backend = 'x'", 1, "build-system has no 'requires'"),
        ("[build-system]\nrequires = ['a',\n'b c']", 3, "build-system.requires[1] is not a valid"),
    ],
)
def test_refused_with_its_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    error = refused(tmp_path, text)
    assert problem in error.problem
    assert error.line == line
    assert error.message.startswith(f"{tmp_path / 'pyproject.toml'}:{line}: ")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[project]\nname = ", 2, "invalid TOML: Invalid value"),
        ("[project\n", 1, "invalid TOML: Expected ']'"),
        ("a = 1\n\na = 2\n", 3, "invalid TOML: Cannot overwrite a value"),
        ("a = [\n1,\n\n", 3, "invalid TOML"),
        ("x = 1\ny = 'a\n", 2, "invalid TOML"),
        ("\ufeff[project]\n", 1, "starts with a byte order mark"),
    ],
)
def test_broken_toml(tmp_path: Path, text: str, line: int, problem: str) -> None:
    error = refused(tmp_path, text)
    assert problem in error.problem
    assert error.line == line


def test_not_utf8(tmp_path: Path) -> None:
    error = refused(tmp_path, b"[project]\nname = 'p'\ndescription = 'caf\xe9'\n")
    assert error.line == 3
    assert "is not UTF-8" in error.problem


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_too_much_for_the_parser(tmp_path: Path, text: str) -> None:
    problem = refused(tmp_path, text).problem
    assert "nested too deeply" in problem or "value has 5000 digits" in problem


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"pyproject\.toml: there is no such file"):
        load_project(tmp_path)


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(ProjectError, match=r"cannot be read: Is a directory"):
        load_project(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bytes:  # root may read everything
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ProjectError, match=r"pyproject\.toml: cannot be read: Permission denied"):
        load_project(tmp_path)


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "lstat", denied)
    with pytest.raises(ProjectError, match=r"cannot be read: Permission denied"):
        find_project(tmp_path)


# ---- lines

HARD = r'''
top = "[not.a.header]" # [nor.this]
[project] # comment with "quotes' and [brackets]
'quoted.key' = 1.5
"esc\u0061ped" . dotted . 'x y' = 1979-05-27 07:32:00
numbers = [ 1_000, -1.5e3, +inf, [ "]", '#' ], [], # ]
  { a = [ 1,
    2 ], b.c = "}" } ,
  "last" ]
text = """
fake = 1
[fake]
\""" "quoted"""""
literal = QQQ
[fake.too]
it''sQQQ
after = true
[[ table.array ]]
a = 1
[[table.array]]
[table.array.sub]
b = 2
[[table.array.sub2]]
c = 3
[[table.array]]
a = 4
'''.replace("QQQ", "'''")


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from paths(item, (*path, key))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("project",), 3),
        (("project", "quoted.key"), 4),
        (("project", "escaped", "dotted", "x y"), 5),
        (("project", "numbers", 2), 6),
        (("project", "numbers", 3, 1), 6),
        (("project", "numbers", 5), 7),
        (("project", "numbers", 5, "a", 1), 8),
        (("project", "numbers", 5, "b", "c"), 8),
        (("project", "numbers", 6), 9),
        (("project", "text"), 10),
        (("project", "literal"), 14),
        (("project", "after"), 17),
        (("table", "array", 0, "a"), 19),
        (("table", "array", 1, "sub", "b"), 22),
        (("table", "array", 1, "sub2", 0, "c"), 24),
        (("table", "array", 2), 25),
        (("table", "array", 2, "a"), 26),
        (("project", "missing"), 3),
        (("table", "array", 2, "missing", "deeper"), 25),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_lines(path: Any, line: int | None) -> None:
    assert line_finder(HARD)(path) == line


def test_every_value_has_a_line_of_its_own() -> None:
    lines = _Locator(HARD).lines
    assert set(lines) == set(paths(tomllib.loads(HARD)))
    source = HARD.split("\n")
    for path, line in lines.items():
        key = path[-1]
        if isinstance(key, str) and key != "escaped":
            assert key in source[line - 1]
