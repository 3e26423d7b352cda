"""Evaluate the extras and groups in the markers of a lock (PEP 751). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Collection

_SELECTED = ("extras", "dependency_groups")


def reduced(
    marker: Marker | None, *, extras: Collection[str], groups: Collection[str]
) -> Marker | bool:
    """Evaluate extras and groups in a marker; conditions on the environment stay.

    Args:
        marker: of a package; None always holds.
        extras: the selected ones, normalised.

    Returns:
        whether it holds, if nothing else is left; else the rest, a valid PEP 508 marker.

    """
    if marker is None:
        return True
    selected = {"extras": extras, "dependency_groups": groups}
    # packaging has no public way to walk a marker.
    found = _any_of(marker._markers, selected)  # noqa: SLF001
    return found if isinstance(found, bool) else Marker(found)


def _any_of(parts: list[Any], selected: dict[str, Collection[str]]) -> str | bool:
    groups: list[list[Any]] = [[]]
    for part in parts:
        if part == "or":
            groups.append([])
        elif part != "and":
            groups[-1].append(part)
    found = [_joined([_term(one, selected) for one in group], "and") for group in groups]
    return _joined(found, "or")


def _joined(terms: list[str | bool], word: str) -> str | bool:
    decides = word == "or"  # one true alternative is enough; one false condition too
    if decides in terms:
        return decides
    texts = list(dict.fromkeys(term for term in terms if isinstance(term, str)))
    if not texts:
        return not decides
    if len(texts) == 1:
        return texts[0]
    return f" {word} ".join(f"({text})" if " or " in text else text for text in texts)


def _term(part: Any, selected: dict[str, Collection[str]]) -> str | bool:
    if isinstance(part, list):
        return _any_of(part, selected)
    left, operator, right = part
    if right.value in _SELECTED and type(right).__name__ == "Variable":
        is_in = canonicalize_name(left.value) in selected[right.value]
        return is_in is (operator.value == "in")
    return f"{left.serialize()} {operator.serialize()} {right.serialize()}"
