"""The files of locked packages (PEP 751): choose the one for a target, and identify it. Pure."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.pylock import PackageArchive, PackageDirectory, PackageVcs, PackageWheel
from packaging.tags import Tag, create_compatible_tags_selector, parse_tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from pipshim.base import urls
from pipshim.base.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packaging.pylock import Package, PackageSdist
    from packaging.utils import NormalizedName

    from pipshim.model.interpreter import TargetPython

    Artifact = PackageWheel | PackageSdist | PackageArchive | PackageVcs | PackageDirectory


def choose(package: Package, target: TargetPython) -> Artifact:
    """Choose the best wheel, else the source.

    Raises:
        LockError: the package has neither for this target.

    """
    direct = package.vcs or package.directory or package.archive
    if direct is not None:
        if isinstance(direct, PackageArchive) and is_wheel(direct):
            try:
                wrong = unsuitable_tags(file_name(direct), target)
            except InvalidWheelFilename as error:
                raise LockError(None, f"{package.name}: {error}") from error
            if wrong is not None:
                raise _unsuitable(package, target)
        return direct
    if package.wheels:
        selector = _selector(target.tags)
        pairs = [(wheel, parse_wheel_filename(wheel.filename)[-1]) for wheel in package.wheels]
        best = next(selector(pairs), None)
        if best is not None:
            return best
    if package.sdist is not None:
        return package.sdist
    raise _unsuitable(package, target)


def size(artifact: Artifact) -> int:
    """Return an artifact's size in bytes; 0 where the lock does not say it."""
    return getattr(artifact, "size", None) or 0


def is_wheel(artifact: Artifact) -> bool:
    return isinstance(artifact, PackageWheel) or (
        isinstance(artifact, PackageArchive) and file_name(artifact).endswith(".whl")
    )


def is_platform_specific(artifact: Artifact) -> bool:
    """Return whether an artifact is a wheel with compiled code, by its name."""
    return is_wheel(artifact) and not is_pure_wheel(artifact)


def identity(artifact: Artifact) -> str:
    """Identify an artifact's content: by a hash, a commit of a repository, or its folder."""
    hashes = getattr(artifact, "hashes", None)
    if hashes:
        name = "sha256" if "sha256" in hashes else min(hashes)
        return f"{name}:{hashes[name]}"
    if isinstance(artifact, PackageVcs):
        place = _repository(artifact.url or artifact.path or "")
        return f"{place}@{artifact.commit_id}#{artifact.subdirectory or ''}"
    return str(getattr(artifact, "path", ""))


def archive_digest(sha256: str | None, subdirectory: str | None) -> str | None:
    """Identify the archive that is built; None if its hash is not known."""
    if sha256 is None or not subdirectory:
        return sha256
    return hashlib.sha256(f"{sha256}#{subdirectory}".encode()).hexdigest()


def checkout_digest(vcs: str, url: str, commit: str, subdirectory: str | None) -> str | None:
    """Identify the git commit that is built; None for other version control systems.

    The repository counts, since a build may read its tags. Credentials in its URL do not.
    """
    if vcs != "git":
        return None
    text = f"git+{_repository(url)}@{commit}#{subdirectory or ''}"
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_source(artifact: Artifact, base: Path) -> str | None:
    """Identify a locked source, whose path may be relative to a folder; None for folders."""
    if isinstance(artifact, PackageDirectory):
        return None
    if isinstance(artifact, PackageVcs):
        url = artifact.url or (base / (artifact.path or "")).resolve().as_uri()
        return checkout_digest(artifact.type, url, artifact.commit_id, artifact.subdirectory)
    sha256 = (artifact.hashes or {}).get("sha256")
    return archive_digest(sha256, getattr(artifact, "subdirectory", None))


def _repository(url: str) -> str:
    return urls.without_credentials(url).rstrip("/").removesuffix(".git")


def file_name(artifact: PackageWheel | PackageSdist | PackageArchive) -> str:
    """Return an artifact's file name, percent-decoded."""
    if isinstance(artifact, PackageArchive):
        path = (artifact.path or "").replace("\\", "/")
        return path.rpartition("/")[2] if path else urls.file_name(artifact.url or "")
    return artifact.filename


def is_pure_wheel(artifact: Artifact) -> bool:
    if not isinstance(artifact, (PackageWheel, PackageArchive)):
        return False
    return file_name(artifact).endswith("-none-any.whl")


def unsuitable_tags(filename: str, target: TargetPython) -> str | None:
    """Return the tags that make a wheel unsuitable for a target; None if it suits.

    Raises:
        InvalidWheelFilename: it is not the name of a wheel.

    """
    tags = parse_wheel_filename(filename)[-1]
    if tags & set(_tags(target.tags)):
        return None
    return ", ".join(sorted(map(str, tags)))


def _unsuitable(package: Package, target: TargetPython) -> LockError:
    files = ", ".join(wheel.filename for wheel in package.wheels or ()) or "no file"
    python = ".".join(map(str, target.version[:2]))
    return LockError(
        None,
        f"{package.name} {package.version} has no wheel for this platform "
        f"({target.implementation} {python}, {target.markers['sys_platform']} "
        f"{target.markers['platform_machine']}) and no sdist\n  it has {files}",
        hint=f"lock for this platform: pipshim lock -P {package.name}",
    )


@lru_cache(maxsize=8)
def _selector(texts: tuple[str, ...]) -> Callable[..., Iterator[PackageWheel]]:
    return create_compatible_tags_selector(_tags(texts))


@lru_cache(maxsize=8)
def _tags(texts: tuple[str, ...]) -> tuple[Tag, ...]:
    return tuple(tag for text in texts for tag in parse_tag(text))


def digest_of_file(path: Path, algorithm: str = "sha256") -> str:
    with path.open("rb", buffering=0) as file:
        digest = hashlib.new(algorithm)
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def index_of(page: str | None, name: NormalizedName) -> str | None:
    """Return the index (PEP 503 root) of a package's page, without credentials."""
    if not page or not page.startswith(("http://", "https://", "file://")):
        return None
    parts = urlsplit(page)
    root, _, last = unquote(parts.path).rstrip("/").rpartition("/")
    if last == "index.html":
        root, _, last = root.rpartition("/")
    if canonicalize_name(last) != name:
        return None
    return urls.without_credentials(parts._replace(path=root + "/", query="", fragment="").geturl())


@cache
def name_and_version(filename: str) -> tuple[NormalizedName, Version] | None:
    """Parse the name of a wheel or sdist; None if it is neither."""
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[:2]
        return parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
