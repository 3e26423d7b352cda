"""``pipshim tree`` and ``why``: the lock explained, without an index."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from tests.support.backend import Backend
from tests.support.dists import sdist, source_tree, wheel
from tests.support.files import listing
from tests.support.terminal import Typist

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


def on_a_terminal(cli: Cli, *words: str, columns: int) -> list[str]:
    """Give the lines that a command shows on a terminal of so many columns."""
    env = {**cli.env, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    with Typist([sys.executable, "-m", "pipshim", *words], env, cli.cwd) as typist:
        status, text = typist.wait()
    assert status == 0, text
    return text.splitlines()


@pytest.fixture
def locked(index: Index, make_project: MakeProject, cli: Cli, tmp_path: Path) -> Path:
    """Give a project that is locked: wheels, a build, an extra and a group; the index is gone."""
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "app", "1.0", requires=["lib>=1"], extras={"fast": ["speed"]}),
        wheel(dists, "lib", "1.5"),
        wheel(dists, "speed", "2.0", requires=["lib<2; python_version > '3'"]),
        wheel(dists, "tool", "4.0", requires=["lib"]),
        sdist(dists, "native", "0.5", build_requires=["tool>=3"], requires=["lib"]),
    )
    made = make_project(
        dependencies=["app[fast]"], extras={"viz": ["native<1"]}, groups={"dev": ["lib"]}
    )
    cli.ok("lock")
    index.stop()
    return made


def test_the_tree_of_a_lock_needs_neither_index_nor_environment_and_changes_nothing(
    cli: Cli, locked: Path
) -> None:
    before = listing(locked)
    shown = cli.ok("tree")
    assert shown.out.splitlines() == [
        "demo 0.1",
        "├── app[fast] 1.0",
        "│   ├── lib 1.5 (>=1)",
        "│   └── speed 2.0",
        '│       └── lib 1.5 (<2; python_version > "3")',
        "├── native 0.5 (extra viz, <1)",
        "│   └── lib 1.5",
        "└── lib 1.5 (group dev)",
    ]
    assert shown.err == ""
    (environment,) = {
        line.rpartition(" ")[2]
        for line in cli.ok("tree", "--builds").out.splitlines()
        if "build" in line
    }
    assert cli.ok("tree", "--builds", "native").out.splitlines() == [
        "native 0.5",
        "├── lib 1.5",
        f"└── build: isolated, environment {environment}",
        "    └── tool 4.0 (>=3)",
        "        └── lib 1.5",
    ]
    assert listing(locked) == before


@pytest.mark.usefixtures("locked")
def test_a_tree_upside_down_chosen_limited_and_as_json(cli: Cli) -> None:
    assert cli.ok("tree", "--invert", "--builds", "Tool").out.splitlines() == [
        "tool 4.0",
        "└── build of native 0.5 (isolated) (>=3)",
        "    └── native 0.5",
        "        └── demo 0.1 (extra viz, <1)",
    ]
    assert cli.ok("tree", "--only-group", "dev").out == "demo 0.1\n└── lib 1.5 (group dev)\n"
    narrow = on_a_terminal(cli, "tree", columns=20)
    assert max(map(len, narrow)) <= 20
    assert "├── native 0.5" in narrow
    assert "`-- lib 1.5 (" in cli.ok("tree", env={"PYTHONIOENCODING": "ascii"}).out
    document = json.loads(cli.ok("tree", "-d", "1", "--output-format", "json").out)
    (root,) = document["tree"]
    assert document["out_of_date"] is None
    assert (root["name"], root["kind"]) == ("demo", "project")
    assert root["branches"][1] == {
        "name": "native",
        "version": "0.5",
        "kind": "package",
        "requirement": "native<1",
        "origin": "extra viz",
        "branches": [],
    }
    cli.fails("tree", "--extra", "nope", status=2)


@pytest.mark.usefixtures("locked")
def test_why_gives_the_shortest_chain_first_and_those_of_builds_last(
    cli: Cli,
) -> None:
    assert cli.ok("why", "lib").out.splitlines() == [
        "lib 1.5",
        "  demo 0.1 → lib 1.5 (group dev)",
        "  demo 0.1 → app[fast] 1.0 → lib 1.5 (>=1)",
        "  demo 0.1 → native 0.5 (extra viz, <1) → lib 1.5",
        '  demo 0.1 → app[fast] 1.0 → speed 2.0 → lib 1.5 (<2; python_version > "3")',
        "",
        "lib 1.5, a build requirement of native 0.5",
        "  demo 0.1 → native 0.5 (extra viz, <1) → build (isolated) → tool 4.0 (>=3) → lib 1.5",
    ]
    narrow = on_a_terminal(cli, "why", "lib", "--limit", "1", columns=40)
    assert narrow[:3] == ["lib 1.5", "  demo 0.1 → lib 1.5 (group dev)", "  and more: --limit 2"]
    assert max(map(len, narrow)) <= 42
    document = json.loads(cli.ok("why", "tool", "--output-format", "json").out)
    (tool,) = document["packages"]
    names = [[link["name"] for link in chain] for chain in tool["chains"]]
    assert names == [["demo", "native", "native", "tool"]]
    assert tool["more"] is False
    unknown = cli.fails("why", "spede")
    assert "spede is not in pylock.toml" in unknown.err
    assert "did you mean speed?" in unknown.err
    cli.fails("why", status=2)


def test_a_lock_that_is_out_of_date_is_explained_all_the_same_and_that_is_said(
    cli: Cli, locked: Path
) -> None:
    file = locked / "pyproject.toml"
    file.write_text(file.read_text().replace("native<1", "native<2"))
    shown = cli.ok("tree", "-d", "1")
    assert "native 0.5 (extra viz, <1)" in shown.out
    assert "pylock.toml is out of date" in shown.err
    assert json.loads(cli.ok("why", "lib", "--output-format", "json").out)["out_of_date"]
    assert cli.ok("tree", "--quiet").err == ""


def test_without_a_lock_or_with_one_that_does_not_say_it_there_is_an_error(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project()
    for command in ("tree", "why"):
        missing = cli.fails(command, "lib")
        assert "pylock.toml: there is no lock" in " ".join(missing.err.split())
        assert "hint: create it: pipshim lock" in missing.err
    lock = cli.cwd / "pylock.toml"
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\nversion = "1"\n'
        'directory = { path = "a" }\n'
    )
    assert "has no dependency graph" in cli.fails("tree").err
    lock.write_text("[")
    assert "is damaged" in cli.fails("tree").err


def test_given_requirements_and_editables_are_explained_by_the_lock_alone(
    cli: Cli, index: Index, tmp_path: Path
) -> None:
    dists = tmp_path / "dists"
    index.add(wheel(dists, "lib", "1.0"))
    tree = source_tree(sdist(dists, "edit", "1.0", requires=["lib"]), cli.cwd)
    cli.ok("lock", "-e", str(tree), "lib>0")
    shown = ["pylock.toml", "├── edit @ edit-1.0", "│   └── lib 1.0", "└── lib 1.0 (>0)"]
    assert cli.ok("tree").out.splitlines() == shown
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lock = cli.cwd / "pylock.toml"
    assert cli.ok("tree", "--lock", lock, cwd=elsewhere).out.splitlines() == shown


@pytest.mark.skipif(
    Version(metadata.version("pip")) < Version("26.2"), reason="pip 26.1 has no --only-deps"
)
def test_what_only_what_it_needs_is_locked_of_is_not_in_the_tree(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "lib", "1.5"),
        wheel(dists, "mid", "1.0", requires=["lib>=1", "app"]),
        wheel(dists, "app", "1.0", requires=["mid"], extras={"fast": ["speed<3"]}),
        wheel(dists, "speed", "2.0"),
    )
    make_project(dependencies=["app[fast]"], backend=Backend())
    needs = ["├── mid 1.0", "│   └── lib 1.5 (>=1)", "└── speed 2.0 (<3)"]
    cli.ok("lock", "--only-deps", "app[fast]")
    assert cli.ok("tree").out.splitlines() == ["pylock.toml", *needs]
    assert cli.ok("why", "lib").out.splitlines()[1:] == ["  pylock.toml → mid 1.0 → lib 1.5 (>=1)"]
    # What another needs is left out all the same, if it is named.
    cli.ok("lock", "--only-deps", "app[fast]", "mid")
    assert cli.ok("tree").out.splitlines() == ["pylock.toml", "├── lib 1.5 (>=1)", needs[-1]]
    cli.ok("lock", "--only-deps", ".")
    assert cli.ok("tree", "-d", "1").out.splitlines() == ["pylock.toml", "└── app[fast] 1.0"]
