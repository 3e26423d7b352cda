"""METADATA files of wheels that an index offers apart (PEP 658): fetched once, kept by their hash.

Which of them is a wheel's is noted too, by the wheel's URL and hash, for when no page tells it.

pip's own way writes each of them to the disk three times and parses it five times. Here it is
read into pip's in-memory distribution. pip's rules hold: the hash that the index gives is checked,
and so is the name (``pip._internal.operations.prepare``).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cached_property
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from pip._internal.exceptions import HashMismatch, MetadataInconsistent
from pip._internal.metadata.importlib import Distribution
from pip._internal.metadata.importlib._dists import WheelDistribution
from pip._internal.utils.misc import remove_auth_from_url

from pipshim.store.cache import OF_WHEEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link
    from pip._internal.req.req_install import InstallRequirement

    from pipshim._pip.downloads import ObservedDownloader


class MetadataFiles:
    """Fetches metadata files; what has a hash (SHA-256) is kept in the cache, and not asked again.

    Args:
        downloader: fetches files.
        folder: where it puts them.
        cache: the folder of those that are kept; None to keep none.
        spared: gets the URLs of those, which need not be kept in pip's cache too.

    Attributes:
        folder: likewise.

    """

    def __init__(
        self, downloader: ObservedDownloader, folder: Path, cache: Path | None, spared: set[str]
    ) -> None:
        self._downloader = downloader
        self.folder = folder
        self._cache = cache
        self._spared = spared
        self._numbers = count()

    def known(self, wheel: Link) -> str | None:
        """Tell the SHA-256 of the metadata of a wheel whose metadata was fetched before."""
        note = self._note(wheel)
        try:
            return os.readlink(note) if note is not None else None  # noqa: PTH115 a name
        except OSError:
            return None

    def _note(self, wheel: Link) -> Path | None:
        """Tell the place of a link that is called for a wheel, and leads to its metadata."""
        if self._cache is None or wheel.hash is None:
            return None
        key = f"{remove_auth_from_url(wheel.url_without_fragment)} {wheel.hash_name}={wheel.hash}"
        return self._cache / f"{OF_WHEEL}{hashlib.sha256(key.encode()).hexdigest()}"

    def fetch(self, wheel: Link) -> bytes:
        """Answer the contents of a wheel's metadata file.

        Raises:
            HashMismatch: it is not what the index says.

        """
        link = wheel.metadata_link()
        assert link is not None
        hashes = link.as_hashes()
        sha256 = link.hash if link.hash_name == "sha256" else None
        kept = self._cache / sha256 if self._cache is not None and sha256 is not None else None
        if kept is not None:
            try:
                contents = kept.read_bytes()
                hashes.check_against_chunks([contents])
            except (OSError, HashMismatch):
                pass  # not there, or damaged: it is fetched
            else:
                self._note_metadata(wheel, kept.name)
                return contents
            self._spared.add(link.url_without_fragment)
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        contents = Path(self._downloader(link, str(folder))[0]).read_bytes()
        if hashes:
            hashes.check_against_chunks([contents])
        if kept is not None:
            _keep(kept, contents)
            self._note_metadata(wheel, kept.name)
        return contents

    def _note_metadata(self, wheel: Link, sha256: str) -> None:
        note = self._note(wheel)
        if note is None or self.known(wheel) == sha256:
            return
        with suppress(OSError):  # it is looked up again then
            note.unlink(missing_ok=True)
            note.symlink_to(sha256)


def _keep(path: Path, contents: bytes) -> None:
    """Keep it, if it can be kept: asking again is slower and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent)
        with open(number, "wb") as file:  # noqa: PTH123 a descriptor
            file.write(contents)
        os.replace(name, path)  # noqa: PTH105
    except OSError:
        return


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
