"""Build isolation: the scenarios of the tables in docs/explanation/build-isolation.md.

Each builds real sdists with in-tree backends against a local index; what uv and pip do in the same
scenarios is measured by ``benchmarks/isolation_scenarios.py``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.base.cores import available_cores
from tests.support.backend import CLOSES_ITS_STREAMS
from tests.support.dists import Backend, sdist, setuptools_sdist, source_tree, wheel
from tests.support.facts import built, calls
from tests.support.files import distributions
from tests.support.locks import Locked, read_lock
from tests.support.pipshim import PATIENCE, ROOT, another_python, make_venv, site_packages
from tests.support.repositories import git, git_repository, needs_git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

BARE = "[tool.pipshim]\nno-build-isolation = true\n"


@pytest.fixture
def site(project_dir: Path) -> Path:
    """Give where the project's environment has, or will have, its packages."""
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return project_dir / ".venv" / "lib" / minor / "site-packages"


def libraries(index: Index, dists: Path, name: str, *versions: str, tag: str = "native") -> None:
    for version in versions:
        index.add(wheel(dists, name, version, tag=tag))


def lock(cli: Cli, *args: str | Path) -> Locked:
    cli.ok("lock", *args)
    return read_lock(cli.cwd)


def started(log: Path, *hooks: str) -> list[str]:
    """Tell whose hooks were started, in order; all hooks, if none is named."""
    return [
        one.name for one in calls(log) if one.event == "start" and (not hooks or one.hook in hooks)
    ]


def builds(log: Path) -> list[str]:
    return started(log, "build_wheel")


def forget(cli: Cli) -> None:
    """Empty both caches."""
    for path in (cli.cache, cli.shim_cache):
        shutil.rmtree(path)


# --- staged lock


def test_a_fresh_clone_locks_and_syncs_in_one_command(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    needy = Backend(imports=["fakelib"], dynamic_requires=["low=={fakelib}"])
    libraries(index, dists, "fakelib", "1.0", "2.0")
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", backend=needy))
    index.add(sdist(dists, "other", "1.0", requires=["needy"], backend=Backend(imports=["needy"])))
    make_project(BARE, dependencies=["other", "fakelib<2"])
    cli.ok("sync")
    assert distributions(cli.cwd / ".venv") == ["fakelib-1.0", "low-1.0", "needy-1.0", "other-1.0"]
    assert built(site, "needy")["against"] == {"fakelib": "1.0"}
    assert built(site, "other")["against"] == {"needy": "1.0"}


def test_metadata_that_needs_what_is_built_with_isolation_has_it(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    needy = Backend(imports=["tool"], dynamic_requires=["low=={tool}"])
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", backend=needy), sdist(dists, "tool", "2.0"))
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["needy"]\n', dependencies=["needy", "tool"]
    )
    cli.ok("sync")
    assert distributions(cli.cwd / ".venv") == ["low-2.0", "needy-1.0", "tool-2.0"]
    assert built(site, "needy")["against"] == {"tool": "2.0"}
    before = (cli.cwd / "pylock.toml").read_bytes()
    cli.ok("lock", "-U")
    assert (cli.cwd / "pylock.toml").read_bytes() == before


def test_metadata_written_in_the_configuration_is_used_and_no_hook_is_called(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    backend = Backend(imports=["absent"], dynamic_requires=["wrong"])
    index.add(sdist(dists, "needy", "1.0", backend=backend), wheel(dists, "low", "1.0"))
    index.add(wheel(dists, "more", "1.0"))
    configuration = (
        f"{BARE}[[tool.pipshim.dependency-metadata]]\n"
        'name = "needy"\nversion = "1.0"\nrequires-dist = ["low", "more; extra == \'x\'"]\n'
        'provides-extra = ["x"]\n'
    )
    make_project(configuration, dependencies=["needy[x]"])
    assert lock(cli).versions == {"needy": "1.0", "low": "1.0", "more": "1.0"}


def test_metadata_is_kept_with_a_record_and_asked_for_again_when_that_no_longer_holds(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    backend = Backend(imports=["fakelib"], dynamic_requires=["low=={fakelib}"], log=str(log))
    libraries(index, dists, "fakelib", "1.0", "2.0")
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", backend=backend))
    make_project(BARE, dependencies=["needy", "fakelib<2"])
    first = lock(cli)
    assert started(log) == ["needy"]
    (cli.cwd / "pylock.toml").unlink()
    assert lock(cli).text == first.text
    assert started(log) == ["needy"]
    make_project(BARE, dependencies=["needy", "fakelib>1"])
    assert lock(cli).versions["low"] == "2.0"
    assert started(log) == ["needy"] * 2


def chained(index: Index, dists: Path, leads_to: Mapping[str, str]) -> None:
    """Offer needy, which requires low of the version of its fakelib; low requires a fakelib."""
    backend = Backend(imports=["fakelib"], dynamic_requires=["low=={fakelib}"])
    index.add(sdist(dists, "needy", "1.0", backend=backend))
    for version, fakelib in leads_to.items():
        index.add(wheel(dists, "fakelib", version, tag="native"))
        index.add(wheel(dists, "low", version, requires=[f"fakelib=={fakelib}"]))


def test_rounds_go_on_until_no_pin_that_a_build_saw_changes(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    chained(index, dists, {"4.0": "3.0", "3.0": "2.0", "2.0": "1.0", "1.0": "1.0"})
    make_project(BARE, dependencies=["needy", "fakelib"])
    assert lock(cli).versions == {"needy": "1.0", "fakelib": "1.0", "low": "1.0"}


def test_metadata_that_never_settles_is_an_error_that_names_what_oscillates(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    chained(index, dists, {"2.0": "1.0", "1.0": "2.0"})
    make_project(BARE, dependencies=["needy", "fakelib"])
    said = cli.fails("lock").err
    assert "needy 1.0" in said
    assert re.search(r"fakelib alternates between [12]\.0 and [12]\.0", said)
    assert re.search(r"low alternates between [12]\.0 and [12]\.0", said)
    assert "dependency-metadata" in said
    assert not (cli.cwd / "pylock.toml").exists()


@pytest.mark.parametrize(
    "parts", [{"metadata_version": "2.1"}, {"static_metadata": False}], ids=["old", "dynamic"]
)
def test_metadata_that_is_old_or_dynamic_is_asked_of_the_backend(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, parts: dict[str, Any]
) -> None:
    backend = Backend(log=str(log))
    index.add(sdist(dists, "needy", "1.0", requires=["low"], backend=backend, **parts))
    libraries(index, dists, "low", "1.0", tag="py3-none-any")
    make_project(dependencies=["needy"])
    assert lock(cli).versions == {"needy": "1.0", "low": "1.0"}
    assert started(log, "prepare_metadata_for_build_wheel") == ["needy"]


# --- modes and extra requirements


@pytest.mark.parametrize("where", ["index", "find-links"])
def test_a_declared_library_is_built_against_in_the_version_of_the_lock(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path, where: str
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0")
    index.add(
        sdist(dists, "needy", "1.0", build_requires=["fakelib"], backend=Backend(["fakelib"]))
    )
    make_project(dependencies=["needy", "fakelib<2"])
    local = ["--no-index", "--find-links", str(dists)]
    cli.ok("sync", *(local if where == "find-links" else []))
    assert read_lock(cli.cwd).build("needy")["mode"] == "matched"
    assert built(site, "needy")["installed"] == {"fakelib": "1.0"}


def test_what_a_backend_asks_for_is_matched_too_and_its_metadata_follows(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0")
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    backend = Backend(
        imports=["fakelib"],
        imports_at=["metadata", "build_wheel"],
        get_requires=["fakelib"],
        dynamic_requires=["low=={fakelib}"],
    )
    index.add(sdist(dists, "needy", "1.0", backend=backend))
    make_project(dependencies=["needy", "fakelib<2"])
    cli.ok("sync")
    locked = read_lock(cli.cwd)
    assert locked.versions == {"needy": "1.0", "fakelib": "1.0", "low": "1.0"}
    assert locked.build("needy")["mode"] == "matched"
    assert locked.environment("needy") == ["fakelib==1.0"]
    assert built(site, "needy")["against"] == {"fakelib": "1.0"}


@pytest.mark.parametrize("where", ["index", "find-links"])
@pytest.mark.parametrize("declared", [True, False])
def test_metadata_of_a_matched_build_follows_the_version_of_the_lock(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    site: Path,
    where: str,
    declared: bool,
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0")
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    backend = Backend(["fakelib"], dynamic_requires=["low=={fakelib}"])
    requires = ["fakelib"] if declared else []
    index.add(sdist(dists, "needy", "1.0", build_requires=requires, backend=backend))
    extra = '[tool.pipshim.extra-build-dependencies]\nneedy = ["fakelib"]\n'
    make_project("" if declared else extra, dependencies=["needy", "fakelib<2"])
    local = ["--no-index", "--find-links", str(dists)]
    cli.ok("sync", *(local if where == "find-links" else []))
    assert read_lock(cli.cwd).versions == {"needy": "1.0", "fakelib": "1.0", "low": "1.0"}
    assert read_lock(cli.cwd).build("needy")["mode"] == "matched"
    assert built(site, "needy")["against"] == {"fakelib": "1.0"}


def test_a_build_that_does_not_admit_the_version_of_the_lock_is_said_with_both_versions(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0")
    backend = Backend(["fakelib"])
    index.add(sdist(dists, "needy", "1.0", build_requires=["fakelib>=2"], backend=backend))
    make_project(dependencies=["needy", "fakelib<2"])
    said = re.sub(r"\s+", " ", cli.ok("sync").err)
    assert re.search(r"warning: needy 1\.0 is built against fakelib 2\.0[^.]*1\.0", said), said
    assert read_lock(cli.cwd).build("needy")["mode"] == "isolated"
    assert built(site, "needy")["against"] == {"fakelib": "2.0"}


def test_names_of_match_runtime_must_match(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", build_requires=["fakelib>=2"]))
    index.add(sdist(dists, "willing", "1.0", build_requires=["fakelib"]))
    named = '[tool.pipshim]\nmatch-runtime = ["fakelib", "unheard-of"]\n'
    make_project(named, dependencies=["willing", "fakelib<2"])
    locked = lock(cli)
    assert locked.environment("willing") == ["fakelib==1.0"]
    assert locked.build("willing")["mode"] == "matched"
    make_project(named, dependencies=["needy", "fakelib<2"])
    said = cli.fails("lock").err
    assert all(word in said for word in ("needy", "fakelib 1.0", "fakelib>=2"))
    make_project(named, dependencies=["willing"])
    said = cli.fails("lock").err
    assert all(word in said for word in ("willing", "has no fakelib"))


def test_extra_build_dependencies_are_added_and_matched_if_they_say_so(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0", tag="py3-none-any")
    for name in ("plain", "same"):
        index.add(sdist(dists, name, "1.0", backend=Backend(["fakelib"])))
    make_project(
        '[tool.pipshim.extra-build-dependencies]\nplain = ["fakelib"]\n'
        'same = [{ requirement = "fakelib", match-runtime = true }]\n',
        dependencies=["plain", "same", "fakelib<2"],
    )
    cli.ok("sync")
    locked = read_lock(cli.cwd)
    assert [locked.build(name)["mode"] for name in ("plain", "same")] == ["isolated", "matched"]
    assert built(site, "plain")["against"] == {"fakelib": "2.0"}
    assert built(site, "same")["against"] == {"fakelib": "1.0"}


def test_extra_variables_and_config_settings_reach_the_build_of_their_package_only(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    for name in ("one", "two"):
        index.add(sdist(dists, name, "1.0"))
    make_project(
        '[tool.pipshim.extra-build-variables]\none = { SKIP_CUDA = "TRUE" }\n'
        '[tool.pipshim.config-settings-package]\none = { setup-args = ["-Da=1", "-Db=2"] }\n',
        dependencies=["one", "two"],
    )
    cli.ok("sync")
    assert built(site, "one")["variables"]["SKIP_CUDA"] == "TRUE"
    assert built(site, "one")["config_settings"] == {"setup-args": ["-Da=1", "-Db=2"]}
    assert "SKIP_CUDA" not in built(site, "two")["variables"]
    assert built(site, "two")["config_settings"] == {}


def test_extra_requirements_and_settings_may_stand_on_the_command_line(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "fakelib", "1.0")
    for name in ("one", "two"):
        index.add(sdist(dists, name, "1.0", backend=Backend(tries=["fakelib"])))
    make_project(dependencies=["one", "two"])
    extra = ["--extra-build-dependency", "one=fakelib", "--config-settings-package", "one:a=1"]
    cli.ok("sync", *extra, "-C", "b=2")
    assert built(site, "one")["against"] == {"fakelib": "1.0"}
    assert built(site, "one")["config_settings"] == {"a": "1", "b": "2"}
    assert built(site, "two")["against"] == {"fakelib": None}
    assert built(site, "two")["config_settings"] == {"b": "2"}


@pytest.mark.parametrize("where", ["configuration", "file", "variable"])
def test_build_constraints_limit_build_environments_and_nothing_else(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tmp_path: Path, where: str
) -> None:
    libraries(index, dists, "tool", "1.0", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"]))
    (tmp_path / "limits.txt").write_text("tool<2\n")
    said = '[tool.pipshim]\nbuild-constraint-dependencies = ["tool<2"]\n'
    make_project(said if where == "configuration" else "", dependencies=["needy", "tool"])
    if where == "variable":
        cli.env["PIP_BUILD_CONSTRAINT"] = str(tmp_path / "limits.txt")
    args = ["--build-constraint", str(tmp_path / "limits.txt")] if where == "file" else []
    locked = lock(cli, *args)
    assert locked.environment("needy") == ["tool==1.0"]
    assert locked.versions["tool"] == "2.0"


def test_a_build_requirement_may_be_a_direct_url(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "tool", "1.0", "2.0", tag="py3-none-any")
    url = f"tool @ {index.file_url('tool-1.0-py3-none-any.whl')}"
    index.add(sdist(dists, "needy", "1.0", build_requires=[url], backend=Backend(["tool"])))
    make_project(dependencies=["needy"])
    cli.ok("sync")
    assert built(site, "needy")["against"] == {"tool": "1.0"}
    (entry,) = read_lock(cli.cwd).tool["packages"]
    digest = index.sha256("tool-1.0-py3-none-any.whl")
    assert entry["archive"]["hashes"] == {"sha256": digest}


BACKEND_PATH = """
[build-system]
requires = ["wrapper"]
build-backend = "wrapper:hooks"
backend-path = ["tools/first", "_backend"]
"""


def test_a_backend_in_the_source_goes_before_what_is_installed(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "wrapper", "1.0", files={"wrapper.py": "raise SystemExit('other')\n"}))
    files: dict[str, str | bytes] = {
        "pyproject.toml": BACKEND_PATH,
        "tools/first/wrapper.py": "import tinybackend as hooks\n",
    }
    index.add(sdist(dists, "needy", "1.0", files=files, static_metadata=False))
    make_project(dependencies=["needy"])
    cli.ok("sync")
    assert distributions(cli.cwd / ".venv") == ["needy-1.0"]
    assert read_lock(cli.cwd).build("needy")["backend"] == "wrapper:hooks"


def test_a_backend_outside_of_the_source_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    outside = BACKEND_PATH.replace("tools/first", "../elsewhere").replace('"wrapper"', "")
    index.add(sdist(dists, "needy", "1.0", files={"pyproject.toml": outside}))
    make_project(dependencies=["needy"])
    said = cli.fails("sync").err
    assert "needy 1.0: paths must be inside source tree" in said


def test_a_source_without_pyproject_toml_gets_pips_defaults(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    tool_wheels: Mapping[str, Path],
) -> None:
    index.add(tool_wheels["setuptools"], setuptools_sdist(dists, "old", "1.0", legacy=True))
    make_project(dependencies=["old"])
    cli.ok("sync")
    assert distributions(cli.cwd / ".venv") == ["old-1.0"]
    assert read_lock(cli.cwd).build("old")["backend"] == "setuptools.build_meta:__legacy__"


@pytest.mark.parametrize("mode", ["isolated", "matched", "no-isolation"])
def test_the_projects_own_build_has_a_mode_like_any(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path, mode: str
) -> None:
    libraries(index, dists, "fakelib", "1.0", "2.0", tag="py3-none-any")
    settings = {
        "isolated": "",
        "matched": 'match-runtime = ["fakelib"]\n',
        "no-isolation": 'no-build-isolation-package = ["demo"]\n',
    }
    make_project(
        f"[tool.pipshim]\n{settings[mode]}",
        dependencies=["fakelib<2"],
        build_requires=["fakelib"],
        backend=Backend(imports=["fakelib"], imports_at=["build_editable"]),
    )
    cli.ok("sync")
    facts = built(site, "demo")
    assert facts["hook"] == "build_editable"
    assert facts["against"] == {"fakelib": "2.0" if mode == "isolated" else "1.0"}
    assert read_lock(cli.cwd).tool["folders"][0]["build"]["mode"] == mode


# --- records


@pytest.fixture
def torn(make_project: MakeProject, index: Index, dists: Path, log: Path) -> Any:
    """Give a writer of a project with torch and natten, which needs it without isolation."""
    libraries(index, dists, "torch", "1.0", "2.0")
    libraries(index, dists, "aside", "1.0", "2.0", tag="py3-none-any")
    noted = Backend(imports=["torch"], log=str(log))
    index.add(sdist(dists, "natten", "0.1", backend=noted))

    def make(*dependencies: str, folder: str = "project") -> Path:
        return make_project(BARE, folder=folder, dependencies=["natten", *dependencies])

    return make


def test_a_wheel_built_without_isolation_is_rebuilt_when_what_it_imported_changes(
    cli: Cli, torn: Any, log: Path, site: Path
) -> None:
    torn("torch<2")
    cli.ok("sync")
    assert built(site, "natten")["against"] == {"torch": "1.0"}
    torn("torch>1")
    cli.ok("sync")
    assert built(site, "natten")["against"] == {"torch": "2.0"}
    assert builds(log) == ["natten"] * 2


def test_sync_says_why_a_wheel_that_is_installed_is_built_again(
    cli: Cli, torn: Any, log: Path, site: Path
) -> None:
    torn("torch<2", "aside")
    cli.ok("sync")
    torn("torch>1", "aside")
    plan = cli.fails("sync", "--check")
    assert "rebuild: built against torch 1.0, the lock has 2.0" in plan.out + plan.err
    assert built(site, "natten")["against"] == {"torch": "1.0"}
    said = cli.ok("sync").err
    assert "built against torch 1.0, the lock has 2.0" in said
    assert built(site, "natten")["against"] == {"torch": "2.0"}
    assert builds(log) == ["natten"] * 2


def test_torch_put_back_reuses_the_wheel_that_was_built_against_it(
    cli: Cli, torn: Any, log: Path, site: Path
) -> None:
    for requirement in ("torch<2", "torch>1", "torch<2"):
        torn(requirement)
        cli.ok("sync")
    assert built(site, "natten")["against"] == {"torch": "1.0"}
    assert builds(log) == ["natten"] * 2


def test_an_unrelated_distribution_changes_and_the_wheel_stays(
    cli: Cli, torn: Any, log: Path
) -> None:
    torn("torch", "aside<2")
    cli.ok("sync")
    torn("torch", "aside>1")
    cli.ok("sync")
    assert "aside-2.0" in distributions(cli.cwd / ".venv")
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync")
    assert builds(log) == ["natten"]


def test_the_same_lock_in_another_project_reuses_the_wheel(cli: Cli, torn: Any, log: Path) -> None:
    first = torn("torch")
    cli.ok("sync")
    second = torn("torch", folder="second")
    shutil.copy(first / "pylock.toml", second)
    cli.ok("sync", cwd=second)
    assert "natten-0.1" in distributions(second / ".venv")
    assert builds(log) == ["natten"]


def test_what_a_child_of_the_build_imports_counts_too(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    backend = Backend(runs=[["python", "-c", "import fakelib"]], log=str(log))
    libraries(index, dists, "fakelib", "1.0", "2.0")
    libraries(index, dists, "other", "1.0", "2.0")
    index.add(sdist(dists, "needy", "1.0", backend=backend))
    for versions, count in ((("1", "1"), 1), (("1", "2"), 1), (("2", "2"), 2), (("1", "2"), 2)):
        fakelib, other = versions
        make_project(BARE, dependencies=["needy", f"fakelib=={fakelib}", f"other=={other}"])
        cli.ok("sync")
        assert len(builds(log)) == count, versions


CHILDREN = {
    "fork": "import os\nif os.fork() == 0:\n    import fakelib\n    os._exit(0)\nos.wait()",
    "multiprocessing": (
        "import multiprocessing\ndef work():\n    import fakelib\n"
        "one = multiprocessing.get_context('fork').Process(target=work)\none.start()\none.join()"
    ),
    **{
        method: (
            "import importlib, multiprocessing\n"
            f"process = multiprocessing.get_context({method!r}).Process\n"
            "one = process(target=importlib.import_module, args=['fakelib'])\n"
            "one.start()\none.join()\nassert one.exitcode == 0"
        )
        for method in ("spawn", "forkserver")
    },
}
"""How a hook starts a child that leaves without running its exit handlers."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.parametrize(
    ("where", "how"),
    [
        ("hook", "fork"),
        ("hook", "multiprocessing"),
        ("hook", "spawn"),
        ("hook", "forkserver"),
        ("program", "fork"),
        ("program", "-I"),
        ("program", "-E"),
    ],
)
def test_what_a_child_imports_counts_however_it_ends(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, where: str, how: str
) -> None:
    code = CHILDREN.get(how, "import fakelib, os; os._exit(0)")
    if where == "program":
        command = ["python", *([how] if how.startswith("-") else []), "-c", code]
        code = f"import subprocess\nsubprocess.check_call({command!r})"
    lines = [*code.splitlines(), "return engine.build_wheel(*args, **more)"]
    body = "\n    ".join(lines)
    source = f"from engine import *\nimport engine\n\ndef build_wheel(*args, **more):\n    {body}\n"
    libraries(index, dists, "fakelib", "1.0", "2.0")
    index.add(sdist(dists, "needy", "1.0", backend_source=source))
    make_project(BARE, dependencies=["needy", "fakelib<2"])
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket has to be short
        cli.ok("sync", env={"TMPDIR": folder})
    make_project(BARE, dependencies=["needy", "fakelib>1"])
    told = cli.ok("sync", "--dry-run")
    assert "rebuild: built against fakelib 1.0, the lock has 2.0" in told.out + told.err


def test_a_declared_build_requirement_counts_though_it_was_not_imported(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    libraries(index, dists, "torch", "1.0", "2.0")
    index.add(
        sdist(dists, "natten", "0.1", build_requires=["torch"], backend=Backend(log=str(log)))
    )
    for requirement in ("torch<2", "torch>1"):
        make_project(BARE, dependencies=["natten", requirement])
        cli.ok("sync")
    assert builds(log) == ["natten"] * 2


def test_a_distribution_that_only_the_environment_has_counts_if_it_was_imported(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, tmp_path: Path
) -> None:
    python = make_venv(tmp_path / "foreign")
    index.add(sdist(dists, "natten", "0.1", backend=Backend(["stranger"], log=str(log))))
    make_project(BARE, dependencies=["natten"])
    for version, times in (("1.0", 1), ("1.0", 1), ("2.0", 2)):
        file = wheel(dists, "stranger", version, tag="native")
        if times > len(builds(log)):
            done = cli.pip("--python", python, "install", "--no-deps", "--no-index", file)
            assert done.status == 0, str(done)
        cli.ok("sync", "--python", python)
        assert builds(log) == ["natten"] * times
    assert built(site_packages(tmp_path / "foreign"), "natten")["against"] == {"stranger": "2.0"}


@pytest.mark.parametrize("mode", ["isolated", "matched", "no-isolation"])
def test_an_upgrade_of_pure_python_distributions_leaves_built_wheels_alone(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, mode: str
) -> None:
    libraries(index, dists, "fakelib", "1.0")
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    backend = Backend(["fakelib", "tool"], log=str(log))
    index.add(sdist(dists, "needy", "1.0", build_requires=["fakelib", "tool"], backend=backend))
    runtime = {"isolated": [], "matched": ["fakelib"], "no-isolation": ["fakelib", "tool"]}[mode]
    make_project(BARE if mode == "no-isolation" else "", dependencies=["needy", *runtime])
    cli.ok("sync")
    libraries(index, dists, "tool", "2.0", tag="py3-none-any")
    cli.ok("sync", "-U")
    if mode == "no-isolation":
        assert "tool-2.0" in distributions(cli.cwd / ".venv")
    else:
        assert read_lock(cli.cwd).environment("needy") == ["fakelib==1.0", "tool==2.0"]
    assert builds(log) == ["needy"]
    shutil.rmtree(cli.cwd / ".venv")
    assert "built earlier against the same fakelib 1.0" in cli.ok("sync", "-v").err
    assert builds(log) == ["needy"]
    libraries(index, dists, "fakelib", "2.0")
    said = cli.ok("sync", "-U").err
    assert "built against fakelib 1.0, the lock has 2.0" in said
    assert builds(log) == ["needy"] * 2


def test_a_wheel_whose_requirements_follow_a_pure_python_distribution_is_rebuilt(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    libraries(index, dists, "low", "1.0", "2.0", tag="py3-none-any")
    backend = Backend(["tool"], dynamic_requires=["low=={tool}"], log=str(log))
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"], backend=backend))
    make_project(dependencies=["needy"])
    cli.ok("sync")
    libraries(index, dists, "tool", "2.0", tag="py3-none-any")
    said = cli.ok("sync", "-U").err
    assert "rebuild: built against tool 1.0, the lock has 2.0" in said
    assert distributions(cli.cwd / ".venv") == ["low-2.0", "needy-1.0"]
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync")
    assert builds(log) == ["needy"] * 2


def test_a_distribution_with_headers_counts_though_its_wheel_is_for_every_platform(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    for version in ("1.0", "2.0"):
        files = {"binder/__init__.py": "", "binder/include/binder.hpp": f"// {version}\n"}
        index.add(wheel(dists, "binder", version, files=files))
    backend = Backend(log=str(log))
    index.add(sdist(dists, "needy", "1.0", build_requires=["binder"], backend=backend))
    for limit in ("<2", ">1"):
        build_constraint = f'build-constraint-dependencies = ["binder{limit}"]'
        make_project(f"[tool.pipshim]\n{build_constraint}\n", dependencies=["needy"])
        cli.ok("sync", "-U")
    assert builds(log) == ["needy"] * 2
    against = json.loads(cli.ok("cache", "store", "list", "--format", "json").out)
    assert [one["against"] for one in against] == [{"binder": "1.0"}, {"binder": "2.0"}]


@pytest.mark.parametrize(
    ("rebuild", "rebuilt"),
    [('"exact"', ["needy", "other"]), ('{ needy = "exact" }', ["needy"]), ('"auto"', [])],
)
def test_every_distribution_counts_where_rebuild_is_exact(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    log: Path,
    rebuild: str,
    rebuilt: list[str],
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    for name in ("needy", "other"):
        backend = Backend(log=str(log))
        index.add(sdist(dists, name, "1.0", build_requires=["tool"], backend=backend))
    make_project(f"[tool.pipshim]\nrebuild = {rebuild}\n", dependencies=["needy", "other"])
    cli.ok("sync", "-j1")
    libraries(index, dists, "tool", "2.0", tag="py3-none-any")
    cli.ok("sync", "-U", "-j1")
    assert sorted(builds(log)[2:]) == sorted(rebuilt)


@pytest.mark.parametrize(
    "changed",
    [
        'build-constraint-dependencies = ["tool<9"]',
        'extra-build-variables.needy = { X = "1" }',
        'config-settings-package.needy = { a = "1" }',
        'extra-build-dependencies.needy = ["aside"]',
        "--build-constraint",
        "-C",
    ],
)
def test_a_changed_build_setting_rebuilds(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    log: Path,
    tmp_path: Path,
    changed: str,
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    libraries(index, dists, "aside", "1.0", tag="py3-none-any")
    index.add(
        sdist(dists, "needy", "1.0", build_requires=["tool"], backend=Backend(log=str(log))),
        sdist(dists, "other", "1.0", backend=Backend(log=str(log))),
    )
    make_project(dependencies=["needy", "other"])
    cli.ok("sync", "-j1")
    assert sorted(builds(log)) == ["needy", "other"]
    log.unlink()
    (tmp_path / "limits.txt").write_text("tool<9\n")
    value = {"--build-constraint": str(tmp_path / "limits.txt"), "-C": "a=1"}
    if changed not in value:
        make_project(f"[tool.pipshim]\n{changed}\n", dependencies=["needy", "other"])
    args = [changed, value[changed]] if changed in value else []
    cli.ok("sync", "-j1", *args)
    assert "needy" in builds(log)
    assert ("other" in builds(log)) == ("package" not in changed and ".needy" not in changed)
    before = len(builds(log))
    cli.ok("sync", "-j1", *args)
    assert len(builds(log)) == before


def test_another_mode_with_other_versions_rebuilds(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, site: Path
) -> None:
    for version in ("1.0", "2.0"):
        files = {"fakelib/__init__.py": f"__version__ = {version!r}\n", "fakelib/lib.h": ""}
        index.add(wheel(dists, "fakelib", version, files=files))  # headers, for every platform
    backend = Backend(["fakelib"], log=str(log))
    index.add(sdist(dists, "needy", "1.0", build_requires=["fakelib"], backend=backend))
    make_project(dependencies=["needy", "fakelib<2"])
    cli.ok("sync")
    assert built(site, "needy")["against"] == {"fakelib": "2.0"}
    cli.ok("sync", "--no-build-isolation")
    assert built(site, "needy")["against"] == {"fakelib": "1.0"}
    cli.ok("sync")
    assert built(site, "needy")["against"] == {"fakelib": "2.0"}
    assert builds(log) == ["needy"] * 2


def test_another_sdist_of_the_same_version_is_built_anew(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, site: Path
) -> None:
    backend = Backend(log=str(log))
    for text in ("one", "two"):
        files: dict[str, str | bytes] = {"needy/__init__.py": f"text = {text!r}\n"}
        index.add(sdist(dists / text, "needy", "1.0", files=files, backend=backend))
        make_project(dependencies=["needy"])
        if text == "two":
            cli.ok("lock", "-U")
        cli.ok("sync")
        assert (site / "needy" / "__init__.py").read_text() == files["needy/__init__.py"]
    assert builds(log) == ["needy"] * 2


def test_nothing_is_kept_of_what_is_built_from_a_folder(
    cli: Cli, make_project: MakeProject, dists: Path, log: Path, site: Path
) -> None:
    folder = source_tree(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))), dists)
    make_project(dependencies=[f"needy @ {folder.as_uri()}"])
    for text in ("one", "two"):
        (folder / "needy" / "__init__.py").write_text(f"text = {text!r}\n")
        cli.ok("sync")
        assert (site / "needy" / "__init__.py").read_text() == f"text = {text!r}\n"
        shutil.rmtree(cli.cwd / ".venv")
    assert builds(log) == ["needy"] * 2
    assert cli.ok("cache", "store", "list", "--format=json").out == "[]\n"


@needs_git
@pytest.mark.parametrize("with_hook", [False, True])
def test_what_was_built_of_a_commit_is_kept(
    cli: Cli, make_project: MakeProject, dists: Path, log: Path, site: Path, with_hook: bool
) -> None:
    tree = source_tree(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))), dists)
    if with_hook:  # as in a repository, where only the backend knows the metadata
        (tree / "PKG-INFO").unlink()
    url = f"git+{tree.as_uri()}"
    first = git_repository(tree)
    make_project(dependencies=[f"needy @ {url}@main"])
    cli.ok("sync")
    shutil.rmtree(cli.cwd / ".venv")
    (cli.cwd / "pylock.toml").unlink()
    cli.ok("sync")
    assert builds(log) == ["needy"]
    (tree / "needy" / "__init__.py").write_text("text = 'two'\n")
    git_repository(tree)
    cli.ok("sync", "-U")
    assert (site / "needy" / "__init__.py").read_text() == "text = 'two'\n"
    assert builds(log) == ["needy"] * 2
    hooks = len(calls(log))
    other = make_project(folder="other", dependencies=[f"needy @ {url}@main"])
    cli.ok("sync", cwd=other)
    cli.ok("lock", "-U", cwd=other)
    assert len(calls(log)) == hooks, "a backend was called for a commit that is known"
    make_project(dependencies=[f"needy @ {url}@{first}"])
    cli.ok("sync", "--reinstall")
    assert "two" not in (site / "needy" / "__init__.py").read_text()
    assert builds(log) == ["needy"] * 2


@needs_git
def test_install_keeps_what_it_built_of_a_commit_whatever_names_it(
    cli: Cli, dists: Path, log: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))), dists)
    commit = git_repository(tree)
    env = make_venv(tmp_path / "env")
    install = ("--python", env, "install", "--force-reinstall", f"git+{tree.as_uri()}@")
    before = 0
    for revision, count in (("main", 1), (commit, 1), ("main", 1)):
        done = cli.ok(*install[:-1], f"{install[-1]}{revision}")
        assert len(builds(log)) == count
        assert ("Successfully built needy" in done.out) is (count > before)
        before = count


@needs_git
def test_a_commit_of_two_repositories_is_built_for_each(
    cli: Cli, make_project: MakeProject, dists: Path, log: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))), dists)
    git_repository(tree)
    shutil.copytree(tree, dists / "fork")
    url = f"git+{tree.as_uri()}"
    # File URLs may have a user, too, which git ignores.
    same = url.replace("file://", "file://user:word@")
    env = make_venv(tmp_path / "env")
    fork = f"git+{(dists / 'fork').as_uri()}"
    cli.ok("--python", env, "install", f"{url}@main")
    for repository, count in ((url, 1), (same, 1), (fork, 2)):
        make_project(dependencies=[f"needy @ {repository}@main"])
        said = cli.ok("sync").err
        assert len(builds(log)) == count
        assert ("up to date" in said) is (repository == same)
    cli.ok("--python", env, "install", "--force-reinstall", f"{fork}@main")
    assert len(builds(log)) == 2


@needs_git
def test_a_checkout_without_its_submodules_is_not_built(
    cli: Cli, make_project: MakeProject, dists: Path, log: Path, site: Path
) -> None:
    tree = source_tree(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))), dists)
    part = dists / "part"
    part.mkdir()
    (part / "module.py").write_text("text = 'of the submodule'\n")
    git_repository(part)
    allow = ["-c", "protocol.file.allow=always"]
    git_repository(tree)
    git(tree, *allow, "submodule", "--quiet", "add", part.as_uri(), "needy/part")
    git_repository(tree)
    make_project(dependencies=[f"needy @ git+{tree.as_uri()}@main"])
    assert "transport 'file' not allowed" in cli("sync").err  # git's default for submodules
    assert builds(log) == []
    for name, value in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        cli.env[f"GIT_CONFIG_{name}"] = value
    cli.ok("sync")
    assert (site / "needy" / "part" / "module.py").read_text() == "text = 'of the submodule'\n"


@needs_git
def test_folders_of_one_commit_or_archive_are_told_apart(
    cli: Cli, make_project: MakeProject, dists: Path, log: Path, site: Path
) -> None:
    names = ("one", "two", "three", "four")
    for name in names:
        tree = sdist(dists, name, "1.0", backend=Backend(log=str(log)))
        source_tree(tree, dists / "both").rename(dists / "both" / name)
    archive = shutil.make_archive(str(dists / "archive"), "zip", dists, "both")
    commit = git_repository(dists / "both")
    places = (f"git+{(dists / 'both').as_uri()}@{commit}", f"file://{archive}")
    urls = (*places[:1] * 2, *places[1:] * 2)
    found = zip(names, urls, strict=True)
    make_project(dependencies=[f"{name} @ {url}#subdirectory={name}" for name, url in found])
    cli.ok("sync")
    assert sorted(builds(log)) == sorted(names)
    assert distributions(cli.cwd / ".venv") == sorted(f"{name}-1.0" for name in names)
    assert all((site / name).is_dir() for name in names)


def test_a_wheel_for_any_python_that_another_one_built_is_not_reused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    other = another_python()
    if other is None:
        pytest.skip("there is no other Python")
    index.add(sdist(dists, "needy", "1.0", backend=Backend(log=str(log))))
    for folder, args in (("project", []), ("other", ["--python", str(other)])):
        directory = make_project(folder=folder, dependencies=["needy"])
        cli.ok("sync", *args, cwd=directory)
        version = built(site_packages(directory / ".venv"), "needy")["python_version"]
        assert version.startswith(f"{other.name[6:]}.") is bool(args)
    assert builds(log) == ["needy"] * 2


def test_a_build_that_two_others_need_is_made_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, site: Path
) -> None:
    slow = Backend(sleep_seconds=0.4, log=str(log))
    index.add(sdist(dists, "tool", "1.0", backend=slow))
    for name in ("one", "two"):
        backend = Backend(["tool"], log=str(log))
        index.add(sdist(dists, name, "1.0", build_requires=["tool"], backend=backend))
    make_project(dependencies=["one", "two"])
    cli.ok("sync", "-j2")
    assert sorted(builds(log)) == ["one", "tool", "two"]
    assert [built(site, name)["against"] for name in ("one", "two")] == [{"tool": "1.0"}] * 2


def test_two_processes_build_the_same_thing_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    slow = Backend(sleep_seconds=1, log=str(log))
    index.add(sdist(dists, "needy", "1.0", backend=slow))
    folders = [make_project(folder=name, dependencies=["needy"]) for name in ("one", "two")]
    for folder in folders:
        cli.ok("lock", cwd=folder)
    running = [cli.start("sync", cwd=folder) for folder in folders]
    for process in running:
        with process:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, out + err
    assert builds(log) == ["needy"]
    for folder in folders:
        assert distributions(folder / ".venv") == ["needy-1.0"]


# --- locked build environments


def test_build_environments_are_locked_with_files_and_hashes_each_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "tool", "1.0", requires=["helper"]))
    libraries(index, dists, "helper", "1.0", tag="py3-none-any")
    for name in ("one", "two"):
        index.add(sdist(dists, name, "1.0", build_requires=["tool"]))
    make_project(dependencies=["one", "two"])
    locked = lock(cli)
    assert len(locked.tool["build-environments"]) == 1
    assert locked.environment("one") == locked.environment("two") == ["helper==1.0", "tool==1.0"]
    entries = {entry["name"]: entry for entry in locked.tool["packages"]}
    assert sorted(entries) == ["helper", "tool"]
    assert not {"helper", "tool"} & set(locked.packages)
    for name, entry in entries.items():
        (file,) = entry["wheels"]
        assert file["hashes"] == {"sha256": index.sha256(f"{name}-1.0-py3-none-any.whl")}
        assert file["size"] > 0


def test_sync_takes_build_environments_from_the_lock_and_never_resolves(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    index.add(sdist(dists, "nested", "1.0", build_requires=["tool"]))
    index.add(sdist(dists, "needy", "1.0", build_requires=["nested"], backend=Backend(["nested"])))
    make_project(dependencies=["needy"])
    lock(cli)
    forget(cli)
    libraries(index, dists, "tool", "2.0", tag="py3-none-any")
    index.add(sdist(dists, "nested", "2.0", build_requires=["tool"]))
    index.fail = {f"/simple/{name}/": 503 for name in ("tool", "nested", "needy")}
    index.requests.clear()
    cli.ok("sync")
    assert built(site, "needy")["installed"] == {"nested": "1.0"}
    assert not [line for line in index.requests if "/simple/" in line]


def test_a_newer_build_backend_changes_nothing_until_it_is_upgraded(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    libraries(index, dists, "aside", "1.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"]))
    make_project(dependencies=["needy"])
    assert lock(cli).environment("needy") == ["tool==1.0"]
    libraries(index, dists, "tool", "2.0", tag="py3-none-any")
    make_project(dependencies=["needy", "aside"])
    assert lock(cli).environment("needy") == ["tool==1.0"]
    assert lock(cli, "-P", "tool").environment("needy") == ["tool==2.0"]
    libraries(index, dists, "tool", "3.0", tag="py3-none-any")
    assert lock(cli, "-P", "aside").environment("needy") == ["tool==2.0"]
    assert lock(cli, "-U").environment("needy") == ["tool==3.0"]


def test_each_build_environment_keeps_its_own_pins(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    libraries(index, dists, "tool", "1.0", "2.0", tag="py3-none-any")
    libraries(index, dists, "aside", "1.0", tag="py3-none-any")
    index.add(
        sdist(dists, "new", "1.0", build_requires=["tool"]),
        sdist(dists, "old", "1.0", build_requires=["tool<2"]),
    )
    make_project(dependencies=["new", "old"])
    first = lock(cli)
    assert (first.environment("new"), first.environment("old")) == (["tool==2.0"], ["tool==1.0"])
    libraries(index, dists, "tool", "1.5", "2.5", tag="py3-none-any")
    make_project(dependencies=["new", "old", "aside"])
    second = lock(cli)
    assert (second.environment("new"), second.environment("old")) == (["tool==2.0"], ["tool==1.0"])


@pytest.mark.parametrize(("kind", "page"), [("wheel", "old"), ("wheel", "new"), ("sdist", "new")])
def test_a_changed_file_of_a_build_environment_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, kind: str, page: str
) -> None:
    maker: Any = wheel if kind == "wheel" else sdist
    file = maker(dists, "tool", "1.0")
    other = maker(dists / "other", "tool", "1.0", files={"tool/__init__.py": "evil = True\n"})
    index.add(file)
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"]))
    make_project(dependencies=["needy"])
    lock(cli)
    forget(cli)
    if page == "old":
        index.tamper(file.name, other.read_bytes())
    else:
        index.add(other)
    said = cli.fails("sync").err
    assert "tool" in said
    assert file.name in said
    assert "sha256" in said
    assert not (cli.cwd / ".venv").exists()


def test_a_file_of_a_build_environment_without_a_hash_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    libraries(index, dists, "tool", "1.0", tag="py3-none-any")
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"]))
    make_project(dependencies=["needy"])
    locked = lock(cli)
    digest = index.sha256("tool-1.0-py3-none-any.whl")
    bare = re.sub(rf'sha256 = "{digest}"', 'md5 = "0"', locked.text)
    assert bare != locked.text
    (cli.cwd / "pylock.toml").write_text(bare)
    forget(cli)
    said = cli.fails("sync").err
    assert "tool-1.0-py3-none-any.whl" in said
    assert "sha256" in said
    assert not (cli.cwd / ".venv").exists()


# --- build environments that are used again

LEAVES_A_MODULE = """
import pathlib, sysconfig
left = pathlib.Path(sysconfig.get_path("purelib"), "left.py")
if left.exists():
    raise SystemExit("another build was here")
left.write_text("")
"""
NOTES_ITS_PARENT = """
import os
with open({log!r}, "a") as log:
    log.write(f"{{os.getppid()}}\\n")
"""


def test_what_a_build_leaves_in_its_environment_no_other_build_sees(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tool_wheels: Mapping[str, Path]
) -> None:
    index.add(tool_wheels["setuptools"])
    for name in ("one", "two"):
        index.add(setuptools_sdist(dists, name, "1.0", setup_py=LEAVES_A_MODULE))
    make_project(dependencies=["one", "two"])
    cli.ok("sync", "-j1")
    assert distributions(cli.cwd / ".venv") == ["one-1.0", "two-1.0"]


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
def test_builds_in_equal_environments_import_the_backend_once(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    log: Path,
    tool_wheels: Mapping[str, Path],
) -> None:
    index.add(tool_wheels["setuptools"])
    notes = NOTES_ITS_PARENT.format(log=str(log))
    for name in ("one", "two", "three"):
        index.add(setuptools_sdist(dists, name, "1.0", setup_py=notes))
    make_project(dependencies=["one", "two", "three"])
    cli.ok("lock", "-j1")
    assert len(set(log.read_text().split())) == 1
    log.unlink()
    cli.ok("sync", "-j1")
    assert len(log.read_text().split()) == 3
    assert len(set(log.read_text().split())) == 1


# --- order and parallelism


def chain(index: Index, dists: Path, *backends: Backend) -> list[str]:
    """Offer c, which requires b, which requires a; each imports the one before as it is built."""
    names: list[str] = []
    for name, backend in zip("abc", backends, strict=True):
        index.add(sdist(dists, name, "1.0", requires=names[-1:], backend=backend))
        names.append(name)
    return names


def test_a_chain_of_builds_each_sees_the_one_before(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    chain(index, dists, Backend(), Backend(["a"]), Backend(["b", "a"]))
    make_project(BARE, dependencies=["c"])
    cli.ok("sync", "-j4")
    assert built(site, "b")["against"] == {"a": "1.0"}
    assert built(site, "c")["against"] == {"b": "1.0", "a": "1.0"}


def test_a_build_without_isolation_waits_for_its_extra_build_dependencies_too(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path
) -> None:
    index.add(sdist(dists, "aaa", "1.0", backend=Backend(["zzz"])), sdist(dists, "zzz", "1.0"))
    make_project(f'{BARE}extra-build-dependencies.aaa = ["zzz"]\n', dependencies=["aaa", "zzz"])
    cli.ok("sync")
    assert built(site, "aaa")["against"] == {"zzz": "1.0"}


def test_isolated_builds_wait_for_their_build_environment_only(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    slow = Backend(starts=3, log=str(log))
    libraries(index, dists, "fakelib", "1.0")
    index.add(
        sdist(dists, "low", "1.0", backend=slow),
        sdist(dists, "isolated", "1.0", requires=["low"], backend=slow),
        sdist(
            dists,
            "matched",
            "1.0",
            requires=["isolated", "low"],
            build_requires=["fakelib"],
            backend=slow,
        ),
    )
    make_project(dependencies=["matched", "isolated", "fakelib"])
    cli.ok("sync", "-j3")
    assert at_once(log) == 3


def at_once(log: Path) -> int:
    """Tell how many builds ran at the same time, at most."""
    running = most = 0
    for call in calls(log):
        if call.hook == "build_wheel":
            running += {"start": 1, "end": -1}[call.event]
            most = max(most, running)
    return most


@pytest.mark.parametrize("jobs", [1, 2, None])
@pytest.mark.parametrize("mode", ["isolated", "no-isolation"])
def test_as_many_builds_run_at_once_as_jobs_says(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    dists: Path,
    log: Path,
    jobs: int | None,
    mode: str,
) -> None:
    expected = jobs or min(3, available_cores())
    slow = Backend(starts=expected, sleep_seconds=0.4, log=str(log))
    for name in ("one", "two", "three"):
        index.add(sdist(dists, name, "1.0", backend=slow))
    make_project(BARE if mode == "no-isolation" else "", dependencies=["one", "two", "three"])
    cli.ok("sync", *([] if jobs is None else ["-j", str(jobs)]))
    assert at_once(log) == expected


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_command_bound_to_one_core_runs_one_build_at_a_time(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        index.add(sdist(dists, name, "1.0", backend=Backend(sleep_seconds=0.4, log=str(log))))
    make_project(dependencies=["one", "two", "three"])
    bound = tmp_path / "bound-python"
    bound.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n",
        encoding="utf-8",
    )
    bound.chmod(0o755)
    done = cli("sync", python=bound)
    assert done.status == 0, str(done)
    assert at_once(log) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_builds_for_other_builds_count_among_the_jobs(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, jobs: int
) -> None:
    slow = Backend(starts=jobs, sleep_seconds=0.3, log=str(log))
    for name in ("one", "two", "three"):
        index.add(sdist(dists, f"for-{name}", "1.0", backend=slow))
        index.add(sdist(dists, name, "1.0", backend=slow, build_requires=[f"for-{name}"]))
    make_project(dependencies=["one", "two", "three"])
    cli.ok("sync", "-j", str(jobs))
    assert at_once(log) == jobs


def test_builds_at_once_have_each_their_own_variables_and_folder(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path, site: Path
) -> None:
    for name in ("one", "two"):
        slow = Backend(starts=2, log=str(log))
        index.add(sdist(dists, name, "1.0", backend=slow))
    make_project(
        '[tool.pipshim.extra-build-variables]\none = { WHO = "one" }\ntwo = { WHO = "two" }\n',
        dependencies=["one", "two"],
    )
    code = "import os; print(os.environ.get('WHO'), os.getcwd())"
    assert cli.ok("run", "-j2", "python", "-c", code).out == f"None {cli.cwd}\n"
    assert at_once(log) == 2
    facts = [built(site, name) for name in ("one", "two")]
    assert [one["variables"]["WHO"] for one in facts] == ["one", "two"]
    assert len({str(cli.cwd), *(one["cwd"] for one in facts)}) == 3


def test_a_backend_may_close_its_streams(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(sdist(dists, "needy", "1.0", backend_source=CLOSES_ITS_STREAMS))
    make_project(dependencies=["needy"])
    cli.ok("sync", timeout=PATIENCE)
    assert distributions(cli.cwd / ".venv") == ["needy-1.0"]


SHARED = ("MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "NPY_NUM_BUILD_JOBS")


def test_parallel_builds_share_the_cores_and_a_lone_one_gets_no_job_variables(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, site: Path, tmp_path: Path
) -> None:
    cores = available_cores()
    tools = tmp_path / "tools"
    tools.mkdir()
    versions = {"make": "GNU Make 4.4.1", "gmake": "GNU Make 4.4.1", "ninja": "1.11.1"}
    for program, version in versions.items():
        (tools / program).write_text(f"#!/bin/sh\necho {version}\n")
        (tools / program).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    env = {"NPY_NUM_BUILD_JOBS": "77", "PATH": path}
    for name in ("one", "two"):
        index.add(sdist(dists, name, "1.0", backend=Backend(sleep_seconds=0.4)))
    index.add(sdist(dists, "lone", "1.0"))
    make_project(dependencies=["one", "two"])
    cli.ok("sync", "-j2", env=env)
    share = max(1, cores // 2)
    variables = built(site, "one")["variables"]
    # The old ninja has its number from a script, which CMake runs too.
    assert [variables.get(name) for name in SHARED] == [str(share), None, "77"]
    assert variables["MAKEFLAGS"].startswith(f" -j{cores} --jobserver-auth=fifo:")
    make_project(dependencies=["one", "two", "lone"])
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync", "-j2", env=env)  # one and two are in the cache
    variables = built(site, "lone")["variables"]
    assert [variables.get(name) for name in SHARED] == [None, None, "77"]
    assert "MAKEFLAGS" not in variables


def test_a_failed_build_stops_what_needs_it_and_lets_the_running_finish(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, log: Path
) -> None:
    failing = Backend(fail_in="build_wheel", starts=2, log=str(log))
    index.add(
        sdist(dists, "bad", "1.0", backend=failing),
        sdist(dists, "good", "1.0", backend=Backend(sleep_seconds=1, log=str(log))),
        sdist(dists, "needs-bad", "1.0", requires=["bad"], backend=Backend(log=str(log))),
    )
    make_project(BARE, dependencies=["bad", "good", "needs-bad"])
    failed = cli("sync", "-j2")
    assert failed.status == 1, str(failed)
    assert "bad 1.0" in failed.err
    ends = [one.name for one in calls(log) if one.hook == "build_wheel" and one.event == "end"]
    assert ends == ["good"]
    assert "needs-bad" not in failed.err
    assert not (cli.cwd / ".venv").exists()
    assert cli("sync", "-j2").status == 1
    assert builds(log).count("good") == 1  # it was kept


# --- the table


def test_every_scenario_of_the_table_is_the_name_of_a_test() -> None:
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    text = (ROOT / "docs" / "explanation" / "build-isolation.md").read_text("utf-8")
    rows = re.findall(r"^\| `(test_\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    named = [name for name, *_ in rows]
    assert len(named) > 70
    assert not set(named) - tests
    assert len(named) == len(set(named))
    assert not [row for row in rows if not all(re.search(r"\w", cell) for cell in row)]
    script = (ROOT / "benchmarks" / "isolation_scenarios.py").read_text("utf-8")
    played = {f"test_{name}" for name in re.findall(r"^@scenario\ndef (\w+)", script, re.MULTILINE)}
    assert set(named) - played == {"test_all_other_cache_commands_are_pips"}
    assert not played - set(named)
