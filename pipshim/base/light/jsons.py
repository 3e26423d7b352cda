"""`json.loads` and `json.dumps`, using only the parts of `json` written in C.

The rest of it compiles regular expressions when it is imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


class _Context:
    """The settings of `json.JSONDecoder` that the scanner reads."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


_scan: Any = None
_encode: Any = None
try:
    import _json

    _scan = _json.make_scanner(_Context())  # type: ignore[arg-type]
    _encode = _json.make_encoder(
        None, _refuse, _json.encode_basestring_ascii, None, ": ", ", ", True, False, True
    )
except (ImportError, AttributeError, TypeError):  # another Python, or a later one
    _scan = _encode = None


def loads(text: bytes | str) -> Any:
    """Parse JSON; raise ValueError if it is damaged, or nested too deeply."""
    if _scan is not None:
        characters = text if isinstance(text, str) else text.decode()
        try:
            value, end = _scan(characters, 0)
        # It raises what json.decoder has, which nobody may have imported.
        except (StopIteration, ValueError, SystemError, RecursionError):
            value = end = None
        if end == len(characters):
            return value
    import json  # noqa: PLC0415 as below

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(path: str | Path) -> Any:
    """Read a file of JSON; None if it cannot be read, or is damaged."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 pathlib may not be imported yet
            return loads(file.read())
    except (OSError, ValueError):
        return None


def dumps(value: object) -> str:
    """Write JSON with sorted keys; raise TypeError for other values."""
    if _encode is None:
        import json  # noqa: PLC0415

        return json.dumps(value, sort_keys=True)
    return "".join(_encode(value, 0))
