"""One distribution that changed, or would change."""

from __future__ import annotations

from pipshim.base.light.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from pipshim.model.events import Source

    Kind: TypeAlias = Literal["+", "-", "~"]

FOR_BUILDS = "for builds"
"""The reason of a change that affects only the build environments of a lock."""


class Change(NamedTuple):
    """One distribution that is, or would be, other than before.

    Attributes:
        kind: added, removed, or there before as well.
        name: its name.
        old: the version that was there; None for ``+``.
        new: the version that is there; None for ``-``, and where only a build can tell.
        reason: what the versions alone do not say: why the same version was installed anew.
        source: where it came from.
        mode: the mode of the build that it was made by in this command.

    """

    kind: Kind
    name: str
    old: str | None
    new: str | None
    reason: str | None = None
    source: Source | None = None
    mode: str | None = None
