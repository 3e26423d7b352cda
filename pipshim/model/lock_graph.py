"""The dependency graph of a lock, for ``pipshim tree`` and ``why``. Pure.

A package in a build environment and the same package at run time are different nodes: the packages
of its environment satisfy its requirements.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.base.graph_search import distances
from pipshim.model.combinations import BASE, PROJECT, Case
from pipshim.model.pylock import LockedFolder, builds_from_dict, key_of, requires_of, table_of
from pipshim.model.requirements import valid
from pipshim.model.universal_lock import combinations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.combinations import Combination
    from pipshim.model.pylock import Lock, LockedBuild

    _Combinations: TypeAlias = "frozenset[Combination] | None"

Kind: TypeAlias = 'Literal["project", "package", "folder", "build", "absent"]'


@dataclass(frozen=True, order=True)
class Node:
    """Something that needs, or is needed.

    Attributes:
        name: of the distribution; of a build, the one that is built.
        version: None for folders and checkouts without one.
        kind: ``project`` is what was locked; ``folder`` an editable; ``build`` the building of a
            package; ``absent`` a requirement of a build without isolation that the lock lacks.
        within: the build environment that a package is in; None for run time.
        mode: of a build.
        environment: the build environment of a build; None without isolation, or if unknown.
        deferred: whether a build's environment is resolved when it is built.
        place: the path, URL or commit of what no index has.
        targets: those that it is for, if others have another version.

    """

    name: str
    version: str | None = None
    kind: Kind = "package"
    within: str | None = None
    mode: str | None = None
    environment: str | None = None
    place: str | None = None
    deferred: bool = False
    targets: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Need:
    """That one node needs another.

    Attributes:
        asks: the requirement as it is stated; None for a build.
        origin: who states it: ``project``, ``extra NAME``, ``group NAME`` of what was locked; of a
            build, ``declared``, ``extra`` (``extra-build-dependencies``) or ``backend``.
        combinations: the combinations it is valid for; None for all.

    """

    node: Node
    by: Node
    asks: str | None = None
    origin: str = ""
    combinations: frozenset[Combination] | None = None

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras that are asked for."""
        return tuple(sorted(Requirement(self.asks).extras)) if self.asks else ()

    @property
    def condition(self) -> str:
        """The versions that are asked for, and the marker: ``>=2; python_version < "3.12"``."""
        if not self.asks:
            return ""
        stated = Requirement(self.asks)
        marker = f"; {stated.marker}" if stated.marker else ""
        return f"{stated.specifier}{marker}".removeprefix("; ")


@dataclass(frozen=True)
class Graph:
    """All of a lock, or a part of it.

    Attributes:
        root: what was locked.
        needs: by node, what it needs.
        combinations: those that are shown; None for all.

    """

    root: Node
    needs: Mapping[Node, Sequence[Need]]
    combinations: frozenset[Combination] | None = None
    needed: Mapping[Node, Sequence[Need]] = field(init=False)

    def __post_init__(self) -> None:
        needed: dict[Node, list[Need]] = defaultdict(list)
        for found in self.needs.values():
            for need in found:
                needed[need.node].append(need)
        for found in needed.values():
            found.sort(key=lambda need: _rank(need.by))
        object.__setattr__(self, "needed", dict(needed))

    def named(self, name: NormalizedName) -> list[Node]:
        """Return the nodes of this name without builds, those of run time first."""
        return sorted((one for one in self if one.name == name and one.kind != "build"), key=_rank)

    def __iter__(self) -> Iterator[Node]:
        return iter(dict.fromkeys((*self.needs, *self.needed)))

    def ends(self) -> list[Node]:
        """Return nodes from which all others are reached when needs are followed backwards."""
        ends = sorted((one for one in self if not self.needs.get(one)), key=_rank)
        reached = distances(ends, self._needing)
        for node in sorted(self, key=_rank):
            if node not in reached:  # those that need each other have no end
                ends.append(node)
                reached |= distances([node], self._needing)
        return ends

    def _needing(self, node: Node) -> Iterator[Node]:
        return (need.by for need in self.needed.get(node, ()))

    def chains(self, node: Node) -> Iterator[tuple[Need, ...]]:
        """Return the paths from the root to a node, the shortest first, without cycles."""
        distance = distances([self.root], lambda at: (one.node for one in self.needs.get(at, ())))
        order = count()
        found: list[tuple[int, int, tuple[Need, ...], Node, _Combinations]] = []
        if node in distance:
            found.append((distance[node], next(order), (), node, self.combinations))
        while found:
            _, _, chain, at, combinations = heapq.heappop(found)
            if at == self.root:
                yield chain
                continue
            passed = {need.node for need in chain}
            for need in self.needed.get(at, ()):
                rest = in_both(combinations, need.combinations)
                if need.by not in passed and need.by in distance and rest != frozenset():
                    length = len(chain) + 1 + distance[need.by]
                    heapq.heappush(found, (length, next(order), (need, *chain), need.by, rest))


def in_both(one: _Combinations, other: _Combinations) -> _Combinations:
    """Return the combinations of both; None stands for all."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def narrowing(before: _Combinations, need: Need) -> str:
    """Return how a need limits the combinations: ``with extra cpu``, ``without extra cpu``.

    Args:
        before: those in which what needs it is there.
        need: of an extra or group it says that itself.

    """
    after = in_both(before, need.combinations)
    if before is None or after is None or before == after:
        return ""
    if need.origin.startswith(("extra ", "group ")):
        return ""
    word, some = ("without", before - after) if BASE in after else ("with", after)
    return f"{word} {' or '.join(map(str, sorted(some)))}"


def graph_of(
    lock: Lock,
    root: Node,
    *,
    origins: Collection[str] | None = None,
    combination: Combination | None = None,
    builds: bool = False,
    extra: Mapping[NormalizedName, Sequence[str]] | None = None,
) -> Graph:
    """Read a lock as a graph.

    Args:
        lock: one that says what its packages require (`Lock.roots`).
        root: what was locked.
        origins: begin with these requirements of the root only; None for all.
        combination: show this combination of conflicting extras and groups; None for all.
        builds: include build requirements.
        extra: by package, its ``extra-build-dependencies``.

    """
    only = frozenset([combination]) if combination is not None and lock.conflicts else None
    return _Reading(lock, root, origins, builds, extra or {}, only).graph()


def _targets(lock: Lock) -> dict[tuple[str, str | None], tuple[str, ...]]:
    """Return the targets of packages that have a version for each of some, by name and version."""
    every = frozenset(map(str, lock.targets))
    found: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for package in lock.packages:
        own = table_of(package).get("targets", every)
        version = str(package.version) if package.version is not None else None
        found[package.name, version].update(own)
    several = Counter(name for name, _ in found)
    return {
        key: tuple(sorted(own))
        for key, own in found.items()
        if own != every and several[key[0]] > 1
    }


@dataclass
class _Reading:
    """Reads one lock; the arguments are those of `graph_of`."""

    _lock: Lock
    _root: Node
    _origins: Collection[str] | None
    _builds: bool
    _extra: Mapping[NormalizedName, Sequence[str]]
    _only: _Combinations

    def __post_init__(self) -> None:
        lock = self._lock
        self._needs: dict[Node, list[Need]] = {}
        self._packages: dict[Node, Package] = {}
        self._run_time: dict[str, list[Node]] = defaultdict(list)
        self._combinations: dict[Node, frozenset[Combination]] = {}
        self._folders = {
            Node(one.name, kind="folder", place=one.path): one
            for one in lock.folders
            if one.name != self._root.name
        }
        self._targets = _targets(lock)
        for package in lock.packages:
            node = self._node(package, None)
            self._run_time[package.name].append(node)
            if lock.conflicts:
                known = self._combinations.get(node, frozenset())
                self._combinations[node] = known | combinations(lock, package)
        for node in self._folders:
            self._run_time[node.name].append(node)

    def graph(self) -> Graph:
        origins = self._origins
        roots = {
            origin: found
            for origin, found in self._lock.roots.items()
            if origins is None or origin in origins
        }
        needs = self._needs.setdefault(self._root, [])
        for origin in sorted(roots, key=lambda one: (one != PROJECT, one)):
            needs += [
                Need(node, self._root, text, origin, rest)
                for text, node in self._answers(roots[origin], self._run_time)
                if (rest := in_both(self._with(origin), self._of_node(node))) != frozenset()
            ]
        if origins is None or PROJECT in origins:
            for folder in self._lock.folders:
                if folder.name == self._root.name:
                    needs += self._built(self._root, folder)
        waiting = deque(needs)
        while waiting:
            node = waiting.popleft().node
            if node not in self._needs and node.kind in ("package", "folder"):
                found = self._needs[node] = list(self._of(node))
                waiting.extend(found)
            elif node.kind == "build":
                waiting.extend(need for need in self._needs[node] if need.node not in self._needs)
        every = frozenset(self._lock.conflicts.combinations()) if self._lock.conflicts else None
        return Graph(self._root, self._needs, every if self._only is None else self._only)

    def _of(self, node: Node) -> Iterator[Need]:
        folder = self._folders.get(node)
        texts = requires_of(self._packages[node]) if folder is None else folder.requires
        known = self._run_time if node.within is None else self._members(node.within)
        for text, other in self._answers(texts, known):
            rest = in_both(self._of_node(node), self._of_node(other))
            if node.within is not None:
                yield Need(other, node, text)
            elif rest != frozenset():
                # What is not selected may belong to another group's extra.
                of = self._lock.origins.get(canonicalize_name(other.name))
                if self._origins is None or not of or not of.isdisjoint(self._origins):
                    yield Need(other, node, text, "", rest)
        yield from self._built(node, folder or self._packages[node])

    def _with(self, origin: str) -> _Combinations:
        """Return the combinations in which an extra or group can be selected."""
        conflicts = self._lock.conflicts
        if not conflicts:
            return None
        every = conflicts.combinations()
        return in_both(
            self._only, frozenset(one for one in every if origin not in conflicts.left_out(one))
        )

    def _of_node(self, node: Node) -> _Combinations:
        return in_both(self._only, self._combinations.get(node))

    def _built(self, node: Node, of: Package | LockedFolder) -> Iterator[Need]:
        """Return each way of building something, with its combinations, if builds are shown."""
        if not self._builds:
            return
        builds: dict[str | None, LockedBuild]
        if isinstance(of, LockedFolder):
            builds = dict(of.builds)
        else:
            locked = self._lock.builds.get(key_of(of))
            builds = builds_from_dict(table_of(of)) or ({None: locked} if locked else {})
        cases = {
            str(Case(target, combination)): combination
            for target in self._lock.targets or (None,)
            for combination in self._lock.conflicts.combinations()
        }
        is_alike = not self._lock.conflicts or None in builds
        for build in dict.fromkeys(builds.values()):
            own = {cases[case] for case, one in builds.items() if one == build and case in cases}
            rest = in_both(self._only, None if is_alike else frozenset(own))
            if rest != frozenset():
                yield Need(self._build(node, build), node, combinations=rest)

    def _build(self, of: Node, build: LockedBuild) -> Node:
        node = Node(
            of.name,
            of.version,
            "build",
            mode=str(build.mode),
            environment=build.environment,
            place=of.place,
            deferred=build.deferred,
        )
        if node not in self._needs:
            self._needs[node] = list(self._requirements(node, build))
        return node

    def _requirements(self, node: Node, build: LockedBuild) -> Iterator[Need]:
        extra = self._extra.get(canonicalize_name(node.name), ())
        stated = [(text, "declared") for text in build.requires]
        stated += [(text, "extra") for text in extra]
        if build.deferred and build.environment is None:
            return
        isolated = build.environment is not None
        known = self._members(build.environment) if isolated else self._run_time  # type: ignore[arg-type]
        answered: list[Node] = []
        for text, origin in stated:
            found = [other for _, other in self._answers([text], known)]
            if not found and not isolated:
                names = [canonicalize_name(one.name) for one in valid([text])]
                found = [Node(name, kind="absent") for name in names]
            answered += found
            yield from (Need(other, node, text, origin) for other in found)
        if isolated:
            for other in self._added_by_backend(known, answered):
                yield Need(other, node, other.name, "backend")

    def _added_by_backend(
        self, known: Mapping[str, Sequence[Node]], answered: Iterable[Node]
    ) -> list[Node]:
        """Return the packages of a build environment that nothing stated requires."""
        members = [node for found in known.values() for node in found]
        texts = [text for node in members for text in requires_of(self._packages[node])]
        required = {node for _, node in self._answers(texts, known)} | {*answered}
        return sorted({*members} - required, key=lambda node: node.name)

    def _members(self, environment: str) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = defaultdict(list)
        for package in self._lock.members(environment):
            found[package.name].append(self._node(package, environment))
        return found

    def _node(self, package: Package, within: str | None) -> Node:
        version = str(package.version) if package.version is not None else None
        targets = self._targets.get((package.name, version), ()) if within is None else ()
        place = _place(package)
        node = Node(package.name, version, within=within, place=place, targets=targets)
        self._packages[node] = package
        return node

    def _answers(
        self, texts: Iterable[str], known: Mapping[str, Sequence[Node]]
    ) -> Iterator[tuple[str, Node]]:
        """Return the nodes that satisfy a requirement; only targets may have several versions."""
        for text in texts:
            for requirement in valid([text]):
                nodes = known.get(canonicalize_name(requirement.name), ())
                fitting = [
                    one
                    for one in nodes
                    if one.version is None or requirement.specifier.contains(one.version, True)
                ]
                # Parts of the project may have an entry each for one version, on several targets.
                yield from ((text, node) for node in dict.fromkeys(fitting or nodes))


def _place(package: Package) -> str | None:
    if package.vcs is not None:
        return f"{package.vcs.url or package.vcs.path}@{package.vcs.commit_id[:12]}"
    if package.directory is not None:
        return package.directory.path
    if package.archive is not None:
        return package.archive.url or package.archive.path
    return None


def _rank(node: Node) -> tuple[bool, bool, bool, str, str]:
    """Sort runtime before builds, the root first, then by name."""
    return (
        node.within is not None,
        node.kind == "build",
        node.kind != "project",
        node.name,
        node.version or "",
    )
