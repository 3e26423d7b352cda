"""In a pipe or a file nothing is wrapped or shortened, however narrow the terminal is."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.pipshim import make_venv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

LONG = "a-folder-whose-name-is-so-long-that-its-path-fits-into-no-line-of-a-narrow-terminal"
COMMANDS = (
    "lock",
    "lock --upgrade --dry-run",
    "lock --check --extra-index-url https://example.invalid/simple -c missing-{long}.txt",
    "lock -r missing-{long}.txt -o pylock.other.toml",
    "tree --builds",
    "why native --no-color",
    "why absent-{long}",
    "sync --dry-run -v",
    "sync",
    "sync --group absent-{long}",
    "sync --frozen --script {long}.py",
    "export --bogus-{long}",
    "sync --check",
    "cache store verify",
    "--python {env} install --no-deps broken",
    "--python {env} install --dry-run native --no-build-isolation-package natve",
)


@pytest.fixture
def project(make_project: MakeProject, index: Index, tmp_path: Path) -> Path:
    """Give a project with what warns, fails and hints, in a folder with a long path."""
    broken = Backend(
        fail_in="build_wheel", message=f"{LONG} {LONG}", exit_code=3, output=f"{LONG} {LONG}\n"
    )
    index.add(
        wheel(tmp_path, "tool", "1.0"),
        sdist(tmp_path, "native", "1.0", build_requires=["tool"]),
        sdist(tmp_path, "broken", "1.0", backend=broken, static_metadata=False),
    )
    table = "[tool.pipshim]\nno-build-isolation-package = ['nativ']\n"
    requirements = ["native", "broken>=0.1,<3,!=2.1"]
    folder = make_project(table, folder=f"{LONG}/{LONG}", dependencies=requirements)
    make_venv(folder.parent / "env")
    return folder


def shown(cli: Cli, project: Path, line: str, columns: int) -> list[str]:
    words = line.format(long=LONG, env=project.parent / "env").split()
    output = project.parent / "output"
    with output.open("wb") as file:  # a file, and a pipe
        command = [sys.executable, "-m", "pipshim", *words]
        env = {**cli.env, "COLUMNS": str(columns)}
        done = subprocess.run(
            command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=file, check=False
        )
    text = f"{done.returncode}\n{done.stdout.decode()}\n{output.read_text()}"
    text = re.sub(r"\d+(?:\.\d+)? s\b", "N s", text)
    return re.sub(r"[^ \n]*-\d{8}-\d{6}-\w+\.log", "LOG", text).splitlines()


@pytest.mark.parametrize("line", COMMANDS)
def test_nothing_is_wrapped_in_a_pipe_or_a_file(line: str, cli: Cli, project: Path) -> None:
    cli.ok("lock", "--project", project)
    shown(cli, project, line, 1000)  # what it builds for metadata is built once
    wide = shown(cli, project, line, 1000)
    narrow = shown(cli, project, line, 40)
    assert sorted(narrow) == sorted(wide)
