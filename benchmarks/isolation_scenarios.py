"""What pipshim, uv and pip do in the scenarios of docs/build-isolation.md: a table, as seen.

Every scenario starts with empty caches, no environment and a local index of tiny distributions
whose in-tree backends note what they were built with. uv and pip are those beside this interpreter
(or on PATH). Run it from the project's folder: ``python -m benchmarks.isolation_scenarios``; names
of scenarios, or parts of names, choose some.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.backend import Backend  # noqa: E402
from tests.support.dists import project, repack, sdist, setuptools_sdist, wheel  # noqa: E402
from tests.support.facts import built, calls  # noqa: E402
from tests.support.files import distributions  # noqa: E402
from tests.support.index import Index  # noqa: E402
from tests.support.pipshim import make_venv, site_packages  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Scenario = Callable[["World"], str]

TOOLS = ("pipshim", "uv", "pip")
NOTHING = "no such setting"
PATIENCE = 60
"""Seconds after which a command is taken not to end."""
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Enter a scenario; its name is that of the test."""
    SCENARIOS[f"test_{function.__name__}"] = function
    return function


@dataclass
class Done:
    """What a command did."""

    status: int
    output: str

    @property
    def why(self) -> str:
        """Tell the line that says why it failed, without paths."""
        for pattern in (r"ModuleNotFoundError.*", r"(?m)^\s*(?:error|ERROR).*", r".+"):
            found = re.findall(pattern, self.output)
            if found:
                return (
                    re.sub(r"\S*/\S*", "…", str(found[-1]))
                    .strip(" |\n")
                    .removeprefix("error: ")
                    .removeprefix("ERROR: ")[:90]
                )
        return f"status {self.status}"


@dataclass
class World:
    """One tool, its caches, an index and a project folder.

    Attributes:
        tool: one of `TOOLS`.
        root: the folder of all of it.
        index: the index.
        table: settings, as [tool.uv] and [tool.pipshim] have them.
        options: further options for the next commands.

    """

    tool: str
    root: Path
    index: Index
    table: str = ""
    options: tuple[str, ...] = ()
    folder: str = "project"
    project_parts: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What backends note."""
        return self.root / "log"

    @property
    def here(self) -> Path:
        """The project."""
        return self.root / self.folder

    @property
    def dists(self) -> Path:
        """Where distributions are made."""
        return self.root / "dists"

    @property
    def site(self) -> Path:
        """The packages of the project's environment."""
        return site_packages(self.here / ".venv")

    def wheels(self, name: str, *versions: str, native: bool = True) -> None:
        """Offer wheels."""
        for version in versions:
            tag = "native" if native else "py3-none-any"
            self.index.add(wheel(self.dists, name, version, tag=tag))

    def source(self, name: str, version: str = "1.0", **parts: Any) -> None:
        """Offer an sdist that notes its hooks; `backend` is given by its parts."""
        backend = Backend(**parts.pop("backend", {}), log=str(self.log))
        self.index.add(sdist(self.dists, name, version, backend=backend, **parts))

    def write(self, dependencies: Sequence[str]) -> None:
        """Write the project."""
        text = f"[tool.{self.tool}]\n{self.table}" if self.table else ""
        project(
            self.here,
            text.replace("[[tool.X.", f"[[tool.{self.tool}."),
            requires_python=">=3.10",
            dependencies=dependencies,
            **self.project_parts,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start the tool in the project."""
        for name in ("home", "cache"):
            (self.root / name).mkdir(exist_ok=True)
        kept = {"PATH", "LANG", "PYENV_ROOT", "PYENV_VERSION"}
        environ = {key: value for key, value in os.environ.items() if key in kept} | {
            "HOME": str(self.root / "home"),
            "NO_PROXY": "127.0.0.1",
            "PIP_INDEX_URL": self.index.url,
            "PIP_CACHE_DIR": str(self.root / "cache" / "pip"),
            "PIPSHIM_CACHE_DIR": str(self.root / "cache" / "pipshim"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_RETRIES": "0",
            "PYTHONPATH": str(ROOT) if self.tool == "pipshim" else "",
            "UV_DEFAULT_INDEX": self.index.url,
            "UV_CACHE_DIR": str(self.root / "cache"),
            "UV_NO_CONFIG": "",
            "UV_PYTHON": str(Path(sys.executable).resolve()),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_HTTP_RETRIES": "0",
        }
        return subprocess.Popen(
            command,
            cwd=self.here,
            env={key: value for key, value in environ.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> Done:
        """Run the tool to its end."""
        with self.start(*command) as process:
            try:
                output, _ = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.terminate()
                return Done(1, f"error: it does not end (ended by hand after {PATIENCE} s)")
        return Done(process.returncode, output)

    def sync_command(self, dependencies: Sequence[str], *, frozen: bool = False) -> list[str]:
        """Tell the command that makes the environment what the project asks for."""
        if self.tool == "uv":
            return [uv(), "sync", *(["--frozen"] if frozen else []), *self.options]
        if self.tool == "pipshim":
            frozen_option = ["--frozen"] if frozen else []
            return [sys.executable, "-m", "pipshim", "sync", *frozen_option, *self.options]
        python = self.here / ".venv" / "bin" / "python"
        if not python.exists():
            make_venv(self.here / ".venv")
        install = [sys.executable, "-m", "pip", "--python", str(python), "install"]
        install += ["--no-build-isolation"] if "no-build-isolation = true" in self.table else []
        if frozen:
            return [*install, *self.options, "-r", "pylock.toml"]
        editable = ["-e", "."] if "backend" in self.project_parts else []
        return [*install, *self.options, *editable, *dependencies]

    def sync(self, *dependencies: str) -> Done:
        """Write the project, and make its environment what that asks for."""
        self.write(dependencies)
        return self.run(*self.sync_command(dependencies))

    def lock(self, *dependencies: str) -> Done:
        """Write the project, and lock it."""
        self.write(dependencies)
        if self.tool == "uv":
            return self.run(uv(), "lock", *self.options)
        if self.tool == "pipshim":
            return self.run(sys.executable, "-m", "pipshim", "lock", *self.options)
        self.sync_command(dependencies)  # makes the environment
        python = str(self.here / ".venv" / "bin" / "python")
        command = [sys.executable, "-m", "pip", "--python", python, "lock", *self.options]
        command += ["--no-build-isolation"] if "no-build-isolation = true" in self.table else []
        return self.run(*command, *dependencies)

    def from_lock(self) -> Done:
        """Make the environment what the lock says."""
        return self.run(*self.sync_command((), frozen=True))

    def new_environment(self) -> None:
        """Remove the environment."""
        shutil.rmtree(self.here / ".venv", ignore_errors=True)

    def forget(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.root / "cache", ignore_errors=True)

    def count(self, *hooks: str) -> int:
        """Count the hooks that were called."""
        wanted = hooks or ("build_wheel",)
        return sum(one.event == "start" and one.hook in wanted for one in calls(self.log))

    @property
    def builds(self) -> str:
        """Tell how many wheels were built."""
        return f"{self.count()} build{'' if self.count() == 1 else 's'}"

    def against(self, name: str) -> str:
        """Tell the libraries that a package was built against."""
        found: dict[str, str] = built(self.site, name)["against"]
        return f"{name} built against " + ", ".join(f"{k} {v}" for k, v in found.items())


def uv() -> str:
    """Find uv."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.exit("uv is not there: pip install uv")
    return found


def bare(world: World) -> None:
    """Switch build isolation off."""
    world.table = "no-build-isolation = true\n"


def outcome(done: Done, told: Callable[[], str]) -> str:
    """Tell why it failed, or what came of it."""
    return told() if done.status == 0 else f"fails: {done.why}"


@scenario
def a_fresh_clone_locks_and_syncs_in_one_command(world: World) -> str:
    """Metadata and build import fakelib, undeclared."""
    bare(world)
    world.wheels("fakelib", "1.0", "2.0")
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {"imports": ["fakelib"], "dynamic_requires": ["low=={fakelib}"]}
    world.source("needy", backend=needy)
    return outcome(world.sync("needy", "fakelib<2"), lambda: world.against("needy"))


@scenario
def the_lock_is_the_same_whatever_is_installed(world: World) -> str:
    """Lock with an empty environment, and with another fakelib installed."""
    bare(world)
    world.wheels("fakelib", "1.0", "2.0")
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {"imports": ["fakelib"], "dynamic_requires": ["low=={fakelib}"]}
    world.source("needy", backend=needy)
    world.write([])
    make_venv(world.here / ".venv")
    done = world.lock("needy", "fakelib<2")
    empty = outcome(done, lambda: f"low {_locked(world, 'low')}")
    for name in ("pylock.toml", "uv.lock"):
        (world.here / name).unlink(missing_ok=True)
    world.forget()
    python = str(world.here / ".venv" / "bin" / "python")
    world.run(sys.executable, "-m", "pip", "--python", python, "install", "fakelib==2.0")
    done = world.lock("needy", "fakelib<2")
    other = outcome(done, lambda: f"low {_locked(world, 'low')}")
    return f"empty: {empty}; with fakelib 2.0 installed: {other}"


@scenario
def static_metadata_is_read_and_no_hook_of_it_is_called(world: World) -> str:
    """PKG-INFO of Metadata 2.2 without dynamic fields."""
    world.source("src")
    done = world.lock("src")
    hooks = ("prepare_metadata_for_build_wheel", "build_wheel")
    return outcome(done, lambda: f"{world.count(*hooks)} calls of a metadata hook")


@scenario
def metadata_written_in_the_configuration_is_used_and_no_hook_is_called(world: World) -> str:
    """See what is done where the backend cannot tell its metadata."""
    if world.tool == "pip":
        return NOTHING
    world.source("needy", backend={"fail_in": "metadata"}, static_metadata=False)
    world.wheels("low", "1.0", native=False)
    world.table = (
        '[[tool.X.dependency-metadata]]\nname = "needy"\nversion = "1.0"\nrequires-dist = ["low"]\n'
        "[tool.X.extra-build-dependencies]\nneedy = []\n"
    ).replace("[tool.X.", f"[tool.{world.tool}.")
    return outcome(world.lock("needy"), lambda: f"low {_locked(world, 'low')} locked")


@scenario
def metadata_is_kept_with_a_record_and_asked_for_again_when_that_no_longer_holds(
    world: World,
) -> str:
    """Let fakelib decide on what is required: lock twice, then with another fakelib."""
    world.wheels("fakelib", "1.0")
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {"imports": ["fakelib"], "dynamic_requires": ["low=={fakelib}"]}
    world.source("needy", build_requires=["fakelib"], backend=needy)
    hook = "prepare_metadata_for_build_wheel"
    numbers = []
    for step in range(3):
        for name in ("pylock.toml", "uv.lock"):
            (world.here / name).unlink(missing_ok=True)
        if step == 2:  # noqa: PLR2004 the third
            world.wheels("fakelib", "2.0")
        done = world.lock("needy", "fakelib")
        if done.status:
            return f"fails: {done.why}"
        numbers.append(world.count(hook))
    again = "no hook" if numbers[1] == numbers[0] else "the hook again"
    return f"second lock: {again}; with fakelib 2.0 it locks low {_locked(world, 'low')}"


@scenario
def an_sdist_that_is_a_candidate_only_is_not_built(world: World) -> str:
    """Offer a newest version that is only an sdist, and is not admitted by what comes later."""
    world.source("aa", "2.0", static_metadata=False)
    world.source("aa", "0.5", static_metadata=False)
    world.index.add(wheel(world.dists, "aa", "1.0"))
    world.index.add(wheel(world.dists, "zz", "1.0", requires=["aa<2"]))
    done = world.lock("aa", "zz")
    hooks = ("prepare_metadata_for_build_wheel", "build_wheel")
    return outcome(done, lambda: f"{world.count(*hooks)} metadata hooks called")


def _declares(world: World) -> None:
    world.wheels("fakelib", "1.0", "2.0")
    world.source("needy", build_requires=["fakelib"], backend={"imports": ["fakelib"]})


@scenario
def a_declared_library_is_built_against_in_the_version_of_the_lock(world: World) -> str:
    """Have fakelib 1.0 at run time, 2.0 is the newest; nothing is configured."""
    _declares(world)
    return outcome(world.sync("needy", "fakelib<2"), lambda: world.against("needy"))


@scenario
def what_a_backend_asks_for_is_matched_too_and_its_metadata_follows(world: World) -> str:
    """get_requires_for_build_wheel returns fakelib."""
    world.wheels("fakelib", "1.0", "2.0")
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {
        "imports": ["fakelib"],
        "imports_at": ["metadata", "build_wheel"],
        "get_requires": ["fakelib"],
        "dynamic_requires": ["low=={fakelib}"],
    }
    world.source("needy", backend=needy)
    done = world.sync("needy", "fakelib<2")
    return outcome(done, lambda: f"{world.against('needy')}; {_installed(world, 'low')} installed")


@scenario
def extra_build_dependencies_are_added_and_matched_if_they_say_so(world: World) -> str:
    """One package with a plain extra requirement, one with match-runtime."""
    if world.tool == "pip":
        return NOTHING
    world.wheels("fakelib", "1.0", "2.0")
    for name in ("plain", "same"):
        world.source(name, backend={"imports": ["fakelib"]})
    world.table = (
        'extra-build-dependencies.plain = ["fakelib"]\nextra-build-dependencies.same = '
        '[{ requirement = "fakelib", match-runtime = true }]\n'
    )
    if world.tool == "pipshim":
        world.table += "match-runtime = []\n"
    done = world.sync("plain", "same", "fakelib<2")
    return outcome(done, lambda: f"{world.against('plain')}; {world.against('same')}")


@scenario
def extra_variables_and_config_settings_reach_the_build_of_their_package_only(
    world: World,
) -> str:
    """For one of two packages."""
    if world.tool == "pip":
        return NOTHING
    for name in ("one", "two"):
        world.source(name)
    world.table = (
        'extra-build-variables.one = { SKIP_CUDA = "TRUE" }\n'
        'config-settings-package.one = { a = "1" }\n'
    )
    done = world.sync("one", "two")

    def told(name: str) -> str:
        facts = built(world.site, name)
        return f"{name}: {facts['variables'].get('SKIP_CUDA')}, {facts['config_settings']}"

    return outcome(done, lambda: f"{told('one')}; {told('two')}")


@scenario
def build_constraints_limit_build_environments_and_nothing_else(world: World) -> str:
    """tool<2 for builds, tool unlimited at run time."""
    world.wheels("tool", "1.0", "2.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if world.tool == "pip":
        (world.root / "limits.txt").write_text("tool<2\n")
        world.options = ("--build-constraint", str(world.root / "limits.txt"))
    else:
        world.table = 'build-constraint-dependencies = ["tool<2"]\n'
    done = world.sync("needy", "tool")
    return outcome(done, lambda: f"{world.against('needy')}; {_installed(world, 'tool')} installed")


@scenario
def a_build_requirement_may_need_a_build_itself(world: World) -> str:
    """Need nested, which is an sdist that needs tool."""
    world.wheels("tool", "1.0", native=False)
    world.source("nested", build_requires=["tool"])
    world.source("needy", build_requires=["nested"], backend={"imports": ["nested"]})
    return outcome(world.sync("needy"), lambda: world.against("needy"))


@scenario
def a_cycle_of_build_requirements_is_shown(world: World) -> str:
    """Let hen need egg to build, and egg hen."""
    world.source("hen", build_requires=["egg"])
    world.source("egg", build_requires=["hen"])
    return outcome(world.sync("hen"), lambda: "builds")


@scenario
def a_build_requirement_may_be_a_direct_url(world: World) -> str:
    """Require tool @ http://…/tool-1.0-py3-none-any.whl."""
    world.wheels("tool", "1.0", "2.0", native=False)
    url = f"tool @ {world.index.file_url('tool-1.0-py3-none-any.whl')}"
    world.source("needy", build_requires=[url], backend={"imports": ["tool"]})
    return outcome(world.sync("needy"), lambda: world.against("needy"))


@scenario
def a_source_without_pyproject_toml_gets_pips_defaults(world: World) -> str:
    """setup.py alone."""
    world.index.add(repack("setuptools", world.dists))
    world.index.add(setuptools_sdist(world.dists, "old", "1.0", legacy=True))
    return outcome(world.sync("old"), lambda: f"{_installed(world, 'old')} built")


@scenario
def the_projects_own_build_has_a_mode_like_any(world: World) -> str:
    """Build an editable that declares fakelib, isolated: 1.0 at run time."""
    world.wheels("fakelib", "1.0", "2.0")
    backend = Backend(imports=["fakelib"], imports_at=["build_editable"])
    world.project_parts = {"build_requires": ["fakelib"], "backend": backend}
    return outcome(world.sync("fakelib<2"), lambda: world.against("demo"))


def _torn(world: World, *, imports: bool = True) -> None:
    bare(world)
    world.wheels("torch", "1.0", "2.0")
    world.wheels("aside", "1.0", "2.0", native=False)
    parts = {"backend": {"imports": ["torch"]}} if imports else {"build_requires": ["torch"]}
    world.source("natten", **parts)


def _prepared(world: World, *torch: str) -> Done:
    """Put what a no-isolation build needs there first, as uv and pip want it; then sync."""
    if world.tool == "uv":
        world.write(["natten", *torch])
        if not (world.here / ".venv").exists():
            world.run(uv(), "venv")
        # Named, since UV_PYTHON would have uv install into the environment that runs this.
        python = str(world.here / ".venv" / "bin" / "python")
        world.run(uv(), "pip", "install", "--python", python, *torch)
    if world.tool == "pip":
        world.sync(*torch)
    return world.sync("natten", *torch)


def _after_upgrade(world: World) -> str:
    for requirement in ("torch==1.0", "torch==2.0"):
        if (done := _prepared(world, requirement)).status:
            return f"fails: {done.why}"
    kept = "rebuilds" if world.count() > 1 else "keeps the installed wheel"
    world.new_environment()
    if (done := _prepared(world, "torch==2.0")).status:
        return f"{kept}; fails: {done.why}"
    torch = built(world.site, "natten")["installed"].get("torch")
    return f"{kept}; in a new environment natten is built against torch {torch}"


@scenario
def a_wheel_built_without_isolation_is_rebuilt_when_what_it_imported_changes(
    world: World,
) -> str:
    """Import torch, undeclared; torch 1.0, then 2.0."""
    _torn(world)
    return _after_upgrade(world)


@scenario
def a_declared_build_requirement_counts_though_it_was_not_imported(world: World) -> str:
    """Declare torch and import nothing."""
    _torn(world, imports=False)
    return _after_upgrade(world)


@scenario
def torch_put_back_reuses_the_wheel_that_was_built_against_it(world: World) -> str:
    """Install torch 1.0, 2.0, 1.0: how many builds, and against what in the end."""
    _torn(world)
    for version in ("1.0", "2.0", "1.0"):
        if (done := _prepared(world, f"torch=={version}")).status:
            return f"fails: {done.why}"
    return f"{world.builds}; {world.against('natten')}"


@scenario
def an_unrelated_distribution_changes_and_the_wheel_stays(world: World) -> str:
    """Let aside go from 1.0 to 2.0."""
    _torn(world)
    for version in ("1.0", "2.0"):
        if (done := _prepared(world, "torch==1.0", f"aside=={version}")).status:
            return f"fails: {done.why}"
    return world.builds


@scenario
def the_same_lock_in_another_project_reuses_the_wheel(world: World) -> str:
    """Sync the same requirements in another folder."""
    _torn(world)
    for world.folder in ("project", "second"):
        if (done := _prepared(world, "torch==1.0")).status:
            return f"fails: {done.why}"
    return world.builds


@scenario
def a_changed_build_setting_rebuilds(world: World) -> str:
    """Change a config setting, a build constraint (other tool) and a variable, one by one."""
    world.wheels("tool", "1.0", "2.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if (done := world.sync("needy")).status:
        return f"fails: {done.why}"
    told = []
    (world.root / "limits.txt").write_text("tool<2\n")
    changes: dict[str, tuple[str, tuple[str, ...]]] = {
        "config setting": ("", ("-C", "a=1")),
        "build constraint": ('build-constraint-dependencies = ["tool<2"]\n', ()),
        "variable": ('extra-build-variables.needy = { X = "1" }\n', ()),
    }
    if world.tool == "pip":
        del changes["variable"]
        changes["build constraint"] = ("", ("--build-constraint", str(world.root / "limits.txt")))
    if world.tool == "uv":
        changes["config setting"] = ('config-settings = { a = "1" }\n', ())
    for what, (world.table, world.options) in changes.items():
        before = world.count()
        kept = world.sync("needy")
        in_place = world.count() > before
        world.new_environment()
        world.sync("needy")
        anew = world.count() > before
        verdict = "rebuilds" if in_place else "rebuilds in a new environment only"
        told.append(f"{what}: {outcome(kept, lambda: verdict if anew else 'reuses')}")  # noqa: B023
    return "; ".join(told)


@scenario
def another_mode_with_other_versions_rebuilds(world: World) -> str:
    """Isolated against fakelib 2.0, then without isolation with 1.0."""
    world.wheels("fakelib", "1.0", "2.0", native=False)
    world.source("needy", build_requires=["fakelib"], backend={"imports": ["fakelib"]})
    if (done := world.sync("needy", "fakelib<2")).status:
        return f"fails: {done.why}"
    bare(world)
    done = world.sync("needy", "fakelib<2")
    return outcome(done, lambda: world.against("needy"))


@scenario
def two_processes_build_the_same_thing_once(world: World) -> str:
    """Two projects at the same time."""
    world.source("needy", backend={"sleep_seconds": 2})
    commands = []
    for world.folder in ("one", "two"):
        world.write(["needy"])
        commands.append((world.folder, world.sync_command(["needy"])))
    running = []
    for world.folder, command in commands:
        running.append(world.start(*command))
    for process in running:
        process.communicate(timeout=PATIENCE)
    return world.builds


@scenario
def build_environments_are_locked_with_files_and_hashes_each_once(world: World) -> str:
    """Whether the lock names tool, which only builds need."""
    world.wheels("tool", "1.0", native=False)
    world.source("needy", build_requires=["tool"])
    done = world.lock("needy")
    digest = world.index.sha256("tool-1.0-py3-none-any.whl")
    found = "its file and hash" if digest in _lock_text(world) else "nothing about it"
    return outcome(done, lambda: f"the lock has {found}")


@scenario
def a_newer_build_backend_changes_nothing_until_it_is_upgraded(world: World) -> str:
    """Locked with tool 1.0; tool 2.0 appears; installed from the lock on another machine."""
    world.wheels("tool", "1.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if (done := world.lock("needy")).status:
        return f"fails: {done.why}"
    world.forget()
    world.wheels("tool", "2.0", native=False)
    return outcome(world.from_lock(), lambda: world.against("needy"))


@scenario
def sync_takes_build_environments_from_the_lock_and_never_resolves(world: World) -> str:
    """Let the index have its files still, but answer 503 for its pages."""
    world.wheels("tool", "1.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if (done := world.lock("needy")).status:
        return f"fails: {done.why}"
    world.forget()
    world.index.fail = {f"/simple/{name}/": 503 for name in ("tool", "needy")}
    return outcome(world.from_lock(), lambda: world.against("needy"))


@scenario
def a_changed_file_of_a_build_environment_is_refused(world: World) -> str:
    """Put another file of tool 1.0 on the index after the lock was made."""
    world.wheels("tool", "1.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if (done := world.lock("needy")).status:
        return f"fails: {done.why}"
    world.forget()
    evil = {"tool/__init__.py": '__version__ = "evil"\n'}
    world.index.add(wheel(world.dists / "evil", "tool", "1.0", files=evil))
    done = world.from_lock()
    return outcome(done, lambda: world.against("needy"))


@scenario
def a_chain_of_builds_each_sees_the_one_before(world: World) -> str:
    """C requires and imports b, b a; none isolated, nothing installed before."""
    bare(world)
    world.source("a")
    world.source("b", requires=["a"], backend={"imports": ["a"], "imports_at": ["build_wheel"]})
    world.source("c", requires=["b"], backend={"imports": ["b"], "imports_at": ["build_wheel"]})
    return outcome(world.sync("c"), lambda: f"{world.against('b')}; {world.against('c')}")


@scenario
def builds_that_wait_for_each_other_are_an_error_that_names_them(world: World) -> str:
    """Egg needs hen to build, hen needs egg; none isolated."""
    bare(world)
    world.source("egg", build_requires=["hen"], backend=_only_in("hen"))
    world.source("hen", build_requires=["egg"], backend=_only_in("egg"))
    return outcome(world.sync("egg", "hen"), lambda: "builds")


@scenario
def as_many_builds_run_at_once_as_jobs_says(world: World) -> str:
    """Three builds, asked for two at once (UV_CONCURRENT_BUILDS; pip has no such option)."""
    for name in ("one", "two", "three"):
        world.source(name, backend={"sleep_seconds": 1})
    if world.tool == "pipshim":
        world.options = ("-j2",)
    if world.tool == "uv":
        world.table = "concurrent-builds = 2\n"
    done = world.sync("one", "two", "three")
    running = most = 0
    for call in calls(world.log):
        if call.hook == "build_wheel":
            running += {"start": 1, "end": -1}[call.event]
            most = max(most, running)
    return outcome(done, lambda: f"{most} at once")


@scenario
def parallel_builds_share_the_cores_and_a_lone_one_has_all(world: World) -> str:
    """MAX_JOBS, as a build sees it."""
    for name in ("one", "two"):
        world.source(name, backend={"sleep_seconds": 0.5})
    if world.tool == "pipshim":
        world.options = ("-j2",)
    done = world.sync("one", "two")
    cores = os.cpu_count()

    def told() -> str:
        return str(built(world.site, "one")["variables"].get("MAX_JOBS", "not set"))

    return outcome(done, lambda: f"MAX_JOBS {told()} ({cores} cores, two builds)")


@scenario
def a_failed_build_stops_what_needs_it_and_lets_the_running_finish(world: World) -> str:
    """Bad fails while good builds; fakelib was installed before in another version."""
    world.wheels("fakelib", "1.0", "2.0")
    if (done := world.sync("fakelib==1.0")).status:
        return f"fails: {done.why}"
    world.source("bad", backend={"fail_in": "build_wheel", "sleep_seconds": 0.5})
    world.source("good", backend={"sleep_seconds": 1.5})
    world.sync("fakelib==2.0", "bad", "good")
    ends = [one.name for one in calls(world.log) if (one.hook, one.event) == ("build_wheel", "end")]
    started = [one.name for one in calls(world.log) if one.hook == "build_wheel"]
    good = "finishes" if "good" in ends else "is ended" if "good" in started else "is not begun"
    there = ", ".join(distributions(world.here / ".venv"))
    return f"good {good}; the environment has {there}"


def _only_in(module: str) -> dict[str, Any]:
    return {"imports": [module], "imports_at": ["build_wheel"]}


def _lock_text(world: World) -> str:
    for name in ("pylock.toml", "uv.lock"):
        if (path := world.here / name).exists():
            return path.read_text("utf-8")
    return ""


def _locked(world: World, name: str) -> str:
    pattern = rf'name = "{name}"\nversion = "([^"]+)"'
    return ", ".join(re.findall(pattern, _lock_text(world))) or "not there"


def _installed(world: World, name: str) -> str:
    found = [one for one in distributions(world.here / ".venv") if one.startswith(f"{name}-")]
    return ", ".join(found) or "not there"


def see(name: str, tool: str) -> str:
    """Play a scenario with one tool."""
    with tempfile.TemporaryDirectory() as root, Index() as index:
        (Path(root) / "project").mkdir()
        try:
            return SCENARIOS[name](World(tool, Path(root).resolve(), index))
        except (OSError, StopIteration, ValueError) as error:
            return f"the scenario broke: {type(error).__name__}: {error}"


def main(chosen: Sequence[str]) -> None:
    """Print the table."""
    versions = [
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
        for command in ([uv()], [sys.executable, "-m", "pip"])
    ]
    uv_version, pip_version = (" ".join(text.split()[:2]) for text in versions)
    print(f"| scenario | pipshim | {uv_version} | {pip_version} |\n|---|---|---|---|")
    for name in SCENARIOS:
        if not chosen or any(part in name for part in chosen):
            cells = [see(name, tool).replace("|", "\\|").replace("\n", " ") for tool in TOOLS]
            print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
