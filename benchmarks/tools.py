"""The tools that are compared: how each is installed, configured and asked for the same thing.

Each has a virtual environment of its own, a home of its own, and an explicit set of variables, so
that no setting of the machine reaches it. All serve the same Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands = Sequence[Sequence[str]]

ROOT = Path(__file__).resolve().parents[1]
BASE = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
ASIDE = "aside"
NOTHING = ("true",)
"""What `run` runs: a command that costs next to nothing, so that what is seen is the tool."""


def put_aside(folder: Path, work: Path) -> None:
    """Move a folder out of the way, to where it is removed when all is measured.

    ext4 passes over every inode that was freed in the last minutes when it looks for one for a new
    file: a run that makes files would pay for all that was removed before it, several times what
    it takes itself.
    """
    aside = work / ASIDE
    aside.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        folder.rename(aside / f"{folder.name}-{time.time_ns()}")


@dataclass(frozen=True)
class Place:
    """One tool's project for one workload.

    Attributes:
        root: the folder of all of it.
        index: where packages come from.

    """

    root: Path
    index: str

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.root / "project"

    @property
    def cache(self) -> Path:
        """The folder of all the tool's caches."""
        return self.root / "cache"

    @property
    def venv(self) -> Path:
        """The project's environment."""
        return self.project / ".venv"

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.venv / "bin" / "python")

    def clear(self, folder: Path) -> None:
        """Have one of its folders no more."""
        put_aside(folder, self.root.parent)

    def make_venv(self, *options: str) -> Commands:
        """Tell what makes the environment for tools that make none."""
        return [] if self.venv.exists() else [[BASE, "-m", "venv", *options, str(self.venv)]]


def plain_environ(home: Path) -> dict[str, str]:
    """Give the variables that every tool has."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "PATH": os.pathsep.join([str(Path(BASE).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
    }


class Tool(ABC):
    """One contender. What a tool has no command for gives None.

    Attributes:
        name: what tables call it.
        needs: what is installed for it.
        lock_name: the lock that it writes.

    """

    name: str
    needs: Sequence[str]
    lock_name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name

    def executable(self, name: str | None = None) -> str:
        """Tell where its command, or another one beside it, is."""
        return str(self.folder / "bin" / (name or self.name))

    def install(self) -> None:
        """Install it from the registry, with the machine's configuration, if it is not there."""
        done = self.folder / "installed"
        if done.exists() and done.read_text() == " ".join(self.needs):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([BASE, "-m", "venv", str(self.folder)], check=True)
        self.pip_install("--upgrade", *self.needs)
        done.write_text(" ".join(self.needs))

    def pip_install(self, *arguments: str) -> None:
        """Install into its environment."""
        pip = [self.executable("python"), "-m", "pip", "install", "-q", "--compile"]
        subprocess.run([*pip, *arguments], check=True)

    @property
    def distribution(self) -> str:
        """The distribution whose version is told."""
        return self.name

    def version(self) -> str:
        """Return the version that is installed."""
        code = f"import importlib.metadata as m; print(m.version({self.distribution!r}))"
        command = [self.executable("python"), "-I", "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def environ(self, place: Place) -> dict[str, str]:
        """Give all its variables."""
        return plain_environ(place.root / "home") | {
            "PIP_CACHE_DIR": str(place.cache / "pip"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_INDEX_URL": place.index,
            "PIP_NO_INPUT": "1",
            # pip caches nothing of an http:// index that is not trusted, as it would of https://.
            "PIP_TRUSTED_HOST": "127.0.0.1",
        }

    def write(self, place: Place, requirements: Sequence[str]) -> None:
        """Write the project."""
        place.project.mkdir(parents=True, exist_ok=True)
        listed = "".join(f"    {requirement!r},\n" for requirement in requirements)
        (place.project / "pyproject.toml").write_text(
            '[project]\nname = "demo"\nversion = "1"\n'
            f'requires-python = ">=3.{sys.version_info.minor}"\n'
            f"dependencies = [\n{listed}]\n{self.settings(place)}"
        )

    def settings(self, place: Place) -> str:  # noqa: ARG002 for those that have some
        """Give further lines of pyproject.toml."""
        return ""

    @abstractmethod
    def lock(self, place: Place) -> Commands | None:
        """Make or renew the lock."""

    @abstractmethod
    def sync(self, place: Place, *, bytecode: bool = False) -> Commands | None:
        """Make the environment, if there is none, what the lock says."""

    def check(self, place: Place) -> Commands | None:  # noqa: ARG002 for those that can
        """Look whether the lock is up to date."""
        return None

    def run(self, place: Place) -> Commands | None:  # noqa: ARG002 for those that can
        """Run a command in the environment, which is made what it should be first."""
        return None

    def before_sync(self, place: Place) -> Commands:  # noqa: ARG002 for those that need it
        """Tell what has to be done before the clock starts, since the tool needs it there."""
        return []


class Pipshim(Tool):
    """A checkout of pipshim, installed as users have it."""

    lock_name = "pylock.toml"

    def __init__(self, folder: Path, name: str = "pipshim", checkout: Path = ROOT) -> None:
        self.name = name
        self.checkout = checkout
        project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
        self.needs = (*project["project"]["dependencies"], *project["build-system"]["requires"])
        super().__init__(folder)

    @property
    def distribution(self) -> str:
        """Its name, whatever it is called in tables."""
        return "pipshim"

    def version(self) -> str:
        """Return the version and the commit."""
        command = ["git", "-C", str(self.checkout), "describe", "--always", "--dirty"]
        described = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        return f"{super().version()} {described.strip()}".strip()

    def install(self) -> None:
        """Install what it needs once, and the checkout as it is now."""
        super().install()
        source = self.folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        shutil.copytree(self.checkout / "pipshim", source / "pipshim")
        for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
            if (self.checkout / name).exists():
                shutil.copy(self.checkout / name, source)
        self.pip_install("--no-deps", "--force-reinstall", "--no-build-isolation", str(source))

    def environ(self, place: Place) -> dict[str, str]:
        """Add its own cache."""
        return super().environ(place) | {"PIPSHIM_CACHE_DIR": str(place.cache / "pipshim")}

    def _do(self, *words: str) -> Commands:
        return [[self.executable("pipshim"), *words]]

    def lock(self, place: Place) -> Commands:  # noqa: ARG002 the interface
        """Lock."""
        return self._do("lock")

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands:  # noqa: ARG002
        """Sync."""
        return self._do("sync", "--compile" if bytecode else "--no-compile")

    def check(self, place: Place) -> Commands:  # noqa: ARG002
        """Check the lock."""
        return self._do("lock", "--check")

    def run(self, place: Place) -> Commands:  # noqa: ARG002
        """Run."""
        return self._do("run", *NOTHING)


class Uv(Tool):
    """uv."""

    name = "uv"
    needs = ("uv",)
    lock_name = "uv.lock"

    def environ(self, place: Place) -> dict[str, str]:
        """Configure it by variables alone."""
        return plain_environ(place.root / "home") | {
            "UV_CACHE_DIR": str(place.cache / "uv"),
            "UV_DEFAULT_INDEX": place.index,
            "UV_NO_CONFIG": "1",
            "UV_PYTHON": BASE,
            "UV_PYTHON_DOWNLOADS": "never",
        }

    def lock(self, place: Place) -> Commands:  # noqa: ARG002
        """Lock."""
        return [[self.executable(), "lock"]]

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands:  # noqa: ARG002
        """Sync."""
        return [[self.executable(), "sync", *(["--compile-bytecode"] if bytecode else [])]]

    def check(self, place: Place) -> Commands:  # noqa: ARG002
        """Check the lock."""
        return [[self.executable(), "lock", "--check"]]

    def run(self, place: Place) -> Commands:  # noqa: ARG002
        """Run."""
        return [[self.executable(), "run", *NOTHING]]


class Pip(Tool):
    """pip: `pip lock`, and `pip install -r pylock.toml`, which asks for no index page."""

    name = "pip"
    needs: Sequence[str] = ("pip<26.4",)
    lock_name = "pylock.toml"

    def write(self, place: Place, requirements: Sequence[str]) -> None:
        """Write a requirements file."""
        place.project.mkdir(parents=True, exist_ok=True)
        (place.project / "requirements.in").write_text("\n".join(requirements) + "\n")

    def lock(self, place: Place) -> Commands | None:  # noqa: ARG002
        """Lock."""
        return [[self.executable(), "lock", "-q", "-r", "requirements.in", "-o", "pylock.toml"]]

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands:
        """Make an environment without pip, and have the tool's own pip install into it."""
        install = [self.executable(), "--python", place.python, "install", "-q", "--no-deps"]
        install += ["--compile" if bytecode else "--no-compile", "-r", "pylock.toml"]
        return [*place.make_venv("--without-pip"), install]


class PipTools(Pip):
    """pip-tools. pip-sync needs pip in the environment: that is made before the clock starts."""

    name = "pip-tools"
    needs = ("pip-tools", "pip")
    lock_name = "requirements.txt"

    def lock(self, place: Place) -> Commands:  # noqa: ARG002
        """Lock, without hashes, as it does by default."""
        options = ["-q", "--strip-extras", "-o", "requirements.txt", "requirements.in"]
        return [[self.executable("pip-compile"), *options]]

    def before_sync(self, place: Place) -> Commands:
        """Make the environment."""
        return place.make_venv()

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands:
        """Sync."""
        arguments = f"--no-deps --{'' if bytecode else 'no-'}compile"
        options = ["--python-executable", place.python, "--pip-args", arguments]
        return [[self.executable("pip-sync"), "-q", *options, "requirements.txt"]]


class Pdm(Tool):
    """pdm, with the versions of its own lock: it does not run with the newest ones of all it needs.

    Its environment is made by `venv`, which is faster than what it would do itself.
    """

    name = "pdm"
    needs = ("pdm[locked]",)
    lock_name = "pdm.lock"

    def settings(self, place: Place) -> str:
        """Name the index, and say that there is nothing to build."""
        source = f'[[tool.pdm.source]]\nname = "pypi"\nurl = "{place.index}"\n'
        return f"[tool.pdm]\ndistribution = false\n{source}"

    def environ(self, place: Place) -> dict[str, str]:
        """Configure it by variables."""
        return plain_environ(place.root / "home") | {
            "PDM_CACHE_DIR": str(place.cache / "pdm"),
            "PDM_CHECK_UPDATE": "0",
            "PDM_NON_INTERACTIVE": "1",
            "PDM_LOG_DIR": str(place.root / "home" / "log"),
        }

    def lock(self, place: Place) -> Commands:
        """Lock; it wants an environment for that."""
        return [*place.make_venv("--without-pip"), [self.executable(), "lock", "-q"]]

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands | None:
        """Sync; it never compiles."""
        if bytecode:
            return None
        return [*place.make_venv("--without-pip"), [self.executable(), "sync", "-q"]]

    def check(self, place: Place) -> Commands:  # noqa: ARG002
        """Check the lock."""
        return [[self.executable(), "lock", "--check", "-q"]]

    def run(self, place: Place) -> Commands:  # noqa: ARG002
        """Run; it does not look whether the environment is what it should be."""
        return [[self.executable(), "run", *NOTHING]]


class Poetry(Tool):
    """poetry, which makes the environment itself, for a lock too."""

    name = "poetry"
    needs = ("poetry",)
    lock_name = "poetry.lock"

    def settings(self, place: Place) -> str:
        """Name the index, and say that there is nothing to build."""
        source = f'[[tool.poetry.source]]\nname = "local"\nurl = "{place.index}"\n'
        return f"[tool.poetry]\npackage-mode = false\n{source}"

    def environ(self, place: Place) -> dict[str, str]:
        """Configure it by variables."""
        home = place.root / "home"
        return plain_environ(home) | {
            "POETRY_CACHE_DIR": str(place.cache / "poetry"),
            "POETRY_CONFIG_DIR": str(home / "config"),
            "POETRY_DATA_DIR": str(home / "data"),
            "POETRY_NO_INTERACTION": "1",
            "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        }

    def lock(self, place: Place) -> Commands:  # noqa: ARG002
        """Lock."""
        return [[self.executable(), "lock", "-q"]]

    def sync(self, place: Place, *, bytecode: bool = False) -> Commands:  # noqa: ARG002
        """Sync."""
        return [[self.executable(), "sync", "-q", *(["--compile"] if bytecode else [])]]

    def check(self, place: Place) -> Commands:  # noqa: ARG002
        """Check the lock."""
        return [[self.executable(), "check", "--lock", "-q"]]

    def run(self, place: Place) -> Commands:  # noqa: ARG002
        """Run; it does not look whether the environment is what it should be."""
        return [[self.executable(), "run", "-q", *NOTHING]]


class Nab(Tool):
    """nab, which locks and installs nothing. Its check resolves again."""

    name = "nab"
    needs = ("nab",)
    lock_name = "pylock.toml"

    def settings(self, place: Place) -> str:
        """Name the index, and let it build what has no static metadata, as the others do."""
        index = f'[[tool.nab.indexes]]\nname = "local"\nurl = "{place.index}"\n'
        return f'[tool.nab]\nbuild-policy = "build-remote"\n{index}'

    def environ(self, place: Place) -> dict[str, str]:
        """Configure it by variables."""
        home = place.root / "home"
        return plain_environ(home) | {"NAB_CACHE_DIR": str(place.cache / "nab")}

    def lock(self, place: Place) -> Commands:  # noqa: ARG002
        """Lock."""
        return [[self.executable(), "lock"]]

    def sync(self, place: Place, *, bytecode: bool = False) -> None:
        """Have no such command."""

    def check(self, place: Place) -> Commands:  # noqa: ARG002
        """Check the lock."""
        return [[self.executable(), "lock", "--locked"]]


PEERS = (Uv, Pip, PipTools, Pdm, Poetry, Nab)
