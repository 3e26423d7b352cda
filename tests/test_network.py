"""What README promises, with the registry and real packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.readme_command import command
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from tests.support.pipshim import Cli

pytestmark = pytest.mark.network

_IGNORED = shutil.ignore_patterns(
    ".git", ".tox*", ".venv", ".quickstart-venv", ".*_cache", "pylock*.toml"
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what a clone has, with nothing that was installed or locked."""
    return Path(shutil.copytree(ROOT, tmp_path / "clone", ignore=_IGNORED))


def environment(network_cli: Cli) -> dict[str, str]:
    """Let ``python3.11`` be the one that runs the tests, where it is that version."""
    binaries = Path(sys.base_prefix) / "bin"
    return {**network_cli.env, "PATH": os.pathsep.join([str(binaries), network_cli.env["PATH"]])}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="README's command names python3.11")
def test_the_quickstart_of_the_readme_works_in_a_clone(clone: Path, network_cli: Cli) -> None:
    done = subprocess.run(
        ["bash", "-c", command("quickstart")],
        cwd=clone,
        env=environment(network_cli),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("numpy 1.")
    assert "pyemd 0.5.1  no-isolation  pyproject.toml" in done.stderr


def test_the_quickstart_fails_in_isolation_and_says_what_to_do(
    clone: Path, network_cli: Cli
) -> None:
    project = clone / "examples" / "quickstart"
    result = network_cli.fails("run", "--build-isolation", "python", "main.py", cwd=project)
    assert "pyemd 0.5.1" in result.err
    assert "Cython" in result.err
    assert not (project / ".venv").exists()
    text = (project / "pyproject.toml").read_text()
    start = text.index("[tool.pipshim]")
    mended = text[:start] + '[tool.pipshim.extra-build-dependencies]\npyemd = ["cython<3"]\n'
    (project / "pyproject.toml").write_text(mended)
    result = network_cli.ok("run", "python", "main.py", cwd=project)
    assert "pyemd 0.5.1  matched" in result.err


def test_pip_and_uv_install_what_the_lock_says(
    network_cli: Cli, project_dir: Path, tmp_path: Path
) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None, "uv is in the group of the tests"
    project = project_dir
    (project / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.10"\n'
        'dependencies = ["rich>=13", "httpx[http2]"]\n[dependency-groups]\ndev = ["pytest"]\n'
    )
    network_cli.ok("sync", cwd=project)
    lock = project / "pylock.toml"
    sets = [freeze(network_cli, project / ".venv")]
    for name, install in {
        "pip": [sys.executable, "-m", "pip", "--python", "ENV", "install", "-r", str(lock)],
        "uv": [uv, "pip", "sync", "--python", "ENV", str(lock)],
    }.items():
        env = tmp_path / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
        argv = [str(env) if word == "ENV" else word for word in install]
        # uv, as pip does, shall trust what the system trusts.
        variables = {**network_cli.env, "UV_SYSTEM_CERTS": "1"}
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        sets.append(freeze(network_cli, env))
    assert sets[0] == sets[1] == sets[2]


def freeze(cli: Cli, env: Path) -> list[str]:
    result = cli.pip("--python", str(env), "freeze", "--all")
    assert result.status == 0, result.err
    return sorted(result.out.split())
