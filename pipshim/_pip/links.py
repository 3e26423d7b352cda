"""The hashes and sizes of pip's links."""

from __future__ import annotations

from typing import Any

from pip._internal.models.link import Link

from pipshim._pip import patches

SECURE_HASHES = ("sha256", "sha384", "sha512")
"""What a lock may vouch for a file with (PEP 751 asks for a secure algorithm)."""

_sizes: dict[str, int] = {}
_link_from_json = Link.from_json


def _from_json_with_size(file_data: dict[str, Any], page_url: str) -> Link | None:
    link = _link_from_json(file_data, page_url)
    size = file_data.get("size")
    if link is not None and isinstance(size, int):
        note_size(link, size)
    return link


patches.replace(Link, from_json=_from_json_with_size)


def note_size(link: Link, size: int | None) -> None:
    """Note the size in bytes of a link's file (PEP 700), which pip ignores."""
    if size is not None:
        _sizes[link.url] = size


def size_of(link: Link) -> int | None:
    return _sizes.get(link.url)


def secure_hashes(link: Link) -> dict[str, str]:
    """Return the hashes of a link that are secure enough for a lock."""
    values = link._hashes  # noqa: SLF001 the public accessors give one of them only
    return {name: values[name] for name in SECURE_HASHES if name in values}
