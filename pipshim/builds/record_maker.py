"""Make the records of builds, and describe what a build would meet now."""

from __future__ import annotations

import os
import re
from dataclasses import field, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.urls import without_credentials
from pipshim.builds.environment import inherited
from pipshim.builds.tools import GIT_LFS, Tools, uses_lfs
from pipshim.envs import installed
from pipshim.model import claim
from pipshim.model.build_mode import Mode
from pipshim.model.build_record import Conditions, Record, Used, languages_of
from pipshim.model.build_variables import recorded
from pipshim.model.compiler_choice import CompilerChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipshim.builds.build_request import BuildRequest, Component
    from pipshim.builds.hooks import Hooks
    from pipshim.model.build_settings import Settings
    from pipshim.model.build_tools import Tool
    from pipshim.model.interpreter import Target
    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import UnpackedWheel


@dataclass
class RecordMaker:
    """Makes the records of one command's builds."""

    target: Target
    store: Store
    settings: Settings
    environ: Mapping[str, str]
    tools: Tools
    workspace: Path
    _guard: Lock = field(default_factory=Lock, init=False)
    _native: dict[tuple[str, str], bool] = field(default_factory=dict, init=False)
    _environs: dict[bool, dict[str, str]] = field(default_factory=dict, init=False)

    def content(self, identity: str) -> str:
        """Return how installed distributions identify the content of a wheel; all else as it is."""
        tree = self.store.tree(identity.removeprefix("sha256:"))
        return identity if tree is None else tree.content

    def tool(self, name: str) -> Tool | None:
        """Return what builds find as a compiler or program; None if there is none."""
        return self.tools.find(name, CompilerChoice(self.environ, self.target.compilers))

    def conditions(self, build: BuildRequest, *, exact: bool = False) -> Conditions:
        """Describe what a build would meet now."""
        environ = {
            **self._inherited(leaks=build.mode is Mode.NO_ISOLATION),
            **self.settings.variables_for(build.name),
        }
        return Conditions(
            available=build.available,
            environ=environ,
            tools=lambda name, systems: self.tools.find(
                name, self.compiler_choice(build, environ, systems)
            ),
            rules=self.settings.rules_for(build.name),
            exact=exact,
            abi={str(name): level for name, level in self.settings.abi.items()},
            content=self.content,
        )

    @cached_property
    def machine(self) -> str:
        """What builds find on this machine (`pipshim.model.claim.machine_key`)."""
        return machine_key(self.environ, self.tools, self.target)

    def claim_key(self, build: BuildRequest) -> str:
        return claim.key_of(self.record(build), self.conditions(build))

    def selection_key(self, build: BuildRequest) -> str:
        """Return what the name of a shared record says of what is known before its build."""
        return claim.selection_key(self.machine, self.claim_key(build))

    def compiler_choice(
        self, build: BuildRequest, environ: Mapping[str, str], systems: Iterable[str]
    ) -> CompilerChoice:
        """Return what decides which compilers a build finds.

        Args:
            systems: the distributions of its environment, build systems among them.

        """
        config = self.settings.config_for(build.name)
        return CompilerChoice(environ, self.target.compilers, config, frozenset(systems))

    def _inherited(self, *, leaks: bool) -> dict[str, str]:
        with self._guard:
            if leaks not in self._environs:
                self._environs[leaks] = inherited(self.environ, leaks=leaks)
            return self._environs[leaks]

    def note_native(self, components: Sequence[Component], trees: Sequence[UnpackedWheel]) -> None:
        """Note which distributions of an environment compiled code can be built against."""
        with self._guard:
            for component, tree in zip(components, trees, strict=True):
                self._native[component.name, component.identity] = tree.is_native

    def record(
        self, build: BuildRequest, hooks: Hooks | None = None, *, compiled: bool = False
    ) -> Record:
        """Return the record of a build.

        Args:
            hooks: the hooks that were called; None before that.
            compiled: whether the wheel is for one platform only.

        """
        against: Mapping[str, Used] = {}
        tools: Mapping[str, Tool | None] = {}
        variables: Mapping[str, str | None] = {}
        if hooks is not None:
            against = self._against(build, hooks)
            tools = self._used_tools(build, hooks, against, compiled=compiled)
            languages = languages_of(tools, against) if compiled else frozenset()
            rules = self.settings.rules_for(build.name)
            variables = recorded(hooks.trace.variables, hooks.variables, rules, languages)
        return Record(
            name=build.name,
            version=build.version,
            source=build.digest or "",
            mode=str(build.mode),
            python=self.target.python_name,
            platform=self.target.platform,
            requirements=tuple(sorted(map(without_credentials, build.requirements))),
            constraints=() if build.mode is Mode.NO_ISOLATION else self.settings.constraints,
            config_settings=self.settings.config_for(build.name),
            variables=variables,
            compiled=compiled,
            tools=tools,
            against=dict(sorted(against.items())),
        )

    def _used_tools(
        self, build: BuildRequest, hooks: Hooks, systems: Iterable[str], *, compiled: bool
    ) -> dict[str, Tool | None]:
        """Return the programs that a result depends on; of a compiled wheel, compilers too."""
        choice = self.compiler_choice(build, self.conditions(build).environ, systems)
        found: dict[str, Tool | None] = {}
        if build.commit and uses_lfs(hooks.source):
            found[GIT_LFS] = self.tools.find(GIT_LFS, choice)
        if not compiled:
            return found
        own = (hooks.source, hooks.python.parent.parent, self.workspace)
        prefixes = tuple(f"{folder}{os.sep}" for folder in own)
        programs = [one for one in hooks.trace.programs if not one.startswith(prefixes)]
        return found | self.tools.used(hooks.source, programs, choice)

    def _against(self, build: BuildRequest, hooks: Hooks) -> dict[str, Used]:
        """Return the distributions that a build used, and which of them count."""
        native = {
            str(one.name): self._native[one.name, one.identity]
            for one in build.components
            if (one.name, one.identity) in self._native
        }
        return {
            name: replace(one, counts=native.get(name, one.counts))
            for name, one in self._used(build, hooks).items()
        }

    def _used(self, build: BuildRequest, hooks: Hooks) -> dict[str, Used]:
        available = build.available
        if build.mode is not Mode.NO_ISOLATION:
            return available
        required = {_name(text) for text in build.requirements}
        used = {name: found for name, found in available.items() if name in required}
        owners: dict[str, Component] = {}
        for component in build.components:
            for path in component.tree().module_files:
                owners[path] = component
        for file in hooks.trace.modules:
            owner = owners.get(_inside_site(file) or "")
            if owner is not None:
                used[owner.name] = owner.used
        outer = build.outer
        for folder in outer.folders:
            imported = _imported_from(folder, hooks.trace.modules) & outer.distributions.keys()
            used.update({name: outer.distributions[name] for name in imported})
        return used


def machine_key(environ: Mapping[str, str], tools: Tools, target: Target) -> str:
    """Return what is the same on machines on which builds find the same."""
    choice = CompilerChoice(environ, target.compilers)
    return claim.machine_key(
        Conditions(
            environ=inherited(environ, leaks=False),
            tools=lambda name, _: tools.find(name, choice),
        )
    )


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return requirement


_SITE = re.compile(r"/site-packages/(.+)$")


def _inside_site(file: str) -> str | None:
    match = _SITE.search(file.replace(os.sep, "/"))
    return match[1] if match else None


def _imported_from(folder: Path, files: Iterable[str]) -> set[NormalizedName]:
    """Return the distributions behind a staging environment that a build imported."""
    prefix = f"{folder}{os.sep}"
    wanted = {file for file in files if file.startswith(prefix)}
    if not wanted:
        return set()
    return {
        name
        for name, one in installed.scan([folder]).items()
        if any(str(path) in wanted for path in installed.files_of(one))
    }
