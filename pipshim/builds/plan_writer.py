"""Describe builds so that any machine can run them (`pipshim.model.plan_file`)."""

from __future__ import annotations

import math
import re
from dataclasses import field, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageVcs, PackageWheel
from packaging.utils import canonicalize_name

from pipshim import __version__
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.urls import without_credentials
from pipshim.builds.credential_variables import is_credential
from pipshim.builds.environment import NEVER_INHERITED
from pipshim.model import artifacts
from pipshim.model.build_mode import Mode
from pipshim.model.build_variables import LANGUAGES, value_digest
from pipshim.model.events import UNKNOWN
from pipshim.model.plan_file import GPU_VARIABLES, LeftOut, PlanFile, PlannedBuild
from pipshim.model.pylock import key_of
from pipshim.model.requirements import valid
from pipshim.store import inventory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.builder import Builder
    from pipshim.model.interpreter import TargetPython

_OWN_PATH = re.compile(r"(?:^|[\s=:;,'\"]|-[A-Za-z]+)(?:/|~|[A-Za-z]:[\\/])")
"""A path in the value of a variable: each machine has its own."""

_ONLY_PATHS = re.compile(r"(?:/|~|[A-Za-z]:[\\/])[^\s=,;'\"]*")


class NotPlannableError(Exception):
    """A build that only this machine can do; its text says why."""


@dataclass
class PlanWriter:
    """Collects the builds of a plan, each with those that it needs."""

    builder: Builder
    _builds: dict[str, PlannedBuild] = field(default_factory=dict, init=False)
    _left_out: dict[str, LeftOut] = field(default_factory=dict, init=False)

    def add(self, build: BuildRequest) -> None:
        """Add a build, or note why it cannot be in a plan."""
        try:
            self.add_or_raise(build)
        except NotPlannableError as error:
            self.leave_out(build.name, build.version, str(error))

    def leave_out(self, name: str, version: str, reason: str) -> None:
        self._left_out[name] = LeftOut(name, None if version == UNKNOWN else version, reason)

    def plan(self, tools: Mapping[str, str] | None = None) -> PlanFile:
        settings, target = self.builder.settings, self.builder.target
        own = self._compiler_variables()
        return PlanFile(
            pipshim=__version__,
            python=target.python_name,
            python_abi=target.abi,
            platform=target.platform,
            tools=tools or {},
            variables={name: value for name, value in own.items() if not _OWN_PATH.search(value)},
            own_variables={
                name: value_digest(value) if _ONLY_PATHS.fullmatch(value) else None
                for name, value in own.items()
                if _OWN_PATH.search(value)
            },
            constraints=tuple(map(without_credentials, settings.constraints)),
            record_variables=settings.record_variables.texts,
            ignore_variables=settings.ignore_variables.texts,
            rebuild=settings.rebuild,
            abi={str(name): level for name, level in sorted(settings.abi.items())},
            builds=tuple(self._builds.values()),
            left_out=tuple(self._left_out.values()),
        )

    def _compiler_variables(self) -> dict[str, str]:
        rules = self.builder.settings.rules
        return {
            name: value
            for name, value in sorted(self.builder.environ.items())
            if rules.is_listed(name, LANGUAGES) and not self._is_secret(name, value)
        }

    def add_or_raise(self, build: BuildRequest) -> str:
        """Add a build and those that it needs; return its id."""
        self._check(build)
        assert build.package is not None  # as was checked
        target = self.builder.target
        source = portable(build.package, target)
        key = key_of(source)
        if key in self._builds:
            return key
        environment: list[Package | str] = []
        for component in build.components:
            if component.build is None:
                environment.append(portable(component.package, target))
                continue
            try:
                environment.append(self.add_or_raise(component.build()))
            except NotPlannableError as error:
                raise NotPlannableError(f"it needs {component.name}: {error}") from error
        settings, history = self.builder.settings, self.builder.history
        before = history.last_success(build.name, build.version)
        memory = self.builder.memory_need(build)
        used = before.cpu / before.seconds if before and before.cpu and before.seconds else None
        self._builds[key] = PlannedBuild(
            id=key,
            name=build.name,
            source=source,
            mode=build.mode,
            chosen_by=build.chosen_by,
            requirements=tuple(map(without_credentials, build.requirements)),
            environment=tuple(environment),
            config_settings=settings.config_for(build.name),
            variables=settings.variables_for(build.name),
            reads=tuple(sorted(_gpu_variables(self.builder.cache).get(build.name, ()))),
            cores=math.ceil(used) if used is not None else None,
            memory=memory.peak if memory is not None else None,
            combination=build.combination,
        )
        return key

    def _check(self, build: BuildRequest) -> None:
        """Check that nothing which a build uses is on this machine only."""
        if build.digest is None or build.package is None:
            raise NotPlannableError("it is built from a folder, or its source has no sha256 hash")
        settings = self.builder.settings
        given = {**settings.variables_for(build.name), **settings.config_for(build.name)}
        for name, value in given.items():
            if self._is_secret(name, str(value)):
                raise NotPlannableError(f"its setting {name} has credentials")
        if build.mode is not Mode.NO_ISOLATION:
            return
        if leaking := sorted(NEVER_INHERITED & self.builder.environ.keys() - {"VIRTUAL_ENV"}):
            raise NotPlannableError(
                f"it is built without isolation, and {', '.join(leaking)} is set"
            )
        own = {component.name for component in build.components}
        names = {canonicalize_name(one.name) for one in valid(build.requirements)}
        outside = sorted(names & build.outer.distributions.keys() - own)
        if outside:
            raise NotPlannableError(
                f"it is built without isolation, with {', '.join(outside)} of the environment, "
                "which the lock does not have"
            )

    def _is_secret(self, name: str, value: str) -> bool:
        """Return whether a variable or setting has credentials: by its name, or known ones."""
        shown = self.builder.mask.hide(without_credentials(value))
        return is_credential(name, value) or shown != value


def portable(package: Package, target: TargetPython) -> Package:
    """Return a package's entry with the file that suits a target, and no credentials.

    Raises:
        NotPlannableError: only this machine has the file.

    """
    artifact = artifacts.choose(package, target)
    url = getattr(artifact, "url", None)
    label = f"{package.name} {package.version or ''}".rstrip()
    if isinstance(artifact, PackageDirectory):
        raise NotPlannableError(f"{label} is a folder of this machine")
    if not url or urlsplit(url).scheme == "file":
        raise NotPlannableError(f"{label} comes from a file of this machine")
    hashes = getattr(artifact, "hashes", None)
    if hashes is not None and "sha256" not in hashes:
        raise NotPlannableError(f"{label} has no sha256 hash in the lock")
    url = without_credentials(url)
    bare = Package(name=package.name, version=package.version)
    if isinstance(artifact, PackageVcs):
        return replace(bare, vcs=replace(artifact, url=url, path=None))
    kept = replace(artifact, url=url, path=None, upload_time=None)
    if isinstance(kept, PackageWheel):
        return replace(bare, wheels=[kept])
    if isinstance(kept, PackageArchive):
        return replace(bare, archive=kept)
    return replace(bare, sdist=kept)


@lru_cache(maxsize=1)
def _gpu_variables(cache: Path) -> dict[str, set[str]]:
    """Return the variables that choose GPUs, by the packages whose earlier builds read them."""
    found: dict[str, set[str]] = {}
    for result in inventory.wheels(cache):
        record = result.record
        found.setdefault(record.name, set()).update(GPU_VARIABLES & record.variables.keys())
    return found
