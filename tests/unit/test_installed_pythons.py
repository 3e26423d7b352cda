"""How CI finds the Pythons of a machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def interpreter(path: Path) -> Path:
    """Write something that answers where it is, as an interpreter does."""
    return executable(path, 'echo "$0"')


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def exported(*folders: Path, home: Path) -> dict[str, str]:
    """Give the variables that are set where `folders` are on PATH."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "installed_pythons.py"],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={"HOME": str(home), "PATH": os.pathsep.join(map(str, folders))},
    )
    words = (shlex.split(line)[1:] for line in done.stdout.splitlines())
    return dict(word.split("=", 1) for line in words for word in line)


def test_versions_of_pyenv_whose_shims_do_not_start(tmp_path: Path) -> None:
    shims, versions = tmp_path / ".pyenv" / "shims", tmp_path / ".pyenv" / "versions"
    real = {
        name: interpreter(versions / name / "bin" / f"python{name.rpartition('.')[0]}")
        for name in ("3.10.4", "3.11.7", "3.12.9", "3.12.10")
    }
    executable(shims / "python3.11", str(real["3.11.7"]))
    for version in ("3.10", "3.12", "3.13"):
        executable(shims / f"python{version}", "exit 127")
    said = exported(shims, home=tmp_path)
    folders = [str(real[name].parent) for name in ("3.11.7", "3.10.4", "3.12.10")]
    assert said["PATH"].split(os.pathsep) == [*folders, str(shims)]
    assert said["TOX_SKIP_ENV"] == "py(313)(-.*)?$"
    assert said["TOX_SKIP_MISSING_INTERPRETERS"] == "false"


def test_an_environment_is_no_installation(tmp_path: Path) -> None:
    interpreter(tmp_path / "venv" / "bin" / "python3.13")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    programs = [interpreter(tmp_path / "bin" / f"python3.{minor}") for minor in range(10, 14)]
    said = exported(tmp_path / "venv" / "bin", tmp_path / "bin", home=tmp_path)
    assert said["PATH"].split(os.pathsep)[:4] == [str(programs[0].parent)] * 4
    assert "TOX_SKIP_ENV" not in said
