"""Read METADATA files of wheels (PEP 658) into pip's distributions, and check them.

pip writes each of them three times and parses it five times; here they are read into pip's
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
from pip._internal.utils.misc import redact_auth_from_url, remove_auth_from_url
from pip._internal.utils.wheel import read_wheel_metadata_file, wheel_dist_info_dir

from pipshim.model.fetch_errors import unreadable_metadata
from pipshim.project.metadata_files import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link
    from pip._internal.req.req_install import InstallRequirement

    from pipshim.base.errors import PipshimError


def cached_as(wheel: Link) -> Wheel:
    """Return what a wheel's METADATA is cached by."""
    url = remove_auth_from_url(wheel.url_without_fragment)
    return Wheel(url, f"{wheel.hash_name} {wheel.hash}")


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
    """Return a wheel's distribution from the headers of METADATA; None if there is none.

    Raises:
        MetadataInconsistent: it is another distribution's.

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
    assert req.link is not None
    if not req.link.is_wheel:
        return prepare(req, parallel_builds)
    try:
        distribution = prepare(req, parallel_builds)
        problem = _problem(distribution.metadata)
    except BadMetadata as error:
        raise _unreadable(req, _problem(error.dist.metadata) or "is invalid") from error
    except (UnicodeDecodeError, UnsupportedWheel) as error:
        why = error.__context__ if isinstance(error, UnsupportedWheel) else error
        if not isinstance(why, UnicodeDecodeError):
            raise
        raise _unreadable(req, f"is not UTF-8: {why}") from error
    if problem is not None:
        raise _unreadable(req, problem)
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
    url = redact_auth_from_url(link.url_without_fragment)
    return unreadable_metadata(name, link.filename, url, problem)
