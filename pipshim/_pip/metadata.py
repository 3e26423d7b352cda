"""METADATA files of wheels that an index offers apart (PEP 658): fetched once, and kept.

pip's own way writes each of them to the disk three times and parses it five times. Here it is
read into pip's in-memory distribution. pip's rules hold: the hash that the index gives is checked,
and so is the name (``pip._internal.operations.prepare``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from pip._internal.exceptions import HashMismatch, MetadataInconsistent
from pip._internal.metadata.importlib import Distribution
from pip._internal.metadata.importlib._dists import WheelDistribution
from pip._internal.utils.misc import remove_auth_from_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link
    from pip._internal.req.req_install import InstallRequirement

    from pipshim._pip.downloads import ObservedDownloader


class MetadataFiles:
    """Fetches metadata files; what has a hash (SHA-256) is kept in the cache, and not asked again.

    It is called there for the wheel (URL and hash), and for its own hash.

    Args:
        downloader: fetches files.
        folder: makes folders for them.
        cache: the folder of those that are kept; None to keep none.
        spared: gets the URLs of those, which need not be kept in pip's cache too.

    Attributes:
        folder: likewise.

    """

    def __init__(
        self,
        downloader: ObservedDownloader,
        folder: Callable[[], Path],
        cache: Path | None,
        spared: set[str],
    ) -> None:
        self._downloader = downloader
        self.folder = folder
        self._cache = cache
        self._spared = spared
        self._places = threading.local()

    def begin_anew(self) -> None:
        """Use folders of one's own from now on, in a fork."""
        self._places = threading.local()

    @cached_property
    def _kept(self) -> dict[str, str]:
        """What is kept, by wheel."""
        try:
            names = os.listdir(self._cache) if self._cache is not None else []  # noqa: PTH208 names
        except OSError:
            return {}
        return {wheel: sha256 for wheel, _, sha256 in (name.partition("-") for name in names)}

    def known(self, wheel: Link) -> str | None:
        """Tell the SHA-256 of the metadata of a wheel whose metadata was fetched before."""
        return self._kept.get(_called(wheel))

    def fetch(self, wheel: Link) -> bytes:
        """Answer the contents of a wheel's metadata file.

        Raises:
            HashMismatch: it is not what the index says.

        """
        link = wheel.metadata_link()
        assert link is not None
        hashes = link.as_hashes()
        sha256 = link.hash if link.hash_name == "sha256" else None
        kept = None
        if self._cache is not None and sha256 is not None:
            kept = self._cache / f"{_called(wheel)}-{sha256}"
            try:
                contents = kept.read_bytes()
                hashes.check_against_chunks([contents])
            except (OSError, HashMismatch):
                pass  # not there, or damaged: it is fetched
            else:
                return contents
            self._spared.add(link.url_without_fragment)
        found = Path(self._downloader(link, str(self._place()))[0])
        contents = found.read_bytes()
        if hashes:
            hashes.check_against_chunks([contents])
        if kept is not None:
            _keep(found, kept)
        return contents

    def _place(self) -> Path:
        """Tell this thread's folder: what is in it is of no use any more."""
        place: Path | None = getattr(self._places, "folder", None)
        if place is None:
            place = self._places.folder = self.folder()
        return place


def _called(wheel: Link) -> str:
    text = f"{remove_auth_from_url(wheel.url_without_fragment)} {wheel.hash_name} {wheel.hash}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keep(found: Path, kept: Path) -> None:
    """Keep it, if it can be kept: asking again is slower and nothing else."""
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            found.replace(kept)
        except OSError:  # on another file system
            number, near = tempfile.mkstemp(dir=kept.parent)
            os.close(number)
            shutil.copyfile(found, near)
            os.replace(near, kept)  # noqa: PTH105 a name


class _Parsed(WheelDistribution):
    """A distribution whose metadata is parsed once."""

    @cached_property
    def metadata(self) -> Any:
        return super().metadata


def of_requirement(
    req: InstallRequirement, fetch: Callable[[Link], bytes]
) -> BaseDistribution | None:
    """Answer the distribution of a wheel whose index offers its metadata; None where it does not.

    Raises:
        MetadataInconsistent: it is another distribution's.

    """
    assert req.link is not None
    if req.link.metadata_link() is None:
        return None
    # The rest of the file is the description.
    head = fetch(req.link).partition(b"\n\n")[0]
    folder = PurePosixPath("-".join(req.link.filename.split("-")[:2]) + ".dist-info")
    distribution = Distribution(_Parsed({PurePosixPath("METADATA"): head}, folder), None, None)
    assert req.req is not None
    if canonicalize_name(distribution.raw_name) != canonicalize_name(req.req.name):
        raise MetadataInconsistent(req, "Name", req.req.name, distribution.raw_name)
    return distribution
