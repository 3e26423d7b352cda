"""Makers of tiny distributions and projects: no process is started, the bytes are always the same.

A source tree made here builds with the in-tree backend of ``backend.py``, which needs no build
requirements and notes in the wheel what it was built with and against: ``facts.py`` reads that.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.backend import (
    STEPS,
    Backend,
    Metadata,
    Step,
    native_tag,
    record_of,
    write_wheel,
    write_zip,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "STEPS",
    "Backend",
    "Metadata",
    "Step",
    "flit_sdist",
    "native_tag",
    "project",
    "repack",
    "sdist",
    "setuptools_sdist",
    "source_tree",
    "wheel",
    "write_dynamic_project",
]

_MTIME = 1704067200
_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json")


def wheel(  # noqa: PLR0913 the parts of one file
    directory: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    tag: str = "py3-none-any",
    build: str = "",
    requires_python: str | None = None,
    record: str | None = None,
) -> Path:
    """Write a wheel.

    `files` is by path in the wheel (``{stem}.data/scripts/x`` works; so does ``../x``, which is
    taken as it is); without it there is a package with ``__version__``. `tag` may be ``native``.
    `record` replaces the true RECORD.
    """
    metadata = Metadata(name, version, requires, extras or {}, requires_python, entry_points or {})
    contents = _module(metadata) if files is None else files
    return write_wheel(directory, metadata, _encoded(contents), tag=tag, build=build, record=record)


def sdist(  # noqa: PLR0913 the parts of one file
    directory: Path,
    name: str,
    version: str,
    *,
    build_requires: Sequence[str] = (),
    backend: Backend | None = None,
    backend_source: str | None = None,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str | None = None,
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    pyproject: str = "",
    static_metadata: bool | None = None,
    metadata_version: str = "2.2",
) -> Path:
    """Write an sdist that builds with the in-tree backend.

    Args:
        directory: where the file goes.
        name: the distribution's name, as written.
        version: its version.
        build_requires: ``build-system.requires``.
        backend: how the backend behaves.
        backend_source: Python source in place of the backend (``from engine import *`` has its
            hooks).
        requires: Requires-Dist.
        extras: Requires-Dist of each extra.
        requires_python: Requires-Python.
        entry_points: names and targets of each group.
        files: more files, by path in the sdist; those of the package go into the wheel.
        pyproject: text to append to pyproject.toml.
        static_metadata: whether PKG-INFO can be trusted for Requires-Dist (PEP 643); otherwise it
            says ``Dynamic: Requires-Dist`` and has none. Without it: if the backend has no
            ``dynamic_requires``.
        metadata_version: PKG-INFO's.

    """
    backend = backend or Backend()
    metadata = Metadata(
        name,
        version,
        requires,
        extras or {},
        requires_python,
        entry_points or {},
        metadata_version=metadata_version,
    )
    contents = {
        "pyproject.toml": _build_system(build_requires) + pyproject,
        **_backend_files(metadata, backend, backend_source),
        **_module(metadata),
        **(files or {}),
    }
    if static_metadata is None:
        static_metadata = not backend.dynamic_requires
    return _pack(directory, metadata, contents, static=static_metadata)


def setuptools_sdist(
    directory: Path,
    name: str,
    version: str,
    *,
    build_requires: Sequence[str] = ("setuptools",),
    requires: Sequence[str] = (),
    files: Mapping[str, str | bytes] | None = None,
    setup_py: str | None = None,
    legacy: bool = False,
) -> Path:
    """Write an sdist that builds with the real setuptools.

    `setup_py` is run before ``setup()`` is called (``import torch``, as natten does). `legacy`
    leaves pyproject.toml out, so that pip's default build system counts.
    """
    metadata = Metadata(name, version, requires)
    arguments = {
        "name": name,
        "version": version,
        "packages": [metadata.module],
        "install_requires": list(requires),
    }
    build_system = {"requires": list(build_requires), "build-backend": "setuptools.build_meta"}
    contents: dict[str, str | bytes] = {
        "setup.py": f"{setup_py or ''}\nfrom setuptools import setup\nsetup(**{arguments!r})\n",
        **_module(metadata),
        **(files or {}),
    }
    if not legacy:
        contents["pyproject.toml"] = _table("build-system", build_system)
    return _pack(directory, metadata, contents, static=False)


def flit_sdist(
    directory: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write an sdist that builds with the real flit_core (which has all of the hooks)."""
    metadata = Metadata(name, version, requires)
    table = {"name": name, "version": version, "description": "x", "dependencies": list(requires)}
    build_system = {"requires": ["flit_core"], "build-backend": "flit_core.buildapi"}
    contents = {
        "pyproject.toml": _table("build-system", build_system) + _table("project", table),
        **_module(metadata),
        **(files or {}),
    }
    return _pack(directory, metadata, contents, static=True)


def source_tree(archive: Path, directory: Path) -> Path:
    """Unpack an sdist made here; give its folder (for ``-e`` and path requirements)."""
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def project(  # noqa: PLR0913 the parts of one file
    directory: Path,
    pyproject: str = "",
    *,
    name: str = "demo",
    version: str = "0.1",
    requires_python: str | None = None,
    dependencies: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str | Mapping[str, str]]] | None = None,
    scripts: Mapping[str, str] | None = None,
    backend: Backend | None = None,
    build_requires: Sequence[str] = (),
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write a project; give its folder.

    `pyproject` is appended to what the other arguments make (``[tool.pipshim]``...). With
    `backend` there is a build system, whose metadata comes from the ``[project]`` of the day, so
    pyproject.toml may be rewritten later. Called again, it rewrites what it is told to.
    """
    metadata = Metadata(name, version)
    table: dict[str, Any] = {"name": name, "version": version, "dependencies": list(dependencies)}
    if requires_python is not None:
        table["requires-python"] = requires_python
    text = _table("project", table)
    text += _table("project.optional-dependencies", extras) if extras else ""
    text += _table("project.scripts", scripts) if scripts else ""
    text += _table("dependency-groups", groups) if groups else ""
    contents: dict[str, str | bytes] = {}
    if backend is not None:
        text = _build_system(build_requires) + text
        contents = {**_backend_files(None, backend, None), **_module(metadata)}
    contents = {"pyproject.toml": text + pyproject, **contents, **(files or {})}
    for path, data in _encoded(contents).items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return directory


def write_dynamic_project(
    directory: Path,
    *,
    requires: Sequence[str],
    extras: Mapping[str, Sequence[str]],
    settings: str = "",
    name: str = "demo",
) -> None:
    """Let a project that `project` made say nothing, and its backend all that it requires."""
    table = (
        "[build-system]\nrequires = []\n"
        'build-backend = "tinybackend"\nbackend-path = ["_backend"]\n'
        f'[project]\nname = "{name}"\nversion = "0.1"\n'
        'dynamic = ["dependencies", "optional-dependencies"]\n'
    )
    (directory / "pyproject.toml").write_text(table + settings)
    config = directory / "_backend" / "config.json"
    stated = json.loads(config.read_text())
    stated["metadata"] = {
        "name": name,
        "version": "0.1",
        "requires": requires,
        "extras": extras,
    }
    config.write_text(json.dumps(stated))
    # pyproject.toml, setup.py and setup.cfg are what a backend's answer is taken to depend on
    (directory / "setup.cfg").write_text(f"# {requires} {extras}\n")


def repack(name: str, directory: Path) -> Path:
    """Make the wheel again that a pure Python distribution of this environment came from.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.

    """
    distribution = importlib.metadata.distribution(name)
    listed = [path for path in distribution.files or () if ".." not in path.parts]
    info = next(path.parent.as_posix() for path in listed if path.name == "METADATA")
    remade = {f"{info}/{file}" for file in ("RECORD", "WHEEL", *_BY_INSTALLERS)}
    contents = {
        path.as_posix(): Path(str(distribution.locate_file(path))).read_bytes()
        for path in listed
        if not (path.suffix == ".pyc" or "__pycache__" in path.parts or path.as_posix() in remade)
    }
    if any(path.endswith((".so", ".pyd")) for path in contents):
        raise ValueError(f"{name} is not pure Python")
    head = "Wheel-Version: 1.0\nGenerator: pipshim-tests\nRoot-Is-Purelib: true\n"
    contents[f"{info}/WHEEL"] = f"{head}Tag: py3-none-any\n".encode()
    contents[f"{info}/RECORD"] = record_of(contents, info).encode()
    stem = info.removesuffix(".dist-info")
    return write_zip(directory / f"{stem}-py3-none-any.whl", contents)


def _module(metadata: Metadata) -> dict[str, str | bytes]:
    return {f"{metadata.module}/__init__.py": f"__version__ = {metadata.version!r}\n"}


def _encoded(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k)} = {_value(v)}' for k, v in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _table(name: str, members: Mapping[str, object]) -> str:
    lines = (f"{json.dumps(key)} = {_value(value)}\n" for key, value in members.items())
    return f"[{name}]\n{''.join(lines)}\n"


def _build_system(requires: Sequence[str]) -> str:
    system = {
        "requires": list(requires),
        "build-backend": "tinybackend",
        "backend-path": ["_backend"],
    }
    return _table("build-system", system)


def _backend_files(
    metadata: Metadata | None, backend: Backend, source: str | None
) -> dict[str, str | bytes]:
    from pip._vendor import tomli  # noqa: PLC0415

    config = {"metadata": asdict(metadata) if metadata else None, "backend": asdict(backend)}
    hooks = ", ".join(backend.hooks())
    files: dict[str, str | bytes] = {
        "_backend/engine.py": Path(__file__).with_name("backend.py").read_text("utf-8"),
        "_backend/tinybackend.py": source or f"from engine import {hooks}\n",
        "_backend/config.json": json.dumps(config),
    }
    # Python 3.10 has no tomllib, and the backend may require nothing.
    for path in Path(str(tomli.__file__)).parent.glob("*.py"):
        files[f"_backend/tomli/{path.name}"] = path.read_bytes()
    return files


def _pack(
    directory: Path, metadata: Metadata, files: Mapping[str, str | bytes], *, static: bool
) -> Path:
    info = metadata
    if not static:
        members = {**vars(metadata), "requires": (), "extras": {}, "dynamic": ("Requires-Dist",)}
        info = Metadata(**members)
    contents = _encoded({"PKG-INFO": info.text(), **files})
    path = directory / f"{metadata.stem}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=_MTIME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in sorted(contents):
            member = tarfile.TarInfo(f"{metadata.stem}/{name}")
            member.size, member.mtime = len(contents[name]), _MTIME
            tar.addfile(member, io.BytesIO(contents[name]))
    return path
