"""The index that ``pipshim add --index`` or ``--torch-backend`` adds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.envs.gpu_drivers import find_gpus
from pipshim.model import torch_backends
from pipshim.model.indexes import credentials_variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipshim.cli.added_requirements import NewRequirement
    from pipshim.cli.context import Context
    from pipshim.model.requests import AddRequest
    from pipshim.project.editing import Document

_FILES = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True)
class AddedIndex:
    """An index, and the packages that will come from it.

    Attributes:
        url: None if pyproject.toml has the index already.
        keys: the index's other keys.
        conditions: where that applies: keys of a source.

    """

    name: str
    url: str | None = None
    keys: Mapping[str, object] = field(default_factory=dict)
    packages: Sequence[str] = ()
    conditions: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, document: Document) -> None:
        if self.url is not None:
            document.set_index(self.name, self.url, **self.keys)
        for package in self.packages:
            name, entry = canonicalize_name(package), {"index": self.name, **self.conditions}
            document.add_source(name, entry)
            if "extra" in entry:
                document.conflict(str(entry["extra"]), name)


def added_index(
    request: AddRequest, requirements: Iterable[NewRequirement], context: Context
) -> AddedIndex | None:
    """Return the requested index, if there is one.

    Raises:
        UsageError: there is no such index, or what is added does not come from one.

    """
    if request.torch_backend is not None:
        names = [canonicalize_name(Requirement(one.text).name) for one in requirements]
        return _torch(request, names, context)
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
    return AddedIndex(
        name,
        *_location(name, url, context),
        packages=[Requirement(one.text).name for one in requirements],
        conditions=_conditions(request, request.marker),
    )


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


def _conditions(request: AddRequest, marker: str | None) -> dict[str, object]:
    """Return where the sources apply: with the edited extra, for these environments."""
    extra = {"extra": request.optional} if request.optional else {}
    return {**extra, **({"marker": marker} if marker else {})}


def _torch(request: AddRequest, names: Iterable[str], context: Context) -> AddedIndex:
    backend = str(request.torch_backend)
    if backend == "auto":
        choice = torch_backends.choose(find_gpus())
        backend = choice.backend
        context.say(f"{choice.reason}: using PyTorch for {backend}")
    return AddedIndex(
        torch_backends.index_name(backend),
        torch_backends.index_url(backend),
        {"explicit": True},
        torch_backends.packages(backend, names),
        _conditions(request, torch_backends.marker(backend)),
    )
