"""What is said of pages and files that cannot be fetched."""

from __future__ import annotations

import pytest

from pipshim.base.errors import NetworkError
from pipshim.model import fetch_errors
from pipshim.model.fetch_errors import NOT_CACHED, WrongHash, network_hint

URL = "https://example.com/files/lib-1.0-py3-none-any.whl"


def test_a_file_is_named_with_its_package_and_its_url() -> None:
    error = fetch_errors.unfetched(URL, "the connection was reset", attempts=3)
    assert error.message == (
        "lib 1.0: lib-1.0-py3-none-any.whl cannot be fetched: the connection was reset, 3 times\n"
        f"  from {URL}"
    )


def test_a_file_that_is_gone_may_have_been_withdrawn() -> None:
    error = fetch_errors.unfetched(URL, None, status=404, redirected_to="https://example.com/x")
    assert "the server answers 404: it was not found" in error.message
    assert error.message.endswith("  redirected to https://example.com/x")
    assert error.hint is not None
    assert "pipshim lock -U" in error.hint


@pytest.mark.parametrize(
    ("status", "why", "hint"),
    [
        (401, "", "user and password"),
        (503, "", "try again later"),
        (None, "certificate verify failed", "--cert FILE"),
        (504, NOT_CACHED, "without --offline"),
        (None, "the connection was reset", "check the network"),
    ],
)
def test_the_hint_suits_the_reason(status: int | None, why: str, hint: str) -> None:
    assert hint in network_hint(status, why)


def test_wrong_hashes_are_shown_beside_the_expected_ones() -> None:
    files = [
        WrongHash("lib-1.0.tar.gz", URL, {"sha256": ["aa", "bb"]}, {"sha256": "cc"}),
        WrongHash("other-1.0.tar.gz", "", problem="it has no hash"),
    ]
    assert fetch_errors.wrong_hashes(files).message.splitlines() == [
        "lib-1.0.tar.gz does not have the expected hash",
        "  expected sha256:aa",
        "  expected sha256:bb",
        "  got      sha256:cc",
        f"  from     {URL}",
        "other-1.0.tar.gz: it has no hash",
    ]


def test_the_end_of_what_git_printed_is_shown() -> None:
    output = "".join(f"line {number}\n\n" for number in range(20))
    error = fetch_errors.failed_checkout("lib", "git clone", 128, output, is_network=True)
    assert isinstance(error, NetworkError)
    lines = error.message.splitlines()
    assert lines[0] == "lib: git clone failed (exit status 128)"
    assert lines[1:] == [f"  | line {number}" for number in range(10, 20)]


def test_retries_say_how_many_are_left() -> None:
    line = fetch_errors.retry("/simple/numpy/", "host", "the server stopped answering", 1)
    assert line == (
        "cannot fetch numpy from host: the server stopped answering; trying again, 1 more try "
        "after that"
    )
