"""Past builds: what they used, and what to expect of the next one."""

from __future__ import annotations

from dataclasses import asdict, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

Outcome: TypeAlias = Literal["built", "failed", "out of memory", "stopped"]


@dataclass(frozen=True)
class PastBuild:
    """A build of a wheel that has ended.

    Attributes:
        version: its version, or the commit of a checkout.
        what: ``wheel`` or ``editable``.
        python: the Python that it was for: ``cpython 3.12``.
        started: when its backend was called, in seconds since the epoch.
        seconds: how long the backend took.
        cpu: the processor time of all its processes, in seconds; None if not measured.
        peak: the most memory that its processes used together, in bytes; None if not measured.
        processes: how many of them were at work then.
        steps: how many steps it printed (compiled files and the like); 0: none.
        log: the file with its output.
        worker: the machine that built, if it was another one.

    """

    name: str
    version: str
    what: str
    mode: str
    python: str
    outcome: Outcome
    started: float
    seconds: float
    cpu: float | None = None
    peak: int | None = None
    processes: int = 1
    steps: int = 0
    log: str | None = None
    worker: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> PastBuild | None:
        """Read plain data; None if it is not a build."""
        if not isinstance(data, dict):
            return None
        known = {one.name for one in fields(cls)}
        try:
            build = cls(**{key: value for key, value in data.items() if key in known})
        except TypeError:
            return None
        numbers: list[Any] = [build.started, build.seconds, build.processes]
        numbers += [build.cpu or 0, build.peak or 0, build.steps]
        texts: list[Any] = [build.name, build.version, build.what, build.mode, build.python]
        texts += [build.worker, build.log or ""]
        is_valid = (
            all(isinstance(one, int | float) and isfinite(one) for one in numbers)
            and all(isinstance(one, str) for one in texts)
            and build.outcome in get_args(Outcome)
        )
        return build if is_valid else None


def last_success(
    builds: Iterable[PastBuild], name: str, version: str, what: str = "wheel"
) -> PastBuild | None:
    """Return the newest successful build of a package, of the same version if there is one.

    Args:
        builds: the oldest first.
        version: the version to prefer.
        what: ``wheel`` or ``editable``.

    """
    found: PastBuild | None = None
    for build in builds:
        if build.name != name or build.what != what or build.outcome != "built":
            continue
        if found is None or build.version == version or found.version != version:
            found = build
    return found


class MemoryNeed(NamedTuple):
    """How much memory a build is expected to need.

    Attributes:
        peak: all its processes together, in bytes.
        per_process: one of them.

    """

    peak: int
    per_process: int


def memory_need(builds: Iterable[PastBuild], name: str) -> MemoryNeed | None:
    """Return what a build will need by the newest one of its package; None if that is not known.

    One that ran out of memory would have needed more than it had: it counts twice, so that the next
    one is given half as many processes.
    """
    found: MemoryNeed | None = None
    for build in builds:
        if build.name == name and build.peak and build.outcome in ("built", "out of memory"):
            peak = build.peak * (2 if build.outcome == "out of memory" else 1)
            found = MemoryNeed(peak, peak // max(build.processes, 1))
    return found


def trimmed(builds: list[PastBuild], *, most: int, most_of_one: int) -> list[PastBuild]:
    """Return the newest builds, and of each package only so many.

    What is built every day must not drive out what is built once a year.
    """
    counts: dict[str, int] = {}
    kept: list[PastBuild] = []
    for build in reversed(builds):
        counts[build.name] = counts.get(build.name, 0) + 1
        if counts[build.name] <= most_of_one and len(kept) < most:
            kept.append(build)
    return kept[::-1]
