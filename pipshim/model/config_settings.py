"""The type of PEP 517 config settings, as in pip."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    ConfigSettings: TypeAlias = "Mapping[str, str | list[str]]"
