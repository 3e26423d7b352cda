"""Run every command and configuration of the tutorial and of the how-to pages, in order.

nox and pre-commit run their snippets themselves; the steps for GitHub Actions are run in a shell.
"""

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

from tests.support.backend import BUILDS, Backend
from tests.support.dists import native_tag, sdist, wheel
from tests.support.files import distributions
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

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
        wheel(dists, "ninja", "1.13", tag=native_tag()),
        wheel(dists, "setuptools", "80.0"),
        sdist(dists, "natten", "0.17", requires=["torch"], backend=Backend(imports=("torch",))),
    )


@pytest.fixture
def project(make_project: MakeProject) -> Path:
    return make_project(
        requires_python=">=3.10",
        dependencies=["flask"],
        extras={"async": ["aiohttp"]},
        groups={"test": ["pytest"], "dev": []},
        backend=Backend(output="compiling\n"),
        build_requires=["werkzeug"],
        files={
            "requirements.txt": "flask\n",
            "requirements.in": "flask\n",
            "dev-requirements.in": "pytest\nwerkzeug\n",
        },
    )


def commands(page: str) -> list[str]:
    """Give the lines of a page's shell blocks."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
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
    return run_shell([step(line) for line in commands(page)], cli, directory, tmp_path)


def step(line: str) -> str:
    """Return shell code that shows a command, runs it, and ends the shell if it fails."""
    return f"echo {shlex.quote(f'$ {line}')} && {line} || exit 1"


def run_shell(steps: list[str], cli: Cli, directory: Path, tmp_path: Path) -> str:
    """Run the steps in one shell, so that an activated environment stays active."""
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


def test_tutorial(cli: Cli, index: Index, tmp_path: Path) -> None:
    """A reader who types everything on the page sees the output on the page, but for times."""
    dists = tmp_path / "dists"
    numpy = 'def array(values):\n    return values\n__version__ = "1.26.4"\n'
    script = str(tmp_path / "bin" / "pipshim")
    stub = f"import os, sys\ndef main():\n    os.execv({script!r}, sys.argv)\n"
    index.add(
        wheel(
            dists,
            "pipshim",
            "0.1.0",
            files={"stub.py": stub},
            entry_points={"console_scripts": {"pipshim": "stub:main"}},
        ),
        wheel(dists, "numpy", "1.26.4", tag=native_tag(), files={"numpy/__init__.py": numpy}),
        wheel(dists, "cython", "0.29.37", tag=native_tag()),
        wheel(dists, "setuptools", "84.2.1"),
        wheel(dists, "rich", "15.0.0"),
        sdist(
            dists,
            "pyemd",
            "0.5.1",
            requires=["numpy<2.0.0,>=1.9.0"],
            build_requires=["setuptools>=40.8.0"],
            backend=Backend(imports=("numpy", "cython"), imports_at=BUILDS, tag="native"),
            files={"pyemd/__init__.py": "def emd(*histograms):\n    return 3.5\n"},
            static_metadata=False,
        ),
    )
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    steps: list[str] = []
    shown: list[str] = []
    for language, text in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL):
        if language == "sh":
            steps += [step(line) for line in text.splitlines()]
        elif language == "text":
            shown += text.splitlines()
        else:
            file = {"toml": "pyproject.toml", "python": "main.py"}[language]
            steps.append(f"cat >> {file} <<'END'\n{text}END")
    said = timeless(run_shell(steps, cli, tmp_path, tmp_path))
    assert [line for line in shown if timeless(line) not in said] == []


def timeless(text: str) -> str:
    """Return a text without durations, sizes and identifiers, and without repeated spaces."""
    text = re.sub(r"\b[\d.]+ (?:s|min|ms|[kMG]?B)\b", "N", text)
    return re.sub(r" +", " ", re.sub(r"\b[0-9a-f]{12}\b", "ID", text))


@pytest.mark.usefixtures("shop")
def test_source_builds(cli: Cli, make_project: MakeProject, tmp_path: Path) -> None:
    """Every configuration on the page builds natten from an empty folder."""
    page = (ROOT / "docs" / "how-to" / "source-builds.md").read_text(encoding="utf-8")
    for number, table in enumerate(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)):
        folder = make_project(table, folder=f"project-{number}", dependencies=["torch", "natten"])
        cli.ok("sync", cwd=folder)
        assert "natten" in has(folder / ".venv"), table
    empty = tmp_path / "empty"
    empty.mkdir()
    said = run("source-builds.md", cli, empty, tmp_path)
    assert "natten" in has(empty / ".venv")
    assert re.search(r"^natten 0\.17 .*torch 2\.5", said, re.MULTILINE), said


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_from_pip(cli: Cli, project: Path, tmp_path: Path) -> None:
    said = run("from-pip.md", cli, project, tmp_path)
    assert "flask==3.0" in said
    assert "passed with flask 3.0" in said
    assert {"natten", "torch"} <= {*has(project / ".venv")}


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_from_pip_tools(cli: Cli, project: Path, tmp_path: Path) -> None:
    run("from-pip-tools.md", cli, project, tmp_path)
    assert has(project / ".venv") == ["demo", "flask", "pytest", "werkzeug"]
    assert "aiohttp==3.9" in (project / "requirements.txt").read_text()
    assert "pytest==8.0" in (project / "dev-requirements.txt").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_from_uv(cli: Cli, project: Path, tmp_path: Path) -> None:
    said = run("from-uv.md", cli, project, tmp_path)
    assert "passed with flask 3.0" in said
    assert has(project / ".venv") == ["flask", "werkzeug"], "as the requirements file says"


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_for_tox_users(cli: Cli, project: Path, tmp_path: Path) -> None:
    """Each configuration on the page works in a real run."""
    env = surroundings(cli, tmp_path)
    (project / "toxfile.py").write_text(TOXFILE)
    cli.ok("lock")
    page = (ROOT / "docs" / "how-to" / "tox.md").read_text(encoding="utf-8")
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


def snippets(language: str) -> list[str]:
    """Give the blocks of docs/how-to/ci.md."""
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_nox(cli: Cli, project: Path, tmp_path: Path) -> None:
    (noxfile,) = snippets("python")
    (project / "noxfile.py").write_text(noxfile)
    env = surroundings(cli, tmp_path)
    cli.ok("lock")
    done = cli(module="nox", env=env)
    assert done.status == 0, str(done)
    assert "passed with flask 3.0" in done.out
    assert has(project / ".nox" / "tests") == ["demo", "flask", "pytest", "werkzeug"]
    assert not (project / ".venv").exists()
    again = cli("-r", module="nox", env=env)
    assert again.status == 0, str(again)
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace('"flask"', '"flask<3"'))
    late = cli(module="nox", env=env)
    assert late.status == 1
    assert "the lock is out of date" in " ".join(late.out.split())


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.usefixtures("shop")
def test_pre_commit(cli: Cli, project: Path, tmp_path: Path) -> None:
    env = surroundings(cli, tmp_path)
    lock, export, *_ = snippets("yaml")
    (project / ".pre-commit-config.yaml").write_text(lock + export)
    cli.ok("lock")
    cli.ok("export", "--no-default-groups", "-o", "requirements.txt")

    def commit() -> Result:
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", *command], cwd=project, env=env, check=True)
        return cli("run", "--all-files", module="pre_commit", env=env)

    def hooks(done: Result) -> list[str]:
        return re.findall(r"^[^-].*?\.\.+(\w+)$", done.out, re.MULTILINE)

    done = commit()
    assert (done.status, hooks(done)) == (0, ["Passed", "Passed"]), str(done)
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace('"flask"', '"aiohttp"', 1))
    done = commit()
    assert (done.status, hooks(done)) == (1, ["Failed", "Passed"]), str(done)
    cli.ok("lock")
    done = commit()
    assert (done.status, hooks(done)) == (1, ["Passed", "Failed"]), str(done)
    assert "files were modified by this hook" in done.out
    assert "aiohttp==3.9" in (project / "requirements.txt").read_text()
    done = commit()
    assert (done.status, hooks(done)) == (0, ["Passed", "Passed"]), str(done)


@pytest.mark.usefixtures("shop")
def test_github_actions(cli: Cli, project: Path, tmp_path: Path) -> None:
    """Each step is run by hand, as the runner runs it: in a shell of its own."""
    *_, workflow = snippets("yaml")
    steps = re.findall(r"^ +- run: (.+)$", workflow, re.MULTILINE)
    assert len(steps) == workflow.count("run:")
    env = surroundings(cli, tmp_path) | {"GITHUB_ACTIONS": "true", "CI": "true"}
    for name in ("PIP_CACHE_DIR", "PIPSHIM_CACHE_DIR"):
        del env[name]
    python = tmp_path / "bin" / "python"
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    cli.ok("lock")
    said = ""
    for step in steps:
        done = subprocess.run(
            ["bash", "-e", "-c", step],
            cwd=project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}"
        said += done.stdout
    assert re.search(r"^::group::built +demo .*\n.*\ncompiling\n", said, re.MULTILINE), said
    assert "passed with flask 3.0" in said
    assert has(project / ".venv") == ["demo", "flask", "pytest", "werkzeug"]
    kept = re.findall(r"^ +~/(\S+)$", workflow, re.MULTILINE)
    assert kept == [".cache/pip", ".cache/pipshim"]
    assert (cli.home / ".cache" / "pipshim").is_dir()


def test_every_command_that_is_named_is_run() -> None:
    """Commands in the text and in tables are examples of those in the blocks, or exist at least."""
    for page in ("from-pip.md", "from-pip-tools.md", "from-uv.md"):
        text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
        known = {line.split()[1] for line in commands(page) if line.startswith("pipshim ")}
        named = set(re.findall(r"`pipshim (?:--\S+ \S+ )?([a-z]+)", text))
        assert named <= known | {"install"}, page


def test_share_wheels(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> None:
    """The commands of the page push what was built, and trust a key."""
    pytest.importorskip("cryptography")
    index.add(sdist(tmp_path / "dists", "flash-attn", "2.8", backend=Backend()))
    page = (ROOT / "docs" / "how-to" / "share-wheels.md").read_text(encoding="utf-8")
    table, *_ = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "remote").mkdir()
    settings = table.replace("s3://team/wheels", "../remote")
    project = make_project(settings, dependencies=["flash-attn"])
    cli.env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    cli.ok("sync")
    said = run("share-wheels.md", cli, project, tmp_path)
    assert len([*(tmp_path / "remote").glob("v1/wheels/*.whl")]) == 1
    (key,) = set(re.findall(r"builds trust (ed25519:\S+)", page))
    assert f"Trusted: {key}" in said
    assert f'trust = ["{key}"]' in (project / "pyproject.toml").read_text(encoding="utf-8")
