"""Turn a request into requirements to resolve, and a resolution into a `Lock`."""

from __future__ import annotations

import os
from dataclasses import field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base.errors import FileError, ProjectError
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.build_request import OuterEnvironment
from pipshim.lock import lock_inputs
from pipshim.lock.backend_requirements import check_included, expanded, of_backend, of_member
from pipshim.lock.conflict_report import explain
from pipshim.lock.lock_resolver import LockResolver, Problem
from pipshim.lock.resolved_builds import planner_of
from pipshim.lock.resolver_runner import ResolverRunner
from pipshim.model.combinations import BASE, PREFIX, PROJECT, Combination, Conflicts, named
from pipshim.model.index_routes import sources_for
from pipshim.model.pylock import Lock, LockedFolder, key_of, requires_of, target_marker
from pipshim.model.requirements import Overrides, applies, is_exact, requires_dist, valid
from pipshim.model.solution import Revision, Source, name_of
from pipshim.model.stable_packages import StablePackages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.lock.lock_resolver import Resolution
    from pipshim.lock.metadata_rounds import Rounds
    from pipshim.lock.services import LockServices
    from pipshim.model.interpreter import TargetPython
    from pipshim.model.project import Project
    from pipshim.model.pylock import LockedBuild

Pinned = TypeVar("Pinned")


def resolver_of(
    context: LockServices,
    *,
    keep: Lock | None,
    upgraded: Collection[NormalizedName] = (),
    pip: Pip | None = None,
    beside: LockResolver | None = None,
    stable: StablePackages | None = None,
    label: str = "",
    combination: Combination = BASE,
    **more: Any,
) -> LockResolver:
    """Make a resolver of locks from a command's services.

    Args:
        keep: the lock whose build environments' pins, and whose commits, are kept.
        upgraded: the packages for which they are not.
        pip: for another target than the served one.
        beside: the resolver of another target; sources are shared with it.
        stable: packages that need not be resolved again.
        label: the name of the target, in a lock for several.
        combination: which conflicting extras and groups it is for.
        more: further fields of a target among several.

    """
    pip, below = pip or context.pip, context.below
    commits = _commits(keep, upgraded) if keep else {}
    near = beside.builds.runner if beside else None
    runner = ResolverRunner(pip, explain, commits, near, label, stable or StablePackages())

    def outer() -> OuterEnvironment:
        if below is None:
            return OuterEnvironment()
        return OuterEnvironment(below.folders, below.programs, below.used(besides=()))

    return LockResolver(
        planner_of(
            context,
            runner,
            outer,
            preferred=_without(keep.build_versions if keep else {}, upgraded),
            below=below,
            combination=combination,
        ),
        strategy=context.preferences.strategy,
        overrides=Overrides(context.configuration.override_dependencies, _pyproject(context)),
        label=label,
        **more,
    )


@dataclass(frozen=True)
class LockMaker:
    """The making of one lock.

    Attributes:
        keep: the lock whose pins are kept where they fit.
        upgraded: the packages whose pins are not kept.
        digest: of the inputs.
        hints: versions to prefer if there is no earlier lock, the best last.

    """

    context: LockServices
    keep: Lock | None
    upgraded: Collection[NormalizedName]
    digest: str
    hints: dict[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)

    def resolver(self, pip: Pip, keep: Lock | None, **more: Any) -> LockResolver:
        """Make the resolver of one target.

        Args:
            pip: for the target.
            keep: the part of the earlier lock for it.
            more: further arguments of `resolver_of`.

        """
        # A lock of another tool, or one made with other options, may lack files.
        as_before = keep is not None and keep.options == self.context.preferences.remembered
        if keep is not None and keep.inputs and as_before and not keep.by_hash:
            pip.keep((*keep.packages, *keep.build_packages))
            more["stable"] = self._stable(keep, pip.target)
        return resolver_of(
            self.context, keep=keep, upgraded=self.upgraded, pip=pip, defers=True, **more
        )

    def _stable(self, keep: Lock, target: TargetPython) -> StablePackages:
        """Return the packages that need not be resolved again, in a lock for one case."""
        is_of_one = not (keep.is_merged or self.context.targets or self.conflicts)
        if not is_of_one or keep.environment != target_marker(target):
            return StablePackages()
        folders = [one for folder in keep.folders for one in folder.requires]
        stated = chain(*keep.roots.values(), folders)
        return StablePackages.of(keep.packages, stated, target)

    def pins(self, keep: Lock | None) -> dict[NormalizedName, tuple[Version, ...]]:
        """Return the versions of an earlier lock that are kept where they fit, the best last."""
        # Pins of another strategy are not what is wanted, though they would fit.
        if keep is None:
            return _without(self.hints, self.upgraded)
        as_before = keep.strategy == self.context.preferences.strategy
        kept = _without(keep.versions if as_before else {}, self.upgraded)
        return {name: (version,) for name, version in kept.items()}

    @property
    def conflicts(self) -> Conflicts:
        """Which extras and groups exclude each other; those of given requirements do not."""
        project = self.context.project
        given = self.context.request.lock.given
        return project.conflicts if project is not None and not given else Conflicts()

    def problem(self, pip: Pip, combination: Combination = BASE) -> Problem:
        """Return what to resolve for the target of this pip and a combination."""
        if self.context.request.lock.given:
            roots, constraints = pip.given(self.context.request.lock.requirements)
            pinned = _check_pinned(roots) if self.context.request.lock.pinned else None
            found = Problem(lambda _: roots, constraints, pinned=pinned)
        else:
            assert self.context.project is not None
            found = _problem(pip, self.context.project, self._editable_requirements(), combination)
        where = f"constraint-dependencies of {_pyproject(self.context)}"
        stated = self.context.configuration.constraint_dependencies
        below = self.context.below.pinned() if self.context.below is not None else []
        constraints = [
            *found.constraints,
            *(pip.constraint(str(one), where) for one in stated),
            *(pip.constraint(one, "the environment below") for one in below),
        ]
        return replace(found, constraints=constraints)

    def _editable_requirements(self) -> tuple[str, ...] | None:
        """Return what the project's editable wheel requires, according to the earlier lock.

        None: the backend has to be asked.
        """
        keep = self.keep
        if keep is None or keep.is_merged or keep.inputs != self.digest:
            return None
        return keep.roots.get(PROJECT, ())

    def lock(self, resolution: Resolution, problem: Problem, target: TargetPython) -> Lock:
        """Make a lock from a resolution.

        Raises:
            FileError: only pins were to be taken, and something is not pinned.

        """
        if problem.pinned is not None:
            files = self.context.request.lock.requirement_files
            _refuse_unlisted(resolution, problem.pinned, files)
        project = None if self.context.request.lock.given else self.context.project
        solution = resolution.solution
        packages = tuple(pin.package for pin in solution.pins.values() if not pin.editable)
        names = {key_of(one): one.name for one in (*packages, *resolution.members.values())}
        return Lock(
            packages=packages,
            origins=solution.origins,
            builds={key: self._noted(one, names[key]) for key, one in resolution.builds.items()},
            **resolution.of_builds(packages),
            folders=tuple(self._folders(resolution, problem)),
            inputs=self.digest,
            requirements=tuple(lock_inputs.requirements_given(self.context.request.lock)),
            roots=solution.roots,
            by_hash=solution.by_hash,
            options=self.context.preferences.remembered,
            strategy=self.context.preferences.strategy,
            environment=target_marker(target),
            requires_python=project.requires_python if project is not None else None,
            extras=_names("extra ", problem),
            groups=_names("group ", problem),
            default_groups=project.default_groups if project is not None else (),
        )

    def _folders(self, resolution: Resolution, problem: Problem) -> Iterator[LockedFolder]:
        """Return the projects that are installed from a folder: the problem's, and editables."""
        solution = resolution.solution
        sources = {name_of(one): one for one in problem.folders}
        for name, pin in solution.pins.items():
            if pin.editable and pin.source is not None:
                sources.setdefault(name, pin.source)
        for name, source in sources.items():
            of_problem = frozenset({PROJECT} if source in problem.folders else ())
            yield LockedFolder(
                path=relative_path(self.context, source.outline),
                name=name,
                builds={None: self._noted(resolution.folders[str(source.outline)], name)},
                origins=of_problem | solution.origins.get(name, frozenset()),
                requires=requires_of(solution.pins[name].package) if name in solution.pins else (),
            )

    def _noted(self, build: LockedBuild, name: NormalizedName) -> LockedBuild:
        """Record the config settings of a build, if no pyproject.toml has them."""
        if not self.context.request.lock.given:
            return build
        return replace(build, config_settings=self.context.settings.config_for(name))


def relative_path(context: LockServices, directory: str | Path) -> str:
    """Return the path of a folder as the lock has it."""
    return Path(os.path.relpath(directory, context.lock_path.parent)).as_posix()


def _names(kind: str, problem: Problem) -> tuple[NormalizedName, ...]:
    names = (one.removeprefix(kind) for one in problem.origins if one.startswith(kind))
    return tuple(sorted(map(canonicalize_name, names)))


def _problem(
    pip: Pip, project: Project, of_editable: Sequence[str] | None, combination: Combination
) -> Problem:
    dynamic = bool({"dependencies", "optional-dependencies"} & project.dynamic)
    source = _source(project) if dynamic or project.is_package else None
    installed = source if project.is_package else None
    own: Mapping[str, Sequence[Requirement]] = project.lists
    origins = set(own) - {PROJECT}
    left_out = project.conflicts.left_out(combination)
    markers = dict(pip.target.markers)

    def roots(rounds: Rounds) -> list[Root]:
        stated = dict(own)
        if dynamic:
            assert source is not None
            told = of_backend(rounds.metadata(source), project, markers)
            check_included(told, project)
            stated = expanded({**stated, **told}, project, markers)
        elif installed is not None and lock_inputs.editable_requires_more(project):
            texts = of_editable
            if texts is None:
                texts = requires_dist(
                    (rounds.editable_metadata(installed) or b"").decode("utf-8", "replace")
                )
            of_wheel = (one for one in valid(texts) if applies(one, markers))
            added = [one for one in of_wheel if one not in project.dependencies]
            stated[PROJECT] = [*project.dependencies, *added]
        for member in project.dynamic_members:
            metadata = rounds.metadata(_source(member))
            stated |= of_member(metadata, member, project, markers)
        origins.update(set(stated) - {PROJECT})
        return [
            pip.root(str(one), origins=(origin,), comes_from=_asks(origin))
            for origin, requirements in stated.items()
            if origin not in left_out
            for one in requirements
        ]

    folders = [installed] if installed is not None else []
    constraints = [*pip.constraint_files(), *_direct(pip, project, combination)]
    return Problem(roots, constraints, folders, origins)


def _direct(pip: Pip, project: Project, combination: Combination) -> Iterator[ParsedRequirement]:
    """Make constraints for packages that come from elsewhere than an index."""
    pyproject = project.directory / "pyproject.toml"
    markers = dict(pip.target.markers)
    if project.is_package and project.name is not None:
        # What requires the project means this one.
        pip.editable_folders.add(project.directory.resolve())
        yield pip.pinned_to(project.name, project.directory.resolve().as_uri(), "the project")
    sources = sources_for(project.configuration, markers, pyproject, combination.chosen)
    for name, source in sources.items():
        if source.index is not None or (project.is_package and name == project.name):
            continue
        if source.workspace:  # a script's: projects have a folder by now
            raise ProjectError(
                project.file, f"sources.{name}: a script has no workspace", hint="name a path"
            )
        if source.path is not None and not source.place(project.directory).exists():
            raise ProjectError(
                pyproject,
                f"tool.pipshim.sources.{name}: there is no {source.place(project.directory)}",
            )
        if source.editable:
            pip.editable_folders.add(source.place(project.directory))
        yield pip.pinned_to(name, source.link(project.directory), f"sources of {pyproject}")


def _pyproject(context: LockServices) -> str:
    """Return the path of the project's file, relative to the working directory if possible."""
    if context.project is None:
        return ""
    path = context.project.directory / "pyproject.toml"
    near = os.path.relpath(path)
    return str(path) if near.startswith(os.pardir) else near


def _check_pinned(roots: Iterable[Root]) -> set[NormalizedName]:
    """Check that requirements name one file: a version, or a place; return their names."""
    names: set[NormalizedName] = set()
    for requirement in (root.requirement for root in roots):
        if requirement.name is None:
            continue
        names.add(requirement.name)
        is_pinned = requirement.is_direct or is_exact(requirement.specifier)
        if not is_pinned and requirement.applies:
            file = requirement.stated_in if requirement.line is not None else "FILE"
            raise FileError(
                requirement.stated_in,
                f"{requirement} is not pinned, and sync installs only pinned requirements",
                line=requirement.line,
                hint=f"lock what it requires, then sync: pipshim lock -r {file}",
            )
    return names


def _refuse_unlisted(
    resolution: Resolution, pinned: Collection[NormalizedName], files: Sequence[str]
) -> None:
    """Check that everything that is needed is pinned."""
    pins = resolution.solution.pins
    for name, pin in pins.items():
        if name in pinned or pin.package.is_direct or pin.editable:
            continue
        needing = [
            other
            for other, one in pins.items()
            if any(each["name"] == name for each in one.package.dependencies or ())
        ]
        raise FileError(
            " ".join(files),
            f"{' and '.join(needing)} needs {name}, which is not pinned there",
            hint=f"lock all of it, then sync: pipshim lock {' '.join(f'-r {one}' for one in files)}"
            "\n  or install only what is pinned: --no-deps",
        )


def _source(project: Project) -> Source:
    version: Version | None = None
    if project.version is not None:
        try:
            version = Version(project.version)
        except InvalidVersion as error:
            raise ProjectError(project.directory / "pyproject.toml", str(error)) from error
    return Source(
        name=project.name,
        version=version,
        outline=project.directory,
        digest=None,
        editable=True,
        url=project.directory.as_uri(),
    )


def _asks(origin: str) -> str:
    """Name the origin of a requirement in an explanation."""
    if origin == PROJECT:
        return "the project"
    return named(origin) if origin.startswith(PREFIX) else f"{named(origin)} of the project"


def _without(
    pins: dict[NormalizedName, Pinned], names: Collection[NormalizedName]
) -> dict[NormalizedName, Pinned]:
    return {name: pinned for name, pinned in pins.items() if name not in names}


def _commits(lock: Lock, upgraded: Collection[NormalizedName]) -> dict[Revision, str]:
    return {
        Revision(one.vcs.url, one.vcs.requested_revision): one.vcs.commit_id
        for one in (*lock.packages, *lock.build_packages)
        if one.vcs is not None and one.vcs.url is not None and one.name not in upgraded
    }
