"""What ``pipshim add`` adds: requirements, and the index that they come from."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

from pipshim.base import toml_files, urls
from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.envs.gpu_drivers import find_gpus
from pipshim.lock.project_locking import name_of_given
from pipshim.model import torch_backends
from pipshim.model.artifacts import name_and_version
from pipshim.model.package_sources import credentials_variable
from pipshim.project.editing import Document, with_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipshim.cli.context import Context
    from pipshim.model.requests import AddRequest

_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar")
_EXTRAS = re.compile(r"(?P<place>.+?)(?P<extras>\[[^\[\]]*\])?$")


class NewRequirement(NamedTuple):
    """A requirement to add.

    Attributes:
        text: the requirement (PEP 508).
        source: for a path, its entry in ``[tool.pipshim.sources]``; else None.

    """

    text: str
    source: dict[str, object] | None = None


def read_arguments(request: AddRequest, context: Context) -> list[NewRequirement]:
    """Read arguments, editables and requirements files, in this order.

    Raises:
        UsageError: something is neither a requirement nor an existing path or URL.

    """
    found = [_read(text, context) for text in request.requirements]
    found += [_read(text, context, editable=True) for text in request.editables]
    for text, editable in context.pip.requirement_lines(request.files):
        found.append(_read(text, context, editable=editable))
    return [
        one._replace(text=with_parts(one.text, extras=request.extras, marker=request.marker))
        if request.extras or request.marker
        else one
        for one in found
    ]


def _read(text: str, context: Context, *, editable: bool = False) -> NewRequirement:
    text = text.strip()
    bare, _, marker = text.partition(" ;") if "://" in text else text.partition(";")
    match = _EXTRAS.match(bare.strip())
    place, extras = (match["place"], match["extras"] or "") if match else (bare, "")
    behind = f"; {marker.strip()}" if marker.strip() else ""
    path = Path(place).expanduser()
    if place.startswith("file:") or _is_path(place, path):
        return _path(path, f"{extras}{behind}", context, editable=editable)
    if editable:
        raise UsageError(f"{text!r} is not a folder, which an editable install needs")
    try:
        Requirement(text)
    except InvalidRequirement as error:
        if "://" not in place:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{text!r} is not a requirement: {reason}") from None
        name = _of_archive(urls.file_name(place)) or _said(place) or name_of_given(context, place)
        url = re.sub(r"(?<=[#&])egg=[^&]*&?", "", place).rstrip("#&")
        return NewRequirement(f"{name}{extras} @ {url}{' ' + behind if behind else ''}")
    return NewRequirement(text)


def _is_path(text: str, path: Path) -> bool:
    """Return whether a path is meant, by pip's rule (``_looks_like_path``)."""
    if "://" in text or "@" in text.split(os.sep, maxsplit=1)[0]:
        return False
    return (
        os.sep in text
        or text.startswith((".", "~"))
        or (text.endswith(_ARCHIVES) and path.is_file())
    )


def _path(path: Path, behind: str, context: Context, *, editable: bool) -> NewRequirement:
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if path.is_file() and editable:
        raise UsageError(f"{path} is not a folder, which an editable install needs")
    directory = context.edited.directory.resolve()
    place = path.resolve()
    if place == directory:
        raise UsageError(f"{path} is the project itself")
    name = _of_archive(path.name) if path.is_file() else _of_folder(place)
    name = name or name_of_given(context, str(path))
    source: dict[str, object] = {"path": Path(os.path.relpath(place, directory)).as_posix()}
    if editable:
        source["editable"] = True
    return NewRequirement(f"{name}{behind}", source)


def _of_folder(directory: Path) -> str | None:
    """Read a project's name, if pyproject.toml states it."""
    try:
        data = toml_files.read(directory / "pyproject.toml")
        name = data["project"]["name"]
        canonicalize_name(name, validate=True)
    except (OSError, ValueError, KeyError, TypeError, InvalidName):
        return None
    return str(name)


def _of_archive(filename: str) -> str | None:
    found = name_and_version(filename)
    return str(found[0]) if found is not None else None


def _said(url: str) -> str | None:
    match = re.search(r"#(?:.*&)?egg=([A-Za-z0-9._-]+)", url)
    return match[1] if match else None


_FILES = (".whl", ".tar.gz", ".zip")


def added_index(
    request: AddRequest, requirements: Iterable[NewRequirement], context: Context
) -> Callable[[Document], None] | None:
    """Return what adds the requested index to a document, and sends the packages there.

    Raises:
        UsageError: there is no such index, or what is added does not come from one.

    """
    extra = {"extra": request.optional} if request.optional else {}
    if request.torch_backend is not None:
        backend = _torch_backend(request.torch_backend, context)
        names = [canonicalize_name(Requirement(one.text).name) for one in requirements]
        name, marker = torch_backends.index_name(backend), torch_backends.marker(backend)
        source = {"index": name, **extra, **({"marker": marker} if marker else {})}
        location = torch_backends.index_url(backend), {"explicit": True}
        return partial(_add_index, name, *location, torch_backends.packages(backend, names), source)
    if request.index is None:
        return None
    for one in requirements:
        requirement = Requirement(one.text)
        if one.source is not None or requirement.url is not None:
            raise UsageError(
                f"{requirement.name} comes from a path or URL, and not from the index "
                f"{request.index[0]}",
                hint="add it without --index",
            )
    name, url = request.index
    packages = [Requirement(one.text).name for one in requirements]
    source = {"index": name, **extra, **({"marker": request.marker} if request.marker else {})}
    return partial(_add_index, name, *_location(name, url, context), packages, source)


def _add_index(
    name: str,
    url: str | None,
    keys: Mapping[str, object],
    packages: Iterable[str],
    source: Mapping[str, object],
    document: Document,
) -> None:
    """Add an index, unless pyproject.toml has it already (no URL), and the packages' sources."""
    if url is not None:
        document.set_index(name, url, **keys)
    for package in map(canonicalize_name, packages):
        document.add_source(package, dict(source))
        if "extra" in source:
            document.conflict(str(source["extra"]), package)


def _location(
    name: str, url: str | None, context: Context
) -> tuple[str | None, Mapping[str, object]]:
    """Return the URL of an index for pyproject.toml, and its other keys."""
    known = [index.name for index in context.configuration.index]
    if url is None:
        if name in known:
            return None, {}
        raise UsageError(
            f"no index {name!r} in [[tool.pipshim.index]]"
            + (f"; did you mean {nearest(name, known)!r}?" if known else ""),
            hint=f"add one: --index {name}=URL",
        )
    parts = urlsplit(url)
    if parts.scheme and "://" in url:
        if parts.username or parts.password:
            variable = credentials_variable(name)
            raise UsageError(
                f"the URL of the index {name} has credentials, which pyproject.toml must not have",
                hint=f"set {variable}_USERNAME and {variable}_PASSWORD instead",
            )
        return url, {"explicit": True}
    folder = Path(url).expanduser()
    if not folder.is_dir():
        raise UsageError(f"the index {name} is neither a URL nor a folder: {url}")
    flat = any(file.name.endswith(_FILES) for file in folder.iterdir())
    relative = os.path.relpath(folder.resolve(), context.edited.directory.resolve())
    keys: dict[str, object] = {"explicit": True, **({"format": "flat"} if flat else {})}
    return Path(relative).as_posix(), keys


def _torch_backend(asked: str, context: Context) -> str:
    if asked != "auto":
        return asked
    choice = torch_backends.choose(find_gpus())
    context.say(f"{choice.reason}: using PyTorch for {choice.backend}")
    return choice.backend
