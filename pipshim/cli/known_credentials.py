"""Collect the credentials in the command line, variables and files, to mask them."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.masking import Mask
from pipshim.model.signing_keys import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from optparse import Values

_NETRC_FILES = (".netrc", "_netrc")


def known_credentials(
    options: Values,
    arguments: Iterable[str],
    configuration: Iterable[tuple[str, Any]],
    environ: Mapping[str, str],
) -> Mask:
    """Collect the credentials that are known after parsing.

    Args:
        configuration: settings of pip's variables and files, overridden ones too: a build may read
            the file itself.
        environ: for the proxies' variables, those of other tools' indexes, and NETRC.

    """
    mask = Mask()
    for text in (*_texts(vars(options)), *arguments, *_texts(dict(configuration))):
        mask.add_urls(text)
    proxies = [value for name, value in environ.items() if name.upper().endswith("_PROXY")]
    for proxy in (options.proxy or "", *proxies):
        mask.add_urls(proxy if "://" in proxy else f"://{proxy}")
    for name, value in environ.items():
        if name.startswith(("PIP_", "PIPSHIM_", "UV_")):
            mask.add_urls(value)
        if value.strip().startswith(PRIVATE):  # the key that wheels are signed with
            mask.add(value.strip())
    for user, password in _of_netrc(environ):
        mask.add_credentials(user, password)
    return mask


def _texts(value: Any) -> Iterator[str]:
    """Return all texts in nested lists and tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from _texts(one)


def _of_netrc(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Read the file that requests would read; one that it could not read has no secrets for it."""
    named = environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / name for name in _NETRC_FILES]
    for file in files:
        try:
            hosts = netrc.netrc(os.path.expanduser(file)).hosts  # noqa: PTH111 as requests does
        except (OSError, UnicodeError, netrc.NetrcParseError):
            continue
        for login, _, password in hosts.values():
            yield login, password or ""
