"""Read the arguments of ``pipshim add`` as requirements: names, paths, URLs, files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidName,
    canonicalize_name,
)

from pipshim.base import toml_files, urls
from pipshim.base.errors import UsageError
from pipshim.lock.project_lock import name_of_given
from pipshim.model.artifacts import name_and_version
from pipshim.project.editing import with_parts

if TYPE_CHECKING:
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
