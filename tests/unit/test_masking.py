"""Masks: what they hide, and what they leave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pipshim.base.masking import Mask
from pipshim.builds.hooks import hide_in_file
from pipshim.model import events
from pipshim.model.events import masked

if TYPE_CHECKING:
    from pathlib import Path


def of_urls(text: str) -> Mask:
    mask = Mask()
    mask.add_urls(text)
    return mask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("is s3cret-word here", "is **** here"),
        ("xs3cret-wordy", "x****y"),
        ("https://me:s3cret-word@host/simple", "https://me:****@host/simple"),
        ("s3cret-word s3cret-word", "**** ****"),
    ],
)
def test_a_known_secret_is_hidden_wherever_it_stands(text: str, expected: str) -> None:
    assert Mask(["s3cret-word"]).hide(text) == expected


def test_a_short_secret_is_hidden_only_where_it_stands_alone() -> None:
    assert (
        Mask(["pass"]).hide("pass passed bypass 'pass' a_pass")
        == "**** passed bypass '****' a_****"
    )


def test_what_is_too_short_to_be_told_from_words_is_hidden_in_urls_only() -> None:
    mask = of_urls("https://me:x@host")
    assert mask.hide("cc -x c https://me:x@host/") == "cc -x c https://me:****@host/"


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Mask(["secretword", "secretword-more"]).hide("secretword-more") == "****"


@pytest.mark.parametrize(
    "form",
    ["p@ss/w0rd!!", "p%40ss%2Fw0rd%21%21", "bWU6cEBzcy93MHJkISE=", "me:p@ss/w0rd!!@host"],
)
def test_each_form_that_a_password_travels_in_is_hidden(form: str) -> None:
    mask = of_urls("https://me:p%40ss%2Fw0rd%21%21@host/simple")
    hidden = mask.hide(f"<{form}>")
    assert "w0rd" not in hidden
    assert "bWU6" not in hidden
    assert "****" in hidden


@pytest.mark.parametrize(
    "url",
    [
        "https://t0ken-word@host/",
        "https://t0ken-word:@host/",
        "git+https://t0ken-word:x-oauth-basic@host/a.git@main",
    ],
)
def test_a_token_in_the_users_place_is_a_secret(url: str) -> None:
    mask = of_urls(url)
    assert mask.hide("a t0ken-word") == "a ****"
    assert "t0ken-word" not in mask.hide(url)
    assert "t0ken-word" not in Mask().hide(url.replace(":x-oauth-basic", ""))


def test_the_user_beside_a_password_is_none() -> None:
    assert of_urls("https://__token__:pypi-abcdef@host/").hide("__token__") == "__token__"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git clone https://a:b@host/x", "git clone https://a:****@host/x"),
        ("http://a:b@[::1]:80/ and http://c:d@e", "http://a:****@[::1]:80/ and http://c:****@e"),
        ("ssh://git@host/x git+ssh://git@host/x", "ssh://git@host/x git+ssh://git@host/x"),
        ("ssh://git:word@host/x", "ssh://git:****@host/x"),
        ("https://host/a@b", "https://host/a@b"),
        ("'https://host','me@mail'", "'https://host','me@mail'"),
        ("me@mail", "me@mail"),
    ],
)
def test_credentials_in_urls_are_hidden_though_nobody_knew_them(text: str, expected: str) -> None:
    assert Mask().hide(text) == expected


def test_the_user_of_an_ssh_url_is_no_secret() -> None:
    assert of_urls("git+ssh://githubuser@host/x").hide("githubuser") == "githubuser"


def test_words_without_a_url_teach_nothing() -> None:
    assert of_urls("someone@example.org requirements.txt").hide("someone") == "someone"


def test_long_lines_take_no_time() -> None:
    text = "a" * 1_000_000 + " :// @ " + "b:" * 500_000
    start = time.process_time()
    of_urls("https://me:s3cret-word@host").hide(text)
    assert time.process_time() - start < 10


def test_observers_see_no_secret() -> None:
    seen: list[events.Event] = []
    observer = masked(seen.append, Mask(["s3cret-word"]))
    observer(events.BuildOutput("s3cret-word", "prints s3cret-word"))
    observer(events.Message("info", "says s3cret-word"))
    observer(events.Waiting("for s3cret-word"))
    observer(events.Pinned("a", "1"))
    observer(events.DownloadStarted("https://a:b@host/f", "f"))
    assert seen == [
        events.BuildOutput("s3cret-word", "prints ****"),
        events.Message("info", "says ****"),
        events.Waiting("for ****"),
        events.Pinned("a", "1"),
        events.DownloadStarted("https://a:****@host/f", "f"),
    ]


def test_a_file_keeps_all_but_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff one\r\ns3cret-word\n\ntwo")
    hide_in_file(path, Mask(["s3cret-word"]).hide)
    assert path.read_bytes() == b"\xff one\r\n****\n\ntwo"
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_without_secrets_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"nothing\n")
    before = path.stat()
    hide_in_file(path, Mask(["s3cret-word"]).hide)
    hide_in_file(tmp_path / "none", Mask().hide)
    assert path.stat().st_ino == before.st_ino


def test_a_short_name_without_a_password_is_hidden_in_urls_only() -> None:
    mask = Mask()
    mask.add_urls("https://user@example.org/simple https://t0ken-of-some-service@example.org")
    told = mask.hide("user: https://user@example.org/simple, t0ken-of-some-service")
    assert told == "user: https://****@example.org/simple, ****"
