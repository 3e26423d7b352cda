"""The build mode of a source distribution, and which setting chose it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName


ALL = ":all:"
"""What ``--rebuild`` takes for all packages."""


class Mode(str, Enum):
    """A build mode; its value is the word shown for it."""

    ISOLATED = "isolated"
    MATCHED = "matched"
    NO_ISOLATION = "no-isolation"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class IsolationLayer:
    """What one source of settings says about build isolation.

    Attributes:
        source: its name in output: ``command line``, ``PIP_NO_BUILD_ISOLATION``, ``pip.conf`` …
        no_build_isolation: for every package; None if it is not set.
        packages: those to be built without isolation.

    """

    source: str
    no_build_isolation: bool | None = None
    packages: frozenset[NormalizedName] = frozenset()


@dataclass(frozen=True)
class ModeChoice:
    """A mode, and the source that chose it (``default`` if none did)."""

    mode: Mode
    chosen_by: str


def choose(name: NormalizedName, layers: Iterable[IsolationLayer]) -> ModeChoice:
    """Choose a package's mode: the first layer that mentions it decides.

    Within a layer, the package's own setting wins over the one for every package. The result is
    never ``matched``: which isolated builds are matched depends on the lock.
    """
    for layer in layers:
        if name in layer.packages:
            return ModeChoice(Mode.NO_ISOLATION, layer.source)
        if layer.no_build_isolation is not None:
            mode = Mode.NO_ISOLATION if layer.no_build_isolation else Mode.ISOLATED
            return ModeChoice(mode, layer.source)
    return ModeChoice(Mode.ISOLATED, "default")
