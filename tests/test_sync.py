"""``pipshim sync``: the environment as the lock says, with real builds and a local index."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import built, calls
from tests.support.files import distributions, listing
from tests.support.pipshim import PATIENCE, ROOT, is_running, make_venv, site_packages, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


@pytest.fixture
def venv(project_dir: Path) -> Path:
    """Give where the project's own environment is, or will be."""
    return project_dir / ".venv"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Give an environment that pipshim did not make."""
    make_venv(tmp_path / "foreign")
    return tmp_path / "foreign"


def by_pip(environment: Path, file: Path) -> None:
    """Install a wheel as pip would have, faster."""
    site = site_packages(environment)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(site)
    info = "-".join(file.name.split("-")[:2]) + ".dist-info"
    (site / info / "INSTALLER").write_text("pip\n")


def info(environment: Path, name: str) -> Path:
    (found,) = site_packages(environment).glob(f"{name}-*.dist-info")
    return found


def note(environment: Path, name: str) -> Any:
    """Read direct_url.json, or None."""
    path = info(environment, name) / "direct_url.json"
    return json.loads(path.read_text()) if path.exists() else None


def script(environment: Path, code: str) -> str:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        capture_output=True,
        check=True,
        text=True,
        cwd=environment,
    )
    return done.stdout.strip()


# --- which environment


def test_without_an_environment_dot_venv_is_made_beside_pyproject_and_has_no_pip(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"], files={"deep/er/file": ""})
    cli.ok("sync", cwd=project / "deep" / "er")
    assert distributions(venv) == ["fakelib-1.0"]
    assert not [*venv.rglob("pip"), *venv.glob("bin/pip*")]
    assert "pipshim = " in (venv / "pyvenv.cfg").read_text()
    assert script(venv, "import fakelib; print(fakelib.__version__)") == "1.0"


def test_a_project_without_dependencies_gets_its_environment_too(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project()
    assert cli("sync", "--check").status == 1
    cli.ok("sync")
    assert distributions(venv) == []
    cli.ok("sync", "--check")


def test_project_names_where_pyproject_is(
    cli: Cli, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    project = make_project()
    cli.ok("sync", "--project", project, cwd=tmp_path)
    assert venv.is_dir()
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("place", ["", "bin/python"])
def test_python_names_the_environment(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    foreign: Path,
    venv: Path,
    place: str,
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    active = tmp_path / "active"
    make_venv(active)
    cli.ok("sync", "--python", foreign / place, env={"VIRTUAL_ENV": str(active)})
    assert distributions(foreign) == ["fakelib-1.0"]
    assert distributions(active) == []
    assert not venv.exists()


def test_the_active_environment_goes_before_dot_venv(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, foreign: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    make_venv(venv)
    before = listing(venv)
    cli.ok("sync", env={"VIRTUAL_ENV": str(foreign)})
    assert distributions(foreign) == ["fakelib-1.0"]
    assert listing(venv) == before


def test_an_interpreter_outside_of_environments_makes_dot_venv(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project()
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    cli.ok("sync", "--python", base)
    assert f"home = {base.parent}" in (venv / "pyvenv.cfg").read_text()


def test_a_half_made_or_empty_environment_is_made_anew(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    venv.mkdir()
    cli.ok("sync")
    assert distributions(venv) == ["fakelib-1.0"]
    (venv / ".pipshim-incomplete").write_text("")
    (venv / "bin" / "python").unlink()
    cli.ok("sync")
    assert distributions(venv) == ["fakelib-1.0"]
    assert script(venv, "import fakelib") == ""


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--python", "nowhere/bin/python"], {}, "nowhere"),
        ([], {"VIRTUAL_ENV": "/nowhere/at/all"}, "VIRTUAL_ENV"),
        ([], {}, "not a virtual environment"),
    ],
)
def test_what_is_no_environment_is_refused_and_left_alone(
    cli: Cli,
    make_project: MakeProject,
    arguments: list[str],
    variables: Mapping[str, str],
    words: str,
) -> None:
    project = make_project(files={".venv/precious": "mine"})
    before = listing(project)
    result = cli.fails("sync", *arguments, env=variables)
    assert words in " ".join(result.err.split())
    assert listing(project) == before


def test_an_environment_whose_python_is_not_admitted_is_refused(
    cli: Cli, make_project: MakeProject, foreign: Path
) -> None:
    project = make_project(requires_python=">=3.99")
    before = listing(project, foreign)
    result = cli.fails("sync", env={"VIRTUAL_ENV": str(foreign)})
    assert "requires-python" in result.err
    assert listing(project, foreign) == before


# --- what is removed


@pytest.fixture
def with_extras(index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    """Give a wheel for `by_pip`; fakelib and other are in the index, fakelib is required."""
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    make_project(dependencies=["fakelib", "other"])
    return wheel(tmp_path, "stranger", "1.0")


def test_in_its_own_environment_sync_removes_all_that_the_lock_does_not_have(
    cli: Cli, make_project: MakeProject, with_extras: Path, venv: Path
) -> None:
    cli.ok("sync")
    by_pip(venv, with_extras)
    make_project(dependencies=["fakelib"])
    cli.ok("sync", "--inexact")
    assert distributions(venv) == ["fakelib-1.0", "other-1.0", "stranger-1.0"]
    assert cli("sync", "--check").status == 1
    cli.ok("sync")
    assert distributions(venv) == ["fakelib-1.0"]
    assert not [*site_packages(venv).glob("other*"), *site_packages(venv).glob("stranger*")]


def test_in_another_environment_sync_leaves_what_pipshim_did_not_install(
    cli: Cli, make_project: MakeProject, with_extras: Path, foreign: Path
) -> None:
    env = {"VIRTUAL_ENV": str(foreign)}
    cli.ok("sync", env=env)
    by_pip(foreign, with_extras)
    make_project(dependencies=["fakelib"])
    cli.ok("sync", "--inexact", env=env)
    assert distributions(foreign) == ["fakelib-1.0", "other-1.0", "stranger-1.0"]
    cli.ok("sync", env=env)
    assert distributions(foreign) == ["fakelib-1.0", "stranger-1.0"]
    cli.ok("sync", "--check", env=env)
    cli.ok("sync", "--exact", env=env)
    assert distributions(foreign) == ["fakelib-1.0"]


def test_what_pip_installed_in_the_locked_version_stays_as_it_is(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, foreign: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "fakelib", "2.0"))
    make_project(dependencies=["fakelib<2"])
    by_pip(foreign, wheel(tmp_path, "fakelib", "1.0"))
    before = listing(site_packages(foreign))
    cli.ok("sync", "--python", foreign)
    assert listing(site_packages(foreign)) == before
    make_project(dependencies=["fakelib>=2"])
    cli.ok("sync", "--python", foreign)
    assert distributions(foreign) == ["fakelib-2.0"]
    assert (info(foreign, "fakelib") / "INSTALLER").read_text() == "pipshim\n"


def test_sync_removes_neither_itself_nor_the_pip_it_runs_on(
    cli: Cli, make_project: MakeProject, with_extras: Path, foreign: Path
) -> None:
    del with_extras
    own = Path(next(path for path in sys.path if path.endswith("site-packages")))
    site = site_packages(foreign)
    for name in ("pip", "packaging", "rich"):
        shutil.copytree(own / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
        (source,) = own.glob(f"{name}-*.dist-info")
        shutil.copytree(source, site / source.name)
    (site / "rest.pth").write_text(f"{own}\n{ROOT}\n")
    make_project()
    result = cli(
        "sync", "--exact", env={"VIRTUAL_ENV": str(foreign)}, python=foreign / "bin" / "python"
    )
    assert result.status == 0, str(result)
    assert "pip" in {stem.split("-")[0] for stem in distributions(foreign)}
    assert (site / "pip" / "__main__.py").exists()


def test_exact_and_inexact_exclude_each_other(cli: Cli, make_project: MakeProject) -> None:
    make_project()
    assert "--inexact" in cli.fails("sync", "--exact", "--inexact", status=2).err


# --- the lock


def test_sync_locks_when_there_is_no_lock_and_when_it_is_out_of_date(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("sync")
    first = (project / "pylock.toml").read_text()
    make_project(dependencies=["fakelib", "other"])
    cli.ok("sync")
    assert distributions(venv) == ["fakelib-1.0", "other-1.0"]
    assert (project / "pylock.toml").read_text() != first


def test_a_lock_that_is_up_to_date_is_not_made_again(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    before = listing(project / "pylock.toml")
    index.add(wheel(tmp_path, "fakelib", "2.0"))
    index.requests.clear()
    cli.ok("sync")
    assert distributions(venv) == ["fakelib-1.0"]
    assert listing(project / "pylock.toml") == before
    assert index.requests == ["GET /files/fakelib-1.0-py3-none-any.whl"]
    for upgrade in (("-P", "fakelib"), ("-U",)):
        index.requests.clear()
        cli.ok("sync", *upgrade)
        assert distributions(venv) == ["fakelib-2.0"]
        assert index.requests
    cli.fails("sync", "-U", "--frozen", status=2)


def test_locked_fails_without_a_lock_and_with_one_that_is_out_of_date(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    project = make_project(dependencies=["fakelib"])
    assert "pipshim lock" in cli.fails("sync", "--locked").err
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml"]
    cli.ok("lock")
    cli.ok("sync", "--locked")
    make_project(dependencies=["fakelib", "other"])
    before = listing(project)
    assert "out of date" in cli.fails("sync", "--locked").err
    assert listing(project) == before
    assert distributions(venv) == ["fakelib-1.0"]


def test_frozen_installs_what_the_lock_says_whatever_pyproject_says(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    project = make_project(dependencies=["fakelib"])
    assert "no lock" in cli.fails("sync", "--frozen").err
    cli.ok("lock")
    before = (project / "pylock.toml").read_bytes()
    make_project(dependencies=["other"])
    index.requests.clear()
    cli.ok("sync", "--frozen")
    assert distributions(venv) == ["fakelib-1.0"]
    assert (project / "pylock.toml").read_bytes() == before
    assert not any("/simple/" in request for request in index.requests)
    assert "--frozen" in cli.fails("sync", "--locked", "--frozen", status=2).err


def test_a_lock_for_another_python_is_refused_and_not_replaced(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    lock = project / "pylock.toml"
    here = f'python_version == \\"{sys.version_info[0]}.{sys.version_info[1]}\\"'
    assert here in lock.read_text()
    lock.write_text(lock.read_text().replace(here, 'python_version == \\"2.7\\"'))
    before = listing(project)
    for arguments in (["sync"], ["sync", "--frozen"]):
        assert "another Python" in cli.fails(*arguments).err
    assert listing(project) == before


def test_sync_needs_no_index_when_the_caches_hold_all_of_it(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "natten", "0.1"))
    make_project(dependencies=["fakelib", "natten"], backend=Backend())
    cli.ok("sync")
    shutil.rmtree(venv)
    index.stop()
    cli.ok("sync")
    assert distributions(venv) == ["demo-0.1", "fakelib-1.0", "natten-0.1"]


# --- looking only


@pytest.mark.parametrize("option", ["--dry-run", "--check"])
def test_looking_changes_nothing_at_all(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, option: str
) -> None:
    status = 1 if option == "--check" else 0
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path / "dists", "fakelib", version))
    index.add(sdist(tmp_path / "dists", "natten", "0.1"))
    project = make_project(dependencies=["fakelib==1.0"])
    before = listing(project)
    assert cli("sync", option).status == status
    assert listing(project) == before
    cli.ok("sync")
    make_project(dependencies=["fakelib==2.0", "natten"])
    before = listing(project)
    result = cli("sync", option)
    assert result.status == status
    assert "fakelib" in result.err
    assert "natten" in result.err
    assert listing(project) == before
    assert [*cli.temporary.iterdir()] == []


def test_check_tells_whether_the_environment_differs(
    cli: Cli, make_project: MakeProject, with_extras: Path, venv: Path
) -> None:
    make_project(dependencies=["fakelib"], backend=Backend())
    cli.ok("sync")
    cli.ok("sync", "--check")
    by_pip(venv, with_extras)
    cli.ok("sync", "--check", "--inexact")
    assert "stranger" in cli.fails("sync", "--check").err
    cli.ok("sync")
    (info(venv, "fakelib") / "METADATA").unlink()
    assert "fakelib" in cli.fails("sync", "--check").err


# --- which part of the lock

GROUPS = {"dev": ["pytest"], "lint": ["ruff"], "all": [{"include-group": "lint"}, "sphinx"]}
CHOICES: dict[str, set[str]] = {
    "": {"base", "pytest"},
    "--all-extras": {"base", "pytest", "torch", "plots"},
    "--group lint --no-default-groups": {"base", "ruff"},
    "--only-group all": {"ruff", "sphinx"},
    "--all-groups --no-group lint": {"base", "pytest", "ruff", "sphinx"},
    "--no-install-package base --extra gpu": {"pytest", "torch"},
}


@pytest.fixture
def with_groups(index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    """Give the folder of a project that has extras and groups, and is no package."""
    for name in ("base", "torch", "plots", "pytest", "ruff", "sphinx"):
        index.add(wheel(tmp_path, name, "1.0"))
    return make_project(
        '[tool.pipshim]\ndefault-groups = ["dev"]\n',
        dependencies=["base"],
        extras={"gpu": ["torch"], "draw": ["plots"]},
        groups=GROUPS,
    )


def test_options_choose_extras_and_groups(cli: Cli, with_groups: Path, venv: Path) -> None:
    del with_groups
    for options, expected in CHOICES.items():
        cli.ok("sync", *options.split())
        assert distributions(venv) == sorted(f"{name}-1.0" for name in expected), options


@pytest.mark.parametrize(
    ("option", "known"),
    [("--extra", {"draw", "gpu"}), ("--group", {*GROUPS}), ("--only-group", {*GROUPS})],
)
def test_an_unknown_extra_or_group_is_an_error_that_tells_those_there_are(
    cli: Cli, with_groups: Path, option: str, known: set[str]
) -> None:
    result = cli.fails("sync", option, "cuda", status=2)
    assert "cuda" in result.err
    assert known <= {*result.err.replace(",", " ").split()}
    assert not (with_groups / ".venv").exists()


def test_no_install_project_leaves_the_project_out_only(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"], backend=Backend())
    cli.ok("sync", "--no-install-project")
    assert distributions(venv) == ["fakelib-1.0"]
    cli.ok("sync")
    assert distributions(venv) == ["demo-0.1", "fakelib-1.0"]
    cli.ok("sync", "--no-install-project")
    assert distributions(venv) == ["fakelib-1.0"]


def test_no_editable_installs_the_project_as_a_wheel(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    project = make_project(backend=Backend())
    where = "import demo; print(demo.__file__)"
    cli.ok("sync", "--no-editable")
    assert script(venv, where).startswith(str(venv))
    assert note(venv, "demo") == {"url": project.as_uri(), "dir_info": {}}
    cli.ok("sync")
    assert script(venv, where).startswith(str(project / "demo"))
    assert note(venv, "demo") == {"url": project.as_uri(), "dir_info": {"editable": True}}
    cli.ok("sync", "--no-editable")
    assert script(venv, where).startswith(str(venv))


def test_reinstall_puts_everything_back_as_it_was(
    cli: Cli, make_project: MakeProject, with_extras: Path, venv: Path
) -> None:
    del with_extras
    make_project(dependencies=["fakelib", "other"], backend=Backend())
    cli.ok("sync")
    names = ("fakelib", "other")
    changed = [site_packages(venv) / name / "__init__.py" for name in names]
    for path in changed:
        path.unlink()
        path.write_text("changed")
    cli.ok("sync", "--reinstall-package", "fakelib")
    assert [path.read_text() == "changed" for path in changed] == [False, True]
    cli.ok("sync", "--reinstall")
    assert [path.read_text() == "changed" for path in changed] == [False, False]
    assert distributions(venv) == ["demo-0.1", "fakelib-1.0", "other-1.0"]


# --- files are those of the lock


@pytest.mark.parametrize("what", ["wheel", "sdist", "build requirement"])
def test_a_tampered_file_is_refused_and_all_is_as_before(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, what: str
) -> None:
    good, evil = tmp_path / "good", tmp_path / "evil"
    index.add(
        wheel(good, "other", "1.0"),
        wheel(good, "fakelib", "1.0"),
        sdist(good, "natten", "0.1", build_requires=["tool"]),
        wheel(good, "tool", "1.0"),
    )
    project = make_project(dependencies=["other"])
    cli.ok("sync")
    needed = {"wheel": "fakelib", "sdist": "natten", "build requirement": "natten"}[what]
    make_project(dependencies=["other", needed])
    cli.ok("lock")
    shutil.rmtree(cli.cache)
    shutil.rmtree(cli.shim_cache)
    bad = {
        "wheel": wheel(evil, "fakelib", "1.0", files={"fakelib.py": "evil = 1"}),
        "sdist": sdist(evil, "natten", "0.1", requires=["evil"]),
        "build requirement": wheel(evil, "tool", "1.0", files={"tool.py": "evil = 1"}),
    }[what]
    index.tamper(bad.name, bad.read_bytes())
    before = listing(project, without=(".pipshim.lock",))
    result = cli.fails("sync")
    assert bad.name in result.err
    assert index.sha256(bad.name) in result.err
    assert hashlib.sha256(bad.read_bytes()).hexdigest() in result.err
    assert listing(project, without=(".pipshim.lock",)) == before


def test_wheels_are_fetched_at_the_same_time(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    names = ["first", "second", "third"]
    index.add(*(wheel(tmp_path, name, "1.0") for name in names))
    make_project(dependencies=names)
    cli.ok("lock")
    all_asked = threading.Barrier(len(names))
    answer = index.answer

    def together(path: str, accept: str) -> tuple[str, bytes] | None:
        if path.endswith(".whl"):
            all_asked.wait(timeout=PATIENCE)
        return answer(path, accept)

    index.answer = together  # type: ignore[method-assign]
    cli.ok("sync")
    assert distributions(venv) == ["first-1.0", "second-1.0", "third-1.0"]


# --- builds


def test_each_sdist_is_built_in_its_mode(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(
        wheel(tmp_path, "torch", "1.0", tag="native"),
        wheel(tmp_path, "torch", "2.0", tag="native"),
        wheel(tmp_path, "other", "1.0"),
        wheel(tmp_path, "tool", "1.0"),
        sdist(tmp_path, "alone", "0.1", build_requires=["tool"]),
        sdist(
            tmp_path, "same", "0.1", build_requires=["torch"], backend=Backend(imports=["torch"])
        ),
        sdist(
            tmp_path,
            "open",
            "0.1",
            build_requires=["absent"],
            backend=Backend(imports=["torch"], imports_at=["build_wheel"]),
        ),
    )
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["open"]\n',
        dependencies=["torch<2", "other", "alone", "same", "open"],
    )
    cli.ok("sync")
    site = site_packages(venv)
    assert built(site, "alone")["installed"] == {"tool": "1.0"}
    assert built(site, "same")["installed"] == {"torch": "1.0"}
    assert built(site, "same")["against"] == {"torch": "1.0"}
    seen = built(site, "open")["installed"]
    assert {"torch": "1.0", "other": "1.0"}.items() <= seen.items()
    assert "absent" not in seen
    prefixes = {built(site, name)["python"] for name in ("alone", "same", "open")}
    assert len(prefixes) == 3
    assert str(venv) not in prefixes
    assert not [path for prefix in prefixes if (path := Path(prefix)).exists()]


def test_wheels_come_first_then_isolated_builds_then_the_others_in_order_then_the_project(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    noting = Backend(log=str(log))
    index.add(
        wheel(tmp_path, "zlib", "1.0"),
        sdist(tmp_path, "zz-isolated", "1", backend=noting),
        sdist(tmp_path, "aa-last", "1", requires=["mm-middle"], backend=noting),
        sdist(tmp_path, "mm-middle", "1", build_requires=["yy-first"], backend=noting),
        sdist(tmp_path, "yy-first", "1", backend=noting),
    )
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["aa-last", "mm-middle", "yy-first"]\n',
        dependencies=["zlib", "zz-isolated", "aa-last", "yy-first"],
        backend=noting,
    )
    cli.ok("lock")
    log.unlink()
    index.requests.clear()
    cli.ok("sync")
    assert index.downloads[0] == "zlib-1.0-py3-none-any.whl"
    steps = [(call.name, call.event) for call in calls(log) if call.hook.startswith("build_")]
    order = ["zz-isolated", "yy-first", "mm-middle", "aa-last", "demo"]
    assert steps == [(name, event) for name in order for event in ("start", "end")]
    assert [call.hook for call in calls(log) if call.name == "demo"][-1] == "build_editable"


def test_builds_that_wait_for_each_other_are_an_error_that_names_them(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(
        sdist(tmp_path, "egg", "1", build_requires=["hen"]),
        sdist(tmp_path, "hen", "1", build_requires=["egg"]),
    )
    make_project(dependencies=["egg", "hen"])
    result = cli.fails("sync", "--no-build-isolation")
    assert "egg" in result.err
    assert "hen" in result.err
    assert not venv.exists()


def test_a_build_without_isolation_sees_what_else_the_environment_has(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, foreign: Path
) -> None:
    backend = Backend(imports=["stranger"], imports_at=["build_wheel"])
    index.add(sdist(tmp_path, "natten", "0.1", backend=backend))
    make_project(dependencies=["natten"])
    by_pip(foreign, wheel(tmp_path, "stranger", "1.0"))
    before = listing(site_packages(foreign), without=("__pycache__",))
    cli.ok("sync", "--no-build-isolation", "--python", foreign)
    facts = built(site_packages(foreign), "natten")
    assert facts["against"] == {"stranger": "1.0"}
    assert facts["python"] != str(foreign)
    after = listing(site_packages(foreign), without=("__pycache__",))
    assert {path: after[path] for path in before if "stranger" in path} == {
        path: found for path, found in before.items() if "stranger" in path
    }


@pytest.mark.parametrize("isolation", ["--build-isolation", "--no-build-isolation"])
def test_a_failing_build_leaves_environment_and_lock_as_before(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    venv: Path,
    isolation: str,
) -> None:
    index.add(
        wheel(tmp_path, "fakelib", "1.0"),
        wheel(tmp_path, "fakelib", "2.0"),
        sdist(tmp_path, "natten", "0.1"),
        sdist(tmp_path, "natten", "0.2", backend=Backend(fail_in="build_wheel", exit_code=1)),
    )
    project = make_project(dependencies=["fakelib<2", "natten<0.2"])
    cli.ok("sync", isolation)
    make_project(dependencies=["fakelib>=2", "natten>=0.2"])
    before = listing(project, without=(".pipshim.lock",))
    result = cli.fails("sync", isolation)
    assert "natten 0.2" in result.err
    assert listing(project, without=(".pipshim.lock",)) == before
    assert distributions(venv) == ["fakelib-1.0", "natten-0.1"]


def test_a_build_that_fails_before_there_is_an_environment_makes_none(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "natten", "0.2", backend=Backend(fail_in="build_wheel", exit_code=1)))
    project = make_project(dependencies=["natten"])
    before = listing(project)
    cli.fails("sync")
    assert listing(project) == before
    assert [*cli.temporary.iterdir()] == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_builds_and_leaves_all_as_before(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    number: signal.Signals,
    status: int,
) -> None:
    log = tmp_path / "log"
    backend = Backend(log=str(log), sleep_seconds=600)
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "slow", "1", backend=backend))
    project = make_project(dependencies=["fakelib"])
    cli.ok("sync")
    make_project(dependencies=["fakelib", "slow"])
    cli.ok("lock")
    before = listing(project, without=(".pipshim.lock",))

    def building() -> list[int]:
        return [call.pid for call in calls(log) if call.hook == "build_wheel"]

    with cli.start("sync") as process:
        until(building)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    until(lambda: not is_running(building()[0]))
    assert listing(project, without=(".pipshim.lock",)) == before
    until(lambda: [*cli.temporary.iterdir()] == [])


# --- the project itself


def test_the_project_is_installed_anew_when_pyproject_changes_and_kept_otherwise(
    cli: Cli, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    log = tmp_path / "log"
    backend = Backend(log=str(log))
    project = make_project(backend=backend, scripts={"hello": "demo:hello"})

    def editables() -> int:
        return sum(one.hook == "build_editable" and one.event == "end" for one in calls(log))

    cli.ok("sync")
    cli.ok("sync")
    assert editables() == 1
    (project / "demo" / "__init__.py").write_text("def hello():\n    print('hello')\n")
    cli.ok("sync")
    assert editables() == 1
    assert script(venv, "import demo; demo.hello()") == "hello"
    make_project(backend=backend, version="0.2", scripts={"bye": "demo:hello"})
    assert cli("sync", "--check").status == 1
    cli.ok("sync")
    assert editables() == 2
    assert distributions(venv) == ["demo-0.2"]
    assert (venv / "bin" / "bye").exists()
    assert not (venv / "bin" / "hello").exists()


def test_a_project_without_a_build_system_is_not_installed_unless_it_says_so(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tool_wheels: Mapping[str, Path],
    venv: Path,
) -> None:
    index.add(tool_wheels["setuptools"])
    project = make_project(files={"demo.py": "answer = 42\n"})
    cli.ok("sync")
    assert distributions(venv) == []
    make_project("[tool.setuptools]\npy-modules = ['demo']\n[tool.pipshim]\npackage = true\n")
    cli.ok("sync")
    assert distributions(venv) == ["demo-0.1"]
    assert script(venv, "import demo; print(demo.answer)") == "42"
    make_project()
    cli.ok("sync")
    assert distributions(venv) == []
    assert (project / "demo.py").exists()


def test_an_editable_without_isolation_is_built_in_the_environment_as_it_will_be(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    backend = Backend(imports=["fakelib"], imports_at=["build_editable"])
    make_project(dependencies=["fakelib"], backend=backend)
    cli.ok("sync", "--no-build-isolation")
    facts = built(site_packages(venv), "demo")
    assert facts["python"] == str(venv)
    assert facts["against"] == {"fakelib": "1.0"}


def test_if_such_an_editable_fails_the_whole_step_is_taken_back(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(
        wheel(tmp_path, "fakelib", "1.0", files={"fakelib/old.py": ""}),
        wheel(tmp_path, "fakelib", "2.0", files={"fakelib/new.py": ""}),
        wheel(tmp_path, "gone", "1.0"),
        wheel(tmp_path, "more", "1.0"),
    )
    project = make_project(dependencies=["fakelib<2", "gone"], backend=Backend())
    cli.ok("sync", "--no-build-isolation")
    before = listing(site_packages(venv), venv / "bin", without=("__pycache__",))
    lock = (project / "pylock.toml").read_bytes()
    failing = Backend(fail_in="build_editable", exit_code=1)
    make_project(dependencies=["fakelib>=2", "more"], backend=failing)
    assert "demo" in cli.fails("sync", "--no-build-isolation").err
    after = listing(site_packages(venv), venv / "bin", without=("__pycache__",))
    assert {path: entry[-1] for path, entry in after.items()} == {
        path: entry[-1] for path, entry in before.items()
    }
    assert not [path for path in venv.iterdir() if "backup" in path.name]
    assert (project / "pylock.toml").read_bytes() == lock


# --- what is installed is what the specifications say


def test_installed_distributions_carry_what_the_specifications_say(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(
        wheel(
            tmp_path,
            "fakelib",
            "1.0",
            requires=["below"],
            entry_points={"console_scripts": {"fake": "fakelib:main"}},
        ),
        wheel(tmp_path, "below", "1.0"),
        sdist(tmp_path, "natten", "0.1"),
    )
    direct = wheel(tmp_path, "direct", "1.0")
    index.add(direct)
    url = index.file_url(direct.name)
    project = make_project(dependencies=["fakelib", "natten", f"direct @ {url}"], backend=Backend())
    cli.ok("sync")
    site = site_packages(venv)
    recorded: dict[Path, tuple[str, str]] = {}
    for stem in distributions(venv):
        folder = site / f"{stem}.dist-info"
        assert (folder / "INSTALLER").read_text() == "pipshim\n"
        with (folder / "RECORD").open(newline="") as table:
            for path, digest, size in csv.reader(table):
                recorded[(site / path).resolve()] = (digest, size)
    files = [*site.rglob("*"), venv / "bin" / "fake"]
    there = {file.resolve() for file in files if file.is_file() and file.suffix != ".pyc"}
    assert there == set(recorded)
    for file, (digest, size) in recorded.items():
        if file.name != "RECORD":
            expected = hashlib.sha256(file.read_bytes()).digest()
            assert digest == f"sha256={base64.urlsafe_b64encode(expected).rstrip(b'=').decode()}"
            assert size == str(file.stat().st_size)
    requested = {file.parent.name.split("-")[0] for file in site.glob("*.dist-info/REQUESTED")}
    assert requested == {"demo", "direct", "fakelib", "natten"}
    assert {name: note(venv, name) for name in ("fakelib", "below", "natten")} == {
        "fakelib": None,
        "below": None,
        "natten": None,
    }
    assert note(venv, "demo") == {"url": project.as_uri(), "dir_info": {"editable": True}}
    assert note(venv, "direct") == {
        "url": url,
        "archive_info": {"hashes": {"sha256": index.sha256(direct.name)}},
    }
    assert (venv / "bin" / "fake").read_text().startswith(f"#!{venv}/bin/python\n")


def test_pip_lists_checks_and_uninstalls_what_was_installed(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    entry_points = {"console_scripts": {"fake": "fakelib:main"}}
    index.add(
        wheel(tmp_path, "fakelib", "1.0", requires=["natten"], entry_points=entry_points),
        sdist(tmp_path, "natten", "0.1"),
    )
    make_project(dependencies=["fakelib"], backend=Backend())

    def pip(*arguments: str) -> str:
        result = cli.pip("--python", venv, *arguments)
        assert result.status == 0, str(result)
        return result.out

    cli.ok("sync")
    listed = {one["name"]: one["version"] for one in json.loads(pip("list", "--format=json"))}
    assert listed == {"demo": "0.1", "fakelib": "1.0", "natten": "0.1"}
    pip("check")
    pip("uninstall", "-y", "demo", "fakelib", "natten")
    assert [path for path in site_packages(venv).rglob("*") if path.is_file()] == []
    assert not (venv / "bin" / "fake").exists()
    cli.ok("sync")
    assert distributions(venv) == ["demo-0.1", "fakelib-1.0", "natten-0.1"]


# --- changes


def test_versions_go_up_and_down_and_leave_no_file_behind(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    for version, module in (("1.0", "old"), ("2.0", "new")):
        index.add(
            wheel(
                tmp_path,
                "fakelib",
                version,
                files={f"fakelib/{module}/__init__.py": ""},
                entry_points={"console_scripts": {module: "fakelib:main"}},
            )
        )
    for required, module, other in (("<2", "old", "new"), (">=2", "new", "old")) * 2:
        make_project(dependencies=[f"fakelib{required}"])
        cli.ok("sync")
        script(venv, f"import fakelib.{module}")
        found = {path.name for path in (site_packages(venv) / "fakelib").iterdir()}
        assert found - {"__pycache__"} == {module}
        assert (venv / "bin" / module).exists()
        assert not (venv / "bin" / other).exists()
        assert len(distributions(venv)) == 1


def test_a_package_switches_from_wheel_to_sdist_and_back(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    cli.ok("sync")
    made = site_packages(venv) / "fakelib" / "_built.py"
    assert not made.exists()
    cli.ok("sync", "--no-binary", "fakelib")
    assert made.exists()
    cli.ok("sync")
    assert made.exists(), "the lock remembers what it was told"
    cli.ok("lock")
    cli.ok("sync")
    assert not made.exists()


@pytest.mark.parametrize("missing", [["METADATA"], ["RECORD"], ["METADATA", "RECORD"]])
def test_a_damaged_distribution_is_mended(
    cli: Cli, make_project: MakeProject, with_extras: Path, venv: Path, missing: list[str]
) -> None:
    del with_extras
    make_project(dependencies=["fakelib"])
    cli.ok("sync")
    before = listing(site_packages(venv) / "fakelib")
    for name in missing:
        (info(venv, "fakelib") / name).unlink()
    cli.ok("sync")
    assert {path.name for path in info(venv, "fakelib").iterdir()} >= {"METADATA", "RECORD"}
    after = listing(site_packages(venv) / "fakelib")
    assert [entry[-1] for entry in after.values()] == [entry[-1] for entry in before.values()]
    cli.ok("sync", "--check")
    assert cli.pip("--python", venv, "uninstall", "-y", "fakelib").status == 0
    assert not (site_packages(venv) / "fakelib").exists()


def test_the_scripts_of_a_project_that_was_moved_are_mended(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    entry_points = {"console_scripts": {"fake": "fakelib:main"}}
    files = {"fakelib.py": "def main():\n    print('it runs')\n"}
    index.add(wheel(tmp_path, "fakelib", "1.0", entry_points=entry_points, files=files))
    project = make_project(dependencies=["fakelib"], backend=Backend())
    cli.ok("sync")
    moved = project.rename(project.parent / "moved")
    cli.ok("sync", cwd=moved)
    fake = moved / ".venv" / "bin" / "fake"
    assert subprocess.run([fake], check=True, capture_output=True, text=True).stdout == "it runs\n"
    where = script(moved / ".venv", "import demo; print(demo.__file__)")
    assert where.startswith(str(moved))


# --- files that belong to somebody else


def test_a_file_may_move_from_one_package_to_another(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(
        wheel(tmp_path, "aa", "1.0", files={"aa.py": ""}),
        wheel(tmp_path, "zz", "1.0", files={"zz.py": "", "common.py": "who = 'zz'"}),
        wheel(tmp_path, "aa", "2.0", files={"aa.py": "", "common.py": "who = 'aa'"}),
        wheel(tmp_path, "zz", "2.0", files={"zz.py": ""}),
    )
    for versions, owner in (("<2", "zz"), (">=2", "aa"), ("<2", "zz")):
        make_project(dependencies=[f"aa{versions}", f"zz{versions}"])
        cli.ok("sync")
        assert script(venv, "import common; print(common.who)") == owner


def test_a_file_that_two_packages_share_stays_until_the_last_one_goes(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    shared = {"space/__init__.py": "import pkgutil\n"}
    for name in ("one", "two"):
        index.add(wheel(tmp_path, name, "1.0", files={**shared, f"space/{name}.py": ""}))
    make_project(dependencies=["one", "two"])
    cli.ok("sync")
    script(venv, "import space.one, space.two")
    make_project(dependencies=["two"])
    cli.ok("sync")
    assert script(venv, "import space; print(space.__file__)") != "None"
    make_project()
    cli.ok("sync")
    assert not (site_packages(venv) / "space").exists()


# --- two at once


def test_a_sync_waits_for_another_one_on_the_same_environment(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project()
    cli.ok("sync")
    make_project(dependencies=["fakelib"])
    lock = FileLock(venv / ".pipshim.lock")
    lock.acquire()
    with cli.start("sync") as process:
        too_long = threading.Timer(PATIENCE, process.kill)
        too_long.start()
        assert process.stderr is not None
        assert any("waiting" in line for line in process.stderr)
        assert distributions(venv) == []
        lock.release()
        process.communicate()
        too_long.cancel()
    assert process.returncode == 0
    assert distributions(venv) == ["fakelib-1.0"]


def test_two_syncs_at_once_take_turns(
    cli: Cli, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    log = tmp_path / "log"
    make_project(backend=Backend(log=str(log)))
    cli.ok("sync")
    log.unlink()
    with cli.start("sync", "--reinstall") as one, cli.start("sync", "--reinstall") as two:
        outputs = [process.communicate(timeout=PATIENCE) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], outputs
    pids = [call.pid for call in calls(log)]
    assert len({*pids}) == len([pid for i, pid in enumerate(pids) if i == 0 or pids[i - 1] != pid])
    assert distributions(venv) == ["demo-0.1"]


def test_two_first_syncs_at_once_make_one_environment(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "natten", "0.1"))
    make_project(dependencies=["fakelib", "natten"], backend=Backend())
    with cli.start("sync") as one, cli.start("sync") as two:
        outputs = [process.communicate(timeout=PATIENCE) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], outputs
    assert distributions(venv) == ["demo-0.1", "fakelib-1.0", "natten-0.1"]
    cli.ok("sync", "--locked", "--check")


# --- the command line


@pytest.mark.parametrize(
    "arguments", [["fakelib"], ["--no-such-option"], ["--link-mode", "symlink"], ["-j", "0"]]
)
def test_a_wrong_command_line_is_status_two_and_changes_nothing(
    cli: Cli, make_project: MakeProject, arguments: list[str]
) -> None:
    project = make_project()
    before = listing(project)
    cli.fails("sync", *arguments, status=2)
    assert listing(project) == before


def test_without_a_project_there_is_nothing_to_sync(cli: Cli) -> None:
    assert "pyproject.toml" in cli.fails("sync").err
    assert [*cli.cwd.iterdir()] == []


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_link_mode_says_how_files_get_there(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path, mode: str
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    cli.ok("sync", "--link-mode", mode)
    links = (site_packages(venv) / "fakelib" / "__init__.py").stat().st_nlink
    assert (links > 1) == (mode == "hardlink")


def test_on_another_file_system_files_are_copied_and_that_is_said_once(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    here = tmp_path.stat().st_dev
    others = (Path(path) for path in ("/dev/shm", "/var/tmp", "/tmp"))  # noqa: S108
    other = next((one for one in others if one.is_dir() and one.stat().st_dev != here), None)
    if other is None:
        pytest.skip("there is one file system only")
    index.add(wheel(tmp_path, "one", "1.0"), wheel(tmp_path, "two", "1.0"))
    make_project(dependencies=["one", "two"])
    with tempfile.TemporaryDirectory(dir=other) as cache:
        result = cli.ok("sync", "--compile", env={"PIPSHIM_CACHE_DIR": cache})
        again = cli.ok(
            "sync", "--reinstall", "--link-mode", "copy", env={"PIPSHIM_CACHE_DIR": cache}
        )
    assert result.err.count("files are copied: the cache is on another file system") == 1
    assert "copied" not in again.err
    assert script(venv, "import one, two; print('imported')") == "imported"
    assert not [path for path in venv.rglob("*.py") if path.stat().st_nlink > 1]


@pytest.mark.parametrize(("option", "compiled"), [("--compile", True), ("--no-compile", False)])
def test_bytecode_is_written_if_asked_for(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, option: str, compiled: bool
) -> None:
    index.add(
        wheel(tmp_path, "one", "1.0", files={"one.py": "x = 1\n", "bad.py": "print 'Python 2'\n"})
    )
    project = make_project(dependencies=["one"])
    cli.ok("sync", option, cwd=project)
    site = site_packages(project / ".venv")
    assert bool(list(site.rglob("*.pyc"))) is compiled


def test_a_second_environment_shares_the_bytecode_of_the_first(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "one", "1.0", files={"one.py": "x = 1\n"}))
    projects = [
        make_project(dependencies=["one"], folder=name, backend=Backend()) for name in ("a", "b")
    ]
    for project in projects:
        cli.ok("sync", "--compile", "--link-mode", "hardlink", cwd=project)
    first, second = (
        next(site_packages(project / ".venv").rglob("one.*.pyc")) for project in projects
    )
    assert first.samefile(second)
    cli.ok("sync", "--no-install-package", "one", cwd=projects[0])
    assert not first.exists()


def test_an_environment_that_is_a_link_to_a_folder_is_served(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project / ".venv").symlink_to(elsewhere)
    cli.ok("sync")
    assert (elsewhere / "pyvenv.cfg").exists()
    assert cli.ok("run", "python", "-c", "import fakelib; print('found')").out == "found\n"
    for entry in elsewhere.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    cli.ok("run", "python", "-c", "import fakelib")
    assert (project / ".venv").is_symlink()


def test_an_environment_of_pipshim_without_its_pyvenv_cfg_is_made_again(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("sync")
    (project / ".venv" / "pyvenv.cfg").unlink()
    cli.ok("run", "python", "-c", "import fakelib")
    assert (project / ".venv" / "pyvenv.cfg").exists()
