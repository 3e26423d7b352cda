"""Answers of an index that break off on their way are asked for again, or said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.dists import sdist, wheel
from tests.support.files import distributions
from tests.support.index import Cut

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli

PAGE = "/simple/app/"
WHEEL = "/files/app-1.0-py3-none-any.whl"
SDIST = "/files/source-1.0.tar.gz"
CLOSED = "the connection was closed after 10 of"

RETRIES = ("--retries", "1", "--resume-retries", "1")
HOW = ("closed", "reset", "chunked")


@pytest.fixture
def project(index: Index, tmp_path: Path, project_dir: Path) -> Path:
    """Give a project that depends on a wheel and an sdist."""
    index.add(wheel(tmp_path / "dists", "app", "1.0"), sdist(tmp_path / "dists", "source", "1.0"))
    (project_dir / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\ndependencies = ["app", "source"]\n'
    )
    return project_dir


def asked(index: Index, path: str) -> int:
    return index.requests.count(f"GET {path}")


@pytest.mark.parametrize("how", [*HOW, "shortened"])
@pytest.mark.parametrize("html", [False, True])
def test_a_page_that_breaks_off_is_asked_for_again(
    how: str, html: bool, cli: Cli, index: Index, project: Path
) -> None:
    index.html_only = html
    index.cuts[PAGE] = Cut(100, how=how)
    done = cli.ok("lock", *RETRIES)
    assert (project / "pylock.toml").exists()
    assert asked(index, PAGE) == 2
    assert "cannot fetch app" in done.err
    assert "trying again" in done.err


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("path", [f"{WHEEL}.metadata", WHEEL, SDIST])
def test_a_file_that_breaks_off_is_asked_for_again(
    path: str, how: str, cli: Cli, index: Index, project: Path
) -> None:
    index.cuts[path] = Cut(10, how=how)
    cli.ok("lock", "--no-cache-dir", *RETRIES)
    cli.ok("sync", "--no-cache-dir", *RETRIES)
    assert distributions(project / ".venv") == ["app-1.0", "source-1.0"]
    assert index.cuts[path].times == 0


@pytest.mark.parametrize("path", [PAGE, f"{WHEEL}.metadata", WHEEL, SDIST])
def test_install_asks_again_too(path: str, cli: Cli, index: Index, project: Path) -> None:
    index.cuts[path] = Cut(10)
    cli.ok("install", "--target", project / "target", "app", "source", *RETRIES)
    assert index.cuts[path].times == 0


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("path", [PAGE, f"{WHEEL}.metadata", WHEEL, SDIST])
def test_what_always_breaks_off_is_said_in_words(
    path: str, how: str, cli: Cli, index: Index, project: Path
) -> None:
    index.cuts[path] = Cut(10, times=100, how=how)
    failed = cli.fails("sync", *RETRIES)
    name = "source" if path == SDIST else "app"
    assert name in failed.err
    assert index.root + path in "".join(failed.err.split())
    words = {"closed": CLOSED, "reset": "the connection was ", "chunked": "in the middle"}
    shown = " ".join(failed.err.split())
    assert words[how] in shown or CLOSED in shown
    assert ", 2 times" in shown
    assert "Error(" not in failed.err
    assert "IncompleteRead" not in failed.err
    assert "bug" not in failed.err
    assert not (project / "pylock.toml").exists()
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("html", [False, True])
def test_a_page_that_is_always_cut_is_no_answer(
    html: bool, cli: Cli, index: Index, project: Path
) -> None:
    index.html_only = html
    index.cuts[PAGE] = Cut(100, times=2, how="shortened")
    failed = cli.fails("lock", "--retries", "1")
    shown = " ".join(failed.err.split())
    assert "the index page of app cannot be fetched: the page is incomplete, 2 times" in shown
    assert index.root + PAGE in "".join(failed.err.split())
    cli.ok("lock")
    assert (project / "pylock.toml").exists()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "the server redirects to nowhere"),
        ("/files/absent.whl", "the server answers 404"),
        ("http://127.0.0.1:9/absent.whl", "Connection refused"),
        ("file:///absent.whl", "file:///absent.whl"),
        (WHEEL, "the server redirects in a loop"),
    ],
)
@pytest.mark.parametrize("command", ["sync", "install"])
def test_a_redirect_that_leads_nowhere_is_said_in_words(
    command: str, target: str, words: str, cli: Cli, index: Index, project: Path
) -> None:
    arguments = {"sync": ("sync",), "install": ("install", "--target", project / "x", "app")}
    index.redirects[WHEEL] = target
    failed = cli.fails(*arguments[command], "--retries", "0")
    shown = " ".join(failed.err.split())
    assert "app-1.0-py3-none-any.whl" in shown
    assert words in shown or command == "install"
    assert "Traceback" not in failed.err
    if command == "sync":
        assert index.root + WHEEL in "".join(failed.err.split())
