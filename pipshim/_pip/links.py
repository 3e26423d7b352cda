"""What a link of pip's tells: hashes, size, index, and which version of what it is."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version
from pip._internal.models import link as pip_link
from pip._internal.models.link import Link
from pip._internal.utils.misc import remove_auth_from_url

from pipshim._pip import patches

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

SECURE_HASHES = ("sha256", "sha384", "sha512")
"""What a lock may vouch for a file with (PEP 751 asks for a secure algorithm)."""

_sizes: dict[str, int] = {}
_link_from_json = Link.from_json
_ensure_quoted_url = pip_link._ensure_quoted_url  # noqa: SLF001 see below

_NOTHING_TO_QUOTE = re.compile(r"https?://[\w.:\[\]-]+(?:/[\w.~-]+)+(?:#\w+=\w+)?", re.ASCII)


def _ensure_quoted(url: str) -> str:
    """Do as pip does with a URL, which takes apart and quotes even what has nothing to quote."""
    return url if _NOTHING_TO_QUOTE.fullmatch(url) else _ensure_quoted_url(url)


patches.replace(pip_link, _ensure_quoted_url=_ensure_quoted)


def _from_json_with_size(file_data: dict[str, Any], page_url: str) -> Link | None:
    link = _link_from_json(file_data, page_url)
    size = file_data.get("size")
    if link is not None and isinstance(size, int):
        note_size(link, size)
    return link


patches.replace(Link, from_json=_from_json_with_size)


def note_size(link: Link, size: int | None) -> None:
    """Note the size of a link's file (PEP 700), in bytes: pip reads past it."""
    if size is not None:
        _sizes[link.url] = size


def size_of(link: Link) -> int | None:
    """Tell the size that was noted."""
    return _sizes.get(link.url)


def secure_hashes(link: Link) -> dict[str, str]:
    """Pick the hashes of a link that a lock may vouch with."""
    values = link._hashes  # noqa: SLF001 the public accessors give one of them only
    return {name: values[name] for name in SECURE_HASHES if name in values}


def index_of(page: str | None, name: NormalizedName) -> str | None:
    """Tell the index (PEP 503 root) that a package's page belongs to, without credentials."""
    if not page or not page.startswith(("http://", "https://", "file://")):
        return None
    parts = urlsplit(page)
    root, _, last = unquote(parts.path).rstrip("/").rpartition("/")
    if last == "index.html":
        root, _, last = root.rpartition("/")
    if canonicalize_name(last) != name:
        return None
    return remove_auth_from_url(parts._replace(path=root + "/", query="", fragment="").geturl())


@cache
def name_and_version(filename: str) -> tuple[NormalizedName, Version] | None:
    """Tell what a file is of, by its name; None if that is no wheel's and no sdist's."""
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[:2]
        return parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
