"""What an index has: every file of a version, and the order in which versions are offered.

pip's finder answers which files suit the target. A lock lists them all, so the finder here keeps
what pip saw on its way. The version that is wanted (an earlier lock's, or the lowest) goes behind
all others, which to pip's resolver means first (``pip._internal.resolution.resolvelib.factory``).
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version
from pip._internal.index.package_finder import BestCandidateResult, LinkType, PackageFinder
from pip._internal.models.link import Link
from pip._internal.utils.misc import remove_auth_from_url
from pip._vendor.packaging.specifiers import SpecifierSet

from pipshim._pip.listening import passed_over
from pipshim.lock.artifacts import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from pip._internal.index.package_finder import LinkEvaluator
    from pip._internal.models.candidate import InstallationCandidate
    from pip._internal.utils.hashes import Hashes

    from pipshim._pip.ahead import Ahead

SECURE_HASHES = ("sha256", "sha384", "sha512")
"""What a lock may vouch for a file with (PEP 751 asks for a secure algorithm)."""

_NO_FOLDER = re.compile(r"Location '(.*)' is ignored: it is neither a file nor a directory\.?")
"""pip's warning of a location that is not there (``pip._internal.index.sources``)."""

_sizes: dict[str, int] = {}
_link_from_json = Link.from_json


def _from_json_with_size(file_data: dict[str, Any], page_url: str) -> Link | None:
    """Note a file's size (PEP 700), which pip reads past."""
    link = _link_from_json(file_data, page_url)
    size = file_data.get("size")
    if link is not None and isinstance(size, int):
        _sizes[link.url] = size
    return link


Link.from_json = _from_json_with_size  # type: ignore[method-assign]


@dataclass
class Order:
    """In which order the versions of packages are offered to the resolver.

    Attributes:
        preferred: versions that are offered first, the last one before all, where admitted.
        strategy: ``highest``, ``lowest`` or ``lowest-direct``.
        direct: what is required directly.
        offered: versions of other targets, which go before all others, but not where they would
            have to be built and another version would not.

    """

    preferred: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    strategy: str = "highest"
    direct: set[NormalizedName] = field(default_factory=set)
    offered: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)

    def is_lowest_first(self, name: NormalizedName) -> bool:
        """Whether a package's lowest version is wanted."""
        return self.strategy == "lowest" or (
            self.strategy == "lowest-direct" and name in self.direct
        )


@dataclass(frozen=True)
class Refused:
    """A file that pip found and may not use for the target.

    Attributes:
        filename: the file.
        version: its version.
        why: pip's word for the reason.
        requires_python: what the index says of it.

    """

    filename: str
    version: Version
    why: LinkType
    requires_python: str | None


class Finder(PackageFinder):
    """pip's finder, which remembers what it read, and offers versions in a given order.

    Attributes:
        order: the order, from now on.
        ahead: what fetches ahead of the resolver, from the first look at the index on.

    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._links: dict[NormalizedName, list[Link]] = {}
        self.order = Order()
        self._skipped: dict[str, LinkType] = {}
        self._unread: dict[NormalizedName, dict[str, str | None]] = {}
        self._alone = threading.RLock()
        self.ahead: Ahead | None = None

    def find_all_candidates(self, project_name: str) -> list[InstallationCandidate]:
        """Note which pages could not be read: pip passes over them."""
        with self._alone, passed_over() as pages:
            found = super().find_all_candidates(project_name)
            unread = self._unread.setdefault(canonicalize_name(project_name), {})
            unread.update(pages)
        if self.ahead is not None and not any(unread.values()):
            self.ahead.begin()  # not where an index fails: its error, or its question, comes once
        return found

    def best_of(self, name: NormalizedName, specifier: str) -> Link | None:
        """Tell the file that would be chosen for one requirement alone."""
        best = self.find_best_candidate(name, SpecifierSet(specifier)).best_candidate
        return best.link if best is not None else None

    def _log_skipped_link(self, link: Link, result: LinkType, detail: str) -> None:
        self._skipped[link.url] = result
        super()._log_skipped_link(link, result, detail)

    def was_asked_for(self, name: NormalizedName) -> bool:
        """Whether the files of a package were looked up."""
        return name in self._unread

    def unread(self, name: NormalizedName) -> dict[str, str | None]:
        """Tell the pages that could not be read, and why; None: the index has no such package."""
        self.find_all_candidates(name)
        # In an index that is a folder of this machine, a package that it lacks has no folder.
        pages: dict[str, str | None] = {}
        for page, why in self._unread.get(name, {}).items():
            folder = _NO_FOLDER.fullmatch(page)
            pages[folder[1] if folder else page] = None if folder else why
        return pages

    def refused(self, name: NormalizedName) -> list[Refused]:
        """Tell the files of a package that the target, or an option, does not admit."""
        self.find_all_candidates(name)
        found = []
        for link in self._links.get(name, ()):
            why = self._skipped.get(link.url)
            parsed = _name_and_version(link.filename)
            # pip looks at the page itself as if it might be a file, and skips it.
            if why is not None and parsed is not None and parsed[0] == name:
                found.append(Refused(link.filename, parsed[1], why, link.requires_python))
        return found

    def yanked(self, name: NormalizedName) -> dict[str, str]:
        """Tell the versions that were withdrawn, and why."""
        return {
            str(candidate.version): candidate.link.yanked_reason or ""
            for candidate in self.find_all_candidates(name)
            if candidate.link.is_yanked
        }

    def evaluate_links(
        self, link_evaluator: LinkEvaluator, links: Iterable[Link]
    ) -> list[InstallationCandidate]:
        """Note what pip is about to sieve."""
        seen = list(links)
        name = canonicalize_name(link_evaluator.project_name)
        self._links.setdefault(name, []).extend(seen)
        return super().evaluate_links(link_evaluator, seen)

    def find_best_candidate(
        self,
        project_name: str,
        specifier: Any = None,
        hashes: Hashes | None = None,
    ) -> BestCandidateResult:
        """Answer as pip does, with the best file last in the order that is wanted."""
        with self._alone:
            result = super().find_best_candidate(project_name, specifier, hashes)
        name = canonicalize_name(project_name)
        found = result.applicable_candidates
        # Sorts are stable: pip's order stays among files of one version.
        if self.order.is_lowest_first(name):
            found = sorted(found, key=lambda one: one.version, reverse=True)
            # What pip puts before the version stays before it.
            found.sort(key=lambda one: self._outranking(one.link, hashes))
        wanted, offered = self.order.preferred.get(name, ()), self.order.offered.get(name, ())
        if wanted or offered:
            has_wheels = any(one.link.is_wheel for one in found)
            ranks, of_sdists = _ranks((*wanted, *offered)), _ranks(wanted)

            def rank(one: InstallationCandidate) -> int:
                known = ranks if one.link.is_wheel or not has_wheels else of_sdists
                return known.get(str(one.version), -1)

            found = sorted(found, key=rank)
        best = found[-1] if found else None
        return BestCandidateResult(result.all_candidates, found, best)

    def _outranking(self, link: Link, hashes: Hashes | None) -> tuple[bool, bool, bool]:
        """Tell what of a file counts more than its version (``CandidateEvaluator._sort_key``)."""
        return (
            link.is_hash_allowed(hashes),
            not link.is_yanked,
            self._candidate_prefs.prefer_binary and link.is_wheel,
        )

    def versions(self, name: NormalizedName) -> list[str]:
        """Tell which versions pip found for the target, oldest first."""
        found = {candidate.version for candidate in self.find_all_candidates(name)}
        return [str(version) for version in sorted(found)]

    def files(self, name: NormalizedName, version: Version, chosen: Link) -> list[Link]:
        """Tell all files of a version, for any target, the chosen one first.

        A file that the format options forbid (``--no-binary``, ``--only-binary``) is left out, so
        that every reader of the lock takes what was locked; a yanked one too, unless it is chosen.
        """
        self.find_all_candidates(name)
        allowed = self.format_control.get_allowed_formats(name)
        found = {chosen.filename: chosen}
        for link in self._links.get(name, ()):
            if link.is_yanked and not chosen.is_yanked:
                continue
            if ("binary" if link.is_wheel else "source") not in allowed:
                continue
            if _name_and_version(link.filename) == (name, version):
                same = found.setdefault(link.filename, link)
                if same.is_file and not link.is_file and _same_content(same, link):
                    found[link.filename] = link  # a mirror on this machine; others have the index
        return list(found.values())


def _ranks(versions: Iterable[Version]) -> dict[str, int]:
    return {str(version): rank for rank, version in enumerate(versions)}


@cache
def _name_and_version(filename: str) -> tuple[NormalizedName, Version] | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[:2]
        return parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


@dataclass
class Packager:
    """Makes a lock's package entries of pip's links.

    Attributes:
        finder: where the other files of a version are looked up.
        download: fetches a file whose index gives no secure hash, and returns its path.

    """

    finder: Finder
    download: Callable[[Link], Path]

    def package(
        self,
        name: NormalizedName,
        version: Version,
        chosen: Link,
        *,
        dependencies: Iterable[NormalizedName],
        requires_python: Any,
        allowed: Mapping[str, Sequence[str]] | None = None,
    ) -> Package:
        """Make the entry of a version from an index: every wheel, and the sdist.

        With `allowed` hashes (``--hash`` of a requirement), only the files that have one of them;
        the chosen one has, since pip has looked.
        """
        wheels: list[PackageWheel] = []
        sdists: list[PackageSdist] = []
        for link in self.finder.files(name, version, chosen):
            fields = self._fields(link, is_chosen=link.filename == chosen.filename)
            if fields is None or (allowed and not _is_allowed(link, chosen, fields, allowed)):
                continue
            if link.is_wheel:
                wheels.append(PackageWheel(**fields))
            else:
                sdists.append(PackageSdist(**fields))
        if chosen.is_wheel:
            sdists.sort(key=lambda one: not one.filename.endswith(".tar.gz"))
        else:
            sdists = sdists[:1]
        return Package(
            name=name,
            version=version,
            requires_python=requires_python,
            dependencies=[{"name": one} for one in sorted(dependencies)] or None,
            index=index_of(chosen, name),
            wheels=sorted(wheels, key=lambda one: one.filename) or None,
            sdist=sdists[0] if sdists else None,
        )

    def _fields(self, link: Link, *, is_chosen: bool) -> dict[str, Any] | None:
        hashes = secure_hashes(link)
        size = _sizes.get(link.url)
        if not hashes:
            if not (is_chosen or link.is_file):
                return None
            path = self.download(link)
            hashes = {"sha256": sha256_of(path)}
            size = path.stat().st_size
        elif link.is_file and size is None:
            size = Path(link.file_path).stat().st_size
        return {
            "name": link.filename,
            "url": remove_auth_from_url(link.url_without_fragment),
            "hashes": hashes,
            "size": size,
            "upload_time": link.upload_time,
        }


def _is_allowed(
    link: Link, chosen: Link, fields: Mapping[str, Any], allowed: Mapping[str, Sequence[str]]
) -> bool:
    hashes: Mapping[str, str] = fields["hashes"]
    has_one = any(value in allowed.get(name, ()) for name, value in hashes.items())
    return has_one or link.filename == chosen.filename


def _same_content(local: Link, link: Link) -> bool:
    sha256 = secure_hashes(link).get("sha256")
    return sha256 is not None and sha256 == (
        secure_hashes(local).get("sha256") or sha256_of(Path(local.file_path))
    )


def secure_hashes(link: Link) -> dict[str, str]:
    """Pick the hashes of a link that a lock may vouch with."""
    values = link._hashes  # noqa: SLF001 the public accessors give one of them only
    return {name: values[name] for name in SECURE_HASHES if name in values}


def index_of(link: Link, name: NormalizedName) -> str | None:
    """Tell the index (PEP 503 root) that a link's page belongs to, without credentials."""
    page = link.comes_from
    if not page or not page.startswith(("http://", "https://", "file://")):
        return None
    parts = urlsplit(page)
    root, _, last = unquote(parts.path).rstrip("/").rpartition("/")
    if last == "index.html":
        root, _, last = root.rpartition("/")
    if canonicalize_name(last) != name:
        return None
    return remove_auth_from_url(parts._replace(path=root + "/", query="", fragment="").geturl())
