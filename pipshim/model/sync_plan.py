"""Plan the changes to an environment, each with its reason. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from packaging.utils import NormalizedName

Action = Literal["keep", "add", "replace", "remove"]
Removes = Literal["all", "own", "none"]


@dataclass(frozen=True)
class Wanted:
    """A distribution that the environment should have.

    Attributes:
        version: None if only its build can tell.
        identity: identifies the file or source that it is installed from.
        direct: whether that is a direct reference: then an installed one must come from the same.
        always: why it is always reinstalled; None if it is not.

    """

    name: NormalizedName
    version: str | None
    identity: str
    direct: bool = False
    always: str | None = None


@dataclass(frozen=True)
class Present:
    """A distribution that the environment has.

    Attributes:
        installer: the tool that installed it (INSTALLER).
        identity: what pipshim installed it from; None if another tool did.
        direct: whether it was installed from a direct reference (``direct_url.json``).
        damaged: what is wrong with it; None if nothing is.

    """

    name: NormalizedName
    version: str
    installer: str
    identity: str | None = None
    direct: bool = False
    damaged: str | None = None


@dataclass(frozen=True)
class Step:
    """A change to one distribution.

    Attributes:
        action: ``keep``, ``add``, ``replace`` or ``remove``.
        reason: why, in a few words.

    """

    action: Action
    name: NormalizedName
    old: str | None
    new: str | None
    reason: str


def plan(
    wanted: Mapping[NormalizedName, Wanted],
    present: Mapping[NormalizedName, Present],
    *,
    removes: Removes,
    protected: Collection[NormalizedName] = (),
    reinstall: Callable[[NormalizedName], bool] = lambda _: False,
    stale: Callable[[NormalizedName], str | None] = lambda _: None,
) -> list[Step]:
    """Compare wanted and present distributions.

    Args:
        removes: which others to remove: all, those that pipshim installed, or none.
        protected: never removed.
        reinstall: returns whether a distribution is reinstalled in any case.
        stale: returns why an installed wheel's build record no longer holds.

    Returns:
        A step for each distribution, removals first, then by name.

    """
    steps: list[Step] = []
    for name, one in present.items():
        if name in wanted or name in protected or removes == "none":
            continue
        if removes == "all" or one.installer == "pipshim":
            steps.append(Step("remove", name, one.version, None, "not in the lock"))
    steps.sort(key=lambda step: step.name)
    for name in sorted(wanted):
        want, have = wanted[name], present.get(name)
        if have is None:
            steps.append(Step("add", name, None, want.version, "not installed"))
            continue
        reason = _why_replace(want, have)
        if reason is None and reinstall(name):
            reason = "reinstall"
        if reason is None:
            reason = stale(name)
        action: Action = "keep" if reason is None else "replace"
        steps.append(Step(action, name, have.version, want.version, reason or "as locked"))
    return steps


def _why_replace(want: Wanted, have: Present) -> str | None:
    if have.damaged is not None:
        return have.damaged
    if want.version is not None and want.version != have.version:
        return "another version"
    if want.always is not None:
        return want.always
    if have.identity is not None:
        return None if have.identity == want.identity else "another source"
    if want.direct != have.direct:
        return "another source"
    if want.direct:
        return "not installed by pipshim"
    return None
