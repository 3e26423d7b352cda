"""Print what pipshim, uv and pip do in the scenarios of docs/explanation/build-isolation.md.

Every scenario starts with empty caches, no environment and a local index of tiny distributions
whose in-tree backends note what they were built with. uv and pip are those beside this interpreter
(or on PATH). Run it from the project's folder: ``python -m benchmarks.isolation_scenarios``; names
of scenarios, or parts of names, choose some.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.backend import CLOSES_ITS_STREAMS, Backend  # noqa: E402
from tests.support.dists import (  # noqa: E402
    project,
    repack,
    sdist,
    setuptools_sdist,
    source_tree,
    wheel,
)
from tests.support.facts import built, calls  # noqa: E402
from tests.support.files import distributions  # noqa: E402
from tests.support.index import Index  # noqa: E402
from tests.support.pipshim import another_python, make_venv, site_packages  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Scenario = Callable[["World"], str]

TOOLS = ("pipshim", "uv", "pip")
NOTHING = "no such setting"
NO_COMMAND = "no such command"
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
        for pattern in (
            r"ModuleNotFoundError.*",
            r"(?m)^ValueError.*",
            r"(?m)^\s*(?:error|ERROR).*",
            r".+",
        ):
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
        variables: further variables for them.
        folder: the project's.
        parts: of the project, as `dists.project` has them.

    """

    tool: str
    root: Path
    index: Index
    table: str = ""
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = "project"
    parts: dict[str, Any] = field(default_factory=dict)

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

    def wheels(self, name: str, *versions: str, native: bool = True, header: bool = False) -> None:
        """Offer wheels, with a C header if need be."""
        for version in versions:
            tag = "native" if native else "py3-none-any"
            module = {f"{name}/__init__.py": f"__version__ = {version!r}\n", f"{name}/{name}.h": ""}
            files = module if header else None
            self.index.add(wheel(self.dists, name, version, tag=tag, files=files))

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
            **self.parts,
        )

    def start(self, *command: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
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
            **self.variables,
        }
        return subprocess.Popen(
            command,
            cwd=self.here,
            env={key: value for key, value in environ.items() if value},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
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
        editable = ["-e", "."] if "backend" in self.parts else []
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

    def pip(self, *command: str) -> Done:
        """Have pip do something in the environment, which is made if it is not there."""
        python = self.here / ".venv" / "bin" / "python"
        if not python.exists():
            make_venv(self.here / ".venv")
        return self.run(sys.executable, "-m", "pip", "--python", str(python), *command)

    def by_hand(self, *requirements: str) -> None:
        """Install what uv and pip need to be there before a no-isolation build."""
        if self.tool != "pipshim":
            self.pip("install", *requirements)

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

    def began(self, hook: str = "build_wheel") -> list[str]:
        """Tell whose hook was started, in order."""
        found = [one for one in calls(self.log) if (one.event, one.hook) == ("start", hook)]
        return [one.name for one in found]

    @property
    def at_once(self) -> int:
        """Tell how many builds ran at the same time, at most."""
        running = most = 0
        for call in calls(self.log):
            if call.hook == "build_wheel":
                running += {"start": 1, "end": -1}[call.event]
                most = max(most, running)
        return most

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


def _chained(world: World, leads_to: dict[str, str]) -> None:
    """Offer needy, which requires low of the version of its fakelib; low requires a fakelib."""
    bare(world)
    needy = {"imports": ["fakelib"], "dynamic_requires": ["low=={fakelib}"]}
    world.source("needy", backend=needy)
    for version, fakelib in leads_to.items():
        world.wheels("fakelib", version)
        world.index.add(wheel(world.dists, "low", version, requires=[f"fakelib=={fakelib}"]))
    world.write([])
    world.by_hand("fakelib")


def _agrees(world: World) -> str:
    low, fakelib = _locked(world, "low"), _locked(world, "fakelib")
    verdict = "agrees" if low == fakelib else "low is for another fakelib"
    return f"locks low {low} and fakelib {fakelib}: {verdict}"


@scenario
def rounds_go_on_until_no_pin_that_a_build_saw_changes(world: World) -> str:
    """Let each fakelib lead to an older one; uv and pip have the newest installed."""
    _chained(world, {"4.0": "3.0", "3.0": "2.0", "2.0": "1.0", "1.0": "1.0"})
    return outcome(world.lock("needy", "fakelib"), lambda: _agrees(world))


@scenario
def metadata_that_never_settles_is_an_error_that_names_what_oscillates(world: World) -> str:
    """Let fakelib 2.0 lead to 1.0, and 1.0 to 2.0; uv and pip have 2.0 installed."""
    _chained(world, {"2.0": "1.0", "1.0": "2.0"})
    return outcome(world.lock("needy", "fakelib"), lambda: _agrees(world))


@scenario
def metadata_that_needs_what_is_built_with_isolation_has_it(world: World) -> str:
    """Let the metadata of needy, without isolation, import tool, an sdist built with it."""
    if world.tool == "pip":
        return "no mode for one package"
    world.table = 'no-build-isolation-package = ["needy"]\n'
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {"imports": ["tool"], "dynamic_requires": ["low=={tool}"]}
    world.source("needy", backend=needy)
    world.source("tool", "2.0")
    return outcome(world.sync("needy", "tool"), lambda: f"{_installed(world, 'low')} installed")


@scenario
def static_metadata_is_read_and_no_hook_of_it_is_called(world: World) -> str:
    """PKG-INFO of Metadata 2.2 without dynamic fields."""
    world.source("src")
    done = world.lock("src")
    hooks = ("prepare_metadata_for_build_wheel", "build_wheel")
    return outcome(done, lambda: f"metadata hooks called: {world.count(*hooks)}")


@scenario
def metadata_that_is_old_or_dynamic_is_asked_of_the_backend(world: World) -> str:
    """PKG-INFO of Metadata 2.1, and of 2.2 with dynamic fields."""
    world.source("old", metadata_version="2.1")
    world.source("dynamic", static_metadata=False)
    done = world.lock("old", "dynamic")
    asked = sorted(world.began("prepare_metadata_for_build_wheel"))
    return outcome(done, lambda: f"asked: {', '.join(asked)}")


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
    return outcome(done, lambda: f"metadata hooks called: {world.count(*hooks)}")


@scenario
def a_wheel_is_built_only_where_a_backend_has_no_metadata_hook(world: World) -> str:
    """Lock one whose backend has the hook, and one whose has not."""
    for name, hook in (("with", True), ("without", False)):
        world.source(name, backend={"metadata_hook": hook}, static_metadata=False)
    done = world.lock("with", "without")
    return outcome(done, lambda: f"wheels built: {', '.join(world.began()) or 'none'}")


@scenario
def a_library_that_the_metadata_needs_and_the_lock_lacks_is_named(world: World) -> str:
    """Require needy without the fakelib that its metadata imports, without isolation."""
    bare(world)
    world.wheels("fakelib", "1.0")
    world.source("needy", backend={"imports": ["fakelib"]}, static_metadata=False)
    done = world.lock("needy")
    hint = re.search(r"(?im)^\W*hint:.*fakelib", done.output)
    return outcome(done, lambda: "locks") + (", with a hint" if hint else ", without a hint")


def _declares(world: World) -> None:
    world.wheels("fakelib", "1.0", "2.0")
    world.source("needy", build_requires=["fakelib"], backend={"imports": ["fakelib"]})


@scenario
def a_declared_library_is_built_against_in_the_version_of_the_lock(world: World) -> str:
    """Have fakelib 1.0 at run time, 2.0 is the newest; nothing is configured."""
    _declares(world)
    return outcome(world.sync("needy", "fakelib<2"), lambda: world.against("needy"))


@scenario
def metadata_of_a_matched_build_follows_the_version_of_the_lock(world: World) -> str:
    """Let the declared fakelib decide on what is required."""
    world.wheels("fakelib", "1.0", "2.0")
    world.wheels("low", "1.0", "2.0", native=False)
    needy = {"imports": ["fakelib"], "dynamic_requires": ["low=={fakelib}"]}
    world.source("needy", build_requires=["fakelib"], backend=needy)
    done = world.sync("needy", "fakelib<2")
    return outcome(done, lambda: f"{world.against('needy')}; {_installed(world, 'low')} installed")


@scenario
def a_build_that_does_not_admit_the_version_of_the_lock_is_said_with_both_versions(
    world: World,
) -> str:
    """Declare fakelib>=2, and have 1.0 at run time."""
    world.wheels("fakelib", "1.0", "2.0")
    world.source("needy", build_requires=["fakelib>=2"], backend={"imports": ["fakelib"]})
    done = world.sync("needy", "fakelib<2")
    text = " ".join(done.output.split())
    warned = re.search(r"(?i)warning: needy[^.]*\.0[^.]*against[^.]*2\.0[^.]*1\.0", text)
    return outcome(
        done, lambda: f"{world.against('needy')}; {'a warning' if warned else 'no warning'}"
    )


def _switched(world: World, table: str, variables: dict[str, str], *options: str) -> str:
    world.new_environment()
    world.forget()
    for name in ("pylock.toml", "uv.lock"):
        (world.here / name).unlink(missing_ok=True)
    world.table, world.variables, world.options = table, variables, options
    world.write(["needy", "fakelib"])
    world.by_hand("fakelib")
    done = world.run(*world.sync_command(["needy", "fakelib"]))

    def told() -> str:
        found = built(world.site, "needy")["against"]["fakelib"]
        return "isolated" if found is None else "not isolated"

    return outcome(done, told)


@scenario
def a_mode_is_chosen_by_the_strongest_that_says_something(world: World) -> str:
    """Say it in the configuration (pip: pip.conf), otherwise in a variable, and by an option."""
    world.wheels("fakelib", "1.0")
    world.source("needy", backend={"tries": ["fakelib"]})
    conf = world.root / "pip.conf"
    conf.write_text("[global]\nno-build-isolation = 0\n")
    of_tool = {
        "pipshim": ("no-build-isolation = true\n", {}, "PIPSHIM_NO_BUILD_ISOLATION", "0"),
        "uv": ("no-build-isolation = true\n", {}, "UV_NO_BUILD_ISOLATION", "0"),
        "pip": ("", {"PIP_CONFIG_FILE": str(conf)}, "PIP_NO_BUILD_ISOLATION", "1"),
    }
    table, file, variable, on = of_tool[world.tool]
    over = {variable: on, **file}
    told = [
        f"configuration: {_switched(world, table, file)}",
        f"{variable}={on} over it: {_switched(world, table, over)}",
        f"--build-isolation over it: {_switched(world, table, file, '--build-isolation')}",
    ]
    return "; ".join(told)


@scenario
def each_sdist_is_built_in_its_mode(world: World) -> str:
    """One isolated, one that declares torch, one without isolation that does not."""
    if world.tool == "pip":
        return "no mode for one package"
    world.wheels("torch", "1.0", "2.0")
    world.wheels("tool", "1.0", native=False)
    world.source("alone", build_requires=["tool"], backend={"imports": ["tool"]})
    world.source("same", build_requires=["torch"], backend={"imports": ["torch"]})
    world.source("open", backend=_only_in("torch"))
    world.table = 'no-build-isolation-package = ["open"]\n'
    done = world.sync("torch<2", "alone", "same", "open")
    names = ("alone", "same", "open")
    return outcome(done, lambda: "; ".join(world.against(name) for name in names))


@scenario
def names_of_match_runtime_must_match(world: World) -> str:
    """Have fakelib 1.0 at run time where the build declares fakelib>=2; and not have it at all."""
    if world.tool == "pip":
        return NOTHING
    world.wheels("fakelib", "1.0", "2.0")
    world.source("needy", build_requires=["fakelib>=2"], backend={"imports": ["fakelib"]})
    world.source("willing", build_requires=["fakelib"], backend={"imports": ["fakelib"]})
    world.table = 'match-runtime = ["fakelib"]\n'
    if world.tool == "uv":
        extra = '[{ requirement = "fakelib", match-runtime = true }]'
        world.table = "".join(
            f"extra-build-dependencies.{name} = {extra}\n" for name in ("needy", "willing")
        )
    refused = outcome(world.sync("needy", "fakelib<2"), lambda: world.against("needy"))
    world.new_environment()
    absent = outcome(world.sync("willing"), lambda: world.against("willing"))
    return f"not admitted: {refused}; not locked: {absent}"


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
def extra_requirements_and_settings_may_stand_on_the_command_line(world: World) -> str:
    """Give one of two packages a build requirement and a config setting."""
    world.wheels("fakelib", "1.0")
    for name in ("one", "two"):
        world.source(name, backend={"tries": ["fakelib"]})
    told = []
    for option, value in (
        ("--extra-build-dependency", "one=fakelib"),
        ("--config-settings-package", "one:a=1"),
    ):
        world.options = (option, value)
        done = world.sync("one", "two")
        if re.search(r"no such option|unexpected argument", done.output):
            told.append(f"{option}: no such option")
            continue
        key = "against" if "dependency" in option else "config_settings"
        facts = [outcome(done, lambda: built(world.site, one)[key]) for one in ("one", "two")]  # noqa: B023
        told.append(f"{option}: one {facts[0]}, two {facts[1]}")
    return "; ".join(told)


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


BACKEND_PATH = """
[build-system]
requires = ["wrapper"]
build-backend = "wrapper:hooks"
backend-path = ["{}", "_backend"]
"""


@scenario
def a_backend_in_the_source_goes_before_what_is_installed(world: World) -> str:
    """Have a backend of the same name among the build requirements."""
    world.index.add(wheel(world.dists, "wrapper", "1.0", files={"wrapper.py": "raise SystemExit"}))
    files = {
        "pyproject.toml": BACKEND_PATH.format("tools/first"),
        "tools/first/wrapper.py": "import tinybackend as hooks\n",
    }
    world.source("needy", files=files, static_metadata=False)
    return outcome(world.sync("needy"), lambda: f"{_installed(world, 'needy')} built")


@scenario
def a_backend_outside_of_the_source_is_refused(world: World) -> str:
    """Let backend-path lead to a folder beside the source."""
    text = BACKEND_PATH.format("../elsewhere").replace('"wrapper"', "")
    world.source("needy", files={"pyproject.toml": text})
    return outcome(world.sync("needy"), lambda: "builds")


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
    world.parts = {"build_requires": ["fakelib"], "backend": backend}
    return outcome(world.sync("fakelib<2"), lambda: world.against("demo"))


def _editable(world: World, **backend: Any) -> None:
    bare(world)
    world.parts = {"backend": Backend(**backend)}


@scenario
def an_editable_without_isolation_is_built_in_the_environment_as_it_will_be(world: World) -> str:
    """Let the build of the editable project import fakelib, which it depends on."""
    _editable(world, imports=["fakelib"], imports_at=["build_editable"])
    world.wheels("fakelib", "1.0")
    done = world.sync("fakelib")

    def told() -> str:
        there = str(built(world.site, "demo")["python"]) == str(world.here / ".venv")
        return f"{world.against('demo')}, in {'the' if there else 'another'} environment"

    return outcome(done, told)


@scenario
def if_such_an_editable_fails_the_whole_step_is_taken_back(world: World) -> str:
    """Change what is required, and let the project's own build fail."""
    world.wheels("fakelib", "1.0", "2.0")
    _editable(world)
    if (done := world.sync("fakelib<2")).status:
        return f"fails: {done.why}"
    _editable(world, fail_in="build_editable")
    done = world.sync("fakelib>=2")
    there = ", ".join(distributions(world.here / ".venv"))
    return f"{'fails' if done.status else 'does not fail'}; the environment has {there}"


@scenario
def a_build_without_isolation_sees_what_else_the_environment_has(world: World) -> str:
    """Import what pip put into the environment, and the project does not have."""
    bare(world)
    world.wheels("stranger", "1.0")
    world.source("needy", backend=_only_in("stranger"))
    return outcome(_with_stranger(world, "1.0"), lambda: world.against("needy"))


@scenario
def what_a_build_writes_into_its_environment_nobody_else_sees(world: World) -> str:
    """Let a build append to a module of its environment, which is required at run time too."""
    module = {"fakelib/__init__.py": "__version__ = '1.0'\nchanged = False\n"}
    world.index.add(wheel(world.dists, "fakelib", "1.0", files=module))
    appends = {"fakelib/__init__.py": "changed = True\n"}
    world.source("needy", build_requires=["fakelib"], backend={"appends": appends})
    if (done := world.sync("needy")).status:
        return f"fails: {done.why}"
    done = world.sync("needy", "fakelib")
    told = (world.site / "fakelib" / "__init__.py").read_text("utf-8")
    return outcome(done, lambda: f"fakelib is installed {'changed' if 'True' in told else 'whole'}")


@scenario
def what_a_build_leaves_in_its_environment_no_other_build_sees(world: World) -> str:
    """Let two builds with equal environments each look for what the other may have left."""
    world.index.add(repack("setuptools", world.dists))
    leaves = (
        "import pathlib, sysconfig\n"
        "left = pathlib.Path(sysconfig.get_path('purelib'))\n"
        "if (left / '{}').exists():\n    raise SystemExit('another build was here')\n"
        "(left / '{}').write_text('')\n"
    )
    for name, other in (("one", "two"), ("two", "one")):
        setup_py = leaves.format(other, name)
        world.index.add(setuptools_sdist(world.dists, name, "1.0", setup_py=setup_py))
    return outcome(world.sync("one", "two"), lambda: "both build")


def _with_stranger(world: World, version: str) -> Done:
    """Have pip put stranger into the environment, then have needy; what is not locked stays."""
    world.write(["needy"])
    world.pip("install", f"stranger=={version}")
    if world.tool == "uv":
        world.options = ("--inexact",)
    if world.tool == "pipshim":
        world.options = ("--python", str(world.here / ".venv" / "bin" / "python"))
    return world.sync("needy")


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
def sync_says_why_a_wheel_that_is_installed_is_built_again(world: World) -> str:
    """Ask what would be done, and see what is said, after torch went from 1.0 to 2.0."""
    if world.tool == "pip":
        return "has no sync; keeps the installed wheel"
    _torn(world)
    if (done := _prepared(world, "torch==1.0")).status:
        return f"fails: {done.why}"
    world.options = ("--dry-run",)
    done = _prepared(world, "torch==2.0")
    reason = re.search(r"rebuild: .*", done.output)
    kept = "natten stays as it is" if "natten" not in done.output else done.why
    return outcome(done, lambda: f"dry run: {reason.group() if reason else kept}")


@scenario
def a_distribution_that_only_the_environment_has_counts_if_it_was_imported(world: World) -> str:
    """Import what only pip put into the environment, and change that."""
    bare(world)
    world.wheels("stranger", "1.0", "2.0")
    world.source("needy", backend={"imports": ["stranger"]})
    for version in ("1.0", "2.0"):
        if (done := _with_stranger(world, version)).status:
            return f"fails: {done.why}"
    return f"with stranger 2.0 there: {world.against('needy')}"


@scenario
def what_a_child_of_the_build_imports_counts_too(world: World) -> str:
    """Let the build start a Python that imports torch; torch 1.0, then 2.0."""
    bare(world)
    world.wheels("torch", "1.0", "2.0")
    world.source("natten", backend={"runs": [["python", "-c", "import torch"]]})
    if world.tool == "pip":  # a user has the environment activated
        scripts = world.here / ".venv" / "bin"
        world.variables = {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return _after_upgrade(world)


@scenario
def another_sdist_of_the_same_version_is_built_anew(world: World) -> str:
    """Put another sdist 1.0 in the place of the first; lock anew, and sync."""
    for text in ("one", "two"):
        files = {"needy/__init__.py": f"text = {text!r}\n"}
        backend = Backend(log=str(world.log))
        world.index.add(sdist(world.dists / text, "needy", "1.0", files=files, backend=backend))
        world.options = ()
        world.write(["needy"])
        if text == "two" and world.tool == "uv":
            world.options = ("--upgrade",)
        if text == "two" and world.tool == "pipshim":
            world.run(sys.executable, "-m", "pipshim", "lock", "--upgrade")
        if (done := world.sync("needy")).status:
            return f"fails: {done.why}"
    there = "two" in (world.site / "needy" / "__init__.py").read_text("utf-8")
    world.new_environment()
    done = world.sync("needy")
    anew = "two" in (world.site / "needy" / "__init__.py").read_text("utf-8")
    return outcome(
        done,
        lambda: (
            f"the {'new' if there else 'old'} one is there; "
            f"in a new environment the {'new' if anew else 'old'} one"
        ),
    )


@scenario
def nothing_is_kept_of_what_is_built_from_a_folder(world: World) -> str:
    """Change a module of a folder that is required, not its pyproject.toml; a new environment."""
    archive = sdist(world.dists, "needy", "1.0", backend=Backend(log=str(world.log)))
    folder = source_tree(archive, world.dists)
    for text in ("one", "two"):
        (folder / "needy" / "__init__.py").write_text(f"text = {text!r}\n", "utf-8")
        world.new_environment()
        if (done := world.sync(f"needy @ {folder.as_uri()}")).status:
            return f"fails: {done.why}"
    there = "two" in (world.site / "needy" / "__init__.py").read_text("utf-8")
    return f"{world.builds}; the {'new' if there else 'old'} module is installed"


@scenario
def a_wheel_for_any_python_that_another_one_built_is_not_reused(world: World) -> str:
    """Sync with this Python, then in another project with another one."""
    other = another_python()
    if other is None:
        return "not played: there is no other Python"
    world.source("needy")
    if (done := world.sync("needy")).status:
        return f"fails: {done.why}"
    world.folder = "second"
    world.write(["needy"])
    if world.tool == "uv":
        world.variables = {"UV_PYTHON": str(other)}
    if world.tool == "pipshim":
        world.options = ("--python", str(other))
    if world.tool == "pip":
        make_venv(world.here / ".venv", python=other)
    done = world.sync("needy")

    def told() -> str:
        return f"built by Python {built(world.site, 'needy')['python_version']}"

    return outcome(done, lambda: f"{world.builds}; in {other.name}: {told()}")


@scenario
def a_build_that_two_others_need_is_made_once(world: World) -> str:
    """Let two sdists, built at once, require an sdist to build."""
    world.source("tool", backend={"sleep_seconds": 1})
    for name in ("one", "two"):
        world.source(name, build_requires=["tool"], backend={"imports": ["tool"]})
    if world.tool == "pipshim":
        world.options = ("-j2",)
    done = world.sync("one", "two")
    times = {1: "once", 2: "twice"}.get(world.began().count("tool"), "never")
    return outcome(done, lambda: f"tool is built {times}")


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
    world.wheels("fakelib", "1.0", "2.0", native=False, header=True)
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


def _cached(world: World, version: str = "1.0") -> Done:
    bare(world)
    world.wheels("torch", version)
    world.source("natten", backend={"imports": ["torch"]})
    return _prepared(world, f"torch=={version}")


def _cache_command(world: World, what: str, uvs: str) -> Done:
    commands = {
        "pipshim": [sys.executable, "-m", "pipshim", "cache", "store", what],
        "uv": [uv(), "cache", uvs],
        "pip": [sys.executable, "-m", "pip", "cache", what],
    }
    return world.run(*commands[world.tool], *(["natten"] if what == "remove" else []))


@scenario
def info_counts_what_there_is(world: World) -> str:
    """Ask what the cache has, with one built wheel and one other in it."""
    if (done := _cached(world)).status:
        return f"fails: {done.why}"
    done = _cache_command(world, "info", "size")
    counts = [line for line in done.output.splitlines() if not re.search(r"/|:$|^warn", line)]
    return outcome(done, lambda: " ".join("; ".join(counts).split()))


@scenario
def list_has_a_line_for_each_built_wheel(world: World) -> str:
    """Ask what wheels were built, and against what."""
    if world.tool == "uv":
        return NO_COMMAND
    if (done := _cached(world)).status:
        return f"fails: {done.why}"
    done = _cache_command(world, "list", "")
    lines = [line for line in done.output.splitlines() if "natten" in line]
    return outcome(done, lambda: " ".join("; ".join(lines).split()))


@scenario
def remove_takes_a_packages_results_and_wheels(world: World) -> str:
    """Remove what was built of natten, and have it in a new environment."""
    if (done := _cached(world)).status:
        return f"fails: {done.why}"
    done = _cache_command(world, "remove", "clean")
    world.new_environment()
    _prepared(world, "torch==1.0")
    return outcome(done, lambda: f"then {'built anew' if world.count() > 1 else 'reused'}")


@scenario
def prune_removes_wheels_that_were_not_used_for_days(world: World) -> str:
    """Let all that the cache has be a month old; prune, and have it in a new environment."""
    if world.tool == "pip":
        return NO_COMMAND
    if (done := _cached(world)).status:
        return f"fails: {done.why}"
    world.new_environment()
    then = time.time() - 31 * 86_400
    for path in (world.root / "cache").rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)
    done = _cache_command(world, "prune", "prune")
    _prepared(world, "torch==1.0")
    return outcome(done, lambda: f"then {'built anew' if world.count() > 1 else 'reused'}")


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
def each_build_environment_keeps_its_own_pins(world: World) -> str:
    """Lock with tool 1.0 and 2.0; 1.5 and 2.5 appear; lock again with one requirement more."""
    world.wheels("tool", "1.0", "2.0", native=False)
    world.wheels("aside", "1.0", native=False)
    world.source("new", build_requires=["tool"], backend={"imports": ["tool"]})
    world.source("old", build_requires=["tool<2"], backend={"imports": ["tool"]})
    if (done := world.lock("new", "old")).status:
        return f"fails: {done.why}"
    world.wheels("tool", "1.5", "2.5", native=False)
    if (done := world.lock("new", "old", "aside")).status:
        return f"fails: {done.why}"
    done = world.from_lock()
    return outcome(done, lambda: f"{world.against('new')}; {world.against('old')}")


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
def a_file_of_a_build_environment_without_a_hash_is_refused(world: World) -> str:
    """Ask for hashes of everything, as far as that can be asked for; none is given for tool."""
    world.wheels("tool", "1.0", native=False)
    world.source("needy", build_requires=["tool"], backend={"imports": ["tool"]})
    if (done := world.lock("needy")).status:
        return f"fails: {done.why}"
    world.forget()
    if world.tool == "pipshim":
        digest = world.index.sha256("tool-1.0-py3-none-any.whl")
        text = _lock_text(world).replace(f'sha256 = "{digest}"', 'md5 = "0"')
        (world.here / "pylock.toml").write_text(text, "utf-8")
    if world.tool == "pip":
        digest = world.index.sha256("needy-1.0.tar.gz")
        (world.root / "required.txt").write_text(f"needy==1.0 --hash=sha256:{digest}\n")
        command = ("install", "--require-hashes", "-r", str(world.root / "required.txt"))
        return outcome(world.pip(*command), lambda: world.against("needy"))
    without = outcome(world.from_lock(), lambda: world.against("needy"))
    if world.tool == "pipshim":
        return without
    world.new_environment()
    world.forget()
    world.options = ("--require-build-hashes", "--preview-features", "build-dependency-hashes")
    asked = outcome(world.from_lock(), lambda: world.against("needy"))
    return f"{without}; with --require-build-hashes (a preview): {asked}"


@scenario
def wheels_come_first_then_isolated_builds_then_the_others_in_order_then_the_project(
    world: World,
) -> str:
    """Have some isolated, some not (pip: all isolated), which need each other in either way."""
    world.wheels("zlib", "1.0", native=False)
    world.source("zz-isolated")
    world.source("aa-last", requires=["mm-middle"])
    world.source("mm-middle", build_requires=["yy-first"])
    world.source("yy-first")
    if world.tool != "pip":
        world.table = 'no-build-isolation-package = ["aa-last", "mm-middle", "yy-first"]\n'
    world.parts = {"backend": Backend(log=str(world.log))}
    done = world.sync("zlib", "zz-isolated", "aa-last", "yy-first")
    own = world.began("build_editable")
    return outcome(done, lambda: ", ".join([*world.began(), *own]))


@scenario
def a_chain_of_builds_each_sees_the_one_before(world: World) -> str:
    """C requires and imports b, b a; none isolated, nothing installed before."""
    bare(world)
    world.source("a")
    world.source("b", requires=["a"], backend={"imports": ["a"], "imports_at": ["build_wheel"]})
    world.source("c", requires=["b"], backend={"imports": ["b"], "imports_at": ["build_wheel"]})
    return outcome(world.sync("c"), lambda: f"{world.against('b')}; {world.against('c')}")


@scenario
def a_build_without_isolation_waits_for_its_extra_build_dependencies_too(world: World) -> str:
    """Let aaa import zzz, an sdist too, while it is built."""
    if world.tool == "pip":
        return NOTHING
    world.source("aaa", backend=_only_in("zzz"))
    world.source("zzz")
    world.table = 'no-build-isolation-package = ["aaa"]\nextra-build-dependencies.aaa = ["zzz"]\n'
    return outcome(world.sync("aaa", "zzz"), lambda: world.against("aaa"))


@scenario
def isolated_builds_wait_for_their_build_environment_only(world: World) -> str:
    """Let each of three need the one before at run time; three at once are asked for."""
    slow = {"sleep_seconds": 1}
    world.source("low", backend=slow)
    world.source("middle", requires=["low"], backend=slow)
    world.source("high", requires=["middle", "low"], backend=slow)
    if world.tool == "pipshim":
        world.options = ("-j3",)
    if world.tool == "uv":
        world.table = "concurrent-builds = 3\n"
    return outcome(world.sync("high"), lambda: f"{world.at_once} at once")


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
    return outcome(done, lambda: f"{world.at_once} at once")


@scenario
def builds_for_other_builds_count_among_the_jobs(world: World) -> str:
    """Three builds that need a build each, asked for two at once."""
    for name in ("one", "two", "three"):
        world.source(f"for-{name}", backend={"sleep_seconds": 0.5})
        world.source(name, build_requires=[f"for-{name}"], backend={"sleep_seconds": 0.5})
    if world.tool == "pipshim":
        world.options = ("-j2",)
    if world.tool == "uv":
        world.table = "concurrent-builds = 2\n"
    return outcome(world.sync("one", "two", "three"), lambda: f"{world.at_once} at once")


@scenario
def builds_at_once_have_each_their_own_variables_and_folder(world: World) -> str:
    """Two builds with a variable each (pip has none)."""
    for name in ("one", "two"):
        world.source(name, backend={"sleep_seconds": 1})
    if world.tool != "pip":
        world.table = 'extra-build-variables = { one = { W = "one" }, two = { W = "two" } }\n'
    done = world.sync("one", "two")

    def told() -> str:
        facts = [built(world.site, name) for name in ("one", "two")]
        variables = ", ".join(str(one["variables"].get("W")) for one in facts)
        apart = len({str(world.here), *(one["cwd"] for one in facts)})
        return f"{world.at_once} at once; W: {variables}; {apart - 1} folders"

    return outcome(done, told)


@scenario
def parallel_builds_share_the_cores_and_a_lone_one_gets_no_job_variables(world: World) -> str:
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


@scenario
def a_failing_build_leaves_environment_and_lock_as_before(world: World) -> str:
    """Ask for a newer fakelib, and a newer natten that fails."""
    world.wheels("fakelib", "1.0", "2.0")
    world.source("natten", "0.1")
    world.source("natten", "0.2", backend={"fail_in": "build_wheel"})
    if (done := world.sync("fakelib<2", "natten<0.2")).status:
        return f"fails: {done.why}"
    lock = _lock_text(world)
    world.sync("fakelib>=2", "natten>=0.2")
    there = ", ".join(distributions(world.here / ".venv"))
    kept = "as before" if lock == _lock_text(world) else "changed"
    return f"the environment has {there}; {f'the lock is {kept}' if lock else 'there is no lock'}"


@scenario
def a_build_reads_nothing_of_what_is_there_for_the_command(world: World) -> str:
    """Give the command an input, and let a build read its own."""
    world.source("curious", backend={"read_stdin": True})
    world.write(["curious"])
    with world.start(*world.sync_command(["curious"]), stdin=subprocess.PIPE) as process:
        output, _ = process.communicate("for the command\n", timeout=PATIENCE)
    done = Done(process.returncode, output)
    return outcome(done, lambda: f"the build read {built(world.site, 'curious')['stdin']!r}")


@scenario
def a_backend_may_close_its_streams(world: World) -> str:
    """Close all three of them."""
    world.source("needy", backend_source=CLOSES_ITS_STREAMS)
    return outcome(world.sync("needy"), lambda: f"{_installed(world, 'needy')} built")


@scenario
def a_child_that_keeps_the_output_open_is_not_waited_for(world: World) -> str:
    """Leave a child behind that lives for 30 s and has the build's output open."""
    world.source("parent", backend={"child_seconds": 30})
    start = time.monotonic()
    done = world.sync("parent")
    waited = time.monotonic() - start > 25  # noqa: PLR2004 of the 30 seconds
    end([call.child for call in calls(world.log) if call.child is not None])
    return outcome(done, lambda: "waits for it" if waited else "does not wait")


@scenario
def megabytes_of_output_are_in_the_log_and_not_on_the_screen(world: World) -> str:
    """Write 5 MB, then fail."""
    world.source("loud", backend={"megabytes": 5, "fail_in": "build_wheel"})
    done = world.sync("loud")
    size = len(done.output) / 1e6
    return f"{'fails' if done.status else 'builds'}; {size:.1f} MB on the screen"


@scenario
def a_signal_ends_the_whole_tree_of_a_hanging_build_within_seconds(world: World) -> str:
    """Ctrl-C (SIGINT to the whole foreground group), then SIGTERM to the command alone."""
    told = []
    for name, ends in (("Ctrl-C", _interrupt), ("SIGTERM", subprocess.Popen.terminate)):
        world.log.unlink(missing_ok=True)
        world.source("stuck", backend={"sleep_seconds": 600, "child_seconds": 600})
        world.write(["stuck"])
        with world.start(*world.sync_command(["stuck"])) as process:
            while not [call for call in calls(world.log) if call.child]:
                time.sleep(0.05)
            tree = [
                one for call in calls(world.log) if call.child for one in (call.pid, call.child)
            ]
            ends(process)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                told.append(f"{name}: does not end within 15 s")
            else:
                time.sleep(1)  # what was told to end may take a moment
                left = end(tree)
                told.append(
                    f"{name}: {len(left)} of {len(tree)} processes go on"
                    if left
                    else f"{name}: all are ended"
                )
            end([*tree, process.pid])
    return "; ".join(told)


def _interrupt(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def end(processes: Sequence[int]) -> list[int]:
    """Kill those that are still there; tell which."""
    left = []
    for process in processes:
        try:
            state = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            os.kill(process, signal.SIGKILL)
            left.append(process)
    return left


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
    # What a shell runs in the background ignores Ctrl-C, and so does what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
