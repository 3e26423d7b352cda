"""Fixtures of all tests: an index, a project folder, the command, build tools as wheels."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from filelock import FileLock

from tests.support.dists import project, repack
from tests.support.index import Index
from tests.support.pipshim import Cli, make_venv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class MakeProject(Protocol):
    """``dists.project`` in the test's project folder, or in another of that name beside it."""

    def __call__(self, pyproject: str = "", *, folder: str = "project", **parts: Any) -> Path: ...


# A shell that starts the tests in the background has SIGINT ignored in them, and in all that they
# start; some of that is to be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


OPTIONAL = {
    "network": "need the package registry",
    "slow": "take minutes",
    "engines": "need Slurm, or a server in the place of S3",
}
"""The marks of tests that run only if asked for, and what these tests do."""

SHARE = 4
"""Without ``--slow``, one case in four of a test that runs commands is run, at least two."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for mark, trait in OPTIONAL.items():
        parser.addoption(f"--{mark}", action="store_true", help=f"run the tests that {trait} too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _mark_further_cases(items)
    for mark in OPTIONAL:
        if config.getoption(f"--{mark}") or os.environ.get(f"PIPSHIM_TEST_{mark.upper()}") == "1":
            continue
        skip = pytest.mark.skip(reason=f"needs --{mark} or PIPSHIM_TEST_{mark.upper()}=1")
        for item in items:
            if item.get_closest_marker(mark) is not None:
                item.add_marker(skip)


def _mark_further_cases(items: list[pytest.Item]) -> None:
    """Mark the cases of tests that run commands as slow, but for an even selection."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if {"cli", "sides"} & set(getattr(item, "fixturenames", ())):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for several in cases.values():
        count = max(2, len(several) // SHARE)
        kept = {round(one * (len(several) - 1) / (count - 1)) for one in range(count)}
        for number, item in enumerate(several):
            if number not in kept:
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Leave the level of logs as it was: pip's main sets it, and long pages are read by it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test the same terminal, whichever the tests are run in."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def index() -> Iterator[Index]:
    """Give an empty index."""
    with Index() as running:
        yield running


@pytest.fixture
def project_dir(tmp_path: Path) -> Path:
    """Give the folder that `cli` runs in; it is empty until `make_project`."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def dists(tmp_path: Path) -> Path:
    """Give the folder that distributions are made in."""
    return tmp_path / "dists"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give the file that backends note their hooks in."""
    return tmp_path / "log"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """Give an empty environment."""
    make_venv(tmp_path / "env")
    return tmp_path / "env"


@pytest.fixture
def make_project(project_dir: Path) -> MakeProject:
    """Give the writer of projects."""

    def make(pyproject: str = "", *, folder: str = "project", **parts: Any) -> Path:
        return project(project_dir.parent / folder, pyproject, **parts)

    return make


@pytest.fixture(scope="session")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the part of pipshim's cache that has been learnt of the Python that runs the tests."""
    directory = tmp_path_factory.mktemp("interpreters")
    first = Cli(
        directory / "cli", cwd=project(directory / "project"), index_url="http://none.invalid"
    )
    first.ok("sync")
    folder = first.shim_cache / "interpreters"
    for path in folder.iterdir():
        if str(directory) in path.read_text(encoding="utf-8"):  # of this project's environment
            path.unlink()
    return folder


@pytest.fixture
def cli(tmp_path: Path, project_dir: Path, index: Index, interpreters: Path) -> Cli:
    """Give the command, in `project_dir`, with `index` and nothing else to install from.

    Its cache knows the Python that runs the tests, and is empty otherwise.
    """
    made = Cli(tmp_path / "cli", cwd=project_dir, index_url=index.url_with_credentials)
    shutil.copytree(interpreters, made.shim_cache / interpreters.name)
    return made


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Give the folder of a remote; pushing makes it."""
    return tmp_path / "remote"


@pytest.fixture
def other(tmp_path: Path, index: Index, project_dir: Path, interpreters: Path) -> Cli:
    """Give the command on another machine: its own home and cache, and a clone of the project."""
    folder = tmp_path / "clone"
    shutil.copytree(project_dir, folder, ignore=shutil.ignore_patterns(".venv"))
    made = Cli(tmp_path / "other", cwd=folder, index_url=index.url_with_credentials)
    shutil.copytree(interpreters, made.shim_cache / interpreters.name)
    return made


@pytest.fixture
def network_cli(tmp_path: Path, project_dir: Path) -> Cli:
    """Give the command with this machine's own registry, and empty caches."""
    return Cli(tmp_path / "cli", cwd=project_dir, index_url=None)


@pytest.fixture(scope="session")
def tool_wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Give wheels of the build tools of this environment: setuptools and flit-core."""
    base = tmp_path_factory.getbasetemp()
    one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    directory = (base.parent if one_of_many else base) / "tool-wheels"
    directory.mkdir(exist_ok=True)
    with FileLock(directory / ".lock"):
        return {name: _once(name, directory) for name in ("setuptools", "flit-core")}


def _once(name: str, directory: Path) -> Path:
    made = list(directory.glob(f"{name.replace('-', '_')}-*.whl"))
    return made[0] if made else repack(name, directory)
