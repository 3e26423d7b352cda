"""Ed25519 keys and signatures as text, read strictly. Pure.

A public key is ``ed25519:`` and 32 bytes in Base64, a signature is the public key, a colon and 64
bytes in Base64. Each value has one text only.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

PUBLIC = "ed25519:"
PRIVATE = "ed25519-private:"
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


class Signature(NamedTuple):
    """A signature, with the public key of whoever made it."""

    key: str
    value: bytes

    def __str__(self) -> str:
        return f"{self.key}:{_encoded(self.value)}"


def public_key(content: bytes) -> str:
    """Return the text of a public key."""
    return f"{PUBLIC}{_encoded(content)}"


def private_key(content: bytes) -> str:
    """Return the text of a private key."""
    return f"{PRIVATE}{_encoded(content)}"


def read_public_key(text: str) -> bytes:
    """Read a public key.

    Raises:
        ValueError: it is none; the message says why, and begins with a verb.

    """
    if text.startswith(PRIVATE):
        raise ValueError("is a private key: never write it into a file that others read")
    return _decoded(text, PUBLIC, _KEY_BYTES, "key")


def read_private_key(text: str) -> bytes:
    """Read a private key.

    Raises:
        ValueError: it is none; the message does not contain it.

    """
    return _decoded(text, PRIVATE, _KEY_BYTES, "key")


def read_signature(text: str) -> Signature:
    """Read a signature.

    Raises:
        ValueError: it is none.

    """
    key, _, value = text.rpartition(":")
    read_public_key(key)
    return Signature(key, _decoded(value, "", _SIGNATURE_BYTES, "signature"))


def why_untrusted(signer: str | None, trusted: Collection[str]) -> str | None:
    """Say why a result that is here is not used; None if nothing is against it.

    Args:
        signer: the public key that signed it; empty if it came from a remote and none did; None if
            it was built here.
        trusted: public keys; without any, everything is trusted.

    """
    if signer is None or not trusted or signer in trusted:
        return None
    if not signer:
        return "it came from a remote, and is not signed"
    return f"it is signed with {signer}, which is not trusted"


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _decoded(written: str, prefix: str, size: int, what: str) -> bytes:
    if not written.startswith(prefix):
        raise ValueError(f"does not begin with {prefix}")
    text = written.removeprefix(prefix)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not valid Base64") from None
    if len(content) != size or _encoded(content) != text:
        raise ValueError(f"is not a {what} of {size} bytes")
    return content
