"""The command as users run it, in a process whose surroundings are known."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = Path(__file__).with_name("programs")

PATIENCE = 120.0
"""Seconds after which nothing is waited for any more, even if the machine is busy or stalled."""

_POLL_SECONDS = 0.02

_DROPPED = ("PIP_", "PIPSHIM_", "UV_", "XDG_", "TOX_", "PYTEST_", "CONDA_", "CLICOLOR")
_DROPPED_NAMES = {
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONWARNINGS",
    "NO_COLOR",
    "FORCE_COLOR",
    "PY_COLORS",
    "LINES",
    "LANGUAGE",
    "NETRC",
    "SOURCE_DATE_EPOCH",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CFLAGS",
    "CPPFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
}


@dataclass(frozen=True)
class Result:
    """A process that has ended."""

    args: tuple[str, ...]
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return (
            f"{' '.join(self.args)}\nstatus {self.status}\n"
            f"--- stdout\n{self.out}\n--- stderr\n{self.err}\n---"
        )


class Started(subprocess.Popen[str]):
    """A process that a test has started; if the test fails, nobody waits for it to end."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


class Cli:
    """Runs ``python -m pipshim`` (or another module) with a clean environment.

    Attributes:
        cwd: where it runs unless told otherwise.
        env: its environment; tests may change it.
        home: HOME, with nothing in it.
        cache: pip's cache; pipshim's is beside it (``shim_cache``).
        temporary: TMPDIR, so that a test can see what was left behind.

    """

    def __init__(self, directory: Path, *, cwd: Path, index_url: str | None) -> None:
        """Keep its folders in `directory`; without `index_url` pip's own settings stay."""
        self.cwd = cwd
        self.home = directory / "home"
        self.cache = directory / "cache" / "pip"
        self.shim_cache = directory / "cache" / "pipshim"
        self.temporary = directory / "tmp"
        for path in (self.home, self.cache, self.shim_cache, self.temporary):
            path.mkdir(parents=True)
        self.env = _outer(keep_pip=index_url is None) | {
            "COLUMNS": "100",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.temporary),
            "PIP_CACHE_DIR": str(self.cache),
            "PIPSHIM_CACHE_DIR": str(self.shim_cache),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        if index_url is not None:
            self.env |= {
                "HOME": str(self.home),
                "XDG_CACHE_HOME": str(self.home / ".cache"),
                "XDG_CONFIG_HOME": str(self.home / ".config"),
                "XDG_DATA_HOME": str(self.home / ".local" / "share"),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_INDEX_URL": index_url,
                "PIP_RETRIES": "0",
                "NO_PROXY": "127.0.0.1",
            }
        if not _is_installed():
            self.env["PYTHONPATH"] = str(ROOT)

    def __call__(
        self,
        *args: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        module: str = "pipshim",
        python: Path | None = None,
        timeout: float = 300,
    ) -> Result:
        """Run it to its end; `env` is added, `stdin` is closed if there is none."""
        command = (str(python or sys.executable), "-m", module, *map(str, args))
        environ = {**self.env, **(env or {})}
        if module == "pipshim" and python is None and _zygote().serves(command, environ):
            status, out, err = _zygote().run(
                command[3:], cwd=cwd or self.cwd, environ=environ, stdin=stdin, timeout=timeout
            )
            return Result(command[1:], status, out, err)
        done = subprocess.run(
            command,
            cwd=cwd or self.cwd,
            env=environ,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
        )
        return Result(command[1:], done.returncode, done.stdout, done.stderr)

    def start(
        self,
        *args: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Started:
        """Start pipshim, with pipes; the test must end it (it is a context manager)."""
        return Started(
            (sys.executable, "-m", "pipshim", *map(str, args)),
            cwd=cwd or self.cwd,
            env={**self.env, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def ok(
        self,
        *args: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 300,
    ) -> Result:
        """Run pipshim, and assert that it succeeds."""
        result = self(*args, cwd=cwd, env=env, stdin=stdin, timeout=timeout)
        assert result.status == 0, str(result)
        return result

    def fails(
        self,
        *args: str | Path,
        status: int = 1,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 300,
    ) -> Result:
        """Run pipshim, and assert that it fails with `status`, a message and no traceback."""
        result = self(*args, cwd=cwd, env=env, stdin=stdin, timeout=timeout)
        assert result.status == status, str(result)
        # a backend's own traceback is shown too, but behind a bar
        assert not re.search("^Traceback", result.err, re.MULTILINE), str(result)
        assert result.err.strip(), str(result)
        return result

    def pip(
        self,
        *args: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Result:
        """Run the pip that pipshim runs on, in the same surroundings."""
        return self(*args, cwd=cwd, env=env, module="pip", timeout=timeout)


def make_venv(directory: Path, *, python: Path | None = None, system_site: bool = False) -> Path:
    """Make a virtual environment without pip; give its interpreter."""
    command = [str(python or sys.executable), "-m", "venv", "--without-pip"]
    command += ["--system-site-packages"] if system_site else []
    subprocess.run([*command, str(directory)], check=True, stdin=subprocess.DEVNULL)
    return directory / "bin" / "python"


def another_python() -> Path | None:
    """Find an interpreter of another version, on PATH or installed beside the one that runs."""
    others = (path for minor, path in pythons().items() if minor != sys.version_info[1])
    return next(others, None)


@lru_cache
def pythons() -> Mapping[int, Path]:
    """Find an interpreter of each minor version, on PATH or installed beside the one that runs."""
    beside = sorted(Path(sys.base_prefix).parent.glob("*/bin"))
    found = {}
    for minor in range(10, 15):
        name = f"python3.{minor}"
        for path in (shutil.which(name), *(folder / name for folder in beside)):
            # An environment that is active has Pythons on PATH too, and would be changed.
            if path is None or (Path(path).parents[1] / "pyvenv.cfg").exists():
                continue
            if Path(path).exists() and _starts(path):
                found[minor] = Path(path)
                break
    return found


def _starts(python: str | Path) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def site_packages(environment: Path) -> Path:
    """Give the folder for packages of a virtual environment."""
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def is_running(pid: int) -> bool:
    """Return whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Callable[[], object], *, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it never does.

    Time for which this process is stopped does not count.
    """
    for _ in range(round(seconds / _POLL_SECONDS)):
        if condition():
            return
        time.sleep(_POLL_SECONDS)
    assert condition(), "it did not come to that"


def _outer(*, keep_pip: bool) -> dict[str, str]:
    if keep_pip:
        return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = os.pathsep.join([str(_PROGRAMS), os.environ["PATH"]])
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED)
        and name not in _DROPPED_NAMES
        and not name.lower().endswith("_proxy")
    } | {"PATH": path}


@lru_cache
def _zygote() -> Zygote:
    environ = _outer(keep_pip=False) | {"LC_ALL": "C.UTF-8"}
    return Zygote(environ if _is_installed() else environ | {"PYTHONPATH": str(ROOT)})


@lru_cache
def _is_installed() -> bool:
    """Whether the interpreter finds pipshim from any folder, without PYTHONPATH."""
    found = metadata.distributions(path=site.getsitepackages())
    return any(distribution.name == "pipshim" for distribution in found)
