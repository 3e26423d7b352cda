"""pip's log lines in a person's words."""

from __future__ import annotations

import logging
import re
import socket
from typing import TYPE_CHECKING

import pytest
from pip._vendor.urllib3 import PoolManager, Retry
from pip._vendor.urllib3.exceptions import MaxRetryError

from pipshim._pip.logs import reworded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> Iterator[int]:
    """Give a port of this machine that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def said(url: str, caplog: pytest.LogCaptureFixture, *, tries: int = 2) -> list[str]:
    retries = Retry(total=tries, backoff_factor=0)
    with pytest.raises(MaxRetryError):
        PoolManager(retries=retries).request("GET", url, timeout=0.2)
    records = [one for one in caplog.records if one.levelno == logging.WARNING]
    return [reworded(record) for record in records]


def test_a_retry_is_said_in_words(port: int, caplog: pytest.LogCaptureFixture) -> None:
    lines = said(f"http://127.0.0.1:{port}/simple/numpy/", caplog)
    start = "cannot fetch numpy from 127.0.0.1: Connection refused; trying again"
    assert lines == [f"{start}, 1 more try after that", f"{start}, for the last time"]


def test_a_host_that_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = said("http://no-such-host.invalid/simple/numpy/", caplog, tries=1)
    assert re.fullmatch(
        "cannot fetch numpy from no-such-host.invalid: the host name could not be resolved; "
        "trying again, for the last time",
        line,
    )


def test_a_server_that_does_not_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/files/x-1.0.tar.gz"
        lines = said(url, caplog, tries=3)
    assert len(lines) == 3
    assert lines[0] == (
        "cannot fetch x-1.0.tar.gz from 127.0.0.1: the server stopped answering; trying "
        "again, 2 more tries after that"
    )


def test_other_records_stay_as_they_are() -> None:
    record = logging.LogRecord("pip", logging.INFO, "", 0, "Looking in %s", ("x",), None)
    assert reworded(record) == "Looking in x"
