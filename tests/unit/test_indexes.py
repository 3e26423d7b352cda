"""``[[tool.pipshim.index]]``: which package is looked up where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from pipshim.base.errors import ProjectError
from pipshim.model.index_routes import IndexRoutes, Locations, routes_of
from pipshim.model.package_sources import Index
from pipshim.model.settings import load_configuration
from pipshim.model.value_reader import Reader

if TYPE_CHECKING:
    from pipshim.model.settings import Configuration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
MACOS = {"sys_platform": "darwin", "platform_machine": "arm64", "python_version": "3.11"}
PYPROJECT = Path("/work/app/pyproject.toml")
GIVEN = Locations(("https://main/simple", "https://extra/simple"), ("/links",))
TORCH, OTHER = canonicalize_name("torch"), canonicalize_name("other")


def load(text: str) -> Configuration:
    return load_configuration(Reader(PYPROJECT, lambda _: 1), tomllib.loads(text))


def routes(
    text: str, markers: dict[str, str], environ: dict[str, str] | None = None
) -> IndexRoutes:
    settings = load(text)
    return routes_of(settings, PYPROJECT, markers, environ or {})


def test_a_package_with_an_index_is_looked_up_there_alone() -> None:
    found = routes(
        """
        index = [{ name = "cpu", url = "https://torch/cpu", explicit = true }]
        sources.Torch = { index = "cpu" }
        """,
        LINUX,
    )
    assert found.locations(TORCH, GIVEN) == Locations(("https://torch/cpu",))
    assert found.locations(OTHER, GIVEN) == GIVEN


def test_the_index_of_a_package_depends_on_the_target() -> None:
    text = """
        index = [
            { name = "cu", url = "https://torch/cu", explicit = true },
            { name = "mac", url = "https://torch/mac", explicit = true },
        ]
        [[sources.torch]]
        index = "cu"
        marker = "sys_platform == 'linux'"
        [[sources.torch]]
        index = "mac"
        marker = "sys_platform == 'darwin'"
    """
    assert routes(text, LINUX).locations(TORCH, GIVEN).index_urls == ("https://torch/cu",)
    assert routes(text, MACOS).locations(TORCH, GIVEN).index_urls == ("https://torch/mac",)
    windows = {**LINUX, "sys_platform": "win32"}
    assert routes(text, windows).locations(TORCH, GIVEN) == GIVEN


def test_an_index_that_is_not_explicit_serves_all_beside_those_of_pip() -> None:
    found = routes('index = [{ name = "company", url = "https://company/simple" }]', LINUX)
    assert found.locations(OTHER, GIVEN) == Locations(
        ("https://company/simple", *GIVEN.index_urls), GIVEN.find_links
    )


def test_a_default_index_replaces_that_of_pip() -> None:
    found = routes('index = [{ name = "it", url = "https://it/simple", default = true }]', LINUX)
    assert found.shared(GIVEN) == Locations(
        ("https://it/simple", "https://extra/simple"), GIVEN.find_links
    )


def test_a_flat_index_is_a_page_or_folder_of_links() -> None:
    found = routes(
        """
        index = [{ name = "wheels", url = "wheels", format = "flat", explicit = true }]
        sources.torch = { index = "wheels" }
        """,
        LINUX,
    )
    assert found.locations(TORCH, GIVEN) == Locations((), ("file:///work/app/wheels",))


def test_no_index_leaves_pages_and_folders_of_links() -> None:
    indexes = (Index("a", "https://a"), Index("b", "file:///b", format="flat"))
    found = IndexRoutes(indexes, {TORCH: indexes[0]}, no_index=True)
    assert found.locations(TORCH, GIVEN) == Locations()
    assert found.shared(Locations()) == Locations((), ("file:///b",))


@pytest.mark.parametrize(
    ("url", "user", "password", "result"),
    [
        ("https://host/x", "me@work", "a/b", "https://me%40work:a%2Fb@host/x"),
        ("https://host/x", "me", "", "https://me@host/x"),
        ("https://host/x", "", "token", "https://:token@host/x"),
        ("https://me@host/x", "", "word", "https://me:word@host/x"),
        ("https://you:other@host/x", "me", "", "https://me@host/x"),
        ("https://you:other@host/x", "", "", "https://you:other@host/x"),
    ],
)
def test_credentials_come_from_variables(url: str, user: str, password: str, result: str) -> None:
    variables = {
        "PIPSHIM_INDEX_MY_INDEX_USERNAME": user,
        "PIPSHIM_INDEX_MY_INDEX_PASSWORD": password,
    }
    found = routes(f'index = [{{ name = "my-index", url = "{url}" }}]', LINUX, variables)
    assert found.indexes[0].url == result


def test_two_entries_that_apply_to_one_target_are_an_error() -> None:
    with pytest.raises(ProjectError, match="torch: two entries apply to linux x86_64") as caught:
        routes(
            """
            index = [{ name = "a", url = "https://a" }, { name = "b", url = "https://b" }]
            sources.torch = [{ index = "a" }, { index = "b", marker = "sys_platform == 'linux'" }]
            """,
            LINUX,
        )
    assert caught.value.hint == "give the entries markers that exclude each other"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('index = [{ url = "https://a" }]', "tool.pipshim.index[0] has no 'name'"),
        ('index = [{ name = "a" }]', "tool.pipshim.index[0] has no 'url'"),
        ('index = [{ name = "a", url = "b", priority = 1 }]', "unknown key 'priority'"),
        ('index = [{ name = "a", url = "b", format = "html" }]', "must be one of simple, flat"),
        (
            'index = [{ name = "a", url = "b" }, { name = "a", url = "c" }]',
            "tool.pipshim.index[1].name is the name of two indexes: 'a'",
        ),
        (
            """index = [
                { name = "a", url = "b", default = true },
                { name = "c", url = "d", default = true },
            ]""",
            "tool.pipshim.index[1].default is true for two indexes",
        ),
        (
            'index = [{ name = "cpu", url = "b" }]\nsources.torch = { index = "cpo" }',
            (
                "names the index 'cpo', which [[tool.pipshim.index]] does not have; "
                "did you mean 'cpu'?"
            ),
        ),
        (
            'sources.torch = { index = "cpu", editable = true }',
            "tool.pipshim.sources.torch.editable does not go with 'index'",
        ),
        (
            "sources.torch = { path = 'a', marker = 'sys_platform = 1' }",
            "tool.pipshim.sources.torch.marker is not a valid marker",
        ),
    ],
)
def test_a_wrong_table_is_an_error_that_says_where(text: str, problem: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load(text)
    assert problem in caught.value.problem
