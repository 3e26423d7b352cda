"""Keys and signatures of shared records."""

from __future__ import annotations

import base64
import stat
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from pipshim.model.signing_keys import (
    private_key,
    public_key,
    read_private_key,
    read_public_key,
    read_signature,
)
from pipshim.remote import signatures
from pipshim.remote.signatures import SigningError, distrust, new_key, public_of, sign

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("cryptography")


def test_content_is_trusted_if_a_trusted_key_signed_it() -> None:
    mine, other = new_key(), new_key()
    made = sign(b"content", mine)
    both = {public_of(other), public_of(mine)}
    assert distrust(b"content", made, both) is None
    assert distrust(b"Content", made, both) == "has an invalid signature"
    assert distrust(b"content", None, both) == "is not signed"
    said = f"is signed with {public_of(mine)}, which is not trusted,"
    assert distrust(b"content", made, {public_of(other)}) == said


def test_a_signature_of_another_key_in_the_name_of_a_trusted_one_is_invalid() -> None:
    mine, other = new_key(), new_key()
    forged = sign(b"content", other).replace(public_of(other), public_of(mine))
    assert distrust(b"content", forged, {public_of(mine)}) == "has an invalid signature"


@pytest.mark.parametrize(
    "signature", ["", ":", "x", "ed25519::", "ed25519:AAAA:AAAA", "\0" * 100, "ed25519:é:é"]
)
def test_what_is_no_signature_is_invalid(signature: str) -> None:
    said = "has an invalid signature"
    assert distrust(b"content", signature, {public_of(new_key())}) == said


def test_each_key_has_one_text() -> None:
    content = bytes(range(32))
    text = public_key(content)
    assert read_public_key(text) == content
    assert read_private_key(private_key(content)) == content
    # The last digit has bits that decoding ignores.
    for other in (text[:-2] + "9=", text + "=", text[:-1], f" {text}", f"{text}\n", text.upper()):
        with pytest.raises(ValueError, match=r"^(is not|does not)"):
            read_public_key(other)
    short = f"ed25519:{base64.b64encode(content[1:]).decode()}"
    with pytest.raises(ValueError, match="is not a key of 32 bytes"):
        read_public_key(short)
    with pytest.raises(ValueError, match="is a private key"):
        read_public_key(private_key(content))


def test_a_signature_names_its_key() -> None:
    mine = new_key()
    made = sign(b"content", mine)
    assert read_signature(made).key == public_of(mine)
    assert str(read_signature(made)) == made


def test_the_private_key_is_a_file_of_its_owner(tmp_path: Path) -> None:
    path, made = tmp_path / "folder" / "signing-key", new_key()
    signatures.write_key(made, path)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert signatures.read_key({}, path.parent) == made
    with pytest.raises(SigningError, match="cannot be written"):
        signatures.write_key(new_key(), path)
    assert signatures.read_key({}, path.parent) == made


def test_the_variable_has_the_key_or_the_path_of_its_file(tmp_path: Path) -> None:
    made = new_key()
    for text in (made, f" {made}\n", f"\t{made}\r\n"):
        assert signatures.read_key({signatures.VARIABLE: text}, tmp_path) == made
    assert signatures.read_key({}, tmp_path) is None
    named = {signatures.VARIABLE: str(tmp_path / "key")}
    with pytest.raises(SigningError, match="nor the path of a file"):
        signatures.read_key(named, tmp_path)
    signatures.write_key(made, tmp_path / "key")
    assert signatures.read_key(named, tmp_path) == made
    (tmp_path / "key").write_text("ed25519-private:secret\n")
    with pytest.raises(SigningError, match="has no signing key: it is not valid Base64") as raised:
        signatures.read_key(named, tmp_path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["ed25519-private:SECRET", "SECRET", "SECRET" * 100, '"ed25519-private:SECRET"', "S\0"]
)
def test_a_damaged_key_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SigningError) as raised:
        signatures.read_key({signatures.VARIABLE: text}, tmp_path)
    error: BaseException | None = raised.value
    assert "SECRET" not in f"{raised.value!r} {raised.value.hint}"
    assert "SECRET" not in "".join(traceback.format_exception(error, limit=0))


def test_without_cryptography_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = new_key()
    made, trusted = sign(b"content", mine), {public_of(mine)}
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    works: list[Callable[[], object]] = [
        new_key,
        lambda: sign(b"content", mine),
        lambda: distrust(b"content", made, trusted),
    ]
    for work in works:
        with pytest.raises(SigningError) as raised:
            work()
        assert raised.value.hint == "pip install 'pipshim[remote]'"
