"""Options that choose versions and files, and what a lock remembers of them. Pure.

Each preference is named after its option, and its value is plain data.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.model.settings import Configuration

LISTS = ("no-binary", "only-binary", "all-releases", "only-final")
"""Preferences that are lists: names of packages, or ``:all:``."""

_TOGETHER = {"only-binary": "no-binary", "only-final": "all-releases"}
"""Options that take names from each other, so that they are said together or not at all."""


@dataclass(frozen=True)
class GivenPreferences:
    """What the command line, variables and pip.conf say.

    Attributes:
        values: those that differ from the default.
        names: those that are set, default values included (``--no-binary :none:``).
        below: those set by pip.conf only: pyproject.toml overrides them.
        typed: those on the command line.

    """

    values: Mapping[str, Any] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()
    typed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Preferences:
    """The preferences in force.

    Attributes:
        remembered: the part that the lock has to remember, since pyproject.toml does not say it.
        dropped: those of the existing lock that no longer hold.

    """

    values: Mapping[str, Any] = field(default_factory=dict)
    remembered: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """The strategy: ``highest``, ``lowest`` or ``lowest-direct``."""
        return str(self.values.get("resolution", "highest"))


def combine(
    said: GivenPreferences, configuration: Configuration, old: Mapping[str, Any], *, keeps: bool
) -> Preferences:
    """Combine what is said now, what the lock was made with, and pyproject.toml, in this order.

    Args:
        old: what the existing lock was made with.
        keeps: whether that counts where nothing is said: True for all commands but ``lock``.

    """
    known = {_group(name) for name in said.names - said.below}
    dropped = {name: value for name, value in old.items() if _group(name) not in known}
    kept = dropped if keeps else {}
    above = {name: value for name, value in said.values.items() if name not in said.below} | kept
    stated = {
        "resolution": configuration.resolution,
        "uploaded-prior-to": configuration.exclude_newer,
    }
    project = {
        name: value for name, value in stated.items() if value is not None and name not in above
    }
    below = {
        name: said.values[name]
        for name in said.below & set(said.values)
        if name not in above and name not in project
    }
    values = above | project | below
    if values.get("resolution") == "highest":
        del values["resolution"]  # to say it is as good as not to
    return Preferences(
        values=dict(sorted(values.items())),
        remembered=dict(sorted((above | below).items())),
        dropped={} if keeps else dropped,
    )


def not_heeded(
    said: GivenPreferences, configuration: Configuration, old: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what was typed but has no effect because a lock is followed as it is.

    Args:
        old: what the lock was made with.

    """
    made_with = {
        "resolution": "highest",
        **combine(GivenPreferences(), configuration, old, keeps=True).values,
    }
    return {
        name: said.values.get(name, ":none:")
        for name in said.typed
        if said.values.get(name) != made_with.get(name)
    }


def typed(preferences: Mapping[str, Any]) -> str:
    """Return preferences as they would be typed."""
    words = []
    for name, value in sorted(preferences.items()):
        words.append(f"--{name}")
        if isinstance(value, (list, tuple)):
            words.append(",".join(value))
        elif not isinstance(value, bool):
            words.append(str(value))
    return " ".join(words)


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read the preferences that a lock remembers.

    Raises:
        TypeError: one has the wrong type.

    """
    for name, value in data.items():
        if name in LISTS:
            ok = isinstance(value, list) and all(isinstance(one, str) for one in value)
        else:
            ok = isinstance(value, (str, bool))
        if not ok:
            raise TypeError(name)
    return dict(data)


def _group(name: str) -> str:
    return _TOGETHER.get(name, name)
