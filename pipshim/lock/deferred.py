"""Build environments that a lock leaves to where the packages are built.

They are resolved around the lock's pins, as ``pipshim lock`` would have resolved them, and kept for
this command only.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model import artifacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.builds.build_request import Job
    from pipshim.lock.build_planner import Staging
    from pipshim.lock.services import LockServices
    from pipshim.model.interpreter import TargetPython
    from pipshim.model.pylock import Lock
    from pipshim.model.selection import Selection
    from pipshim.model.solution import Solution


class DeferredBuilds:
    """Resolves build environments that the lock does not have.

    Args:
        context: the parts of the command.
        lock: whose pins stay.
        selection: the part of it that builds match.

    """

    def __init__(self, context: LockServices, lock: Lock, selection: Selection) -> None:
        self._context = context
        self._lock = lock
        self._selection = selection

    def start(self) -> None:
        """Have what resolves; called before there are threads that ask for builds."""
        self._staging  # noqa: B018 a cached property

    def of_package(self, package: Package) -> Job:
        """Say how a package is built.

        Raises:
            ResolveError: its build environment has no solution.
            BuildError: its backend, or the build of a build requirement, failed.

        """
        from pipshim.lock.foreign_lock import source_of  # noqa: PLC0415 imports pip's resolver

        self._say(f"{package.name} {package.version or ''}".strip())
        return self._staging.job(source_of(self._context, package), self._solution)

    def of_folder(self, name: NormalizedName, directory: Path) -> Job:
        """Say how a project in a folder is built; as `of_package` otherwise."""
        from pipshim.model.solution import Source  # noqa: PLC0415 as above

        self._say(name)
        source = Source(name, None, directory, None, editable=True, url=directory.as_uri())
        return self._staging.job(source, self._solution)

    def _say(self, label: str) -> None:
        text = f"{label}: resolving its build environment, which the lock does not have"
        self._context.say(text)

    @cached_property
    def _staging(self) -> Staging:
        from pipshim.lock.lock_maker import locker_of  # noqa: PLC0415 as above

        locker = locker_of(self._context, keep=self._lock)
        locker.rounds.adopt(self._solution)
        return locker.staging

    @cached_property
    def _solution(self) -> Solution:
        from pipshim.model.solution import Pin, Solution  # noqa: PLC0415 as above

        pins = {}
        for name, package in self._selection.packages.items():
            artifact = artifacts.choose(package, self._context.target)
            pins[name] = Pin(
                package=package,
                version=package.version or Version("0"),
                source=None,
                editable=False,
                platform_specific=artifacts.is_platform_specific(artifact),
            )
        return Solution(pins=pins, origins={})


def matching(
    selection: Selection, target: TargetPython, requirements: Iterable[str]
) -> Iterator[Package]:
    """Return the packages of run time that a build with these requirements matches."""
    stated: dict[NormalizedName, list[Requirement]] = {}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        stated.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for name in stated.keys() & selection.packages.keys():
        package = selection.packages[name]
        if (
            package.version is not None
            and artifacts.is_platform_specific(artifacts.choose(package, target))
            and all(one.specifier.contains(package.version, True) for one in stated[name])
        ):
            yield package
