"""Compare two locks, for display."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pipshim.model.artifacts import file_name
from pipshim.model.change import FOR_BUILDS, Change
from pipshim.model.events import short
from pipshim.model.pylock import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.pylock import Lock

_Pins: TypeAlias = "dict[NormalizedName, dict[str, list[Package]]]"


def changes(old: Lock | None, new: Lock) -> list[Change]:
    """Return the changed pins: those of run time, then those that only builds have."""
    before = _pins(old.packages) if old is not None else {}
    after = _pins(new.packages)
    builds_before = _build_pins(old) if old is not None else {}
    builds_after = _build_pins(new)
    found = list(_changed(before, after, None))
    for name in sorted(before.keys() & after.keys()):
        for label in before[name].keys() & after[name].keys():
            reason = _reason(old, new, before[name][label], after[name][label])
            if reason is not None:
                found.append(Change("~", name, label, label, reason))
    found.sort(key=lambda one: one.name)
    return [*found, *_changed(builds_before, builds_after, FOR_BUILDS)]


def _changed(before: _Pins, after: _Pins, reason: str | None) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        gone = [one for one in before.get(name, {}) if one not in after.get(name, {})]
        come = [one for one in after.get(name, {}) if one not in before.get(name, {})]
        if len(gone) == len(come) == 1:
            yield Change("~", name, gone[0], come[0], reason)
            continue
        yield from (Change("-", name, one, None, reason) for one in gone)
        yield from (Change("+", name, None, one, reason) for one in come)


def _pins(packages: Iterable[Package]) -> _Pins:
    """Sort packages by name and by what distinguishes two pins of a name."""
    found: _Pins = {}
    for package in sorted(packages, key=lambda one: (one.name, str(one.version or ""))):
        found.setdefault(package.name, {}).setdefault(_label(package), []).append(package)
    return found


def _build_pins(lock: Lock) -> _Pins:
    """Return the pins of build environments that are not also runtime pins."""
    runtime = {key_of(one) for one in lock.packages}
    known = lock.by_key
    keys = {key for members in lock.environments.values() for key in members} - runtime
    return _pins(known[key] for key in keys if key in known)


def _label(package: Package) -> str:
    if package.vcs is not None:
        return short(package.vcs.commit_id)
    if package.directory is not None:
        return package.directory.path
    if package.archive is not None:
        return file_name(package.archive)
    return str(package.version)


def _reason(old: Lock | None, new: Lock, before: list[Package], after: list[Package]) -> str | None:
    """Return how two pins of the same version differ."""
    assert old is not None
    modes = [
        {str(lock.builds[key].mode) if (key := key_of(one)) in lock.builds else "" for one in found}
        for lock, found in ((old, before), (new, after))
    ]
    if modes[0] != modes[1]:
        was, now = (" and ".join(sorted(one - {""})) or "a wheel" for one in modes)
        return f"{now}, was {was}"
    if _files(before) != _files(after):
        return "other files"
    return None


def _files(packages: Iterable[Package]) -> set[tuple[str, str]]:
    return {
        (file.filename, algorithm + value)
        for one in packages
        for file in (*(one.wheels or ()), *([one.sdist] if one.sdist is not None else ()))
        for algorithm, value in file.hashes.items()
    }
