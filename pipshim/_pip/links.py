"""Read what an index states about its files: hashes, sizes, and METADATA of wheels (PEP 658).

pip writes METADATA three times and parses it five times; here it is read into pip's
in-memory distribution. pip's checks of hash and name stay (``pip._internal.operations.prepare``).
If an index does not offer METADATA, the wheel is fetched once, and its METADATA is cached too.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from packaging.utils import canonicalize_name
from pip._internal.exceptions import MetadataInconsistent, UnsupportedWheel
from pip._internal.metadata.importlib import Distribution
from pip._internal.metadata.importlib._compat import BadMetadata
from pip._internal.metadata.importlib._dists import WheelDistribution
from pip._internal.models.link import Link
from pip._internal.utils.misc import redact_auth_from_url, remove_auth_from_url
from pip._internal.utils.wheel import read_wheel_metadata_file, wheel_dist_info_dir

from pipshim._pip import patches
from pipshim.model import fetch_errors
from pipshim.project.metadata_cache import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.metadata import BaseDistribution
    from pip._internal.req.req_install import InstallRequirement


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


# METADATA


def cached_as(wheel: Link) -> Wheel:
    """Return what a wheel's METADATA is cached by."""
    url = remove_auth_from_url(wheel.url_without_fragment)
    return Wheel(url, f"{wheel.hash_name} {wheel.hash}")


def contained(path: Path, wheel: Link) -> bytes:
    """Read the METADATA in a wheel.

    Raises:
        UnsupportedWheel: the wheel has no METADATA.
        BadZipFile: the file is not a zip archive.

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
    """Return a wheel's distribution from its METADATA headers; None if they cannot be fetched.

    Raises:
        MetadataInconsistent: the METADATA belongs to another distribution.

    """
    assert req.link is not None
    contents = fetch(req.link)
    if contents is None:
        return None
    folder = PurePosixPath("-".join(req.link.filename.split("-")[:2]) + ".dist-info")
    distribution = Distribution(_Parsed({PurePosixPath("METADATA"): contents}, folder), None, None)
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
    link = req.link
    assert link is not None
    if not link.is_wheel:
        return prepare(req, parallel_builds)
    cause: Exception | None = None
    try:
        distribution = prepare(req, parallel_builds)
        problem: object = fetch_errors.lacks_headers(distribution.metadata)
        if problem is None:
            return distribution
    except BadMetadata as error:
        problem, cause = fetch_errors.lacks_headers(error.dist.metadata), error
    except (UnicodeDecodeError, UnsupportedWheel) as error:
        problem, cause = error, error
        if isinstance(error, UnsupportedWheel):
            problem = error.__context__
        if not isinstance(problem, UnicodeDecodeError):
            raise
    name = req.name or canonicalize_name(link.filename.partition("-")[0])
    url = redact_auth_from_url(link.url_without_fragment)
    raise fetch_errors.unreadable_metadata(name, link.filename, url, problem) from cause
