from __future__ import annotations

import hashlib

import pytest

from pipshim import digests


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000])
def test_digests_are_those_of_hashlib(data: bytes) -> None:
    assert digests.hex_of(data) == hashlib.sha256(data).hexdigest()
    assert digests.raw_of(data) == hashlib.sha256(data).digest()
