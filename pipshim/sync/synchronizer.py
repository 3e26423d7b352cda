"""Make an environment match the lock: fetch and build everything, then change it in one step.

Nothing in the environment changes before everything is prepared. Then old files are replaced,
package by package; if anything fails, all of it is rolled back.
"""

from __future__ import annotations

import hashlib
from dataclasses import field, replace
from difflib import get_close_matches
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from packaging.direct_url import DirectUrl, DirInfo
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.errors import UsageError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.tasks import each
from pipshim.builds.build_request import OuterEnvironment
from pipshim.builds.environment import BuildEnvironment
from pipshim.envs import installed, shared_files
from pipshim.envs.abi_providers import used
from pipshim.envs.dist_info import METADATA, read_text
from pipshim.envs.install_notes import (
    WHEEL,
    as_present,
    direct_url,
    origin_of,
    own_distributions,
    site_folders,
)
from pipshim.lock.locked_builds import LockedBuilds
from pipshim.lock.services import LockServices
from pipshim.model import artifacts, events
from pipshim.model.build_mode import ALL, Mode
from pipshim.model.build_record import OLDER, Record
from pipshim.model.lower_bound_hint import suggest_lower_bounds
from pipshim.model.requirements import applies, valid
from pipshim.model.sync_plan import Step, Wanted, plan
from pipshim.project.static_metadata import required_by
from pipshim.store import store
from pipshim.store.linking import Linker
from pipshim.sync.transaction import Ready, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.pylock import Package

    from pipshim.envs.environment_choice import EnvironmentChoice
    from pipshim.envs.installed import Installed
    from pipshim.model.interpreter import Target
    from pipshim.model.pylock import Lock, LockedFolder
    from pipshim.model.requests import SelectionOptions
    from pipshim.model.selection import Selection
    from pipshim.model.sync_plan import Removes
    from pipshim.store.fetcher import Artifact
    from pipshim.store.unpacked_wheel import UnpackedWheel

_DOWNLOADS_AT_ONCE = 4
_ORIGINS = {"built": "rebuild", "cached": "from the cache", "remote": "from the remote"}
_FOLDER_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


class SyncServices(LockServices, Protocol):
    """Values and services of one command, as far as a sync uses them.

    Those of locking are among them: a sync resolves build environments that the lock leaves open.
    """

    @property
    def choice(self) -> EnvironmentChoice: ...

    @property
    def store(self) -> store.Store: ...


@dataclass
class Sync:
    """One sync of one environment.

    Attributes:
        context: the command's services.
        lock: what to install.
        exact: whether to remove what the lock does not have; None: depends on who made the
            environment.

    """

    context: SyncServices
    lock: Lock
    selection: Selection
    options: SelectionOptions
    exact: bool | None
    _present: dict[NormalizedName, Installed] = field(default_factory=dict, init=False)
    _removes: Removes = field(default="none", init=False)
    _protected: set[NormalizedName] = field(default_factory=set, init=False)

    # The plan

    def plan(self, target: Target | None) -> list[Step]:
        """Compare the environment, if there is one yet, with the lock."""
        self._present = installed.scan(site_folders(target)) if target is not None else {}
        self._protected = own_distributions(target)
        if self.exact is not False:
            everything = self.exact or self.context.choice.created_by_pipshim
            self._removes = "all" if everything else "own"
        lost = shared_files.damaged(str(target.prefix), self._present) if target is not None else {}
        present = {name: as_present(one, target) for name, one in self._present.items()}
        for name, how in lost.items():
            one = present[canonicalize_name(name)]
            present[one.name] = replace(one, damaged=one.damaged or how)
        return plan(
            {one.name: one for one in self._wanted()},
            present,
            removes=self._removes,
            protected=self._protected,
            reinstall=lambda name: (
                self.options.reinstall or name in self.options.reinstall_packages
            ),
            stale=self._stale,
        )

    def _wanted(self) -> Iterable[Wanted]:
        for name, package in self.selection.packages.items():
            artifact = artifacts.choose(package, self.context.target)
            folder = package.directory is not None
            yield Wanted(
                name,
                str(package.version) if package.version is not None else None,
                artifacts.identity(artifact),
                direct=package.is_direct,
                always="installed from a folder" if folder else None,
            )
        for one in self.selection.folders:
            editable = not self.options.no_editable
            yield Wanted(
                one.name,
                None,
                self._folder_identity(one),
                direct=True,
                always=None if editable else "installed from a folder",
            )

    def _folder_identity(self, folder: LockedFolder) -> str:
        """Identify a folder's content: its path, and the files of its metadata."""
        directory = self._directory(folder)
        kind = "folder" if self.options.no_editable else "editable"
        digest = hashlib.sha256(str(directory).encode())
        for name in _FOLDER_FILES:
            path = directory / name
            digest.update(path.read_bytes() if path.is_file() else b"\0")
        return f"{kind}:{digest.hexdigest()[:32]}"

    def _directory(self, folder: LockedFolder) -> Path:
        return (self.context.lock_path.parent / folder.path).resolve()

    def _is_built(self, package: Package) -> bool:
        return not artifacts.is_wheel(artifacts.choose(package, self.context.target))

    def check_rebuilt(self) -> None:
        """Check that the packages to rebuild are among the lock's builds.

        Raises:
            UsageError: a package is not selected, or comes as a wheel.

        """
        members = {one.name for one in self.lock.build_packages}
        packages = self.selection.packages
        known = {*packages, *members, *(folder.name for folder in self.selection.folders)}
        for name in sorted(self.context.settings.rebuilt - members - {ALL}):
            package = packages.get(canonicalize_name(name))
            if name not in known:
                close = get_close_matches(name, known, 1)
                raise UsageError(
                    f"--rebuild {name}: what is installed does not include {name}",
                    hint=f"did you mean --rebuild {close[0]}?" if close else None,
                )
            if package is not None and not self._is_built(package):
                raise UsageError(
                    f"--rebuild {name}: {name} {package.version} is installed from a wheel, so "
                    "there is nothing to build",
                    hint=f"to install it again: --reinstall-package {name}",
                )

    def check_reinstalled(self) -> None:
        """Warn of packages to reinstall that are not installed."""
        known = {*self.selection.packages, *(folder.name for folder in self.selection.folders)}
        for name in sorted(set(self.options.reinstall_packages) - known):
            close = get_close_matches(name, known, 1)
            meant = f"; did you mean {close[0]}?" if close else ""
            text = f"--reinstall-package {name}: what is installed does not include {name}{meant}"
            self.context.say(text, "warning")

    def _stale(self, name: NormalizedName) -> str | None:
        """Return why an installed wheel has to be built again."""
        package = self.selection.packages.get(name)
        present = self._present.get(name)
        settings = self.context.settings
        if settings.is_rebuilt(name) and (package is None or self._is_built(package)):
            return "rebuild: asked for"
        if package is None or present is None:
            return None
        note = origin_of(present)
        noted = note.get("record")
        if noted is None:
            return None
        record = Record.from_json(noted)
        if record is None:
            return f"rebuild: {OLDER}"
        metadata = read_text(str(present.dist_info / METADATA))
        source = self.builds.source(name)
        why = self.builds.why_stale(source, record, metadata, note.get("signer"))
        if why is None:
            return None
        origin = self.builds.origin(source, self.builds.solution)
        return f"{_ORIGINS[origin]}: {why}"

    def origins(self, steps: Iterable[Step]) -> dict[NormalizedName, events.Source]:
        """Return where the wheels of what is not on an index would come from."""
        changed = {step.name for step in steps if step.action in ("add", "replace")}
        sources = {
            name: self.builds.source(name)
            for name, package in self.selection.packages.items()
            if name in changed and self._is_built(package)
        }
        if not sources:
            return {}
        self.context.builder.look_ahead([one.digest for one in sources.values()], ["wheel"])
        solution = self.builds.solution
        requests = {name: self.builds.request(one, solution) for name, one in sources.items()}
        return self.context.builder.planned_origins(requests)

    @cached_property
    def builds(self) -> LockedBuilds:
        """Plans builds."""
        return LockedBuilds(self.context, self.lock, self.selection, self._outer_environment)

    # Fetching and building

    def prepare(self, steps: Iterable[Step]) -> dict[NormalizedName, Ready]:
        """Fetch and build what the steps need, without touching the environment.

        Downloads come first, then isolated and matched builds, then builds without isolation, each
        after those that it waits for.

        Raises:
            HashError, NetworkError: a file is not the locked one, or cannot be fetched.
            BuildError: a build failed; running ones have finished.

        """
        wanted = [step.name for step in steps if step.action in ("add", "replace")]
        packages = [self.selection.packages[n] for n in wanted if n in self.selection.packages]
        chosen = [(one, artifacts.choose(one, self.context.target)) for one in packages]
        wheels = [(one, artifact) for one, artifact in chosen if artifacts.is_wheel(artifact)]
        sources = [one.name for one, artifact in chosen if not artifacts.is_wheel(artifact)]
        folders = [
            one
            for one in self.selection.folders
            if one.name in wanted and not self._builds_in_place(one)
        ]
        if wanted:
            self.context.observer(events.Planned(len(wanted), len(sources) + len(folders)))
        self.builds.start()
        ready = self._fetched(wheels)
        with suggest_lower_bounds(
            self.context.preferences.strategy,
            lambda: replace(self.builds.solution, roots=self.lock.roots),
            lambda bound: self.context.builder.user().constrain(bound),
        ):
            ready |= self.builds.build(
                {name: self.builds.source(name) for name in sources},
                self.builds.solution,
                self._built,
            )
        for folder in folders:
            ready[folder.name] = self._from_folder(folder, None)
            self._prepared(folder.name, ready[folder.name])
        return ready

    def _fetched(self, wheels: list[tuple[Package, Artifact]]) -> dict[NormalizedName, Ready]:
        # The largest first: unpacking one takes longest, and the others go on beside it.
        wheels.sort(key=lambda wheel: artifacts.size(wheel[1]), reverse=True)
        found = each(lambda wheel: self._fetch(*wheel), wheels, at_once=_DOWNLOADS_AT_ONCE)
        return {package.name: one for (package, _), one in zip(wheels, found, strict=True)}

    def _prepared(self, name: NormalizedName, ready: Ready) -> None:
        self.context.observer(events.Prepared(name, ready.tree.version, ready.source))

    def _fetch(self, package: Package, artifact: Artifact) -> Ready:
        tree = self.context.fetcher.wheel(package, artifact)  # type: ignore[arg-type]
        identity = {"identity": artifacts.identity(artifact)}
        ready = Ready(tree, identity, "index", direct_url=direct_url(package))
        self._prepared(package.name, ready)
        return ready

    def _built(self, name: NormalizedName) -> Ready:
        package, source = self.selection.packages[name], self.builds.source(name)
        built = self.builds.wheel(source, self.builds.solution)
        identity = artifacts.identity(artifacts.choose(package, self.context.target))
        ready = Ready(
            built.tree,
            {
                "identity": identity,
                "record": built.record.to_json(),
                **_signed(built.result.signer),
            },
            built.origin,
            built.record.mode,
            direct_url(package),
            (self.builds.locked(source).chosen_by, built.record.why()),
        )
        self._prepared(name, ready)
        return ready

    def _outer_environment(self) -> OuterEnvironment:
        """Return what builds without isolation see: what the sync keeps, and the layer below."""
        target, below = self.context.target, self.context.below
        under = below.used(besides=self.selection.packages) if below is not None else {}
        left = {
            name: used(one)
            for name, one in self._present.items()
            if name not in self.selection.packages
            and (
                self._removes == "none"
                or name in self._protected
                or (self._removes == "own" and one.installer != "pipshim")
            )
        }
        return OuterEnvironment(
            (*site_folders(target), *(below.folders if below is not None else ())),
            (target.scripts, *(below.programs if below is not None else ())),
            under | left,
        )

    # Projects in folders

    def _builds_in_place(self, folder: LockedFolder) -> bool:
        """Return whether a project is built in the environment itself, after everything else.

        An editable without isolation may remember its environment (meson-python does).
        """
        source = self.builds.folder(folder, self._directory(folder))
        return self.builds.mode(source) is Mode.NO_ISOLATION and not self.options.no_editable

    def _from_folder(self, folder: LockedFolder, environment: BuildEnvironment | None) -> Ready:
        directory, builder = self._directory(folder), self.context.builder
        source = self.builds.folder(folder, directory)
        request = self.builds.request(source, self.builds.solution)
        request = replace(request, version="", environment=environment)
        editable = not self.options.no_editable
        info = DirInfo(editable=True if editable else None)
        direct = DirectUrl(url=directory.as_uri(), dir_info=info).to_dict()
        origin: dict[str, Any] = {"identity": self._folder_identity(folder)}
        mode = str(request.mode)
        if not editable:
            return Ready(builder.wheel(request).tree, origin, "built", mode, direct)
        # A wheel of its own that nobody else may use: it points into this folder.
        wheel = builder.editable(request)
        self._warn_of_unlocked(folder.name, wheel)
        tree = store.Store(self.context.workspace.fresh("store")).add(wheel, folder.name)
        return Ready(tree, origin, "editable", mode, direct)

    def _warn_of_unlocked(self, name: NormalizedName, wheel: Path) -> None:
        """Warn of what only the editable wheel requires, such as ``editables``.

        The lock has it if the backend was asked for metadata; not if pyproject.toml states all
        dependencies.
        """
        locked = {one.name for one in self.lock.packages}
        locked |= {folder.name for folder in self.lock.folders}
        markers = self.context.target.markers
        missing = [
            str(one)
            for one in required_by(wheel)
            if applies(one, markers) and canonicalize_name(one.name) not in locked
        ]
        if missing:
            self.context.say(
                f"{name} is installed as an editable, which requires {', '.join(missing)}; the "
                "lock does not have that. Add it to the project's dependencies or to a dependency "
                "group",
                "warning",
            )

    # The change

    def apply(
        self, steps: Iterable[Step], ready: Mapping[NormalizedName, Ready], target: Target
    ) -> None:
        """Change the environment in one step.

        Raises:
            InstallError: it could not be changed; it is as before.
            BuildError: an editable that builds in place failed; the environment is as before.

        """
        due = {step.name for step in steps if step.action in ("add", "replace")}
        environment = BuildEnvironment(target, leaks=True)

        def built(folder: LockedFolder) -> tuple[NormalizedName, Ready]:
            return folder.name, self._from_folder(folder, environment)

        linker = Linker(self.context.request.common.link_mode or "auto")
        change = Transaction(
            target,
            self._present,
            self.requested(),
            linker,
            observer=self.context.observer,
            bytecode=bool(self.options.compile),
            tree_of=self._installed_tree,
        )
        change.make(
            steps,
            ready,
            [
                partial(built, folder)
                for folder in self.selection.folders
                if folder.name in due and self._builds_in_place(folder)
            ],
        )
        if linker.fallback_message is not None:
            self.context.say(linker.fallback_message)

    def _installed_tree(self, one: Installed) -> UnpackedWheel | None:
        """Return the unpacked wheel of an installed distribution: the store's, else the lock's."""
        tree = self.context.store.tree(str(origin_of(one).get(WHEEL)))
        if tree is None and one.name in self.selection.packages:
            step = Step("replace", one.name, one.version, one.version, "")
            tree = self.prepare([step])[one.name].tree
        return tree

    def requested(self) -> set[NormalizedName]:
        """Return what the user asked for by name (REQUESTED)."""
        project = self.context.project
        names: set[NormalizedName] = {folder.name for folder in self.selection.folders}
        if self.lock.requirements or project is None:
            found = list(valid(self.lock.requirements))
        else:
            found = [one for of in project.lists.values() for one in of]
        return names | {canonicalize_name(one.name) for one in found}


def _signed(signer: str | None) -> dict[str, str]:
    """Return what is noted of the signer of a wheel that came from a remote."""
    return {} if signer is None else {"signer": signer}
