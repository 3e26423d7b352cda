"""Files, archives and checkouts at URLs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pip._internal.models.link import Link
from pip._internal.operations.prepare import unpack_vcs_link
from pip._internal.utils import unpacking as _unpacking
from pip._internal.utils.misc import redact_auth_from_url

from pipshim._pip import offline, patches
from pipshim._pip.errors import translating_errors
from pipshim.model.fetch_errors import naming_archive

if TYPE_CHECKING:
    from optparse import Values


def local_path(url: str) -> Path | None:
    """Return the path of a file: URL; None of any other."""
    link = Link(url)
    return Path(link.file_path) if link.is_file else None


def redacted(url: str) -> str:
    return redact_auth_from_url(url)


def check_out(url: str, into: Path, options: Values) -> None:
    """Check out a repository.

    Args:
        url: as pip writes it: ``git+https://…@COMMIT``.
        into: a new folder.
        options: those of the command (``--offline``).

    """
    link = Link(url)
    offline.check_checkout(link, options)
    with translating_errors():
        unpack_vcs_link(link, str(into), verbosity=0)


def unpack(archive: Path, into: Path) -> None:
    """Unpack an archive into a folder, without its first folder."""
    with translating_errors(), naming_archive(archive.name):
        _unpacking.unpack_file(str(archive), str(into), None)


_umask = _unpacking.current_umask()
"""Read once: pip sets it to read it, and other threads write files meanwhile."""

patches.replace(_unpacking, current_umask=lambda: _umask)
