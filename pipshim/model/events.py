"""What the engine says while it works; observers turn it into something to look at.

Events are the only way that the engine speaks: nothing under ``pipshim`` but an observer writes
to the terminal while work is going on. The docstring of each event says *when* it is reported.

The order promised for one build, known by its ``name`` and ``version``, is one of::

    BuildStarted (BuildPhase | BuildOutput)* [BuildRecorded] (BuildFinished | BuildFailed)
    BuildCached

and for one download, known by its ``key``::

    DownloadStarted DownloadProgress* DownloadFinished

A download that fails has no end of its own: the command fails with it. ``Planned`` comes before
the builds and downloads that it counts, and ``Prepared`` of a distribution before it is
``Installed``.

Events of different builds and downloads come in any order between each other, and from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipshim.base.masking import Mask

What: TypeAlias = Literal["requirements", "metadata", "wheel", "editable"]
Phase: TypeAlias = Literal["fetch", "environment", "requirements", "metadata", "wheel"]
Source: TypeAlias = Literal["index", "built", "cached", "editable"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_FREE_TEXTS = ("line", "text", "key", "why", "record")
"""Fields of events that may quote what a program printed or a user typed."""

UNKNOWN = "?"
"""The version of what only a build can tell it of."""

_COMMIT_LENGTH = 10


def short(commit: str) -> str:
    """Return the beginning of a commit, which is enough for people."""
    return commit[:_COMMIT_LENGTH]


def shown_version(version: str, commit: str = "") -> str:
    """Return what people are shown as the version: the commit where the version is unknown."""
    return short(commit) if version in ("", UNKNOWN) else version


def label(name: str, version: str, commit: str = "") -> str:
    """Return what people are shown as name and version."""
    return f"{name} {shown_version(version, commit)}".rstrip()


@dataclass(frozen=True)
class ResolveStarted:
    """Reported before each round of the resolver; ``round`` counts from 1.

    ``target`` names what is resolved for, where a lock is for several targets: these are resolved
    several at once.
    """

    round: int
    target: str = ""


@dataclass(frozen=True)
class Pinned:
    """Reported when the resolver pins a version; it may pin another one later."""

    name: str
    version: str
    target: str = ""


@dataclass(frozen=True)
class TargetResolved:
    """Reported when one of several targets is resolved.

    It may be resolved again, to take versions that others have. ``seconds`` counts its rounds.
    """

    target: str
    packages: int
    seconds: float


@dataclass(frozen=True)
class ResolveFinished:
    """Reported once, after the last round, when the set of versions is known.

    Not reported when resolving fails. ``seconds`` counts all rounds.
    """

    packages: int
    seconds: float


@dataclass(frozen=True)
class Planned:
    """Reported when it is known what is to come into the environment, before any of it.

    Reported again if another command has changed the environment meanwhile.

    ``packages`` counts distributions, ``builds`` those of them that come from a source; the builds
    that build environments need are not counted.
    """

    packages: int
    builds: int


@dataclass(frozen=True)
class Prepared:
    """Reported when one of the planned distributions is ready to be installed."""

    name: str
    version: str
    source: Source


@dataclass(frozen=True)
class DownloadStarted:
    """Reported when the first answer to a request for an artifact has come.

    ``size`` is in bytes, None if the server does not say it. ``key`` is unique among the downloads
    of a command. What pip's HTTP cache answers is no download.
    """

    key: str
    filename: str
    size: int | None = None


@dataclass(frozen=True)
class DownloadProgress:
    """Reported as bytes come in, with ``received`` counted from the start of the file.

    It only grows, unless the server makes pip start the file again.
    """

    key: str
    received: int


@dataclass(frozen=True)
class DownloadFinished:
    """Reported when the whole file is there, its hash still to be checked; ``size`` is in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class BuildStarted:
    """Reported when a build begins: its mode is chosen, nothing was made or fetched for it yet.

    Reported for each thing that a backend is asked for, so with another ``what`` for what it
    requires (``requirements``), its metadata and its wheel. ``chosen_by`` says where the mode comes
    from (``pyproject.toml``, ``command line``, ``default``). ``log`` is where all output goes, if
    that is known already. ``waits_for`` names what its environment has that is built itself: none
    of its hooks runs before those builds have ended. ``commit`` is that of a checkout.
    ``combination`` names the conflicting extras and groups (``extra cpu``) whose versions it sees.
    """

    name: str
    version: str
    mode: str
    chosen_by: str
    what: What
    log: Path | None = None
    waits_for: tuple[str, ...] = ()
    commit: str = ""
    combination: str = ""


@dataclass(frozen=True)
class BuildPhase:
    """Reported when a build enters a phase; the phase before it has ended then.

    ``fetch`` gets and unpacks the sdist, ``environment`` makes the build environment with all that
    is in it, ``requirements``, ``metadata`` and ``wheel`` run the backend's hooks.
    """

    name: str
    version: str
    phase: Phase


@dataclass(frozen=True)
class BuildOutput:
    """Reported for each line that a build prints, without its line end, secrets masked."""

    name: str
    line: str


@dataclass(frozen=True)
class BuildRecorded:
    """Reported when a wheel is made: ``record`` says, as plain data, from what and against what."""

    name: str
    version: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class BuildCached:
    """Reported in place of a build, when an earlier wheel's record still holds; ``why`` says so."""

    name: str
    version: str
    mode: str
    chosen_by: str
    why: str
    record: Mapping[str, Any] | None = None
    combination: str = ""


@dataclass(frozen=True)
class BuildFinished:
    """Reported when what a build is for is there; ``seconds`` counts from its BuildStarted."""

    name: str
    version: str
    mode: str
    chosen_by: str
    what: What
    seconds: float


@dataclass(frozen=True)
class BuildFailed:
    """Reported when a build has ended without result, an interrupted one included.

    The error that says why is raised by the engine and rendered at the end: observers of this
    event only note that the build runs no longer. ``step`` is that of BuildError; ``stopped`` is
    True of a build that was ended because the command was.
    """

    name: str
    version: str
    mode: str
    step: str
    stopped: bool = False


@dataclass(frozen=True)
class Installed:
    """Reported when a distribution has been put in the environment.

    ``editable`` is the source of what points to its folder; it need not be the project itself.
    """

    name: str
    version: str
    source: Source


@dataclass(frozen=True)
class Removed:
    """Reported when a distribution has been taken out of the environment."""

    name: str
    version: str


@dataclass(frozen=True)
class Message:
    """Reported at any time: a line of pip's log or a notice of pipshim's, without markup."""

    level: Level
    text: str


@dataclass(frozen=True)
class Waiting:
    """Reported when nothing can be done until something outside the command happens.

    Such as another command that holds the environment's lock. Any other event ends the waiting;
    that of a build, which has a ``name`` and a ``version``, its BuildStarted or BuildCached.
    """

    text: str
    name: str = ""
    version: str = ""


Event: TypeAlias = (
    ResolveStarted
    | Pinned
    | TargetResolved
    | ResolveFinished
    | Planned
    | Prepared
    | DownloadStarted
    | DownloadProgress
    | DownloadFinished
    | BuildStarted
    | BuildPhase
    | BuildOutput
    | BuildRecorded
    | BuildCached
    | BuildFinished
    | BuildFailed
    | Installed
    | Removed
    | Message
    | Waiting
)


class Observer(Protocol):
    """Whom the engine tells. Called from several threads: an implementation locks, and is quick.

    It must not raise: an event is a piece of news, not a question.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of one event."""


def ignore(event: Event, /) -> None:
    """Observe nothing; the default where an observer is optional."""


def once(observer: Observer) -> Observer:
    """Let an observer hear each warning once, whoever gives it again."""
    said: set[str] = set()

    def observe(event: Event, /) -> None:
        if isinstance(event, Message) and event.level == "warning":
            if event.text in said:
                return
            said.add(event.text)
        observer(event)

    return observe


class Relay:
    """Tells another observer, which may be replaced at any time.

    Attributes:
        to: whom it tells.

    """

    def __init__(self, to: Observer) -> None:
        self.to = to

    def __call__(self, event: Event, /) -> None:
        """Hand an event on."""
        self.to(event)


def tee(*observers: Observer) -> Observer:
    """Give one observer that tells several, in this order."""

    def observe(event: Event, /) -> None:
        for observer in observers:
            observer(event)

    return observe


def masked(observer: Observer, mask: Mask) -> Observer:
    """Let an observer see events without secrets."""

    def observe(event: Event, /) -> None:
        changed: dict[str, Any] = {}
        for name in _FREE_TEXTS:
            value = getattr(event, name, None)
            if value is not None and (hidden := mask.hide_in(value)) != value:
                changed[name] = hidden
        observer(replace(event, **changed) if changed else event)

    return observe
