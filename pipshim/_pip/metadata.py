"""Fetch METADATA files of wheels (PEP 658) once, and cache them.

pip writes each of them three times and parses it five times; here they are read into pip's
in-memory distribution. pip's checks of hash and name stay (``pip._internal.operations.prepare``).
If an index does not offer METADATA, the wheel is fetched once, and its METADATA is cached too.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from packaging.utils import canonicalize_name
from pip._internal.exceptions import MetadataInconsistent, UnsupportedWheel
from pip._internal.metadata.importlib import Distribution
from pip._internal.metadata.importlib._compat import BadMetadata
from pip._internal.metadata.importlib._dists import WheelDistribution
from pip._internal.network.utils import HEADERS, raise_for_status
from pip._internal.utils.misc import redact_auth_from_url, remove_auth_from_url
from pip._internal.utils.wheel import read_wheel_metadata_file, wheel_dist_info_dir

from pipshim.base.atomic_write import write_cache_file
from pipshim.base.errors import PipshimError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link
    from pip._internal.network.session import PipSession
    from pip._internal.req.req_install import InstallRequirement


class MetadataFiles:
    """Fetches METADATA files; those with a hash (SHA-256) are cached by wheel and hash.

    Args:
        session: pip's.
        cache: the cache folder; None to cache nothing.
        spared: gets the URLs of those, which pip's cache need not keep too.

    """

    def __init__(self, session: PipSession, cache: Path | None, spared: set[str]) -> None:
        self._session = session
        self._cache = cache
        self._spared = spared

    @cached_property
    def _kept(self) -> dict[str, str]:
        """The cached files, by wheel."""
        try:
            names = os.listdir(self._cache) if self._cache is not None else []  # noqa: PTH208 names
        except OSError:
            return {}
        return {wheel: sha256 for wheel, _, sha256 in (name.partition("-") for name in names)}

    def knows(self, wheel: Link) -> bool:
        return _called(wheel) in self._kept

    def fetch(self, wheel: Link) -> bytes | None:
        """Return a wheel's METADATA; None if it is neither cached nor offered by the index.

        Raises:
            HashMismatch: its hash differs from the index's.

        """
        link = wheel.metadata_link()
        if link is None:
            return self._read(wheel, self._kept.get(_called(wheel)))
        hashes = link.as_hashes()
        sha256 = link.hash if link.hash_name == "sha256" else None
        contents = self._read(wheel, sha256)
        if contents is not None:
            return contents
        if self._cache is not None and sha256 is not None:
            self._spared.add(link.url_without_fragment)
        contents = self._get(link)
        if hashes:
            hashes.check_against_chunks([contents])
        if sha256 is not None:
            self._keep(wheel, sha256, contents)
        return contents

    def keep(self, wheel: Link, contents: bytes) -> None:
        """Cache the METADATA of a wheel that was fetched and checked."""
        if wheel.hash_name == "sha256":
            self._keep(wheel, hashlib.sha256(contents).hexdigest(), contents)

    def _get(self, link: Link) -> bytes:
        response = self._session.get(link.url_without_fragment, headers=HEADERS)
        raise_for_status(response)
        return response.content

    def _read(self, wheel: Link, sha256: str | None) -> bytes | None:
        """Read a cached file; None if it is missing or damaged."""
        if self._cache is None or sha256 is None:
            return None
        try:
            contents = (self._cache / f"{_called(wheel)}-{sha256}").read_bytes()
        except OSError:
            return None
        return contents if hashlib.sha256(contents).hexdigest() == sha256 else None

    def _keep(self, wheel: Link, sha256: str, contents: bytes) -> None:
        """Cache a file, if the cache can be written."""
        if self._cache is None:
            return
        if write_cache_file(self._cache / f"{_called(wheel)}-{sha256}", contents):
            self._kept[_called(wheel)] = sha256


def _called(wheel: Link) -> str:
    text = f"{remove_auth_from_url(wheel.url_without_fragment)} {wheel.hash_name} {wheel.hash}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def contained(path: Path, wheel: Link) -> bytes:
    """Read the METADATA in a wheel.

    Raises:
        UnsupportedWheel: there is none.
        BadZipFile: it is no wheel.

    """
    with ZipFile(path) as archive:
        folder = wheel_dist_info_dir(archive, wheel.filename.partition("-")[0])
        return read_wheel_metadata_file(archive, f"{folder}/METADATA")


class _Parsed(WheelDistribution):
    """A distribution whose metadata is parsed once."""

    @cached_property
    def metadata(self) -> Any:
        return super().metadata


def of_requirement(
    req: InstallRequirement, fetch: Callable[[Link], bytes | None]
) -> BaseDistribution | None:
    """Return a wheel's distribution from its METADATA file; None if there is none.

    Raises:
        MetadataInconsistent: it is another distribution's.

    """
    assert req.link is not None
    contents = fetch(req.link)
    if contents is None:
        return None
    # The rest of the file is the description.
    head = contents.partition(b"\n\n")[0]
    folder = PurePosixPath("-".join(req.link.filename.split("-")[:2]) + ".dist-info")
    distribution = Distribution(_Parsed({PurePosixPath("METADATA"): head}, folder), None, None)
    assert req.req is not None
    if canonicalize_name(distribution.raw_name) != canonicalize_name(req.req.name):
        raise MetadataInconsistent(req, "Name", req.req.name, distribution.raw_name)
    return distribution


def prepared(
    prepare: Callable[[InstallRequirement, bool], BaseDistribution],
    req: InstallRequirement,
    parallel_builds: bool = False,
) -> BaseDistribution:
    """Prepare a requirement with pip's preparer, and check that a wheel's METADATA can be read.

    Raises:
        PipshimError: METADATA is empty, is not UTF-8 or has no name or version.

    """
    assert req.link is not None
    if not req.link.is_wheel:
        return prepare(req, parallel_builds)
    try:
        distribution = prepare(req, parallel_builds)
        problem = _problem(distribution.metadata)
        if problem is not None:
            raise _unreadable(req, problem)
    except BadMetadata as error:
        raise _unreadable(req, _problem(error.dist.metadata) or "is invalid") from error
    except UnicodeDecodeError as error:
        raise _unreadable(req, f"is not UTF-8: {error}") from error
    except UnsupportedWheel as error:
        if not isinstance(error.__context__, UnicodeDecodeError):
            raise
        raise _unreadable(req, f"is not UTF-8: {error.__context__}") from error
    return distribution


def _problem(metadata: Any) -> str | None:
    """Describe what is missing in the headers of METADATA."""
    if not metadata.keys():
        return "is empty"
    missing = [name for name in ("Name", "Version") if not metadata.get(name)]
    return f"has no {' and no '.join(missing)}" if missing else None


def _unreadable(req: InstallRequirement, problem: str) -> PipshimError:
    link = req.link
    assert link is not None
    name = req.name or canonicalize_name(link.filename.partition("-")[0])
    return PipshimError(
        f"{name}: the METADATA of {link.filename} {problem}\n"
        f"  from {redact_auth_from_url(link.url_without_fragment)}",
        hint=f"choose another version of {name}, and report this one to its maintainers",
    )
