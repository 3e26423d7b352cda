"""Projects that are set up for uv work as they are: ``[tool.uv]`` without ``[tool.pipshim]``."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, project, wheel
from tests.support.files import distributions
from tests.support.index import Index
from tests.support.locks import read_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.pipshim import Cli

PYPROJECT = """
[project]
name = "app"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["torch", "helper"]
[tool.uv]
dev-dependencies = ["tool"]
python-preference = "system"
environments = ["sys_platform == 'linux'"]
[[tool.uv.index]]
name = "torch-cpu"
url = "{url}"
explicit = true
publish-url = "https://upload.example.org"
[tool.uv.sources]
torch = {{ index = "torch-cpu" }}
"""


@pytest.fixture
def other(index: Index, tmp_path: Path) -> Iterator[Index]:
    """Give a second index; both have what the tests are about."""
    dists = tmp_path / "dists"
    index.add(wheel(dists, "torch", "9.0"), wheel(dists, "helper", "1.0"))
    index.add(wheel(dists, "helper", "2.0"), wheel(dists, "tool", "1.0"))
    with Index() as running:
        running.add(wheel(dists / "other", "torch", "2.9.0+cpu"))
        yield running


def versions(directory: Path) -> dict[str, str]:
    packages = read_lock(directory).packages.values()
    return {one["name"]: one["version"] for one in packages if "version" in one}


def test_a_clone_works_as_it_is(cli: Cli, index: Index, other: Index, project_dir: Path) -> None:
    file = project_dir / "pyproject.toml"
    file.write_text(PYPROJECT.format(url=other.url))
    (project_dir / "uv.lock").write_text(
        dedent(
            """
            version = 1
            [[package]]
            name = "helper"
            version = "1.0"
            source = { registry = "https://index.example.org/simple" }
            """
        )
    )
    done = cli.ok("run", "python", "-c", "import torch, helper, tool")
    assert versions(project_dir) == {"torch": "2.9.0+cpu", "helper": "1.0", "tool": "1.0"}
    assert "GET /simple/torch/" not in index.requests
    assert (
        "these settings of [tool.uv] in pyproject.toml are not used: python-preference, "
        "environments, index.publish-url"
    ) in done.err
    assert "there is no lock yet: preferring the versions of uv.lock" in done.err
    again = cli.ok("run", "python", "-c", "")
    assert "uv" not in again.err

    cli.ok("lock", "-U")
    assert versions(project_dir)["helper"] == "2.0"
    cli.ok("add", "tool", "--index", f"more={index.url}")
    tool = tomllib.loads(file.read_text(encoding="utf-8"))["tool"]
    assert tool["uv"]["sources"]["tool"] == {"index": "more"}
    assert "pipshim" not in tool
    assert versions(project_dir)["torch"] == "2.9.0+cpu"

    downloads = project_dir / "downloads"
    cli.ok("download", "-d", downloads, "torch")
    assert [one.name for one in downloads.iterdir()] == ["torch-2.9.0+cpu-py3-none-any.whl"]


def test_a_script_for_uv_runs(cli: Cli, other: Index, project_dir: Path) -> None:
    script = project_dir / "script.py"
    script.write_text(
        dedent(
            f"""
            # /// script
            # dependencies = ["torch"]
            # [[tool.uv.index]]
            # name = "torch-cpu"
            # url = "{other.url}"
            # explicit = true
            # [tool.uv.sources]
            # torch = {{ index = "torch-cpu" }}
            # [tool.uv]
            # required-version = ">=0.9"
            # ///
            import torch
            print(torch.__version__)
            """
        )
    )
    done = cli.ok("run", "script.py")
    assert done.out == "2.9.0+cpu\n"
    assert "[tool.uv] in script.py are not used: required-version" in done.err


def test_what_requires_the_project_gets_the_project(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "demo", "9"), wheel(tmp_path, "plugin", "1", requires=["demo>=1"]))
    project(project_dir, version="1.5", groups={"dev": ["plugin"]}, backend=Backend())
    cli.ok("sync")
    assert distributions(project_dir / ".venv") == ["demo-1.5", "plugin-1"]
    assert set(read_lock(project_dir).packages) == {"plugin"}
    assert "GET /simple/demo/" not in index.requests
    assert "up to date" in cli.ok("sync", "--locked").err
    cli.ok("sync", "--only-group", "dev")
    assert distributions(project_dir / ".venv") == ["demo-1.5", "plugin-1"]
