"""pyproject.toml, edited: what is added and removed, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.base.errors import ProjectError
from pipshim.model.requests import BOUNDS
from pipshim.project.editing import Document, RequirementList, bounded, with_parts, written

FILE = Path("pyproject.toml")
PROJECT = RequirementList()

COMMENTED = """\
# about the project
[project]
name = "demo"   # its name
dependencies = [
    # for the web
    "flask>=2",  # not 1
    # the rest
    "click",
]

[project.scripts]
demo = "demo:main"

[tool.other]  # untouched
odd   =  [1,2,  3]
"""


def document(text: str) -> Document:
    return Document(text, FILE)


def of(dependencies: str) -> str:
    return f'[project]\nname = "demo"\ndependencies = {dependencies}\n'


def added(text: str, *requirements: str) -> str:
    made = document(text)
    for one in requirements:
        made.add(PROJECT, one)
    return made.text


def test_comments_and_layout_stay_as_they_are() -> None:
    made = document(COMMENTED)
    assert made.add(PROJECT, "idna>=3") == "idna>=3"
    assert made.text == COMMENTED.replace('"click",\n', '"click",\n    "idna>=3",\n')
    assert made.remove(PROJECT, canonicalize_name("Flask")) == ["flask>=2"]
    assert made.remove(PROJECT, canonicalize_name("idna")) == ["idna>=3"]
    assert made.text == COMMENTED.replace('    "flask>=2",  # not 1\n', "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", '[\n    "b",\n]'),
        ('["c"]', '["b", "c"]'),
        ('["a", "c"]', '["a", "b", "c"]'),
        ('["c", "a"]', '["c", "a", "b"]'),
        ('[\n  "a",\n  "c"\n]', '[\n  "a",\n  "b",\n  "c"\n]'),
        ('[\n\t"c",\n\t"a",\n]', '[\n\t"c",\n\t"a",\n\t"b",\n]'),
        ('[\n    # about c\n    "c",\n]', '[\n    # about c\n    "c",\n    "b",\n]'),
    ],
)
def test_a_requirement_goes_where_the_list_is_sorted_else_to_its_end(
    before: str, after: str
) -> None:
    assert added(of(before), "b") == of(after)


def test_a_list_that_is_too_long_for_its_line_gets_a_line_for_each() -> None:
    long = ", ".join(f'"{"p" * 20}-{number}"' for number in range(4))
    assert added(of(f"[{long}]"), "zz").count("\n") > 5


@pytest.mark.parametrize(
    ("there", "new", "then"),
    [
        ("a>=1", "a", "a>=1"),
        ("a>=1", "a[x]", "a[x]>=1"),
        ("a[y]>=1,<2", "A[x]", "a[x,y]>=1,<2"),
        ("a>=1", "a>=2,<3", "a>=2,<3"),
        ("a[x]>=1", "a==2", "a[x]==2"),
        ("a>=1", "a @ https://host/a.whl", "a @ https://host/a.whl"),
        ("a @ https://host/a.whl", "a>=2", "a>=2"),
        ("a>=1; os_name == 'nt'", "a>=2; os_name == 'nt'", "a>=2; os_name == 'nt'"),
    ],
)
def test_the_requirement_of_that_name_and_marker_is_changed(
    there: str, new: str, then: str
) -> None:
    assert added(of(f'["{there}"]'), new) == of(f'["{then}"]')


def test_another_marker_is_another_requirement_and_needs_no_escapes() -> None:
    text = added(of("[\"a>=1; os_name == 'nt'\"]"), 'a; os_name == "posix"')
    assert text == of("[\"a; os_name == 'posix'\", \"a>=1; os_name == 'nt'\"]")
    made = document(text)
    assert len(made.remove(PROJECT, canonicalize_name("a"))) == 2
    assert made.text == of("[]")


def test_extras_and_groups_are_made_where_there_are_none_with_empty_lines_around() -> None:
    made = document(COMMENTED)
    made.add(made.place("extra", "plot"), "numpy")
    made.add(made.place("group", "dev"), "pytest")
    made.set_source(canonicalize_name("numpy"), {"path": "../numpy", "editable": True})
    head, tail = COMMENTED.split("[tool.other]")
    assert made.text == (
        f'{head}[project.optional-dependencies]\nplot = [\n    "numpy",\n]\n\n[tool.other]{tail}'
        '\n[tool.pipshim.sources]\nnumpy = { path = "../numpy", editable = true }\n'
        '\n[dependency-groups]\ndev = [\n    "pytest",\n]\n'
    )


def test_a_place_is_found_however_its_name_is_spelled_and_included_groups_stay() -> None:
    text = '[dependency-groups]\nMy_Group = [{ include-group = "b" }, "a"]\nb = ["a"]\n'
    made = document(text)
    place = made.place("group", "my-group")
    assert str(place) == "dependency-groups.My_Group"
    made.add(place, "c")
    assert made.having(canonicalize_name("a")) == [place, made.place("group", "b")]
    made.remove(place, canonicalize_name("a"))
    assert made.text == text.replace('}, "a"]', '}, "c"]')


def test_a_source_goes_with_the_last_requirement_of_its_name() -> None:
    text = of('["a", "b"]') + '\n[tool.pipshim.sources]\nA = { path = "x" }\nb = { path = "y" }\n'
    made = document(text)
    made.add(made.place("group", "dev"), "a")
    made.remove(PROJECT, canonicalize_name("a"))
    assert made.has_source(canonicalize_name("a"))
    made.remove(made.place("group", "dev"), canonicalize_name("a"))
    assert not made.has_source(canonicalize_name("a"))
    made.remove(PROJECT, canonicalize_name("b"))
    assert made.text.replace("\n\n\n", "\n\n") == of("[]") + "\n[dependency-groups]\ndev = []\n"


def test_line_ends_stay() -> None:
    text = COMMENTED.replace("\n", "\r\n")
    made = document(text)
    made.add(made.place("group", "dev"), "pytest")
    assert "\n" not in made.text.replace("\r\n", "")
    made.remove(PROJECT, canonicalize_name("click"))
    assert '"flask>=2",  # not 1\r\n' in made.text


def test_tables_that_are_apart_or_dotted_are_edited_too() -> None:
    text = (
        'project.name = "demo"\nproject.dependencies = ["a"]\n'
        "[tool.pipshim]\nmatch-runtime = []\n[tool.x]\ny = 1\n"
        "[tool.pipshim.extra-build-variables]\n"
    )
    made = document(text)
    made.add(PROJECT, "b")
    made.set_source(canonicalize_name("b"), {"path": "b"})
    assert 'project.dependencies = ["a", "b"]' in made.text


@pytest.mark.parametrize(
    ("version", "made"),
    [
        ("1.2.3", [">=1.2.3", ">=1.2.3,<2.0.0", ">=1.2.3,<1.3.0", "==1.2.3"]),
        ("0.1.2", [">=0.1.2", ">=0.1.2,<0.2.0", ">=0.1.2,<0.2.0", "==0.1.2"]),
        ("0.0.3", [">=0.0.3", ">=0.0.3,<0.0.4", ">=0.0.3,<0.1.0", "==0.0.3"]),
        ("2", [">=2", ">=2,<3", ">=2,<2.1", "==2"]),
        ("1!2.3", [">=1!2.3", ">=1!2.3,<1!3.0", ">=1!2.3,<1!2.4", "==1!2.3"]),
        ("2.1.0+cu121", [">=2.1.0", ">=2.1.0,<3.0.0", ">=2.1.0,<2.2.0", "==2.1.0"]),
    ],
)
def test_bounds(version: str, made: list[str]) -> None:
    text = "a[x]; os_name == 'nt'"
    assert [bounded(text, Version(version), kind) for kind in BOUNDS] == [
        f"a[x]{specifier}; os_name == 'nt'" for specifier in made
    ]


def test_parts_are_added_to_what_was_typed() -> None:
    assert with_parts("a>=1,<2", extras=["y", "x"]) == "a[x,y]>=1,<2"
    both = with_parts("a; os_name == 'nt'", marker="python_version < '3.12'")
    assert written(both) == "a; os_name == 'nt' and python_version < '3.12'"
    assert with_parts("a @ https://host/a", marker="os_name == 'nt'") == (
        'a @ https://host/a ; os_name == "nt"'
    )


TORCH = canonicalize_name("torch")


def test_an_index_and_sources_are_added_once() -> None:
    made = document(of('["torch"]'))
    for _ in range(2):
        made.set_index("cpu", "https://torch/cpu", explicit=True)
        made.add_source(TORCH, {"index": "cpu"})
    assert made.text == of('["torch"]') + (
        '\n[[tool.pipshim.index]]\nname = "cpu"\nurl = "https://torch/cpu"\nexplicit = true\n'
        '\n[tool.pipshim.sources]\ntorch = { index = "cpu" }\n'
    )
    assert len(made.configured) == 2
    assert not made.has_source(TORCH)  # it still comes from an index
    made.set_index("other", "wheels", explicit=True, format="flat")
    made.set_index("cpu", "https://torch/other")
    assert made.index_urls() == {"cpu": "https://torch/other", "other": "wheels"}
    assert '\n\n[[tool.pipshim.index]]\nname = "other"' in made.text


def test_a_source_replaces_those_with_the_same_conditions() -> None:
    made = document(of('["torch"]'))
    linux, mac = "sys_platform == 'linux'", "sys_platform == 'darwin'"
    made.add_source(TORCH, {"index": "a", "marker": linux})
    made.add_source(TORCH, {"index": "b", "marker": mac})
    assert made.text.endswith(
        f'torch = [\n    {{ index = "a", marker = "{linux}" }},\n'
        f'    {{ index = "b", marker = "{mac}" }},\n]\n'
    )
    made.add_source(TORCH, {"index": "c", "marker": linux})
    assert '"a"' not in made.text
    assert '"b"' in made.text
    made.add_source(TORCH, {"index": "d"})
    assert made.text.endswith('torch = { index = "d" }\n')


def test_an_index_in_an_array_of_one_line_is_edited_too() -> None:
    text = of("[]") + '\n[tool.pipshim]\nindex = [{ name = "a", url = "https://a" }]\n'
    made = document(text)
    made.set_index("b", "https://b")
    made.set_index("a", "https://c")
    assert made.index_urls() == {"a": "https://c", "b": "https://b"}
    assert '"https://c"' in made.text


@pytest.mark.parametrize("head", ["", "\n[tool.pipshim]\npackage = false\n"])
def test_extras_with_sources_of_one_package_exclude_each_other(head: str) -> None:
    made = document(of("[]") + head)
    for extra in ("cpu", "cu128", "rocm"):
        made.set_index(extra, f"https://torch/{extra}", explicit=True)
        for _ in range(2):
            made.add_source(TORCH, {"index": extra, "extra": extra})
            made.conflict(extra, TORCH)
    made.add_source(canonicalize_name("other"), {"index": "cpu", "extra": "more"})
    made.conflict("more", canonicalize_name("other"))
    line = 'conflicts = [[{ extra = "cpu" }, { extra = "cu128" }, { extra = "rocm" }]]\n'
    assert line in made.text
    assert made.text.count("[tool.pipshim]") == 1


KEYS = ("ed25519:first=", "ed25519:second=")
WRITTEN = 'trust = [\n    "{0}",\n    "{1}",\n]\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"[tool.pipshim.remote]\n{WRITTEN}"),
        (
            '[tool.pipshim]\npackage = false\n\n[tool.pipshim.remote]\nurl = "/x"\n',
            '[tool.pipshim]\npackage = false\n\n[tool.pipshim.remote]\nurl = "/x"\n' + WRITTEN,
        ),
        (
            '[tool.pipshim.remote]\ntrust = ["{0}"] # Ada\nurl = "/x"\n',
            '[tool.pipshim.remote]\ntrust = [\n    "{0}",\n    "{1}",\n] # Ada\nurl = "/x"\n',
        ),
        (
            '[tool.pipshim.remote]\ntrust = [\n    "{0}", # Ada\n    "{1}", # Bob\n]\n',
            '[tool.pipshim.remote]\ntrust = [\n    "{0}", # Ada\n    "{1}", # Bob\n]\n',
        ),
    ],
)
def test_trusted_keys_are_added_once(before: str, after: str) -> None:
    document = Document(before.format(*KEYS), Path("pyproject.toml"))
    for key in KEYS:
        document.trust(key)
        assert not document.trust(key)
    assert document.text.strip() == after.format(*KEYS).strip()


def test_trusted_keys_are_not_written_where_the_settings_are_those_of_uv() -> None:
    document = Document("[tool.uv]\npackage = false\n", Path("pyproject.toml"))
    with pytest.raises(ProjectError, match=r"has \[tool.uv\] and no \[tool.pipshim\]"):
        document.trust(KEYS[0])
