"""Every command of the pages for those who come from elsewhere is run, page by page, in order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import native_tag, sdist, wheel
from tests.support.files import distributions
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

SCRIPT = f"""#!{sys.executable}
import sys
from pipshim.__main__ import main
sys.exit(main())
"""
PYTEST = {
    "pytest/__init__.py": "def main():\n    import flask\n"
    "    print('passed with flask', flask.__version__)\n",
    "pytest/__main__.py": "import pytest; pytest.main()\n",
}
TOXFILE = "from pipshim.tox_plugin import *\n"


@pytest.fixture
def shop(index: Index, tmp_path: Path) -> None:
    """Put what the pages install into the index, by the names of what people install."""
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "flask", "3.0", requires=["werkzeug"]),
        wheel(dists, "werkzeug", "3.0"),
        wheel(dists, "aiohttp", "3.9"),
        wheel(
            dists,
            "pytest",
            "8.0",
            files=PYTEST,
            entry_points={"console_scripts": {"pytest": "pytest:main"}},
        ),
        wheel(dists, "torch", "2.5", tag=native_tag()),
        sdist(dists, "natten", "0.17", requires=["torch"], backend=Backend(imports=("torch",))),
    )


@pytest.fixture
def project(make_project: MakeProject) -> Path:
    return make_project(
        requires_python=">=3.10",
        dependencies=["flask"],
        extras={"async": ["aiohttp"]},
        groups={"test": ["pytest"], "dev": []},
        backend=Backend(),
        build_requires=["werkzeug"],
        files={
            "requirements.txt": "flask\n",
            "requirements.in": "flask\n",
            "dev-requirements.in": "pytest\nwerkzeug\n",
        },
    )


def commands(page: str) -> list[str]:
    """Give the lines of a page's shell blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def surroundings(cli: Cli, tmp_path: Path) -> dict[str, str]:
    """Put pipshim, python and uv on PATH; give the variables."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pipshim").write_text(SCRIPT)
    (programs / "pipshim").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv is not None, "uv is in the group of the tests"
    (programs / "uv").symlink_to(uv)
    return {
        **cli.env,
        "PATH": os.pathsep.join([str(programs), cli.env["PATH"]]),
        "UV_DEFAULT_INDEX": cli.env["PIP_INDEX_URL"],
        "UV_PYTHON": sys.executable,
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }


def run(page: str, cli: Cli, directory: Path, tmp_path: Path) -> str:
    """Type the commands of a page in one shell."""
    steps = [f"echo {shlex.quote(f'$ {line}')} && {line} || exit 1" for line in commands(page)]
    # One shell, so that what is activated stays so.
    done = subprocess.run(
        ["bash", "-c", "\n".join(steps)],
        cwd=directory,
        env=surroundings(cli, tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def has(environment: Path) -> list[str]:
    """Tell what an environment has, besides pip."""
    names = [one.partition("-")[0] for one in distributions(environment)]
    return [name for name in names if name not in ("pip", "setuptools")]


@pytest.mark.usefixtures("shop")
def test_from_pip(cli: Cli, project: Path, tmp_path: Path) -> None:
    said = run("from-pip.md", cli, project, tmp_path)
    assert "flask==3.0" in said
    assert "passed with flask 3.0" in said
    assert {"natten", "torch"} <= {*has(project / ".venv")}


@pytest.mark.usefixtures("shop")
def test_from_pip_tools(cli: Cli, project: Path, tmp_path: Path) -> None:
    run("from-pip-tools.md", cli, project, tmp_path)
    assert has(project / ".venv") == ["demo", "flask", "pytest", "werkzeug"]
    assert "aiohttp==3.9" in (project / "requirements.txt").read_text()
    assert "pytest==8.0" in (project / "dev-requirements.txt").read_text()


@pytest.mark.usefixtures("shop")
def test_from_uv(cli: Cli, project: Path, tmp_path: Path) -> None:
    said = run("from-uv.md", cli, project, tmp_path)
    assert "passed with flask 3.0" in said
    assert has(project / ".venv") == ["flask", "werkzeug"], "as the requirements file says"


@pytest.mark.usefixtures("shop")
def test_for_tox_users(cli: Cli, project: Path, tmp_path: Path) -> None:
    """Each configuration on the page works in a real run."""
    env = surroundings(cli, tmp_path)
    (project / "toxfile.py").write_text(TOXFILE)
    cli.ok("lock")
    page = (ROOT / "docs" / "tox.md").read_text(encoding="utf-8")
    said = []
    for block in re.findall(r"```ini\n(.*?)```", page, re.DOTALL):
        shutil.rmtree(project / ".tox", ignore_errors=True)
        (project / "tox.ini").write_text(block)
        name = "locked" if "[testenv:locked]" in block else "py"
        done = cli("run", "-e", name, module="tox", env=env)
        assert done.status == 0, f"{block}\n{done}"
        said.append((has(project / ".tox" / name), "passed with flask" in done.out))
    locked, packaged, command, inside = said
    assert locked == (["aiohttp", "demo", "flask", "pytest", "werkzeug"], True)
    assert packaged == (["demo", "flask", "werkzeug"], False)
    assert command == inside == (["demo", "flask", "pytest", "werkzeug"], True)


def test_every_command_that_is_named_is_run() -> None:
    """Commands in the text and in tables are examples of those in the blocks, or exist at least."""
    for page in ("from-pip.md", "from-pip-tools.md", "from-uv.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        known = {line.split()[1] for line in commands(page) if line.startswith("pipshim ")}
        named = set(re.findall(r"`pipshim (?:--\S+ \S+ )?([a-z]+)", text))
        assert named <= known | {"install"}, page
