"""Sign shared records with Ed25519, and check who signed them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import PipshimError
from pipshim.base.write_errors import reason
from pipshim.model.signing_keys import (
    PRIVATE,
    Signature,
    private_key,
    public_key,
    read_private_key,
    read_public_key,
    read_signature,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

VARIABLE = "PIPSHIM_SIGNING_KEY"
"""The variable with a private key, or with the path of its file."""

KEY_FILE = "signing-key"
"""The file with the private key, in the folder of the user's configuration."""

_CONTEXT = b"pipshim shared record 1\0"
"""Signed before the content, so that a signature is good for nothing else."""

_MOST_BYTES = 1000


class SigningError(PipshimError):
    """A key cannot be read, written or used."""


def ed25519() -> Any:
    """Import and return cryptography's module of this name."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 an extra
    except ImportError as error:
        raise SigningError(
            "cryptography, which signs wheels and checks signatures, is not installed",
            hint="pip install 'pipshim[remote]'",
        ) from error
    return ed25519


def new_key() -> str:
    return private_key(ed25519().Ed25519PrivateKey.generate().private_bytes_raw())


def public_of(private: str) -> str:
    key = ed25519().Ed25519PrivateKey.from_private_bytes(read_private_key(private))
    return public_key(key.public_key().public_bytes_raw())


def sign(content: bytes, private: str) -> str:
    key = ed25519().Ed25519PrivateKey.from_private_bytes(read_private_key(private))
    return str(Signature(public_of(private), key.sign(_CONTEXT + content)))


def distrust(content: bytes, signature: str | None, trusted: Collection[str]) -> str | None:
    """Say in what content is not to be trusted; None if one of the trusted keys signed it.

    Args:
        signature: what is said to be its signature; None if there is none.

    """
    if signature is None:
        return "is not signed"
    try:
        made = read_signature(signature)
    except ValueError:
        return "has an invalid signature"
    if made.key not in trusted:
        return f"is signed with {made.key}, which is not trusted,"
    keys = ed25519()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 an extra

    try:
        key = keys.Ed25519PublicKey.from_public_bytes(read_public_key(made.key))
        key.verify(made.value, _CONTEXT + content)
    except (InvalidSignature, ValueError):
        return "has an invalid signature"
    return None


def signer_of(content: bytes, signature: str | None) -> str:
    """Return the public key that signed content; empty if none did, or that cannot be checked."""
    try:
        key = read_signature(signature).key if signature is not None else ""
        return key if key and distrust(content, signature, [key]) is None else ""
    except (ValueError, SigningError):
        return ""


def key_file(environ: Mapping[str, str], folder: Path) -> Path:
    """Return the file of the private key.

    Raises:
        SigningError: the variable has the key itself.

    """
    named = _named(environ)
    if named.startswith(PRIVATE):
        raise SigningError(f"{VARIABLE} has the key itself", hint=f"unset {VARIABLE}")
    return Path(named).expanduser() if named else folder / KEY_FILE


def read_key(environ: Mapping[str, str], folder: Path) -> str | None:
    """Return the private key that this user signs with; None if there is none.

    Raises:
        SigningError: it cannot be read, or is none, or the variable names a missing file.

    """
    named = _named(environ)
    if named.startswith(PRIVATE):
        return _checked(named, VARIABLE)
    path = key_file(environ, folder)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except FileNotFoundError:
        if not named:
            return None
        # Its value is not shown: it may be a key that was not copied whole.
        raise SigningError(
            f"{VARIABLE} is neither a signing key ({PRIVATE}…) nor the path of a file",
            hint="create a key: pipshim builds keygen",
        ) from None
    except (OSError, ValueError) as error:
        where = f"the file that {VARIABLE} names" if named else str(path)
        why = reason(error) if isinstance(error, OSError) else "it is not a path"
        raise SigningError(f"the signing key cannot be read: {where}: {why}") from None
    text = content.decode("utf-8", "replace").strip()
    return _checked(text, f"the file that {VARIABLE} names" if named else str(path))


def _named(environ: Mapping[str, str]) -> str:
    return environ.get(VARIABLE, "").strip()


def _checked(private: str, where: str) -> str:
    try:
        read_private_key(private)
    except ValueError as error:
        raise SigningError(
            f"{where} has no signing key: it {error}", hint="create a key: pipshim builds keygen"
        ) from None
    return private


def write_key(private: str, path: Path) -> None:
    """Write a private key to a new file, which only its owner can read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(file, "w", encoding="ascii") as stream:  # noqa: PTH123 a descriptor
                stream.write(f"{private}\n")
                stream.flush()
                os.fsync(file)
        except BaseException:
            path.unlink()
            raise
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {reason(error)}") from error
