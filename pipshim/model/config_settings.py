"""The type of config settings of build backends (PEP 517), as pip has them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    ConfigSettings: TypeAlias = "Mapping[str, str | list[str]]"
