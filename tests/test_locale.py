"""Folders whose names are not ASCII, with a locale that is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run_ascii(cli: Cli, cwd: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pipshim in a process that encodes file names as ASCII."""
    done = subprocess.run(
        [sys.executable, "-m", "pipshim", *map(str, args)],
        cwd=cwd,
        env={**cli.env, **ASCII},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_everything_works_below_a_folder_that_the_locale_cannot_name(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "fakelib", "1.0"),
        sdist(tmp_path, "natten", "0.1"),
    )
    for name, folder in (("TMPDIR", "tmp-é"), ("PIPSHIM_CACHE_DIR", "cache-é")):
        (tmp_path / folder).mkdir()
        cli.env[name] = str(tmp_path / folder)
    library = make_project(folder="bücher/library", name="library", backend=Backend())
    source = "[tool.pipshim.sources]\nlibrary = { path = '../library', editable = true }\n"
    project = make_project(
        source,
        folder="bücher/prøjekt",
        dependencies=["fakelib", "natten", "library"],
        backend=Backend(),
    )
    show = "import sys, demo, library; print(ascii(sys.prefix))"
    expected = f"{str(project / '.venv')!a}\n"

    run_ascii(cli, project, "lock", "--timings", "zeit-é.html")
    run_ascii(cli, project, "lock", "--check")
    run_ascii(cli, project, "sync")
    assert cli.ok("run", "python", "-c", show, cwd=project).out == expected
    run_ascii(cli, project, "sync", "--reinstall", "-v")
    # Python before 3.13 does not start in this locale if a .pth file of an editable is not ASCII.
    run_ascii(cli, project, "run", "--with", "fakelib", "true")
    cli.ok("run", "--with", "fakelib", "python", "-c", show, cwd=project)
    for command in (["list"], ["tree"], ["export", "--no-hashes"]):
        run_ascii(cli, project, *command)
    run_ascii(cli, project, "install", "--dry-run", library)
    run_ascii(cli, project, "install", "--target", tmp_path / "zïel", library)
    assert (tmp_path / "zïel" / "library" / "__init__.py").exists() or (
        tmp_path / "zïel" / "library.py"
    ).exists()


@pytest.mark.parametrize("command", ["lock", "sync"])
def test_an_error_names_a_folder_that_the_locale_cannot_name(
    cli: Cli, make_project: MakeProject, command: str
) -> None:
    project = make_project("[project\n", folder="prøjekt")
    done = subprocess.run(
        [sys.executable, "-m", "pipshim", command],
        cwd=project,
        env={**cli.env, **ASCII},
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert b"invalid TOML" in done.stderr or b"invalid TOML" in done.stderr
    assert b"bug" not in done.stderr
