"""The engine of the tests' in-tree build backend (PEP 517 and 660).

``dists.py`` copies this file into the source trees that it makes, beside ``config.json`` (what to
build and how to misbehave) and a generated module with the hooks that the tree shall have. So it
needs the standard library only, and no build requirement at all.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # dists.py puts pip's copy beside this file

Step = Literal["get_requires", "metadata", "build_wheel", "build_editable"]
STEPS: tuple[Step, ...] = ("get_requires", "metadata", "build_wheel", "build_editable")
BUILDS: tuple[Step, ...] = ("build_wheel", "build_editable")

Settings = dict[str, Any]


CLOSES_ITS_STREAMS = """
import os, sys
from engine import *
import engine

def build_wheel(*args, **more):
    name = engine.build_wheel(*args, **more)
    sys.stdout.close()
    for number in range(3):
        try:
            os.close(number)
        except OSError:
            pass
    return name
"""
"""A backend that closes its standard streams after it has built a wheel."""


@dataclass(frozen=True)
class Metadata:
    """What METADATA and entry_points.txt say."""

    name: str
    version: str
    requires: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requires_python: str | None = None
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dynamic: Sequence[str] = ()
    metadata_version: str = "2.2"

    @property
    def module(self) -> str:
        return re.sub(r"[-_.]+", "_", self.name).lower()

    @property
    def stem(self) -> str:
        return f"{self.module}-{self.version}"

    def text(self) -> str:
        lines = [f"Metadata-Version: {self.metadata_version}", f"Name: {self.name}"]
        lines += [f"Version: {self.version}"]
        lines += [f"Dynamic: {name}" for name in self.dynamic]
        if self.requires_python is not None:
            lines.append(f"Requires-Python: {self.requires_python}")
        lines += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        for extra, requirements in self.extras.items():
            lines.append(f"Provides-Extra: {extra}")
            for requirement in requirements:
                bare, _, marker = requirement.partition(";")
                condition = f"({marker.strip()}) and " if marker else ""
                lines.append(f'Requires-Dist: {bare.strip()} ; {condition}extra == "{extra}"')
        return "\n".join([*lines, ""])

    def entry_points_text(self) -> str:
        return "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in members.items())
            for group, members in self.entry_points.items()
        )


@dataclass(frozen=True)
class Backend:
    """How the in-tree backend behaves.

    Attributes:
        imports: modules that every step of ``imports_at`` imports, as natten imports torch; one
            that is missing ends the hook with ModuleNotFoundError.
        tries: the same, but a missing one is only noted (as None in ``against``).
        imports_at: the steps that import.
        get_requires: what get_requires_for_build_wheel and _editable return.
        dynamic_requires: further Requires-Dist, with ``{module}`` for the version of an imported
            module: ``"fakelib=={fakelib}"``.
        editable_requires: further Requires-Dist of editables, as hatchling's dev-mode-exact adds.
        metadata_hook: there are prepare_metadata_for_build_wheel and _editable.
        editable: there are the hooks of PEP 660.
        tag: the wheel's tag, or ``native`` for that of the building interpreter.
        acts_at: the steps that do the things below, in this order.
        output, error_output: written as they are to stdout and stderr.
        megabytes: so much more on stdout, in lines of 100 bytes.
        read_stdin: read stdin to its end; what came is noted as ``stdin``.
        reads: environment variables to read; what they were is noted as ``read``.
        runs: commands to run, found on PATH; their output is noted as ``outputs``.
        appends: text to append to files in the build environment's purelib, by relative path.
        child_seconds: leave a child behind that keeps stdout and stderr open for so long.
        starts: wait until the log has so many starts of the hook, at most two minutes.
        waits_for: wait until this file exists, at most ten minutes.
        sleep_seconds: take so long.
        fail_in: the step that fails, with ``message``, after all of the above.
        exit_code: None raises RuntimeError; otherwise the message goes to stderr, and the process
            exits so, or dies of that signal if negative.
        log: a file that gets a line at the start and at the end of each hook (``dists.calls``).

    """

    imports: Sequence[str] = ()
    tries: Sequence[str] = ()
    imports_at: Sequence[Step] = STEPS
    get_requires: Sequence[str] = ()
    dynamic_requires: Sequence[str] = ()
    editable_requires: Sequence[str] = ()
    metadata_hook: bool = True
    editable: bool = True
    tag: str = "py3-none-any"
    acts_at: Sequence[Step] = BUILDS
    output: str = ""
    error_output: str = ""
    megabytes: float = 0
    read_stdin: bool = False
    reads: Sequence[str] = ()
    runs: Sequence[Sequence[str]] = ()
    appends: Mapping[str, str] = field(default_factory=dict)
    child_seconds: float = 0
    starts: int = 0
    waits_for: str | None = None
    sleep_seconds: float = 0
    fail_in: Step | None = None
    message: str = "this build fails on purpose"
    exit_code: int | None = None
    log: str | None = None

    def hooks(self) -> list[str]:
        kinds = ["wheel", "editable"] if self.editable else ["wheel"]
        steps = ["get_requires_for_build", "build"]
        steps += ["prepare_metadata_for_build"] if self.metadata_hook else []
        return [f"{step}_{kind}" for step in steps for kind in kinds]


def native_tag() -> str:
    """Give the tag of an extension module for this interpreter."""
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    return f"{python}-{python}{getattr(sys, 'abiflags', '')}-{platform}"


def write_wheel(
    directory: Path,
    metadata: Metadata,
    files: Mapping[str, bytes],
    *,
    tag: str,
    build: str = "",
    record: str | None = None,
) -> Path:
    """Write a wheel, the same bytes each time; `record` replaces the true RECORD."""
    tag = native_tag() if tag == "native" else tag
    info = f"{metadata.stem}.dist-info"
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    tags = [f"Tag: {a}-{b}-{c}" for a in pythons for b in abis for c in platforms]
    pure = str(tag.endswith("-none-any")).lower()
    head = ["Wheel-Version: 1.0", "Generator: pipshim-tests", f"Root-Is-Purelib: {pure}"]
    head += [f"Build: {build}"] if build else []
    contents = {
        **files,
        f"{info}/METADATA": metadata.text().encode(),
        f"{info}/WHEEL": "\n".join([*head, *tags, ""]).encode(),
    }
    if metadata.entry_points:
        contents[f"{info}/entry_points.txt"] = metadata.entry_points_text().encode()
    contents[f"{info}/RECORD"] = (record_of(contents, info) if record is None else record).encode()
    return write_zip(
        directory / "-".join(filter(None, [metadata.stem, build, f"{tag}.whl"])), contents
    )


def record_of(contents: Mapping[str, bytes], info: str) -> str:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(data)])
    rows.writerow([f"{info}/RECORD", "", ""])
    return table.getvalue()


def write_zip(path: Path, contents: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


# What follows runs in the build only; the working directory is the source tree's (PEP 517).


@lru_cache
def _configured() -> tuple[Metadata, Backend]:
    config = json.loads(Path(__file__).with_name("config.json").read_text("utf-8"))
    return (
        Metadata(**config["metadata"]) if config["metadata"] else _from_pyproject(),
        Backend(**config["backend"]),
    )


def _from_pyproject() -> Metadata:
    table = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    entry_points = dict(table.get("entry-points", {}))
    if "scripts" in table:
        entry_points["console_scripts"] = table["scripts"]
    return Metadata(
        table["name"],
        table.get("version", "0"),
        table.get("dependencies", ()),
        table.get("optional-dependencies", {}),
        table.get("requires-python"),
        entry_points,
    )


def _note(hook: str, event: str, **more: object) -> None:
    metadata, backend = _configured()
    if backend.log is None:
        return
    line = {
        "event": event,
        "hook": hook,
        "name": metadata.name,
        "version": metadata.version,
        "pid": os.getpid(),
        "prefix": sys.prefix,
        "time": time.time(),
        **more,
    }
    with Path(backend.log).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def _import(backend: Backend) -> Iterator[tuple[str, str | None]]:
    for name in (*backend.imports, *backend.tries):
        present = name in backend.imports or importlib.util.find_spec(name) is not None
        module = importlib.import_module(name) if present else None
        yield name, None if module is None else getattr(module, "__version__", "")


def _act(backend: Backend, hook: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for stream, text in ((sys.stdout, backend.output), (sys.stderr, backend.error_output)):
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
        stream.flush()
    for number in range(int(backend.megabytes * 10_000)):
        sys.stdout.write(f"{number:09d}{'.' * 90}\n")
    sys.stdout.flush()
    if backend.read_stdin:
        facts["stdin"] = sys.stdin.read()
    facts["read"] = {name: os.environ.get(name) for name in backend.reads}
    facts["outputs"] = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for command in backend.runs
    ]
    for name, text in backend.appends.items():
        path = Path(sysconfig.get_path("purelib"), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    if backend.child_seconds:
        code = f"import time; time.sleep({backend.child_seconds})"
        child = subprocess.Popen([sys.executable, "-c", code])
        _note(hook, "child", child=child.pid)
    _wait_for_starts(backend, hook)
    _wait_for_file(backend)
    time.sleep(backend.sleep_seconds)
    return facts


def _wait_for_starts(backend: Backend, hook: str) -> None:
    deadline = time.monotonic() + 120
    while backend.log is not None and time.monotonic() < deadline:
        text = Path(backend.log).read_text("utf-8").rpartition("\n")[0]  # the rest is half written
        lines = map(json.loads, text.splitlines())
        if sum((one["event"], one["hook"]) == ("start", hook) for one in lines) >= backend.starts:
            return
        time.sleep(0.05)


def _wait_for_file(backend: Backend) -> None:
    deadline = time.monotonic() + 600
    while backend.waits_for and time.monotonic() < deadline:
        if Path(backend.waits_for).exists():
            return
        time.sleep(0.05)


def _fail(backend: Backend) -> None:
    if backend.exit_code is None:
        raise RuntimeError(backend.message)
    print(backend.message, file=sys.stderr, flush=True)  # noqa: T201 a backend's output
    if backend.exit_code < 0:
        os.kill(os.getpid(), -backend.exit_code)
    sys.exit(backend.exit_code)


def _perform(step: Step, hook: str, settings: Settings | None) -> tuple[Metadata, dict[str, Any]]:
    """Do what the step does; give the metadata as known now, and the facts of the build."""
    metadata, backend = _configured()
    _note(hook, "start")
    against = dict(_import(backend)) if step in backend.imports_at else {}
    acted = _act(backend, hook) if step in backend.acts_at else {}
    if step == backend.fail_in:
        _fail(backend)
    dynamic = [text.format(**against) for text in backend.dynamic_requires if against]
    dynamic += backend.editable_requires if hook.endswith("editable") else []
    whole = Metadata(**{**vars(metadata), "requires": [*metadata.requires, *dynamic]})
    facts = {
        "hook": hook,
        "against": against,
        "python": sys.prefix,
        "executable": sys.executable,
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "config_settings": settings or {},
        "variables": dict(os.environ),
        "path": sys.path,
        "cwd": str(Path.cwd()),
        "installed": {d.name: d.version for d in importlib.metadata.distributions()},
        **acted,
    }
    _note(hook, "end")
    return whole, facts


def _facts_source(facts: Mapping[str, object]) -> bytes:
    return "".join(f"{name} = {value!r}\n" for name, value in facts.items()).encode()


def _sources(metadata: Metadata) -> dict[str, bytes]:
    root = Path("src") if Path("src").is_dir() else Path()
    found = [*root.glob(f"{metadata.module}.py"), *(root / metadata.module).rglob("*")]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(found)
        if path.is_file() and "__pycache__" not in path.parts
    }


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    _perform("get_requires", "get_requires_for_build_wheel", config_settings)
    return list(_configured()[1].get_requires)


def get_requires_for_build_editable(config_settings: Settings | None = None) -> list[str]:
    _perform("get_requires", "get_requires_for_build_editable", config_settings)
    return list(_configured()[1].get_requires)


def prepare_metadata_for_build_wheel(
    metadata_directory: str,
    config_settings: Settings | None = None,
    hook: str = "prepare_metadata_for_build_wheel",
) -> str:
    metadata, _ = _perform("metadata", hook, config_settings)
    info = Path(metadata_directory, f"{metadata.stem}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(metadata.text(), "utf-8")
    if metadata.entry_points:
        (info / "entry_points.txt").write_text(metadata.entry_points_text(), "utf-8")
    return info.name


def prepare_metadata_for_build_editable(
    metadata_directory: str, config_settings: Settings | None = None
) -> str:
    hook = "prepare_metadata_for_build_editable"
    return prepare_metadata_for_build_wheel(metadata_directory, config_settings, hook)


def build_wheel(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    del metadata_directory
    metadata, facts = _perform("build_wheel", "build_wheel", config_settings)
    files = {**_sources(metadata), f"{metadata.module}/_built.py": _facts_source(facts)}
    return write_wheel(Path(wheel_directory), metadata, files, tag=_configured()[1].tag).name


def build_editable(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    del metadata_directory
    metadata, facts = _perform("build_editable", "build_editable", config_settings)
    root = Path("src" if Path("src").is_dir() else ".").resolve()
    files = {
        f"__editable__.{metadata.stem}.pth": f"{root}\n".encode(),
        f"_built_{metadata.module}.py": _facts_source(facts),
    }
    return write_wheel(Path(wheel_directory), metadata, files, tag=_configured()[1].tag).name
