"""What a resolver chose: pins, and the sources among them that have to be built."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.events import UNKNOWN, label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version


@dataclass(frozen=True)
class Source:
    """A source tree, fetched, checked and unpacked.

    Attributes:
        name: the distribution, if the requirement or the file name says it.
        outline: the folder with pyproject.toml, PKG-INFO and setup.py: the tree's own, or one that
            has nothing else.
        digest: identifies its content (`pipshim.model.artifacts.digest_of_source`); None for
            folders and editables.
        editable: asked for with ``-e``.
        url: where it came from, without credentials; distinguishes sources.
        unpack: fetches and unpacks the tree of an outline, once.
        commit: of a checkout whose version is not known.
        package: its entry in a lock (PEP 751), once it is pinned.

    """

    name: NormalizedName | None
    version: Version | None
    outline: Path
    digest: str | None
    editable: bool
    url: str
    unpack: Callable[[], Path] | None = field(default=None, repr=False, compare=False)
    commit: str = field(default="", compare=False)
    package: Package | None = field(default=None, repr=False, compare=False)

    @property
    def directory(self) -> Path:
        """The tree's own folder.

        Raises:
            PipshimError: it cannot be fetched or unpacked.

        """
        return self.outline if self.unpack is None else self.unpack()

    def __getstate__(self) -> dict[str, Any]:
        """Unpack the tree before it is sent to another process."""
        return {**vars(self), "outline": self.directory, "unpack": None}

    def __str__(self) -> str:
        if self.name is None:
            return str(self.outline)
        return label(self.name, str(self.version or UNKNOWN), self.commit)


def name_of(source: Source) -> NormalizedName:
    """Return a source's name, or its folder's if only its backend knows the name."""
    return source.name if source.name is not None else canonicalize_name(source.outline.name)


@dataclass(frozen=True)
class Pin:
    """A distribution that the resolver chose.

    Attributes:
        package: the lock's entry (PEP 751), without marker and tool table.
        version: the version; a direct reference's entry does not carry one.
        source: set when it has to be built, for the target at hand.
        editable: asked for with ``-e``; not an entry of the lock.
        platform_specific: chosen as a wheel that is not pure Python.
        present: installed already, and to stay; only where pip's own commands build.

    """

    package: Package
    version: Version
    source: Source | None
    editable: bool
    platform_specific: bool
    present: bool = False


@dataclass(frozen=True)
class Solution:
    """What the resolver found.

    Attributes:
        origins: why each pin is there: ``project``, ``extra NAME``, ``group NAME``.
        roots: by origin, the root requirements; of packages left out, those that they have.
        left_out: required packages of which only the dependencies are locked (``--only-deps``).
        by_hash: whether requirements restrict the files of a version (``--hash``).

    """

    pins: Mapping[NormalizedName, Pin]
    origins: Mapping[NormalizedName, frozenset[str]]
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: frozenset[NormalizedName] = frozenset()
    by_hash: bool = False

    @property
    def versions(self) -> dict[NormalizedName, Version]:
        return {name: pin.version for name, pin in self.pins.items()}
