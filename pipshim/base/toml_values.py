"""Write values as TOML on one line."""

from __future__ import annotations

import json
import re


def inline(value: object) -> str:
    """Write a string, number, boolean, array or table on one line."""
    if isinstance(value, dict):
        entries = ", ".join(f"{key(name)} = {inline(one)}" for name, one in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else str(value)


def key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else inline(name)
