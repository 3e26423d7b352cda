"""The tox plugin: what it gives to pipshim, by tox's own pytest plugin; and real runs of tox."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tox.pytest import init_fixture  # noqa: F401 a fixture
from tox.tox_env.register import ToxEnvRegister

from pipshim import tox_plugin
from tests.support.backend import Backend
from tests.support.dists import sdist, wheel
from tests.support.facts import built, calls
from tests.support.files import distributions

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def __call__(
        self, body: str, *arguments: str, status: int = 0, core: str = ""
    ) -> list[list[str]]:
        """Run environment ``e``; give what pipshim was called with, after ``--python DIR``."""
        text = f"[tox]\n{core}\n[testenv:e]\n{body}\n"
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
    # Those of a tox that runs these tests count for any other one; in CI tox lists packages too.
    outer = [name for name in os.environ if name.startswith(("TOX_", "PIPSHIM_"))]
    for name in (*outer, *("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")):
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
        ("pipshim_sync_flags = --frozen", ["--no-default-groups", "--frozen"]),
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
        ("package_env = other", "package_env"),
        ("package = sdist", "package"),
    ],
)
def test_a_key_that_would_be_ignored_is_an_error(tox: Tox, body: str, named: str) -> None:
    code = -2 if named == "package" else 1
    assert tox(f"runner = pipshim-lock\n{body}", status=code) == []
    assert named in tox.out
    assert "ignored" in tox.out or "must be one of editable" in tox.out
    assert "Traceback" not in tox.out


def test_a_key_of_pipshim_where_it_means_nothing_is_an_error(tox: Tox) -> None:
    for runner, key in [
        ("virtualenv", "pipshim_no_build_isolation = true"),
        ("pipshim", "pipshim_locked = false"),
        ("pipshim-lock", "pipshim_match_runtime = true"),
    ]:
        assert tox(f"runner = {runner}\n{key}", status=-2) == []
        assert f"{key.partition(' ')[0]} would be ignored in environment e" in tox.out
    body = "runner = pipshim\npackage = wheel\n[testenv:.pkg]\npipshim_sync_flags = --exact\n"
    tox(body, status=-2)
    assert "pipshim_sync_flags would be ignored in environment .pkg" in tox.out
    # What an environment inherits is for those that it means something to.
    assert tox("skip_install = true\n[testenv]\npipshim_locked = false") == []


def test_what_is_no_package_depends_on_some_all_the_same(tox: Tox) -> None:
    got = tox("runner = pipshim-lock", core="no_package = true")
    assert got[0][3:] == ["--no-default-groups", "--no-install-project", "--locked"]


def test_build_options_that_variables_set_count_too(
    tox: Tox, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "runner = pipshim\nskip_install = true\ndeps = natten\n"
    assert len(tox(body)) == 1
    for name in ("PIPSHIM_NO_BUILD_ISOLATION_PACKAGE", "PIP_CONFIG_SETTINGS"):
        monkeypatch.setenv(name, "secret")
        assert len(tox(body)) == 1
        assert "recreate env because build options changed" in tox.out
    assert "secret" not in (tox.project.path / ".tox/e/.tox-info.json").read_text()


def test_build_settings_of_the_project_count_too(tox: Tox) -> None:
    body = "runner = pipshim\nskip_install = true\ndeps = natten\n"
    file = tox.project.path / "pyproject.toml"

    def said(table: str) -> bool:
        file.write_text(f"{PYPROJECT}[tool.pipshim{table}\n", encoding="utf-8")
        return bool(tox(body))

    assert len(tox(body)) == 1
    assert not said(']\ndefault-groups = ["test"]'), "it has nothing to do with builds"
    for table in (
        ".extra-build-dependencies]\nnatten = ['torch']",
        ".extra-build-variables]\nnatten = {TOKEN = 'secret'}",
        ".extra-build-variables]\nnatten = {TOKEN = 'secret2'}",
        "]\nno-build-isolation-package = ['natten']",
        "]",
    ):
        assert said(table)
        assert "recreate env because build options changed" in tox.out
        assert not said(table)
    assert "secret" not in (tox.project.path / ".tox/e/.tox-info.json").read_text()
    file.write_text(f"{PYPROJECT}[tool.pipshim]\nno-build-isolatoin = true\n", encoding="utf-8")
    assert tox(body, status=1) == []
    assert "pyproject.toml:13: unknown key 'no-build-isolatoin'" in tox.out
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
    index.add(
        wheel(tmp_path, "fakelib", "1.0", tag="native"),
        wheel(tmp_path, "fakelib", "2.0", tag="native"),
        sdist(tmp_path, "needy", "1.0"),
    )


INI = """
[testenv]
package = editable
commands = python -c "import needy, fakelib, sys; print('in', sys.prefix)"
[testenv:locked]
runner = pipshim-lock
dependency_groups = test
[testenv:plain]
runner = pipshim
package = wheel
extras = more
constraints = {tox_root}{/}limits.txt
deps = needy
[testenv:pinned]
runner = pipshim
skip_install = true
pylock = pylock.toml
dependency_groups = test
[testenv:usual]
package = wheel
deps = needy
    fakelib
"""
NAMES = ("locked", "plain", "pinned", "usual")


def installed(root: Path, name: str) -> list[str]:
    """Tell what an environment has, besides what it was seeded with."""
    seeds = ("pip-", "setuptools-", "wheel-")
    return [one for one in distributions(root / ".tox" / name) if not one.startswith(seeds)]


@pytest.mark.usefixtures("library")
def test_real_runs(cli: Cli, make_project: MakeProject) -> None:
    root = make_project(
        dependencies=["needy"],
        extras={"more": ["fakelib"]},
        groups={"test": ["fakelib"]},
        backend=Backend(),
    )
    (root / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
    (root / "limits.txt").write_text("fakelib<2\n", encoding="utf-8")
    (root / "tox.ini").write_text(INI, encoding="utf-8")
    before = distributions(Path(sys.prefix))
    cli.ok("lock")
    done = cli("run", "-e", ",".join(NAMES), module="tox")
    assert done.status == 0, str(done)
    for name in NAMES:
        assert f"in {root / '.tox' / name}" in done.out
    assert installed(root, "locked") == ["demo-0.1", "fakelib-2.0", "needy-1.0"]
    assert installed(root, "plain") == ["demo-0.1", "fakelib-1.0", "needy-1.0"]
    assert installed(root, "pinned") == ["fakelib-2.0", "needy-1.0"]
    assert not (root / ".venv").is_dir(), "tox's environment is served, no other"
    assert distributions(Path(sys.prefix)) == before
    # The two runners that package have an environment each, as they could not share one.
    assert (root / ".tox" / ".pkg").exists()
    assert (root / ".tox" / ".pkg-pipshim").exists()


MATCHED = """
[testenv]
runner = pipshim
package = wheel
change_dir = {env_tmp_dir}
commands = python -c "import demo._built; print('against', demo._built.against)"
[testenv:.pkg]
pipshim_match_runtime = true
"""


@pytest.mark.slow
@pytest.mark.usefixtures("library")
def test_the_project_is_built_against_what_is_locked(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    backend = Backend(imports=("fakelib",), log=str(log))

    def depend_on(requirement: str) -> Path:
        return make_project(dependencies=[requirement], build_requires=["fakelib"], backend=backend)

    root = depend_on("fakelib<2")
    (root / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
    (root / "tox.ini").write_text(MATCHED, encoding="utf-8")
    assert "there is no lock file" in cli("run", "-e", "py", module="tox").err
    cli.ok("lock")
    done = cli("run", "-e", "py", module="tox")
    assert done.status == 0, str(done)
    assert "against {'fakelib': '1.0'}" in done.out
    assert installed(root, ".pkg") == ["fakelib-1.0"]
    # A lock with another build environment is another packaging environment.
    depend_on("fakelib>=2")
    cli.ok("lock")
    done = cli("run", "-e", "py", module="tox")
    assert "recreate env because the lock has another build environment" in done.out
    assert "against {'fakelib': '2.0'}" in done.out
    # Without isolation there is what `deps` says, and nothing else.
    without = MATCHED.replace("pipshim_match_runtime = true", "pipshim_no_build_isolation = true")
    (root / "tox.ini").write_text(without + "deps = fakelib<2\n", encoding="utf-8")
    done = cli("run", "-e", "py", "--recreate", module="tox")
    assert done.status == 0, str(done)
    assert "against {'fakelib': '1.0'}" in done.out
    assert installed(root, ".pkg") == ["fakelib-1.0"]


@pytest.mark.usefixtures("library")
def test_recreate_builds_the_project_anew(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    root = make_project(dependencies=["fakelib"], backend=Backend(log=str(log)))
    (root / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
    body = "[testenv]\nrunner = pipshim-lock\npackage = wheel\ncommands = python -c 'import demo'\n"
    (root / "tox.ini").write_text(body, encoding="utf-8")
    cli.ok("lock")
    package = wheel(tmp_path, "demo", "7.0", requires=["absent"])
    runs = []
    for arguments in ([], ["--recreate"], ["--recreate", "--installpkg", str(package)]):
        done = cli("run", "-e", "py", *arguments, module="tox")
        assert done.status == 0, str(done)
        runs.append([one.hook for one in calls(log) if one.event == "start"])
    assert [hooks.count("build_wheel") for hooks in runs] == [1, 2, 2]
    assert installed(root, "py") == ["demo-7.0", "fakelib-2.0"]


@pytest.mark.usefixtures("library")
def test_what_was_built_with_other_settings_is_built_again(
    cli: Cli, make_project: MakeProject
) -> None:
    root = make_project()
    (root / "toxfile.py").write_text(TOXFILE, encoding="utf-8")
    body = "[testenv]\nrunner = pipshim\nskip_install = true\ndeps = needy\n"
    (root / "tox.ini").write_text(f"{body}commands = python -c pass\n", encoding="utf-8")
    file = root / "pyproject.toml"
    before = file.read_text(encoding="utf-8")
    said = []
    for value in ("1", "2", "2"):
        settings = f'[tool.pipshim.config-settings-package.needy]\nopt = "{value}"\n'
        file.write_text(f"{before}\n{settings}", encoding="utf-8")
        done = cli("run", "-e", "py", module="tox")
        assert done.status == 0, str(done)
        (site,) = (root / ".tox" / "py").glob("lib/python*/site-packages")
        assert built(site, "needy")["config_settings"] == {"opt": value}
        said.append("recreate env because build options changed" in done.out)
    assert said == [False, True, False]


KINDS = """
[testenv]
package = editable
commands = python -c pass
[testenv:editable]
runner = pipshim
deps = needy
pipshim_config_settings_package = needy:opt=1
[testenv:needs]
runner = pipshim
package = deps-only
extras = more
[testenv:nothing]
runner = pipshim
skip_install = true
[testenv:locked-needs]
runner = pipshim-lock
package = deps-only
extras = more
[testenv:locked-group]
runner = pipshim-lock
skip_install = true
dependency_groups = test
[testenv:lenient]
runner = pipshim-lock
pipshim_locked = false
pipshim_sync_flags = --no-install-package=needy
    --all-extras
"""
HOOK = """
from tox.plugin import impl

@impl
def tox_on_install(tox_env, arguments, section, of_type):
    print("heard", tox_env.name, of_type)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("library")
def test_every_kind_of_package_in_real_runs(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    root = make_project(
        dependencies=["needy"],
        extras={"more": ["fakelib<2"]},
        groups={"test": ["fakelib<2"]},
        backend=Backend(log=str(log)),
    )
    (root / "toxfile.py").write_text(TOXFILE + HOOK, encoding="utf-8")
    (root / "tox.ini").write_text(KINDS, encoding="utf-8")
    cli.ok("lock")

    def run(*arguments: str | Path) -> tuple[str, dict[str, list[str]]]:
        done = cli("run", *arguments, module="tox")
        assert done.status == 0, str(done)
        ran = re.findall(r"^  ([a-z-]+): OK", done.out, re.MULTILINE)
        assert ran, str(done)
        return done.out, {name: installed(root, name) for name in ran}

    out, has = run("-e", "editable,needs,nothing,locked-needs,locked-group,lenient")
    assert has == {
        "editable": ["demo-0.1", "needy-1.0"],
        "needs": ["fakelib-1.0", "needy-1.0"],
        "nothing": [],
        "locked-needs": ["fakelib-1.0", "needy-1.0"],
        "locked-group": ["fakelib-1.0"],
        "lenient": ["demo-0.1", "fakelib-1.0"],
    }
    assert "build_editable" in {one.hook for one in calls(log)}
    (site,) = (root / ".tox" / "editable").glob("lib/python*/site-packages")
    assert built(site, "needy")["config_settings"] == {"opt": "1"}
    heard = set(re.findall(r"^heard ([a-z-]+ \S+)", out, re.MULTILINE))
    assert heard == {
        *("editable deps", "editable package", "needs deps", "needs package_deps"),
        "nothing deps",
        *("locked-needs lock", "locked-group lock", "lenient lock"),
    }
    # What pyproject.toml asks for now is locked anew where it may be, and is an error where not.
    file = root / "pyproject.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("fakelib<2", "fakelib"), "utf-8")
    refused = cli("run", "-e", "locked-needs", module="tox")
    assert refused.status == 1, str(refused)
    assert "the lock is out of date" in " ".join(refused.err.split())
    assert run("-e", "lenient")[1] == {"lenient": ["demo-0.1", "fakelib-1.0"]}
    cli.ok("lock", "--upgrade")
    assert run("-e", "locked-group,locked-needs")[1] == {
        "locked-group": ["fakelib-2.0"],
        "locked-needs": ["fakelib-2.0", "needy-1.0"],
    }
    # A package that was built elsewhere, and an environment made anew.
    other = wheel(tmp_path, "demo", "7.0", requires=["needy"])
    left = root / ".tox" / "editable" / "left"
    left.touch()
    assert run("-e", "editable", "--installpkg", other)[1]["editable"] == ["demo-7.0", "needy-1.0"]
    assert left.exists()
    assert run("-e", "editable", "--recreate")[1]["editable"] == ["demo-0.1", "needy-1.0"]
    assert not left.exists()


FLIT = """
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "demo"
version = "3"
description = "x"
dependencies = ["needy"]
"""


@pytest.mark.usefixtures("library")
def test_a_source_distribution_is_built_by_pipshim(
    cli: Cli, index: Index, tool_wheels: Mapping[str, Path]
) -> None:
    index.add(tool_wheels["flit-core"])
    body = "[testenv]\nrunner = pipshim\npackage = sdist\ncommands = python -c 'import demo'\n"
    for name, text in {
        "pyproject.toml": FLIT,
        "demo.py": "",
        "toxfile.py": TOXFILE,
        "tox.ini": body,
    }.items():
        (cli.cwd / name).write_text(text, encoding="utf-8")
    done = cli("run", "-e", "py", "-vv", module="tox")
    assert done.status == 0, str(done)
    assert re.search("install_package> .* -m pipshim .*demo-3.tar.gz", done.out)
    assert installed(cli.cwd, "py") == ["demo-3", "needy-1.0"]
