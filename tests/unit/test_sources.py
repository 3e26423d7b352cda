"""``[tool.pipshim.sources]``: what its entries mean, and which are refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from pipshim.base.errors import ProjectError
from pipshim.model.settings import load_configuration
from pipshim.model.value_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.model.package_sources import PackageSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(entry: str) -> PackageSource:
    sources: Mapping[str, object] = tomllib.loads(f"My_Lib = {entry}")
    table = {"sources": sources}
    made = load_configuration(Reader(Path("pyproject.toml"), lambda _: 1), table).sources
    (source,) = made[canonicalize_name("my-lib")]
    return source


@pytest.mark.parametrize(
    ("entry", "link", "editable"),
    [
        ('{ path = "../lib" }', "file:///work/lib", False),
        ('{ path = "lib", editable = true }', "file:///work/app/lib", True),
        ('{ path = "/else where" }', "file:///else%20where", False),
        ('{ url = "https://host/a.whl" }', "https://host/a.whl", False),
        ('{ git = "https://host/a" }', "git+https://host/a", False),
        ('{ git = "git+ssh://git@host/a", rev = "abc" }', "git+ssh://git@host/a@abc", False),
        (
            '{ git = "https://host/a", tag = "v1", subdirectory = "a b" }',
            "git+https://host/a@v1#subdirectory=a%20b",
            False,
        ),
    ],
)
def test_the_link_that_pip_gets(entry: str, link: str, *, editable: bool) -> None:
    source = load(entry)
    assert (source.link(Path("/work/app")), source.editable) == (link, editable)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('"../lib"', "must be a table"),
        ("{ editable = true }", "must have one of 'path', 'url', 'git', 'index' and 'workspace'"),
        ('{ path = "a", url = "https://host/a" }', "must have one of"),
        ("{ workspace = false }", "must be true, or left out"),
        ("{ workspace = true, path = 'a' }", "must have one of"),
        ('{ url = "https://host/a", editable = true }', "does not go with 'url'"),
        ('{ path = "a", rev = "b" }', "does not go with 'path'"),
        ('{ git = "git@host:a" }', "is not a URL: 'git@host:a'"),
        ('{ git = "https://host/a", rev = "b", tag = "c" }', "has more than one of"),
        ('{ path = "a", editable = "yes" }', "must be true or false"),
    ],
)
def test_what_is_refused(entry: str, problem: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load(entry)
    assert problem in caught.value.problem
