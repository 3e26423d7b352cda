"""The tox plugin: what it gives to pipshim, by tox's own pytest plugin; and real runs of tox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tox.pytest import init_fixture  # noqa: F401 a fixture
from tox.tox_env.register import ToxEnvRegister

from pipshim import tox_plugin
from tests.support.dists import sdist, wheel
from tests.support.files import distributions

if TYPE_CHECKING:
    from pathlib import Path

    from tox.execute.request import ExecuteRequest
    from tox.pytest import ToxProject, ToxProjectCreator

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

TOXFILE = "from pipshim.tox_plugin import tox_register_tox_env\n"
PYPROJECT = """
[build-system]
requires = []
build-backend = "none"
[project]
name = "demo"
version = "1"
dependencies = ["needy"]
optional-dependencies.more = ["fakelib"]
[dependency-groups]
test = ["fakelib"]
"""
BUILD = """
pipshim_no_build_isolation = true
pipshim_no_build_isolation_package = natten, flash-attn
pipshim_extra_build_dependency = natten=torch
pipshim_config_settings_package = natten:a=b
"""
OPTIONS = [
    "--no-build-isolation",
    "--no-build-isolation-package=natten",
    "--no-build-isolation-package=flash-attn",
    "--extra-build-dependency=natten=torch",
    "--config-settings-package=natten:a=b",
]


class Tox:
    """tox in a project, with every command that it would execute noted instead of done."""

    def __init__(self, creator: ToxProjectCreator) -> None:
        self.project: ToxProject = creator({"tox.ini": "", "pyproject.toml": PYPROJECT})
        (self.project.path / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
        self.commands: list[list[str]] = []
        self.project.patch_execute(self._note)

    def _note(self, request: ExecuteRequest) -> int:
        self.commands.append([str(part) for part in request.cmd])
        return 0

    def __call__(self, body: str, *arguments: str, status: int = 0) -> list[list[str]]:
        """Run environment ``e``; give what pipshim was called with, after ``--python DIR``."""
        text = f"[tox]\nno_package = false\n[testenv:e]\n{body}\n"
        (self.project.path / "tox.ini").write_text(text, encoding="utf-8")
        self.commands.clear()
        outcome = self.project.run("run", "-e", "e", "--notest", *arguments)
        assert outcome.code == status, outcome.out + outcome.err
        self.out = outcome.out
        start = [sys.executable, "-I", "-m", "pipshim", "--python"]
        start.append(str(self.project.path / ".tox" / "e"))
        return [line[6:] for line in self.commands if line[:6] == start]


@pytest.fixture
def tox(tox_project: ToxProjectCreator, monkeypatch: pytest.MonkeyPatch) -> Tox:
    for name in ("PIPSHIM_JOBS", "TOX_PARALLEL_ENV"):
        monkeypatch.delenv(name, raising=False)
    return Tox(tox_project)


def test_it_is_never_the_default_runner(tox: Tox) -> None:
    assert tox("skip_install = true\ndeps = needy") == []
    assert tox.commands[0][-2:] == ["install", "needy"]
    assert tox.commands[0][0] == "python"
    register = ToxEnvRegister()
    tox_plugin.tox_register_tox_env(register)
    assert list(register.env_runners) == ["pipshim", "pipshim-lock"]


def test_deps_are_installed_with_the_build_options(tox: Tox) -> None:
    body = "runner = pipshim\nskip_install = true\ndeps = natten\nconstraints = limits.txt\n"
    (tox.project.path / "limits.txt").write_text("natten<2\n", encoding="utf-8")
    assert tox(body + BUILD) == [["install", *OPTIONS, "natten", "-c", "limits.txt"]]
    assert tox(body + BUILD) == [], "nothing has changed"
    assert tox(body)[0][:2] == ["install", "natten"]
    assert "recreate env because build options changed" in tox.out
    command = "install_command = python -m pip install {packages}\n"
    tox(body + BUILD + command, status=1)
    assert "install_command has no {opts}, so it would ignore" in tox.out


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", ["--no-default-groups", "--locked"]),
        (
            "extras = more\ndependency_groups = test\npackage = wheel",
            ["--no-default-groups", "--group=test", "--extra=more", "--no-editable", "--locked"],
        ),
        ("package = deps-only", ["--no-default-groups", "--no-install-project", "--locked"]),
        (
            "pipshim_locked = false\npipshim_sync_flags = --inexact",
            ["--no-default-groups", "--inexact"],
        ),
        ("skip_install = true\ndependency_groups = test", ["--only-group=test", "--locked"]),
        ("skip_install = true", None),
        (BUILD, ["--no-default-groups", "--locked", *OPTIONS]),
    ],
)
def test_the_lock_runner_syncs(tox: Tox, body: str, expected: list[str] | None) -> None:
    got = tox(f"runner = pipshim-lock\n{body}")
    start = ["sync", "--project", str(tox.project.path)]
    assert got == ([] if expected is None else [[*start, *expected]])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("deps = needy", "deps"),
        ("constraints = tox.ini", "constraints"),
        ("pylock = pylock.toml", "pylock"),
        ("pip_pre = true", "pip_pre"),
        ("install_command = pip install {opts} {packages}", "install_command"),
        ("skip_install = true\nextras = more", "extras"),
        ("package = sdist", "package"),
    ],
)
def test_a_key_that_would_be_ignored_is_an_error(tox: Tox, body: str, named: str) -> None:
    code = -2 if named == "package" else 1
    assert tox(f"runner = pipshim-lock\n{body}", status=code) == []
    assert named in tox.out
    assert "ignored" in tox.out or "must be one of editable" in tox.out
    assert "Traceback" not in tox.out


def test_the_package_of_installpkg_comes_after_the_lock(tox: Tox, tmp_path: Path) -> None:
    package = wheel(tmp_path, "demo", "2", requires=["needy"])
    synced, installed = tox("runner = pipshim-lock", "--installpkg", str(package))
    assert synced[3:] == ["--no-default-groups", "--no-install-project", "--locked"]
    assert installed == ["install", "--force-reinstall", "--no-deps", str(package)]


def test_recreate_syncs_into_a_new_environment(tox: Tox) -> None:
    assert len(tox("runner = pipshim-lock")) == 1
    left = tox.project.path / ".tox" / "e" / "left"
    left.touch()
    assert len(tox("runner = pipshim-lock")) == 1, "whether there is work is for sync to say"
    assert left.exists()
    assert len(tox("runner = pipshim-lock", "--recreate")) == 1
    assert not left.exists()


def test_other_plugins_hear_of_the_sync(tox: Tox) -> None:
    hook = """
from tox.plugin import impl

@impl
def tox_on_install(tox_env, arguments, section, of_type):
    print("heard", of_type, *arguments.options)
"""
    (tox.project.path / "toxfile.py").write_text(TOXFILE + hook, encoding="utf-8")
    assert len(tox("runner = pipshim-lock")) == 1
    assert "heard lock --no-default-groups --locked" in tox.out


def test_a_missing_interpreter_is_skipped_if_it_may(tox: Tox) -> None:
    body = "runner = pipshim-lock\nbase_python = python3.4\n"
    tox(body, "--skip-missing-interpreters", "false", status=1)
    assert "could not find python interpreter" in tox.out
    tox(body, "--skip-missing-interpreters", "true", status=1)
    assert "SKIP" in tox.out


@pytest.fixture
def library(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "needy", "1.0"))


INI = """
[testenv]
package = editable
commands = python -c "import needy, fakelib, sys; print('in', sys.prefix)"
[testenv:locked]
runner = pipshim-lock
dependency_groups = test
[testenv:plain]
runner = pipshim
skip_install = true
deps = needy
    fakelib
[testenv:command]
skip_install = true
deps = needy
    fakelib
allowlist_externals = {[at]python}
install_command = {[at]python} -m pipshim --python {env_dir} install {opts} {packages}
[testenv:inside]
skip_install = true
allowlist_externals = {[at]python}
commands = {[at]python} -m pipshim sync --locked --no-install-project --group test
    {[testenv]commands}
[at]
"""


@pytest.mark.usefixtures("library")
def test_real_runs(cli: Cli, make_project: MakeProject) -> None:
    root = make_project(dependencies=["needy"], groups={"test": ["fakelib"]})
    (root / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
    (root / "tox.ini").write_text(f"{INI}python = {sys.executable}\n", encoding="utf-8")
    cli.ok("lock")
    done = cli("run", "-e", "locked,plain,command,inside", module="tox")
    assert done.status == 0, str(done)
    for name in ("locked", "plain", "command", "inside"):
        assert f"in {root / '.tox' / name}" in done.out
    found = [line for line in distributions(root / ".tox" / "locked") if "pip-" not in line]
    assert {line.partition("-")[0] for line in found} >= {"fakelib", "needy"}
    assert not (root / ".venv").is_dir(), "tox's environment is served, no other"
    assert not (root / ".tox" / ".pkg").exists(), "sync installs the project itself"
