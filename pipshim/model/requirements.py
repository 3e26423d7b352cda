"""Read, override and write requirements (PEP 508). Pure."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

_CLOSED_BY = {"[": "]", "'": "'", '"': '"'}
_LOWER = frozenset({">=", ">", "==", "===", "~="})
_OPERATORS = frozenset("!=<>~")


def valid(texts: Iterable[str]) -> Iterator[Requirement]:
    """Parse requirements; leave out those that are invalid."""
    for text in texts:
        with suppress(InvalidRequirement):
            yield Requirement(text)


def applies(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    """Return whether a requirement holds in an environment, without any extra."""
    marker = requirement.marker
    return marker is None or marker.evaluate({**environment, "extra": ""})


def requires_dist(metadata: str) -> list[str]:
    """Return the requirements in METADATA, as they are written there."""
    headers = metadata.replace("\r\n", "\n").partition("\n\n")[0].splitlines()
    found = (line.partition(":") for line in headers)
    return [value.strip() for key, _, value in found if key.strip().lower() == "requires-dist"]


def merged(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """Return each requirement once, sorted, with its extras joined and without ``extra ==``.

    pip's resolver has ``foo[bar]>=1`` as ``foo>=1`` too.
    """
    found: dict[tuple[str, str, str], set[str]] = {}
    for one in requirements:
        marker = str(without_extra(one.marker) or "")
        key = (canonicalize_name(one.name), str(one.specifier), marker)
        found.setdefault(key, set()).update(map(canonicalize_name, one.extras))
    texts = []
    for (name, specifier, marker), extras in found.items():
        bracket = f"[{','.join(sorted(extras))}]" if extras else ""
        texts.append(f"{name}{bracket}{specifier}" + (f"; {marker}" if marker else ""))
    return tuple(sorted(texts))


def is_exact(specifier: SpecifierSet) -> bool:
    """Return whether a specifier names one version."""
    return any(
        one.operator == "===" or (one.operator == "==" and not one.version.endswith(".*"))
        for one in specifier
    )


def has_lower_bound(specifier: SpecifierSet) -> bool:
    return any(one.operator in _LOWER for one in specifier)


def separated(text: str) -> list[str]:
    """Split requirements at commas, as uv's ``--with`` does: not within extras and specifiers.

    uv splits in quotes too, and so no marker may have a comma.
    """
    found = [""]
    closing = ""
    for at, character in enumerate(text):
        if character == closing:
            closing = ""
        elif not closing and character in _CLOSED_BY:
            closing = _CLOSED_BY[character]
        elif character == "," and not closing and text[at + 1 :].lstrip()[:1] not in _OPERATORS:
            found.append("")
            continue
        found[-1] += character
    return [one.strip() for one in found if one.strip()]


def without_extra(marker: Marker | None) -> Marker | None:
    """Remove the condition that a requirement belongs to an extra."""
    rest = simplified(marker, lambda left, _, right: "extra" in (left, right) or None)
    return None if isinstance(rest, bool) else rest


def simplified(
    marker: Marker | None, decide: Callable[[str, str, str], bool | None]
) -> Marker | bool:
    """Evaluate a part of a marker; packaging evaluates all of it.

    Args:
        marker: None always holds.
        decide: returns whether a comparison holds, given its three parts as they are written; None
            if it stays.

    Returns:
        whether the marker holds, if nothing is left; else the rest.

    """
    if marker is None:
        return True
    # packaging has no public way to walk a marker.
    found = _any_of(marker._markers, decide)  # noqa: SLF001
    return found if isinstance(found, bool) else Marker(found)


def _any_of(parts: list[Any], decide: Callable[[str, str, str], bool | None]) -> str | bool:
    groups: list[list[Any]] = [[]]
    for part in parts:
        if part == "or":
            groups.append([])
        elif isinstance(part, list):
            groups[-1].append(_any_of(part, decide))
        elif part != "and":
            sides = [one.serialize() for one in part]
            holds = decide(*sides)
            groups[-1].append(" ".join(sides) if holds is None else holds)
    return _joined([_joined(group, "and") for group in groups], "or")


def _joined(terms: list[str | bool], word: str) -> str | bool:
    decides = word == "or"  # one true alternative is enough; one false condition too
    if decides in terms:
        return decides
    texts = list(dict.fromkeys(term for term in terms if isinstance(term, str)))
    if len(texts) > 1:
        return f" {word} ".join(f"({text})" if " or " in text else text for text in texts)
    return texts[0] if texts else not decides


class Overrides:
    """``override-dependencies``: replace every requirement of a name, as uv does.

    An override replaces the version, extras, URL and marker of a requirement, except for the
    condition that it belongs to an extra of the package. Several overrides of a name all replace
    each requirement, so that their markers can distinguish platforms.

    Args:
        requirements: the overrides.
        stated_in: the file that states them.

    """

    def __init__(self, requirements: Iterable[Requirement] = (), stated_in: str = "") -> None:
        self.stated_in = stated_in
        self._by_name: dict[NormalizedName, list[Requirement]] = {}
        for one in requirements:
            self._by_name.setdefault(canonicalize_name(one.name), []).append(one)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def of(self, name: str) -> list[Requirement]:
        return self._by_name.get(canonicalize_name(name), [])

    def urls(self) -> Iterator[Requirement]:
        """Return the overrides that are direct references, without extras.

        `replacing` turns them into bare names, and these constrain the names: pip does not let a
        package from PyPI require a URL.
        """
        for found in self._by_name.values():
            for one in found:
                if one.url is not None:
                    bare = copy(one)
                    bare.extras = set()
                    yield bare

    def replacing(self, name: str, marker: Marker | None = None) -> list[Requirement]:
        """Return what replaces a requirement on `name`, which had `marker`."""
        extra = simplified(
            marker, lambda left, _, right: None if "extra" in (left, right) else True
        )
        made = []
        for one in self.of(name):
            new = copy(one)
            new.url = None
            if not isinstance(extra, bool):
                new.marker = extra if one.marker is None else one.marker & extra
            made.append(new)
        return made

    def applied(self, requires: Iterable[str]) -> list[str]:
        """Apply them to the values of Requires-Dist; invalid requirements stay as they are."""
        made: list[str] = []
        for text in requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                made.append(text)
                continue
            if self.of(requirement.name):
                made += map(str, self.replacing(requirement.name, requirement.marker))
            else:
                made.append(text)
        return made
