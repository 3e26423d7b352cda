"""A pip that pipshim does not support: pip's own commands work, pipshim's say what they need."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pip
import pytest

from tests.support.dists import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

MOVED = {
    "base_command": "command_base",
    "cmdoptions": "options_of_commands",
    "main_parser": "parser_of_main",
    "req_command": "command_with_requirements",
    "commands_dict": "all_commands",
    "wheel_builder": "builder_of_wheels",
    "resolvelib": "resolver_library",
    "RequirementPreparer": "Preparer",
}
"""Names in pip._internal, modules and others, and what a later pip may call them."""


@pytest.fixture(scope="session")
def newer_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with pip 26.4, whose internals have been renamed."""
    folder = tmp_path_factory.mktemp("newer")
    copy_pip(folder, "26.4")
    internal = folder / "pip" / "_internal"
    names = re.compile("|".join(rf"(?<!_vendor\.)(?<!_vendor import )\b{old}\b" for old in MOVED))
    for path in internal.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(names.sub(lambda found: MOVED[found[0]], text), encoding="utf-8")
    for path in [*internal.rglob("*")]:
        if path.stem in MOVED:
            path.rename(path.with_name(f"{MOVED[path.stem]}{path.suffix}"))
    return folder


@pytest.fixture(scope="session")
def older_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a pip that says it is 25.3."""
    folder = tmp_path_factory.mktemp("older")
    copy_pip(folder, "25.3")
    return folder


def copy_pip(folder: Path, version: str) -> None:
    assert pip.__file__ is not None
    source = Path(pip.__file__).parent
    shutil.copytree(source, folder / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    init = folder / "pip" / "__init__.py"
    text = init.read_text(encoding="utf-8")
    init.write_text(
        re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', text), encoding="utf-8"
    )


@pytest.fixture(params=["newer_pip", "older_pip"])
def with_pip(request: pytest.FixtureRequest, cli: Cli) -> Callable[..., Result]:
    """Give `cli` with another pip; `module` is pipshim, or that pip itself."""
    folder: Path = request.getfixturevalue(request.param)
    path = f"{folder}:{cli.env.get('PYTHONPATH', '')}".rstrip(":")

    def run(*args: str | Path, module: str = "pipshim") -> Result:
        env = {"PYTHONPATH": path}
        return cli(*args, env=env, module=module, python=Path(sys.executable))

    return run


@pytest.mark.parametrize(
    "args",
    [
        ("list", "--format=json"),
        ("freeze", "--all"),
        ("show", "pip"),
        ("help", "install"),
        ("--no-such",),
        ("bogus",),
        ("cache", "dir"),
        ("config", "list"),
        ("install", "--dry-run", "--no-such"),
    ],
)
def test_pips_commands_are_those_of_that_pip(
    with_pip: Callable[..., Result], args: tuple[str, ...]
) -> None:
    ours, theirs = with_pip(*args), with_pip(*args, module="pip")
    assert (ours.status, ours.out, ours.err) == (theirs.status, theirs.out, theirs.err)


def test_both_versions_are_told(with_pip: Callable[..., Result]) -> None:
    said = with_pip("--version")
    assert said.status == 0
    assert re.match(r"pipshim \S+ \(pip (26\.4|25\.3) from ", said.out)


def test_install_and_wheel(with_pip: Callable[..., Result], index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "plain", "1.0"))
    installed = with_pip("install", "--target", tmp_path / "there", "fakelib")
    assert installed.status == 0, str(installed)
    assert (tmp_path / "there" / "fakelib-1.0.dist-info").is_dir()
    built = with_pip("wheel", "--no-cache-dir", "-w", tmp_path / "wheels", "plain")
    assert built.status == 0, str(built)
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["plain-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("lock",), "pipshim lock"),
        (("-q", "sync"), "pipshim sync"),
        (("run", "true"), "pipshim run"),
        (("tree",), "pipshim tree"),
        (("--tim", "3", "lock"), "pipshim lock"),
        (("cache", "store", "info"), "pipshim cache store"),
        (("cache", "prune"), "pipshim cache store"),
        (("install", "--extra-build-dependency=a=b", "a"), "install --extra-build-dependency=a=b"),
        (("wheel", "-j2", "a"), "wheel -j2"),
        (("--project", ".", "download", "a"), "download --project"),
    ],
)
def test_pipshims_commands_and_options_say_what_they_need(
    with_pip: Callable[..., Result], args: tuple[str, ...], what: str
) -> None:
    said = with_pip(*args)
    assert said.status == 1, str(said)
    assert re.match(rf"error: {re.escape(what)}: pip (26\.4|25\.3) is not supported", said.err)
    text = " ".join(said.err.split())
    assert "supported versions are 26.1, 26.2, 26.3" in text
    assert f"{sys.executable} -m pip install 'pip>=26.1,<26.4'" in text
    assert not said.out


def test_no_pip(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    path = f"{tmp_path}:{cli.env.get('PYTHONPATH', '')}".rstrip(":")
    for command in ("list", "lock"):
        said = cli(command, env={"PYTHONPATH": path}, python=Path(sys.executable))
        assert said.status == 1
        assert "pip cannot be imported by" in said.err
        assert "-m ensurepip" in said.err
