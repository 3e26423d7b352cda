"""List the packages of a named index, to explain that one is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pip._internal.exceptions import NetworkConnectionError
from pip._internal.index.collector import parse_links
from pip._internal.models.link import Link
from pip._vendor.requests.exceptions import RequestException

from pipshim.model import index_files
from pipshim.model.artifacts import name_and_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName
    from pip._internal.index.collector import LinkCollector

    from pipshim.model.package_sources import Index

_MOST_BYTES = 2_000_000


def names_in(collector: LinkCollector, index: Index) -> tuple[NormalizedName, ...] | None:
    """Return the names, sorted; None if they cannot be read, or are megabytes."""
    link = Link(index.url)
    if index.format == "simple":
        folders = (
            [one.name for one in _entries(link)] if link.is_file else _of_root(collector, link)
        )
        return None if folders is None else tuple(sorted(map(canonicalize_name, folders)))
    if link.is_existing_dir():
        files = [one.name for one in _entries(link)]
    else:
        page = collector.fetch_response(link)
        files = [one.filename for one in parse_links(page)] if page is not None else []
    names = {parsed[0] for parsed in map(name_and_version, files) if parsed is not None}
    return tuple(sorted(names))


def _entries(link: Link) -> Iterable[Path]:
    folder = Path(link.file_path)
    return folder.iterdir() if folder.is_dir() else ()


def _of_root(collector: LinkCollector, link: Link) -> list[str] | None:
    """Read the list of all projects (PEP 503, PEP 691)."""
    url = f"{link.url_without_fragment.rstrip('/')}/"
    try:
        response = collector.session.get(
            url, headers={"Accept": f"{index_files.JSON}, text/html"}, stream=True
        )
        with response:
            if not response.ok:
                return None
            body = response.raw.read(_MOST_BYTES, decode_content=True)
            if len(body) == _MOST_BYTES:
                return None
            return index_files.project_names(response.headers.get("Content-Type", ""), body)
    except (RequestException, NetworkConnectionError, OSError):
        return None
