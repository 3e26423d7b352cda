"""Files of certificates are read once for all connections of a session."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from pip._internal.cli import index_command
from pip._internal.network.session import PipSession
from pip._vendor import certifi

from pipshim._pip.http_adapters import read_certificates_once

BUNDLE = certifi.where()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what OpenSSL reads."""
    found: list[str] = []
    original = ssl.SSLContext.load_verify_locations

    def load(self: ssl.SSLContext, cafile: Any = None, *args: Any, **kwargs: Any) -> None:
        original(self, cafile, *args, **kwargs)
        found.append(str(cafile))

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    return found


@pytest.fixture
def session(read: list[str]) -> PipSession:
    index_command._create_truststore_ssl_context.cache_clear()
    made = PipSession(ssl_context=index_command._create_truststore_ssl_context())
    read_certificates_once(made)
    read.clear()
    return made


def connect(session: PipSession, *files: str) -> None:
    """Do what each connection does before it says a word (``urllib3.util.ssl_``)."""
    context: Any = session.get_adapter("https://127.0.0.1/").poolmanager.connection_pool_kw[  # type: ignore[attr-defined]
        "ssl_context"
    ]
    for file in files:
        context.load_verify_locations(file, None, None)


def test_a_file_is_read_once(session: PipSession, read: list[str], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Path(BUNDLE).read_bytes())
    for _ in range(3):
        connect(session, BUNDLE, str(other))
    assert read == [BUNDLE, str(other)]


def test_one_that_cannot_be_read_fails_each_time(session: PipSession, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            connect(session, str(missing))
    missing.write_bytes(Path(BUNDLE).read_bytes())
    connect(session, str(missing))


def test_a_session_without_such_a_context_stays_as_it_is() -> None:
    read_certificates_once(PipSession())
