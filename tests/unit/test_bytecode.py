"""Bytecode that one build environment has, brought to another one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipshim.builds.environment import BuildEnvironment, make
from pipshim.builds.environment_pool import EnvironmentPool, PooledEnvironment, link_bytecode
from pipshim.builds.processes import Processes
from pipshim.envs.discovery import running
from pipshim.store.store import Store
from tests.unit.test_store import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.store.unpacked_wheel import UnpackedWheel

FILES = {
    "demo/__init__.py": "def where():\n    return where.__code__.co_filename\n",
    "demo/sub/__init__.py": "",
    "demo/sub/x.py": "x = 1\n",
    "demo/never.py": "x = 1\n",
    "top.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> UnpackedWheel:
    return Store(tmp_path / "store").add(make_wheel(tmp_path, FILES), "demo")


def environment(folder: Path, tree: UnpackedWheel) -> BuildEnvironment:
    folder.mkdir()
    return make(folder, running(None), [tree])


def imported(env: BuildEnvironment, code: str = "") -> str:
    """Import the modules, and see what Python writes."""
    script = f"import demo, demo.sub.x, top; print(demo.where()); {code}"
    command = [str(env.target.python), "-I", "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def compiled(env: BuildEnvironment) -> dict[str, int]:
    site = env.target.purelib
    return {str(path.relative_to(site)): path.stat().st_ino for path in site.rglob("*.pyc")}


def test_what_one_environment_has_compiled_is_good_in_the_next(
    tmp_path: Path, tree: UnpackedWheel
) -> None:
    first, second = (environment(tmp_path / name, tree) for name in ("first", "second"))
    imported(first)
    tag = sys.implementation.cache_tag
    written = first.target.purelib / "demo" / "__pycache__" / f"sub.{tag}.pyc.1234"
    written.write_bytes(b"half of it")
    stranger = first.target.purelib / "demo" / "__pycache__" / f"stranger.{tag}.pyc"
    stranger.write_bytes(b"of no file that the package has")
    link_bytecode([tree], first.target, second.target)
    brought = compiled(second)
    names = ["demo/__pycache__/__init__", "demo/sub/__pycache__/__init__", "demo/sub/__pycache__/x"]
    assert sorted(brought) == sorted(f"{one}.{tag}.pyc" for one in [*names, "__pycache__/top"])
    assert imported(second) == str(second.target.purelib / "demo" / "__init__.py")
    assert compiled(second) == brought, "Python compiled again"


def test_a_source_that_differs_is_compiled_again(tmp_path: Path, tree: UnpackedWheel) -> None:
    first, second = (environment(tmp_path / name, tree) for name in ("first", "second"))
    imported(first)
    (second.target.purelib / "demo" / "sub" / "x.py").write_text("x = 12\n")
    link_bytecode([tree], first.target, second.target)
    imported(second, "assert demo.sub.x.x == 12")


def test_a_room_has_the_bytecode_of_those_before_it(tmp_path: Path, tree: UnpackedWheel) -> None:
    pool = EnvironmentPool(Processes())
    spoilt: list[PooledEnvironment] = []

    def room(name: str) -> BuildEnvironment:
        def made() -> tuple[BuildEnvironment, tuple[UnpackedWheel, ...]]:
            return environment(tmp_path / name, tree), (tree,)

        with pool.lend(name, made, spoilt.append) as one:
            imported(one.environment)
            return one.environment

    assert compiled(room("first")) == compiled(room("second"))
    assert not spoilt, "bytecode is nothing that spoils an environment"


def test_a_room_that_was_written_to_brings_nothing(tmp_path: Path, tree: UnpackedWheel) -> None:
    pool = EnvironmentPool(Processes())

    def made(name: str) -> tuple[BuildEnvironment, tuple[UnpackedWheel, ...]]:
        return environment(tmp_path / name, tree), (tree,)

    with pool.lend(1, lambda: made("first"), lambda _: None) as room:
        imported(room.environment)
        (room.environment.target.purelib / "demo" / "never.py").write_text("x = 2\n")
    with pool.lend(2, lambda: made("second"), lambda _: None) as room:
        assert not compiled(room.environment)
