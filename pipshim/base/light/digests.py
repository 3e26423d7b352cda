"""SHA-256 without hashlib, which loads OpenSSL."""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # before Python 3.12, or where Python's own are left out
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256


def hex_of(data: bytes) -> str:
    return str(sha256(data).hexdigest())


def raw_of(data: bytes) -> bytes:
    return bytes(sha256(data).digest())
