"""Fetch what a lock names with pip's session and downloader, and check its hashes."""

from __future__ import annotations

import threading
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.pylock import (
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
)

from pipshim._pip.preparer import check_out, local_path, unpack
from pipshim.base.errors import HashError, InstallError, LockError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.base.urls import without_credentials
from pipshim.model.artifacts import digest_of_file, file_name
from pipshim.store.wheel_stream import GivenUp, WheelStream

if TYPE_CHECKING:
    from packaging.pylock import Package

    from pipshim._pip.session import Pip
    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import UnpackedWheel

Artifact = PackageWheel | PackageSdist | PackageArchive | PackageVcs | PackageDirectory
_HASHES = ("sha256", "sha512", "sha384")


@dataclass
class Fetcher:
    """Fetches wheels into the store, and sources into folders, each once.

    Attributes:
        pip: whose session is used.
        store: where wheels go.
        base: the folder of the lock's relative paths.
        downloaded: by URL, the downloaded files, which are kept until the end.

    """

    pip: Pip
    store: Store
    base: Path
    downloaded: dict[str, Path] = field(default_factory=dict, init=False)
    _trees: SharedResults[UnpackedWheel] = field(
        default_factory=lambda: SharedResults(keep=False), init=False
    )
    _unpacked: SharedResults[Path] = field(default_factory=SharedResults, init=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)

    def wheel(self, package: Package, artifact: PackageWheel | PackageArchive) -> UnpackedWheel:
        """Return an unpacked wheel, fetched if the store does not have it.

        Raises:
            HashError: the file is not the one that the lock names.
            NetworkError: it cannot be fetched.

        """
        sha256 = artifact.hashes.get("sha256", "").lower() or None

        def fetch() -> UnpackedWheel:
            tree = self.store.tree(sha256) if sha256 else None
            return tree or self._fetch_wheel(package, artifact, sha256)

        return self._trees.get(sha256 or artifact.url or artifact.path or package.name, fetch)

    def _fetch_wheel(
        self, package: Package, artifact: PackageWheel | PackageArchive, sha256: str | None
    ) -> UnpackedWheel:
        """Fetch a wheel into the store; a large one is unpacked while it is being downloaded."""
        url = self._url(package, artifact)
        if artifact.url:
            self.pip.spare(url)

        def unpack(stream: WheelStream) -> UnpackedWheel:
            if sha256 is None:
                raise GivenUp("the lock has another hash of it")
            return self.store.add_stream(stream, package.name, sha256)

        def end_of(count: int) -> bytes:
            return self.pip.downloader.end_of(url, count)  # only now is the session needed

        with WheelStream(file_name(artifact), end_of, unpack) as stream:
            path = self._file(package, artifact, stream)
            stream.accept()
        try:
            return stream.tree or self.store.add(path, package.name, sha256)
        except InstallError as error:
            shown = without_credentials(url)
            raise InstallError(f"{error}\n  from {shown}", hint=error.hint) from error

    def source(self, package: Package, artifact: Artifact) -> Path:
        """Return the folder of an unpacked source: an sdist, archive, checkout or folder."""
        if isinstance(artifact, PackageWheel):
            raise TypeError(f"{artifact.filename} is not a source")
        if isinstance(artifact, PackageDirectory):
            folder = self.base / artifact.path
            return (folder / artifact.subdirectory if artifact.subdirectory else folder).resolve()
        key = f"{artifact.url or artifact.path} {getattr(artifact, 'commit_id', '')}"
        tree = self._unpacked.get(key, lambda: self._unpack(package, artifact))
        return tree / (getattr(artifact, "subdirectory", None) or "")

    def _unpack(
        self, package: Package, artifact: PackageSdist | PackageArchive | PackageVcs
    ) -> Path:
        with self._guard:
            into = self.pip.temporary_directory("req-build")
        if isinstance(artifact, PackageVcs):
            url = f"{artifact.type}+{self._url(package, artifact)}@{artifact.commit_id}"
            check_out(url, into, self.pip.options)
        else:
            unpack(self._file(package, artifact), into)
        return into

    def _file(
        self,
        package: Package,
        artifact: PackageWheel | PackageSdist | PackageArchive,
        stream: WheelStream | None = None,
    ) -> Path:
        """Fetch a file, and check its hash, and its size if the lock has one."""
        url = self._url(package, artifact)
        path = local_path(url)
        if path is None:
            path = self.downloaded[url] = self.pip.archived(url) or self._download(url, stream)
        elif not path.is_file():
            raise LockError(path, f"{package.name}: the lock names this file, which does not exist")
        _check(package, artifact, path)
        return path

    def _download(self, url: str, stream: WheelStream | None) -> Path:
        with self._guard:
            folder = self.pip.temporary_directory("unpack")
            downloader = self.pip.downloader
        return downloader.fetch(url, folder, stream.grow if stream is not None else None)

    def _url(self, package: Package, artifact: Artifact) -> str:
        path = getattr(artifact, "path", None)
        if path is not None:
            return Path(self.base, path).resolve().as_uri()
        url = getattr(artifact, "url", None)
        if not url:
            raise LockError(None, f"{package.name}: an entry has neither path nor url")
        return str(url)


def _check(
    package: Package, artifact: PackageWheel | PackageSdist | PackageArchive, path: Path
) -> None:
    algorithm = next((one for one in _HASHES if one in artifact.hashes), None)
    if algorithm is None:
        raise LockError(
            None,
            f"{package.name}: no sha256, sha384 or sha512 for {file_name(artifact)}",
            hint="recreate the lock: pipshim lock",
        )
    digest = digest_of_file(path, algorithm)
    if digest != artifact.hashes[algorithm].lower():
        raise HashError(
            package.name,
            file_name(artifact),
            f"{algorithm}:{artifact.hashes[algorithm]}",
            f"{algorithm}:{digest}",
        )
