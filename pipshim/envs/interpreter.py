"""Query a Python interpreter for its markers, tags and paths, and cache the answer."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.atomic_write import write_cache_file
from pipshim.base.cache_folders import INTERPRETERS
from pipshim.base.errors import TargetError
from pipshim.base.light import jsons
from pipshim.envs.interpreter_fingerprint import signature
from pipshim.model.interpreter import OLDEST, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER = "pipshim-target:"
_SECONDS = 60
_DESCRIBING = "interpreter_info.py"
_PATHS = (
    *("python", "prefix", "base_prefix", "base_python"),
    *("purelib", "platlib", "scripts", "data", "headers"),
)

# The host's `packaging` runs in the target, so that markers and tags are right by construction; it
# alone, not the folder it lies in, is put within reach. Every Python there ever was must be able to
# parse this, to say its version.
_SCRIPT = r"""
import sys
answer = {"version": list(sys.version_info[:3])}
if sys.version_info >= (3, 10):
    import importlib.util, os
    folder = sys.argv[1]
    for name in [name for name in sys.modules if name.partition(".")[0] == "packaging"]:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        "packaging", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    sys.modules["packaging"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["packaging"])
    spec = importlib.util.spec_from_file_location("interpreter_info", sys.argv[2])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer = module.describe()
import json
sys.stdout.write("\npipshim-target:" + json.dumps(answer) + "\n")
"""


def query(python: Path, cache_dir: Path | None) -> Target:
    """Query an interpreter, or use the cached answer.

    The answer is cached below ``cache_dir`` (unless None) until the interpreter, its
    ``pyvenv.cfg``, the system or ``packaging`` changes. A script (a shim of pyenv) may call another
    interpreter each time: it is always queried, and the interpreter that answers is the target.

    Raises:
        TargetError: it does not exist, cannot be run, is too old, or fails.

    """
    python = Path(os.path.abspath(python))  # noqa: PTH100 resolve() would follow the links of a venv
    stamp = _signature(python)
    is_script = _is_script(python)
    entry = None if cache_dir is None or is_script else _entry(cache_dir, python)
    if entry is not None and (kept := _kept(entry, stamp)) is not None:
        return kept
    answer = _ask(python)
    answer["python"] = answer["executable"] if is_script else str(python)
    if not answer["is_venv"]:
        answer["base_python"] = answer["python"]
    target = _target(answer)
    if entry is not None:
        write_cache_file(entry, json.dumps({"stamp": stamp, "answer": answer}).encode("ascii"))
    return target


def base_of(target: Target, cache_dir: Path | None) -> Target:
    """Return the Python below a virtual environment; another Python is its own base."""
    return query(target.base_python, cache_dir) if target.is_venv else target


def _signature(python: Path) -> list[Any]:
    try:
        return signature(str(python))
    except OSError as error:
        raise TargetError(
            f"no such interpreter: {python}", hint="choose one that exists with --python"
        ) from error


def _is_script(python: Path) -> bool:
    try:
        with python.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _entry(cache_dir: Path, python: Path) -> Path:
    import hashlib  # noqa: PLC0415 loads OpenSSL

    name = hashlib.sha256(os.fsencode(python)).hexdigest()[:32]
    return cache_dir / INTERPRETERS / f"{name}.json"


def _kept(entry: Path, stamp: list[Any]) -> Target | None:
    """Read a cached answer, if it is valid and whole."""
    try:
        kept = jsons.read(entry)
        return _target(kept["answer"]) if kept["stamp"] == stamp else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _target(answer: Mapping[str, Any]) -> Target:
    major, minor, micro = answer["version"]
    return Target(
        version=(int(major), int(minor), int(micro)),
        implementation=answer["implementation"],
        markers=dict(answer["markers"]),
        tags=tuple(answer["tags"]),
        is_venv=bool(answer["is_venv"]),
        compilers=dict(answer["compilers"]),
        **{name: Path(answer[name]) for name in _PATHS},
    )


def _ask(python: Path) -> dict[str, Any]:
    # A variable of Python's may have made the running one another than it is by itself.
    if str(python) == sys.executable and "PYTHONHOME" not in os.environ:
        from pipshim.envs.interpreter_info import describe  # noqa: PLC0415 not needed for a kept answer

        return describe()
    import packaging  # noqa: PLC0415 where it lies only: none of its modules

    words = [str(Path(packaging.__file__ or "").parent), str(Path(__file__).parent / _DESCRIBING)]
    # -I without -S: it is `site` that gives a virtual environment its prefix.
    # -B: the folder of packaging is the host's, and not to be written to.
    status, output, errors = _run(python, ["-I", "-B", "-c", _SCRIPT, *words])
    if status == 2 and "-I" in errors:  # noqa: PLR2004 the status of a wrong option: Python before 3.4
        status, output, errors = _run(python, ["-E", "-s", "-B", "-c", _SCRIPT, *words])
    answers = [line for line in output.splitlines() if line.startswith(_ANSWER)]
    if not answers:
        raise TargetError(
            f"{python} does not work: {_reason(status, errors)}",
            hint="repair this interpreter, or pass --python PATH",
        )
    answer: dict[str, Any] = jsons.loads(answers[-1].removeprefix(_ANSWER))
    version = tuple(answer["version"])
    if version < OLDEST:
        raise TargetError(
            f"{python} is Python {'.'.join(map(str, version))}, which is too old",
            hint=f"pipshim supports Python {OLDEST[0]}.{OLDEST[1]} and newer: choose with --python",
        )
    return answer


def _run(python: Path, arguments: list[str]) -> tuple[int, str, str]:
    import subprocess  # noqa: PLC0415 not needed for a kept answer

    # A framework build of macOS would take this for the environment to be.
    variables = {name: value for name, value in os.environ.items() if name != "__PYVENV_LAUNCHER__"}
    try:
        done = subprocess.run(
            [python, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=variables,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"{python} does not work: no answer in {_SECONDS} seconds") from error
    except OSError as error:
        reason = "it is not executable" if isinstance(error, PermissionError) else error.strerror
        raise TargetError(f"cannot run {python}: {reason}") from error
    return done.returncode, done.stdout, done.stderr


def _reason(status: int, errors: str) -> str:
    """Pick the most informative line: the last of a traceback, the first of a shim's advice."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if lines:
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return fatal[0] if fatal else lines[-1] if "Traceback" in errors else lines[0]
    return (
        f"it was killed by signal {-status}" if status < 0 else f"no answer (exit status {status})"
    )
