"""Read requirements (PEP 508), and write them as the lock, ``tree`` and ``why`` show them. Pure."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.specifiers import SpecifierSet

_CLOSED_BY = {"[": "]", "'": "'", '"': '"'}
_LOWER = frozenset({">=", ">", "==", "===", "~="})
_OPERATORS = frozenset("!=<>~")
_EXTRA = r"""extra\s*==\s*(?:"[^"]*"|'[^']*')"""
_ABOUT_EXTRA = re.compile(rf"\s+and\s+{_EXTRA}|{_EXTRA}\s+and\s+")
_ONLY_EXTRA = re.compile(_EXTRA)


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
    if marker is None or _ONLY_EXTRA.fullmatch(str(marker)):
        return None
    try:
        return Marker(_ABOUT_EXTRA.sub("", str(marker)))
    except InvalidMarker:
        return marker
