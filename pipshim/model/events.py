"""Events that the engine reports while it works, for observers to show.

While work is going on, only observers write to the terminal. The docstring of each event says
*when* it is reported. The events of one build, known by ``name`` and ``version``, are one of::

    BuildStarted (BuildPhase | BuildLimited | BuildOutput | BuildProgress)* [BuildRecorded]
        (BuildFinished | BuildFailed)
    BuildCached

and those of one download, known by its ``key``::

    DownloadStarted DownloadProgress* DownloadFinished

A failed download has no last event: the command fails with it. ``Planned`` comes before the builds
and downloads that it counts, and ``Prepared`` of a distribution before it is ``Installed``. Events
of different builds and downloads come in any order, and from any thread.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipshim.base.masking import Mask
    from pipshim.model.build_progress import Unit

What: TypeAlias = Literal["requirements", "metadata", "wheel", "editable"]
Phase: TypeAlias = Literal["fetch", "environment", "memory", "requirements", "metadata", "wheel"]
Source: TypeAlias = Literal["index", "built", "cached", "remote", "awaited", "editable"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_FREE_TEXTS = ("line", "text", "key", "why", "record")
"""Fields of events that may quote what a program printed or a user typed."""

UNKNOWN = "?"
"""The version of what only a build can tell it of."""

_COMMIT_LENGTH = 10


def short(commit: str) -> str:
    """Abbreviate a commit."""
    return commit[:_COMMIT_LENGTH]


def shown_version(version: str, commit: str = "") -> str:
    """Return the version to show: the commit if the version is unknown."""
    return short(commit) if version in ("", UNKNOWN) else version


def label(name: str, version: str, commit: str = "") -> str:
    """Return the name and version to show."""
    return f"{name} {shown_version(version, commit)}".rstrip()


@dataclass(frozen=True)
class _OfDistribution:
    """What happens to a distribution."""

    name: str
    version: str


@dataclass(frozen=True)
class _OfBuild(_OfDistribution):
    """What happens to a build whose mode is chosen.

    ``chosen_by`` is the setting that chose it (``pyproject.toml``, ``command line``, ``default``).
    """

    mode: str
    chosen_by: str


@dataclass(frozen=True)
class ResolveStarted:
    """Reported before each round of the resolver; ``round`` counts from 1.

    ``target`` is set in a lock for several targets, some of which are resolved at the same time.
    """

    round: int
    target: str = ""


@dataclass(frozen=True)
class Pinned(_OfDistribution):
    """Reported when the resolver pins a version; it may pin another one later."""

    target: str = ""


@dataclass(frozen=True)
class TargetResolved:
    """Reported when one of several targets is resolved; ``seconds`` counts its rounds.

    It may be resolved again, to use versions of other targets.
    """

    target: str
    packages: int
    seconds: float


@dataclass(frozen=True)
class ResolveFinished:
    """Reported once, after the last successful round; ``seconds`` counts all rounds."""

    packages: int
    seconds: float


@dataclass(frozen=True)
class Planned:
    """Reported when it is known what to install, before any of it is.

    Reported again if another command has changed the environment meanwhile. ``builds`` counts the
    ``packages`` that come from a source, without the builds that build environments need.
    """

    packages: int
    builds: int


@dataclass(frozen=True)
class Prepared(_OfDistribution):
    """Reported when one of the planned distributions is ready to be installed."""

    source: Source


@dataclass(frozen=True)
class DownloadStarted:
    """Reported with the first response to a download; pip's HTTP cache counts as none.

    ``size`` is in bytes, None if unknown. ``key`` is unique among the downloads of a command.
    """

    key: str
    filename: str
    size: int | None = None


@dataclass(frozen=True)
class DownloadProgress:
    """Reported as bytes come in; ``received`` grows, unless pip starts the file again."""

    key: str
    received: int


@dataclass(frozen=True)
class DownloadFinished:
    """Reported when the whole file is there, before its hash is checked; ``size`` is in bytes.

    Reported too when a download from a remote is given up, with what there is of it.
    """

    key: str
    size: int


@dataclass(frozen=True)
class BuildStarted(_OfBuild):
    """Reported when a build begins: its mode is chosen, nothing is fetched or made yet.

    Reported for each question to a backend, with another ``what``: its build requirements
    (``requirements``), metadata or wheel. ``log`` is the file of all output, if known.
    ``waits_for`` names builds that must end before its hooks run. ``commit`` is that of a checkout.
    ``combination`` names the conflicting extras and groups whose versions it sees. ``why`` is the
    reason why an earlier wheel of the same source is not reused, if there is one. ``worker`` names
    the machine that builds, if it is another one. If that dies, the build fails (``stopped``), and
    is started again elsewhere.
    """

    what: What
    log: Path | None = None
    waits_for: tuple[str, ...] = ()
    commit: str = ""
    combination: str = ""
    why: str = ""
    worker: str = ""


@dataclass(frozen=True)
class BuildPhase(_OfDistribution):
    """Reported when a build enters a phase, which ends the phase before.

    ``fetch`` gets and unpacks the sdist, ``environment`` makes the build environment,
    ``requirements``, ``metadata`` and ``wheel`` run the backend's hooks.
    """

    phase: Phase


@dataclass(frozen=True)
class BuildLimited(_OfDistribution):
    """Reported when a build is given fewer jobs than there are cores, for lack of memory.

    ``needed`` is how many bytes it is known to need with as many as it would have, and
    ``available`` how many there are.
    """

    jobs: int
    needed: int
    available: int


@dataclass(frozen=True)
class BuildOutput:
    """Reported for each line that a build prints, without its line end, secrets masked."""

    name: str
    line: str


@dataclass(frozen=True)
class BuildProgress(_OfDistribution):
    """Reported as a build goes on, at most a few times a second.

    ``done`` of ``total`` steps of the running tool are done; ``total`` is None if it is not known,
    and ``unit`` says what is counted (``steps``, ``%``, ``crates``, ``files``). ``extension``
    counts setuptools' extension modules. ``fraction`` is the share of the whole build, between 0
    and 1, and ``seconds_left`` an estimate; None if not known. If an earlier build says how long
    it takes, it is reported at the start too, with nothing done.
    """

    done: int
    total: int | None
    unit: Unit
    extension: int = 0
    fraction: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class BuildRecorded(_OfDistribution):
    """Reported when a wheel is made; ``record`` is its build record as plain data."""

    record: Mapping[str, Any]


@dataclass(frozen=True)
class BuildCached(_OfBuild):
    """Reported instead of a build if an earlier wheel is reused; ``why`` says why.

    ``origin`` is ``remote`` if another machine built it, and was fetched now; then ``saved`` is how
    many seconds its build took there.
    """

    why: str
    record: Mapping[str, Any] | None = None
    combination: str = ""
    origin: Literal["cached", "remote"] = "cached"
    saved: float | None = None


@dataclass(frozen=True)
class BuildFinished(_OfBuild):
    """Reported when a build has succeeded; ``seconds`` counts from its BuildStarted.

    ``cpu`` is the processor time of its processes in seconds, ``memory`` the most bytes that they
    used together, ``processes`` how many were at work then, ``expected`` how many seconds the
    backend was expected to take; None if not known.
    """

    what: What
    seconds: float
    cpu: float | None = None
    memory: int | None = None
    expected: float | None = None
    processes: int | None = None


@dataclass(frozen=True)
class BuildFailed(_OfDistribution):
    """Reported when a build has failed or was interrupted.

    The engine raises the error, which is shown at the end: observers only note that the build has
    ended. ``step`` is that of BuildError; ``stopped`` is True if the command ended the build.
    """

    mode: str
    step: str
    stopped: bool = False
    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None


@dataclass(frozen=True)
class Installed(_OfDistribution):
    """Reported when a distribution was installed; ``editable`` is set for editables."""

    source: Source


@dataclass(frozen=True)
class Removed(_OfDistribution):
    """Reported when a distribution was uninstalled."""


@dataclass(frozen=True)
class Message:
    """Reported at any time: a line of pip's log or a notice of pipshim's, without markup."""

    level: Level
    text: str


@dataclass(frozen=True)
class Waiting:
    """Reported while something outside the command is waited for, such as another command's lock.

    Any other event ends the waiting; that of a build, which has a ``name`` and a ``version``, its
    BuildStarted or BuildCached.
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
    | BuildLimited
    | BuildOutput
    | BuildProgress
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
    """Receives events from several threads: implementations lock, are quick, and never raise."""

    def __call__(self, event: Event, /) -> None:
        """Receive one event."""


def ignore(event: Event, /) -> None:
    """Observe nothing; the default where an observer is optional."""


def once(observer: Observer) -> Observer:
    """Let an observer hear each warning once."""
    said: set[str] = set()

    def observe(event: Event, /) -> None:
        if isinstance(event, Message) and event.level == "warning":
            if event.text in said:
                return
            said.add(event.text)
        observer(event)

    return observe


class Relay:
    """Passes events on to another observer (`to`), which may be replaced."""

    def __init__(self, to: Observer) -> None:
        self.to = to

    def __call__(self, event: Event, /) -> None:
        self.to(event)


def tee(*observers: Observer) -> Observer:
    """Return an observer that informs several, in this order."""

    def observe(event: Event, /) -> None:
        for observer in observers:
            observer(event)

    return observe


def masked(observer: Observer, mask: Mask) -> Observer:
    """Mask secrets in the events of an observer."""

    def observe(event: Event, /) -> None:
        changed: dict[str, Any] = {}
        for name in _FREE_TEXTS:
            value = getattr(event, name, None)
            if value is not None and (hidden := mask.hide_in(value)) != value:
                changed[name] = hidden
        observer(replace(event, **changed) if changed else event)

    return observe
