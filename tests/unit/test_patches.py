"""What pipshim replaces in pip is listed, and is in the running pip as pipshim expects it.

A new pip that changes one of these fails here: ``pipshim/_pip/patches.py`` says what each is for.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pip
import pytest
from pip._internal.models.link import Link

import pipshim
from pipshim._pip import patches
from pipshim._pip.patches import PATCHES, Patch
from pipshim._pip.pip_texts import LOGGERS, TEXTS, Text

ROOT = Path(pipshim.__file__).parent
PIP = tuple(map(int, pip.__version__.split(".")[:2]))


@cache
def source(module: str) -> ast.Module:
    spec = find_spec(f"pip.{module}")
    assert spec is not None, f"pip has no module {module}"
    assert spec.origin is not None
    folder = Path(spec.origin)
    files = sorted(folder.parent.glob("*.py")) if spec.submodule_search_locations else [folder]
    body = [node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body]
    return ast.Module(body, [])


def definition(module: str, name: str) -> ast.AST | None:
    """Find what binds a name in a module, or in a class: ``function``, ``Class.method``."""
    scope: Any = source(module)
    *classes, last = name.split(".")
    for one in classes:
        scope = next(x for x in scope.body if isinstance(x, ast.ClassDef) and x.name == one)
    for node in ast.walk(scope) if classes else scope.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == last:
            return node
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if any((alias.asname or alias.name) == last for alias in node.names):
                return node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            plain = last if not classes else f"self.{last}"
            if any(ast.unparse(target) == plain for target in targets):
                return node
    return None


def parameters(function: ast.FunctionDef) -> str:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args)]
    names += [f"*{given.vararg.arg}"] if given.vararg else []
    names += [one.arg for one in given.kwonlyargs]
    names += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return ", ".join(names)


def texts(module: str) -> list[str]:
    """List the texts in a module; in those with expressions, ``{}`` stands for each."""
    found = []
    for node in ast.walk(source(module)):
        if isinstance(node, ast.JoinedStr):
            parts = (x.value if isinstance(x, ast.Constant) else "{}" for x in node.values)
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.target)
def test_pip_has_what_is_replaced(patch: Patch) -> None:
    module, _, name = patch.target.partition(":")
    found = definition(module, name)
    assert found is not None, f"pip {pip.__version__} has no {patch.target}"
    if patch.parameters is not None:
        assert isinstance(found, ast.FunctionDef)
        assert parameters(found) == patch.parameters


@cache
def read_in(package: str) -> set[str]:
    """Return what the modules of a package read: ``.attribute``, ``module:name``."""
    root = Path(pip.__file__).parent
    path = root.joinpath(*package.split("."))
    found = set()
    for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(f".{node.attr}")
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.add(f"{module}:{node.id}")
            elif isinstance(node, ast.ImportFrom) and node.module:
                of = node.module.removeprefix("pip.")
                found.update(f"{of}:{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.target)
def test_pip_uses_what_is_replaced(patch: Patch) -> None:
    module, _, name = patch.target.partition(":")
    last = name.rpartition(".")[2]
    if last.startswith("__"):
        pytest.skip("Python calls it")
    names = read_in(".".join(module.split(".")[: 2 if module.startswith("_vendor") else 1]))
    assert f".{last}" in names or (last == name and f"{module}:{name}" in names)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text)
def test_pip_says_what_is_recognised(text: Text) -> None:
    if tuple(map(int, text.since.split("."))) > PIP:
        pytest.skip(f"pip says it since {text.since}")
    assert any(text.text in one for one in texts(text.module.removeprefix("pip.")))


@pytest.mark.parametrize("name", LOGGERS)
def test_pip_logs_by_this_name(name: str) -> None:
    calls = [
        node for node in ast.walk(source(name.removeprefix("pip."))) if isinstance(node, ast.Call)
    ]
    assert any(ast.unparse(node).endswith("getLogger(__name__)") for node in calls)


def test_nothing_else_can_be_replaced() -> None:
    with pytest.raises(AssertionError, match="does not list"):
        patches.replace(Link, is_wheel=True)
    with pytest.raises(AssertionError, match="does not list"):
        patches.override(Link("https://example.com/"), _url="")
    with (
        pytest.raises(AssertionError, match="does not list"),
        patches.replaced(import_module("pip._internal.models.link"), Link=None),
    ):
        pass


IMPORT_ALL = """
import importlib, pkgutil, sys, types

def state():
    found = {}
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] != "pip" or module.__name__ != name:
            continue
        for key, value in [*vars(module).items()]:
            found[f"{name}:{key}"] = value
            if isinstance(value, type) and value.__module__ == name:
                own = f"{name}:{value.__qualname__}"
                found.update((f"{own}.{k}", v) for k, v in vars(value).items())
    return found

import pip
for one in pkgutil.walk_packages(pip.__path__, "pip."):
    if "__main__" not in one.name and "pip-runner" not in one.name:
        try:
            importlib.import_module(one.name)
        except Exception:  # of another system
            pass
from pip._internal.commands import commands_dict
commands = dict(commands_dict)
before = state()
import pipshim
for one in pkgutil.walk_packages(pipshim.__path__, "pipshim."):
    if one.name not in ("pipshim.__main__", "pipshim.tox_plugin") and "runner" not in one.name:
        importlib.import_module(one.name)
from pipshim._pip import interrupts
from pipshim.cli import pip_main
interrupts.track_connections()
pip_main.register()
after = state()
plain = (types.FunctionType, classmethod, staticmethod, property, type, int, str, bytes, tuple)
for key, value in before.items():
    if isinstance(value, plain) and after.get(key) is not value:
        print(key.removeprefix("pip."))
if commands != dict(commands_dict):
    print("_internal.commands:commands_dict")
"""


def test_importing_pipshim_replaces_nothing_else() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL],
        capture_output=True,
        text=True,
        check=True,
    )
    changed = set(ran.stdout.split())
    assert changed
    assert changed <= {patch.target for patch in PATCHES}


ATTRIBUTES_OF_OTHERS = {
    "_pip/http_adapters.py",  # of ssl.SSLContext
    "_pip/configuration.py",  # of optparse.Values
    "_pip/routed_search.py",  # its own, of a class that is frozen
    "cli/project_commands.py",
}


def imports_pip(path: Path) -> bool:
    return any(
        (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pip")
        or (
            isinstance(node, ast.Import)
            and any(x.name.partition(".")[0] == "pip" for x in node.names)
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(ROOT.rglob("*.py")) if imports_pip(path) and path.stem != "patches"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_nothing_is_replaced_past_the_table(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pip"
        for alias in node.names
    }
    found = []
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        for target in targets:
            owner = target.value if isinstance(target, (ast.Attribute, ast.Subscript)) else None
            if isinstance(target, ast.Attribute) and isinstance(owner, ast.Name):
                private = target.attr.startswith("_") and owner.id not in ("self", "cls")
                if private or owner.id in names:
                    found.append(ast.unparse(node))
            if isinstance(owner, ast.Call) and ast.unparse(owner).startswith("vars("):
                found.append(ast.unparse(node))
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).startswith(("setattr", "object.__setattr__", "vars("))
            and not ast.unparse(node.func).endswith((".get", ".pop", ".setdefault"))
            and path.relative_to(ROOT).as_posix() not in ATTRIBUTES_OF_OTHERS
        ):
            found.append(ast.unparse(node))
    assert not found
    assert "ignore[method-assign]" not in path.read_text(encoding="utf-8")


def overrides() -> set[str]:
    """Tell the private attributes of pip's classes that classes of pipshim have too."""
    for path in ROOT.rglob("*.py"):
        if (imports_pip(path) or path.parent.name == "cli") and "runner" not in path.stem:
            import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    found = set()
    waiting: list[type] = [object]
    known: set[type] = set()
    while waiting:
        kind = waiting.pop()
        new: set[type] = set(type.__subclasses__(kind)) - known
        known |= new
        waiting += new
    for kind in known:
        if not str(kind.__module__).startswith("pipshim."):
            continue
        for base in kind.__mro__[1:]:
            if base.__module__.startswith("pip."):
                found |= {
                    f"{base.__module__}:{base.__qualname__}.{name}".removeprefix("pip.")
                    for name in set(vars(kind)) & set(vars(base))
                    if name.startswith("_") and not name.startswith(("__", "_abc"))
                }
    return found


def test_private_methods_that_subclasses_override_are_listed() -> None:
    found = overrides()
    assert "_internal.cli.base_command:Command._run_wrapper" in found
    assert found <= {patch.target for patch in PATCHES}
