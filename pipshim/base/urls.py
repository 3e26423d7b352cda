"""Credentials and file names in URLs."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_AUTHORITY = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#\s]*)@", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Remove user and password from every URL in a text.

    The user of an SSH URL stays: it is part of the address (``git@``), and no secret.
    """
    return _AUTHORITY.sub(_masked, text)


def file_name(url: str) -> str:
    """Return the decoded file name of a URL."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _masked(match: re.Match[str]) -> str:
    scheme = match["scheme"]
    if scheme.lower().endswith("ssh"):
        return f"{scheme}://{match['user'].partition(':')[0]}@"
    return f"{scheme}://"
