"""Resolve in rounds, asking build backends for metadata between them.

In the first round, a source whose metadata needs a backend has only its name and version. Then its
build environment is made from the round's pins, the backend is asked in it, and the next round
resolves with its metadata. The rounds end when no pin that a build saw has changed.
"""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.version import Version

from pipshim._pip.logs import without_extras_of
from pipshim.base.errors import BuildError, PipshimError, ResolveError, together
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import each, sharing
from pipshim.builds.build_planner import BuildPlan, shared, waiting_builds, within
from pipshim.lock.resolved_builds import is_of_build
from pipshim.model import events
from pipshim.model.build_mode import Mode
from pipshim.model.solution import name_of
from pipshim.project.static_metadata import stated_metadata, static_metadata, stub_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from pipshim.lock.resolved_builds import ResolvedBuilds
    from pipshim.model.build_record import Used
    from pipshim.model.solution import Solution, Source

MAX_ROUNDS = 10
"""Rounds after which versions that keep changing are an error."""

_SOME_VERSION = Version("0")


class BackendNeededError(PipshimError):
    """A backend is needed, but this process must not ask any."""


class BackendMetadata(NamedTuple):
    """Metadata from a backend, and the distributions that its build used."""

    metadata: bytes
    against: Mapping[str, Used]


@dataclass
class Rounds:
    """Returns the metadata of sources, and asks backends for it between the rounds.

    Attributes:
        builds: plans how sources are built.
        defers: whether the build environment of a source with ``dependency-metadata`` may be
            resolved later, where it is built, if that is not possible here.
        trusts_projects: whether a folder's ``[project]`` is used as metadata, unlike in pip.
        may_ask: whether backends may be asked; False in forks, which could not keep the answers.
        has_asked: whether some source's metadata needed its backend.
        stand_ins: the packages whose metadata is not known yet.

    """

    builds: ResolvedBuilds
    defers: bool = False
    trusts_projects: bool = True
    may_ask: bool = field(default=True, init=False)
    has_asked: bool = field(default=False, init=False)
    stand_ins: set[NormalizedName] = field(default_factory=set, init=False)
    _known: dict[str, list[BackendMetadata]] = field(default_factory=dict, init=False)
    _current: Solution | None = field(default=None, init=False)
    _asked: dict[str, Source] = field(default_factory=dict, init=False)
    _told: dict[str, bytes] = field(default_factory=dict, init=False)
    _unanswered: dict[tuple[str, tuple[str, ...]], PipshimError] = field(
        default_factory=dict, init=False
    )
    _stated: dict[str, bool] = field(default_factory=dict, init=False)
    _asking: SharedResults[BackendMetadata] = field(
        default_factory=lambda: SharedResults(keep=False), init=False
    )

    def __post_init__(self) -> None:
        self.builds.metadata_of = self.metadata

    def settle(self, resolve: Callable[[int], Solution]) -> Solution:
        """Resolve in rounds.

        Args:
            resolve: resolves one round, by number; it calls `metadata` for sources.

        Raises:
            ResolveError: the rounds do not end.
            BuildError: a backend failed.

        """
        self._current = None
        number = 0
        while True:
            self._asked.clear()
            with without_extras_of(self.stand_ins):
                solution = resolve(number)
            stale = self._stale(solution)
            if not stale:
                self._current = solution
                return solution
            failures = self._prepare(stale, solution)
            before: Solution | None = self._current
            self._current = solution
            unchanged = before is not None and before.versions == solution.versions
            if failures and (unchanged or len(failures) == len(stale)):
                raise together(failures)
            number += 1
            if number == MAX_ROUNDS:
                raise _oscillation(before, solution, stale)

    def adopt(self, solution: Solution) -> None:
        """Let builds see pins that were chosen elsewhere."""
        self._current = solution

    def _stale(self, solution: Solution) -> list[Source]:
        """Return the sources whose metadata a build with these pins would change."""
        sources = {pin.source.url: pin.source for pin in solution.pins.values() if pin.source}
        # The project's own metadata, if it was asked for, is no pin's; nor is what is left out.
        sources |= {
            url: one
            for url, one in self._asked.items()
            if one.editable or one.name in solution.left_out
        }
        asked = [one for one in sources.values() if self._static(one) is None]
        if not asked:
            return []
        digests = (one.digest for one in asked)
        self.builds.builder.look_ahead(digests, ("requires", "metadata"))
        self.ask_ahead(asked, solution)
        known = [(one, self._valid(one, solution)) for one in asked]
        return [
            one for one, told in known if told is None or told.metadata != self._told.get(one.url)
        ]

    # For other targets

    def ask_metadata(self, source: Source) -> bytes:
        """Ask a source's backend for its metadata, with the pins of the last round."""
        current = self._current
        known = self._valid(source, current) if current is not None else None
        return (known or self._ask(source, current)).metadata

    def ask_editable_metadata(self, source: Source) -> bytes | None:
        """Return `editable_metadata` with the pins of the last round."""
        return self._optional(source, lambda: self.ask_metadata(source))

    def ask_requirements(self, source: Source, requirements: tuple[str, ...]) -> list[str]:
        """Ask a source's backend for additional build requirements."""
        key = (source.url, requirements)
        if key in self._unanswered:
            raise self._unanswered[key]
        try:
            return self.builds.ask_requirements(source, requirements, self._current)
        except PipshimError as error:
            if is_of_build(error):
                self._unanswered[key] = error  # the next target would be told the same
            raise

    # Metadata

    def is_static(self, source: Source) -> bool:
        """Return whether a source's metadata is known without its backend."""
        return self._static(source) is not None

    def _static(self, source: Source) -> bytes | None:
        written = self.builds.settings.dependency_metadata
        told = static_metadata(source.outline, source.name, source.version, written)
        if told is None and source.digest is None and self.trusts_projects:
            told = stated_metadata(source.outline)
        return told

    def metadata(self, source: Source) -> bytes:
        """Return a source's metadata for the resolver: known, a stand-in, or the backend's."""
        self._asked[source.url] = source
        self.stand_ins.discard(name_of(source))
        told = self._static(source)
        if told is None:
            self._need_backend(source)
            told = self._answer(source)
        self._told[source.url] = told
        return told

    def editable_metadata(self, source: Source) -> bytes | None:
        """Ask the backend for the METADATA of an editable whose dependencies are stated.

        An isolated backend is asked in the first round: its answer hardly depends on the pins, and
        this saves a round.

        Returns:
            None if it is not known yet, or if the backend fails.

        """
        if self._stated.get(source.url) is False:
            return None
        self._need_backend(source)
        self._asked[source.url] = source
        told = self._optional(source, lambda: self._editable_metadata(source))
        if told is None:
            del self._asked[source.url]
        else:
            self._told[source.url] = told
        return told

    def _need_backend(self, source: Source) -> None:
        """Note that a backend is needed.

        Raises:
            BackendNeededError: it must not be asked here.

        """
        self.has_asked = True
        if not self.may_ask:
            raise BackendNeededError(f"the backend of {source} has to be asked")

    def _editable_metadata(self, source: Source) -> bytes:
        if self._current is None and self.builds.mode(source) is Mode.NO_ISOLATION:
            return self._stand_in(source)
        self.stand_ins.discard(name_of(source))
        return self.ask_metadata(source)

    def _optional(self, source: Source, told: Callable[[], bytes]) -> bytes | None:
        """Ask for something optional; after a failure, do not ask again."""
        if self._stated.setdefault(source.url, True):
            try:
                return told()
            except PipshimError as error:
                if not self._can_do_without(source, error):
                    raise
        return None

    def _can_do_without(self, source: Source, error: PipshimError) -> bool:
        """Return whether the failed question was optional; if so, warn."""
        if source.url not in self._stated or not is_of_build(error):
            return False
        if self._stated[source.url]:
            self._stated[source.url] = False
            self.builds.warn_of_editable(source, error)
        return True

    def _answer(self, source: Source) -> bytes:
        within = bool(waiting_builds())
        stands_in = source.name is not None and source.version is not None and not within
        bare = self.builds.mode(source) is Mode.NO_ISOLATION
        if self._current is None and stands_in:
            return self._stand_in(source)
        if self._current is not None or not bare:
            known = self._valid(source, self._current)
            if known is not None:
                return known.metadata
        if stands_in and bare:
            return self._stand_in(source)
        try:
            return self._ask(source, self._current).metadata
        except BuildError:
            if within or not bare or self._current is not None:
                raise
            # Its environment is not known yet: it stands in by what is known of it.
            return self._stand_in(source)

    def _stand_in(self, source: Source) -> bytes:
        name = name_of(source)
        self.stand_ins.add(name)
        return stub_metadata(name, source.version or _SOME_VERSION)

    def _valid(self, source: Source, solution: Solution | None) -> BackendMetadata | None:
        """Return the metadata that is valid for the environment of these pins."""
        request = self.builds.request(source, solution)
        available = request.available
        for known in self._known.get(source.url, ()):
            if all(available.get(name) == used for name, used in known.against.items()):
                return known
        kept = self.builds.builder.kept_metadata(request)
        if kept is None:
            return None
        known = BackendMetadata(*kept)
        self._known.setdefault(source.url, []).append(known)
        return known

    def _ask(self, source: Source, solution: Solution | None) -> BackendMetadata:
        try:
            known = self._metadata(source, solution)
        except BuildError:
            # What a lock can do without is not worth the builds of other packages.
            if source.url in self._stated or not self.builds.widen(source, solution):
                raise
            text = f"{source}: asking again, with what is built before it in its environment"
            self.builds.observer(events.Message("info", text))
            known = self._metadata(source, solution)
        self._known.setdefault(source.url, []).append(known)
        return known

    def _metadata(self, source: Source, solution: Solution | None) -> BackendMetadata:
        request = self.builds.request(source, solution)

        def ask() -> BackendMetadata:
            return BackendMetadata(*self.builds.builder.metadata(request))

        with within(source):
            return shared(self._asking, (source.url, request), ask)

    def _prepare(self, sources: Sequence[Source], solution: Solution) -> list[PipshimError]:
        """Ask the backends of several sources at once; return the errors."""
        failures: list[PipshimError] = []

        def ask(source: Source) -> None:
            try:
                if self._valid(source, solution) is None:
                    self._ask(source, solution)
            except PipshimError as error:
                if not self._can_do_without(source, error):
                    failures.append(error)

        self._each(ask, sources)
        return failures

    def _each(self, work: Callable[[Source], object], sources: Sequence[Source]) -> None:
        if not sources:
            return
        builder = self.builds.builder
        at_once = max(1, builder.jobs // sharing.get().count)
        each(work, sources, at_once=at_once, interrupted=builder.processes.stop)

    def ask_ahead(self, sources: Sequence[Source], solution: Solution) -> None:
        """Ask backends for dynamic requirements at once, so that later calls find them."""
        self._each(lambda source: self.build_plan(source, solution), sources)

    def build_plan(self, source: Source, solution: Solution) -> BuildPlan:
        """Plan a build.

        Raises:
            ResolveError, BuildError: its environment cannot be resolved, and may not be later.

        """
        return self.builds.plan(source, solution, may_defer=self.may_defer(source))

    def may_defer(self, source: Source) -> bool:
        """Return whether the build environment of a source may be resolved where it is built."""
        return self.defers and self.builds.stated_metadata(source) is not None


@dataclass
class RemoteRounds(Rounds):
    """The one round of another machine's target, with the metadata that the host's backends give.

    Attributes:
        ask_host: calls a method of the host's rounds (``ask_…``), once they are over.

    """

    ask_host: Callable[..., Any] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.builds.ask_host = partial(self.ask_host, Rounds.ask_requirements)

    def _answer(self, source: Source) -> bytes:
        told: bytes = self.ask_host(Rounds.ask_metadata, source)
        return told

    def editable_metadata(self, source: Source) -> bytes | None:
        """Ask the host for the METADATA of an editable whose dependencies are stated."""
        try:
            told: bytes | None = self.ask_host(Rounds.ask_editable_metadata, source)
        except ResolveError:  # the project cannot be resolved there
            return None
        return told

    def _stale(self, solution: Solution) -> list[Source]:  # noqa: ARG002
        return []  # what was told counts for all targets

    def ask_ahead(self, sources: Sequence[Source], solution: Solution) -> None:
        """Do nothing: backends are asked at most once, for all targets."""


def _oscillation(
    previous: Solution | None, solution: Solution, stale: Sequence[Source]
) -> ResolveError:
    changing = []
    before = previous.versions if previous is not None else {}
    for name in sorted({*before, *solution.versions}):
        old, new = before.get(name), solution.versions.get(name)
        if old != new:
            changing.append(f"  {name} alternates between {old or 'absent'} and {new or 'absent'}")
    names = ", ".join(str(one) for one in stale)
    return ResolveError(
        "\n".join(
            [
                f"the lock does not settle: after {MAX_ROUNDS} rounds the metadata of {names}",
                "  still changes with the versions that it results in",
                *changing,
            ]
        ),
        hint="pin one of these versions (constraint-dependencies), or state the metadata "
        "([[tool.pipshim.dependency-metadata]])",
    )
