"""Bytecode in the store: made once, linked into every environment, valid in each."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipshim.base.errors import InstallError
from pipshim.store.bytecode import MANIFEST, compiled, with_bytecode
from pipshim.store.installer import install
from pipshim.store.linking import Linker
from pipshim.store.store import Store
from tests.unit.test_store import (
    DATA,
    INFO,
    Env,
    direct_url_of,
    leftovers,
    make_env,
    make_wheel,
    pip,
)

if TYPE_CHECKING:
    from pipshim.store.unpacked_wheel import UnpackedWheel

FILES = {
    "demo/__init__.py": "def where():\n    return where.__code__.co_filename\n",
    "demo/sub/x.py": "x = 1\n",
    "demo/bad.py": "print 'Python 2'\n",
    "demo/null.py": "x = '\0'\n",
    "demo/data.txt": "",
    "top.py": "",
    f"{DATA}/data/share/demo/plugin.py": "x = 1\n",
    f"{DATA}/scripts/run": "#!python\nprint('ran')\n",
}
TAG = sys.implementation.cache_tag


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def env(tmp_path: Path) -> Env:
    return make_env(tmp_path / "env")


@pytest.fixture
def tree(store: Store, tmp_path: Path) -> UnpackedWheel:
    return store.add(make_wheel(tmp_path, FILES), "demo")


def record(env: Env) -> list[tuple[str, ...]]:
    """Read RECORD, without what each installer and environment has of its own."""
    text = (env.purelib / INFO / "RECORD").read_text()
    rows = [tuple(row) for row in csv.reader(text.splitlines())]
    return [row[:1] if "bin/" in row[0] else row for row in rows if "INSTALLER" not in row[0]]


def loaded(env: Env, module: str) -> str:
    """Import a module, and say what the import system says of its bytecode."""
    done = subprocess.run(
        [env.python, "-I", "-v", "-c", f"import {module}; print({module}.where())"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(env.purelib / "demo" / "__init__.py")
    return done.stderr


def test_environments_get_what_pip_compiles_and_share_it(
    tree: UnpackedWheel, env: Env, tmp_path: Path
) -> None:
    other, by_pip = make_env(tmp_path / "other"), make_env(tmp_path / "by-pip")
    (wheel,) = tmp_path.glob("*.whl")
    pip(by_pip, "install", "--no-deps", "--no-index", "--compile", wheel)
    (made,) = compiled([tree], env)
    for one in (env, other):
        install(made, one, Linker("hardlink"), requested=True, direct_url=direct_url_of(wheel))
        assert record(one) == record(by_pip)
    path = f"demo/__pycache__/__init__.{TAG}.pyc"
    assert (env.purelib / path).samefile(other.purelib / path)
    assert f"{path},,\n" in (env.purelib / INFO / "RECORD").read_text()
    for one in (env, other):
        assert f"# code object from '{one.purelib / path}'" in loaded(one, "demo")
    pip(env, "uninstall", "--yes", "demo")
    assert not [path for path in env.prefix.rglob("*") if "demo" in path.name]


@pytest.mark.parametrize("mode", ["copy", "mixed", "auto"])
def test_bytecode_is_valid_however_it_is_placed(mode: str, tree: UnpackedWheel, env: Env) -> None:
    compiled([tree], env)
    install(with_bytecode(tree, env), env, Linker(mode))  # type: ignore[arg-type]
    assert "# code object from" in loaded(env, "demo")
    assert "# wrote" not in loaded(env, "demo")


def test_nothing_is_compiled_unless_that_is_asked_for(tree: UnpackedWheel, env: Env) -> None:
    install(with_bytecode(tree, env), env)
    assert list(env.prefix.rglob("*.pyc")) == []


def test_it_is_compiled_once(
    tree: UnpackedWheel, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled([tree], env)
    monkeypatch.setattr(subprocess, "run", None)
    (again,) = compiled([tree], env)
    assert again.compiled is not None


def test_damaged_bytecode_is_made_again(store: Store, tree: UnpackedWheel, env: Env) -> None:
    (made,) = compiled([tree], env)
    assert made.compiled is not None
    folder = Path(made.compiled.folder)
    pyc = folder / "purelib" / "demo" / "__pycache__" / f"__init__.{TAG}.pyc"
    good = pyc.read_bytes()
    for damage in (
        lambda: pyc.write_bytes(b"x" * len(good)),
        pyc.unlink,
        (folder / MANIFEST).unlink,
        lambda: (folder / MANIFEST).write_text("{}"),
    ):
        damage()
        assert with_bytecode(tree, env).compiled is None
        compiled([tree], env)
        assert pyc.read_bytes() == good
    assert leftovers(store) == []


def test_many_compile_the_same(store: Store, tree: UnpackedWheel, env: Env) -> None:
    found: list[UnpackedWheel] = []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait()
        found.extend(compiled([tree], env))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bool(one.compiled) for one in found] == [True] * 4
    assert leftovers(store) == []


def test_bytecode_that_the_wheel_brings_stays(store: Store, env: Env, tmp_path: Path) -> None:
    files = {"demo.py": "x = 1\n", f"__pycache__/demo.{TAG}.pyc": "of the wheel"}
    (tree,) = compiled([store.add(make_wheel(tmp_path, files), "demo")], env)
    install(tree, env)
    assert (env.purelib / "__pycache__" / f"demo.{TAG}.pyc").read_text() == "of the wheel"


def test_a_store_that_cannot_be_written_is_said(
    tree: UnpackedWheel, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, *_: object) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr("os.mkdir", full)
    with pytest.raises(InstallError, match="No space left") as caught:
        compiled([tree], env)
    assert "--compile" in (caught.value.hint or "")
