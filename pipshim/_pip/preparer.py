"""Let pip's preparer fetch and unpack sources, and take their metadata from its caller.

An sdist that was unpacked before is fetched again only if more than its outline is needed. Two
methods of pip's preparer ask the caller for metadata, who knows the build mode and environment.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import field
from email.parser import BytesHeaderParser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import NormalizedName, canonicalize_name
from pip._internal.exceptions import HashError, PipError
from pip._internal.metadata import get_metadata_distribution
from pip._internal.models.link import Link
from pip._internal.operations.prepare import unpack_url, unpack_vcs_link
from pip._internal.pyproject import load_pyproject_toml
from pip._internal.utils import unpacking as _unpacking
from pip._internal.utils.direct_url_helpers import direct_url_for_editable, direct_url_from_link
from pip._internal.utils.misc import remove_auth_from_url
from pip._internal.utils.packaging import get_requirement
from pip._internal.vcs.versioncontrol import vcs

from pipshim._pip import compat, http_adapters, patches
from pipshim._pip.errors import translate, translating_errors
from pipshim._pip.links import prepared, secure_hashes
from pipshim.base import toml_files
from pipshim.base.errors import ProjectError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.base.urls import without_credentials
from pipshim.model import artifacts, fetch_errors
from pipshim.model.fetch_errors import naming_archive
from pipshim.model.solution import Revision, Source, name_of
from pipshim.project.static_metadata import BuildSystem, name_and_version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from optparse import Values

    from pip._internal.metadata import BaseDistribution
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._internal.req.req_install import InstallRequirement

    from pipshim._pip.session import Pip
    from pipshim.model.requirements import Overrides


@dataclass(eq=False)
class Sources:
    """The source trees of this command, each fetched and unpacked once.

    Attributes:
        commits: those of an earlier lock, to be kept: by repository and requested revision.
        beside: those of another target; both share what is fetched, but not `commits`.

    """

    pip: Pip
    commits: Mapping[Revision, str]
    beside: Sources | None = None
    _places: dict[str, str] = field(default_factory=dict, init=False)
    _sources: SharedResults[Source] = field(default_factory=SharedResults, init=False)
    _unpacked_once: SharedResults[Path] = field(default_factory=SharedResults, init=False)

    def __post_init__(self) -> None:
        if self.beside is not None:
            self._sources = self.beside._sources  # noqa: SLF001

    def get(self, preparer: RequirementPreparer, req: InstallRequirement) -> Source:
        """Fetch, check and unpack a requirement's link, as pip's preparer does."""
        link = req.link
        assert link is not None
        at = link if req.editable else self._at_its_commit(link)
        # Which folder of a repository is meant stands in the fragment.
        place = at.url_without_fragment + link.url.removeprefix(link.url_without_fragment)
        self._places[link.url] = place
        return self._sources.get(place, lambda: self._get(preparer, req, at, place))

    def _get(
        self, preparer: RequirementPreparer, req: InstallRequirement, at: Link, place: str
    ) -> Source:
        link = req.link
        assert link is not None
        http_adapters.check_checkout(link, self.pip.options)
        digest = _may_be_outlined(req)
        outline = self.pip.outlines.find(digest) if digest is not None else None
        unpack: Callable[[], Path] | None = None
        if outline is not None:
            unpack = partial(
                self._unpacked_once.get,
                place,
                partial(self._unpacked_later, preparer, copy.copy(req), at),
            )
        else:
            outline = self._unpacked(preparer, req, at)
            if digest is not None:
                self.pip.outlines.keep(digest, outline)
            digest = digest_of(req, outline)
        editable = req.editable or outline in self.pip.editable_folders
        source = source_of(req, at, outline, digest, editable=editable, unpack=unpack)
        if req.config_settings:
            self.pip.lines.config_settings[name_of(source)] = req.config_settings
        return source

    def _unpacked(self, preparer: RequirementPreparer, req: InstallRequirement, at: Link) -> Path:
        """Return the folder with pyproject.toml or setup.py."""
        link = req.link
        assert link is not None
        if req.editable:
            req.ensure_has_source_dir(preparer.src_dir)
            req.update_editable()
        else:
            hashes = preparer._get_linked_req_hashes(req)  # noqa: SLF001
            preparer._ensure_link_req_src_dir(req, parallel_builds=True)  # noqa: SLF001
            if not link.is_existing_dir():
                assert req.source_dir is not None
                with naming_archive(link.filename):
                    fetch, verbosity = preparer._download, preparer.verbosity  # noqa: SLF001
                    file = unpack_url(at, req.source_dir, fetch, verbosity, None, hashes)
                req.local_file_path = file.path if file is not None else None
        directory = Path(req.unpacked_source_directory).resolve()
        if not any((directory / name).is_file() for name in ("pyproject.toml", "setup.py")):
            is_folder = link.is_existing_dir()
            what = str(directory) if is_folder or req.editable else link.filename
            raise fetch_errors.not_a_project(what, is_folder=is_folder)
        return directory

    def _unpacked_later(
        self, preparer: RequirementPreparer, req: InstallRequirement, at: Link
    ) -> Path:
        with translating_errors():
            try:
                return self._unpacked(preparer, req, at)
            except HashError as error:
                error.req = req  # as pip's resolver does
                raise

    def forget_commits(self) -> bool:
        """Keep no locked commits any more, since no versions fit; return whether any was kept."""
        self.commits = {}
        found = any(url != place for url, place in self._places.items())
        self._places.clear()
        return found

    def _at_its_commit(self, link: Link) -> Link:
        """Return the link with the locked commit for its branch or tag."""
        backend = vcs.get_backend_for_scheme(link.scheme)
        if backend is None:
            return link
        url, revision, _ = backend.get_url_rev_and_auth(link.url_without_fragment)
        commit = self.commits.get(Revision(without_credentials(url), revision))
        return Link(f"{backend.name}+{url}@{commit}") if commit is not None else link

    def find(self, link: Link) -> Source | None:
        """Return the source that was fetched from a link, if it was."""
        return self._sources.peek(self._places.get(link.url, link.url))


@dataclass
class Preparer:
    """pip's preparer, which asks the caller for the metadata of sources.

    Attributes:
        direct: the names of direct requirements; those of folders that the user named are added.
        stable: packages whose requirements are not resolved again.

    """

    inner: RequirementPreparer
    sources: Sources
    metadata_of: Callable[[Source], bytes]
    direct: set[NormalizedName]
    overrides: Overrides
    stable: Collection[NormalizedName]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def prepare_linked_requirement(
        self, req: InstallRequirement, parallel_builds: bool = False
    ) -> BaseDistribution:
        assert req.link is not None
        if req.link.is_wheel:
            if req.link.is_existing_dir():
                raise fetch_errors.folder_not_wheel(req.link.file_path)
            prepare = self.inner.prepare_linked_requirement
            return self._overridden(prepared(prepare, req, parallel_builds))
        self.inner._log_preparing_link(req)  # noqa: SLF001
        return self._distribution(req)

    def prepare_editable_requirement(self, req: InstallRequirement) -> BaseDistribution:
        return self._distribution(req)

    def _distribution(self, req: InstallRequirement) -> BaseDistribution:
        source = self.sources.get(self.inner, req)
        assert req.link is not None
        if req.download_info is None:
            if req.editable:
                req.download_info = direct_url_for_editable(str(source.outline))
            else:
                req.download_info = direct_url_from_link(req.link, str(source.outline))
        text = self.metadata_of(source)
        distribution = self._overridden(distribution_of(text, req.link, source))
        req.set_dist(distribution)
        if req.req is None:  # a path or URL: who it is shows only now (pip's prepare_metadata)
            req.req = get_requirement(f"{distribution.raw_name}=={distribution.version}")
        if req.user_supplied and req.link.is_existing_dir():
            extras = [canonicalize_name(extra) for extra in req.extras]
            self.direct |= {
                canonicalize_name(one.name) for one in distribution.iter_dependencies(extras)
            }
        return distribution

    def _overridden(self, distribution: BaseDistribution) -> BaseDistribution:
        """Replace or remove requirements in the METADATA that pip has parsed."""
        metadata = distribution.metadata
        if canonicalize_name(distribution.canonical_name) in self.stable:
            del metadata["Requires-Dist"]
        requires = metadata.get_all("Requires-Dist", []) if self.overrides else []
        if requires:
            del metadata["Requires-Dist"]
            for text in self.overrides.applied(str(one).strip() for one in requires):
                metadata["Requires-Dist"] = text
        return distribution


def _commit_of(link: Link, directory: Path) -> str:
    """Return the commit that was checked out from a link; empty if it is no checkout."""
    backend = vcs.get_backend_for_scheme(link.scheme)
    return backend.get_revision(str(directory)) if backend is not None else ""


def digest_of(req: InstallRequirement, directory: Path) -> str | None:
    """Identify a source by its archive or its commit; None for a folder or an editable."""
    link = req.link
    assert link is not None
    if req.editable or link.is_existing_dir():
        return None
    backend = vcs.get_backend_for_scheme(link.scheme)
    if backend is not None:
        url, *_ = backend.get_url_rev_and_auth(link.url_without_fragment)
        commit = _commit_of(link, directory)
        return artifacts.checkout_digest(backend.name, url, commit, link.subdirectory_fragment)
    # pip checks the user's hashes in place of the index's.
    sha256 = secure_hashes(link).get("sha256") if not req.hash_options else None
    if sha256 is None and req.local_file_path is not None:
        sha256 = artifacts.digest_of_file(Path(req.local_file_path))
    return artifacts.archive_digest(sha256, link.subdirectory_fragment)


def source_of(
    req: InstallRequirement,
    at: Link,
    outline: Path,
    digest: str | None,
    *,
    editable: bool,
    unpack: Callable[[], Path] | None = None,
) -> Source:
    """Make the source of a requirement that was fetched from a link."""
    name, version = name_and_version(outline, req.name)
    if version is None and not req.is_direct:
        _, version = artifacts.name_and_version(at.filename) or (None, None)
    return Source(
        name=name,
        version=version,
        outline=outline,
        digest=digest,
        editable=editable,
        url=remove_auth_from_url(at.url),
        unpack=unpack,
        commit=_commit_of(at, outline) if version is None else "",
    )


def _may_be_outlined(req: InstallRequirement) -> str | None:
    """Return the hash that an index gives for an sdist; None if other checks are needed."""
    link = req.link
    assert link is not None
    if req.editable or req.hash_options or req.is_direct or link.is_vcs or link.is_file:
        return None
    return secure_hashes(link).get("sha256")


def distribution_of(text: bytes, link: Link, source: Source) -> BaseDistribution:
    """Make pip's object for a source's METADATA, which has to be what pip accepts from its link."""
    # On Python 3.10 pip's distribution has the name that it is given here, not the metadata's.
    name = BytesHeaderParser().parsebytes(text)["Name"] or source.name or source.outline
    distribution = get_metadata_distribution(text, link.filename, str(name))
    compat.check_direct_references(distribution, link)
    return distribution


# Build systems


def build_system(directory: Path, name: str) -> BuildSystem:
    """Read ``[build-system]``, with pip's defaults.

    Raises:
        ProjectError: there is no Python project, or its table is not valid.

    """
    pyproject = directory / "pyproject.toml"
    try:
        with _readable(name, pyproject):
            details = load_pyproject_toml(str(pyproject), str(directory / "setup.py"), name)
    except PipError as error:
        raise ProjectError(name, f"pyproject.toml: {translate(error).message}") from error
    return BuildSystem(
        requires=tuple(details.requires),
        backend=details.backend,
        backend_path=tuple(details.backend_path or ()),
        needs=tuple(details.check),
    )


def load_build_system(req: InstallRequirement) -> None:
    """Let pip read the build system of an unpacked requirement.

    Raises:
        InstallationError: pip refuses it.
        ProjectError: it is not TOML that Python can parse.

    """
    with _readable(str(req.name or req.link or req), Path(req.pyproject_toml_path)):
        req.load_pyproject_toml()


@contextmanager
def _readable(name: str, pyproject: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise ProjectError(name, f"pyproject.toml {toml_files.problem_of(pyproject)}") from error


# URLs


def local_path(url: str) -> Path | None:
    """Return the path of a file: URL; None of any other."""
    link = Link(url)
    return Path(link.file_path) if link.is_file else None


def check_out(url: str, into: Path, options: Values) -> None:
    """Check out a repository.

    Args:
        url: as pip writes it: ``git+https://…@COMMIT``.
        into: a new folder.
        options: those of the command (``--offline``).

    """
    link = Link(url)
    http_adapters.check_checkout(link, options)
    with translating_errors():
        unpack_vcs_link(link, str(into), verbosity=0)


def unpack(archive: Path, into: Path) -> None:
    """Unpack an archive into a folder, without its first folder."""
    with translating_errors(), naming_archive(archive.name):
        _unpacking.unpack_file(str(archive), str(into), None)


_umask = _unpacking.current_umask()
"""Read once: pip sets it to read it, and other threads write files meanwhile."""

patches.replace(_unpacking, current_umask=lambda: _umask)
