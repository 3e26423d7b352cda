"""A build request and its result, as values."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, Protocol

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_record import Used
from pipshim.model.events import label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.builds.build_cache import BuildResult
    from pipshim.builds.environment import BuildEnvironment
    from pipshim.model.build_mode import Mode
    from pipshim.model.build_record import Record
    from pipshim.project.static_metadata import BuildSystem
    from pipshim.store.unpacked_wheel import UnpackedWheel


@dataclass(frozen=True)
class Component:
    """A distribution of a build's environment.

    Attributes:
        identity: identifies its content before it is fetched (`pipshim.model.build_record.Used`).
        tree: fetches or builds it, once.
        package: its entry in a lock (PEP 751).
        build: describes its build; None for a wheel.
        pure: whether it is a wheel for every platform, as its file name says.

    """

    name: NormalizedName
    version: str
    identity: str
    tree: Callable[[], UnpackedWheel] = field(compare=False)
    package: Package = field(compare=False)
    build: Callable[[], BuildRequest] | None = field(default=None, compare=False)
    pure: bool = field(default=False, compare=False)

    @property
    def is_built(self) -> bool:
        return self.build is not None

    @property
    def used(self) -> Used:
        """Describe it as a record does, as far as that is known without its files."""
        return Used(self.version, self.identity, counts=not self.pure)


@dataclass(frozen=True)
class OuterEnvironment:
    """What a build without isolation sees after the packages of its own environment.

    Attributes:
        folders: whose packages it can import.
        programs: folders that come last on PATH.

    """

    folders: tuple[Path, ...] = ()
    programs: tuple[Path, ...] = ()
    distributions: Mapping[str, Used] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class BuildRequest:
    """A build to be done.

    Attributes:
        version: its version; ``?`` where only a build can tell.
        digest: of the source; None for a folder, whose results are not cached.
        chosen_by: who chose the mode.
        open: fetches and unpacks the source, once; returns its folder and its build system.
        outer: what it sees besides.
        environment: where to build, if not in an environment of its own.
        editable: whether its metadata is that of an editable, which may require more than a wheel.
        commit: of a checkout.
        combination: of conflicting extras and groups, if its environment depends on it.
        package: its entry in a lock (PEP 751), if it is locked.

    """

    name: NormalizedName
    version: str
    digest: str | None
    mode: Mode
    chosen_by: str
    open: Callable[[], tuple[Path, BuildSystem]] = field(compare=False)
    requirements: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    outer: OuterEnvironment = OuterEnvironment()
    environment: BuildEnvironment | None = None
    editable: bool = False
    commit: str = ""
    combination: str = field(default="", compare=False)
    package: Package | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """Its name and version, or commit, for people."""
        return label(self.name, self.version, self.commit)

    @property
    def about(self) -> tuple[str, str, str, str]:
        """Its name, version and mode, and who chose that, as events have them."""
        return self.name, self.version, str(self.mode), self.chosen_by

    @property
    def waits_for(self) -> tuple[NormalizedName, ...]:
        return tuple(one.name for one in self.components if one.is_built)

    @property
    def available(self) -> dict[str, Used]:
        """Its environment, as records describe it."""
        return {
            **self.outer.distributions,
            **{one.name: one.used for one in self.components},
        }


@dataclass(frozen=True)
class BuiltWheel:
    """A wheel that was built, or reused from an earlier build.

    Attributes:
        result: of the build, with its record.
        origin: whether it was built now, earlier on this machine, or on another one.
        wheel: the file that the backend made, until the end of the command; None unless built now.

    """

    tree: UnpackedWheel
    result: BuildResult
    origin: Literal["built", "cached", "remote"]
    wheel: Path | None = None

    @property
    def record(self) -> Record:
        """What it was built from and against."""
        return self.result.record


class WorkerReport(Protocol):
    """What a worker says of a build.

    Attributes:
        has_built: whether it has built for this command; else it had the wheel.
        seconds: how long that took.

    """

    has_built: bool
    seconds: float
