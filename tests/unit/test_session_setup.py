"""What pip calls itself, found out in a thread: before any request, and before any fork."""

from __future__ import annotations

import os
import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from pip._internal.cli import index_command
from pip._internal.network import session as pip_session
from pip._internal.network.session import PipSession

from pipshim._pip.session_setup import Agent, mask_credentials
from pipshim.base.masking import Mask
from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    import pytest


def test_a_session_has_the_name_of_its_first_request_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def request(session: PipSession, *_: object, **__: object) -> None:
        asked.append(str(session.headers["User-Agent"]))

    def slow() -> str:
        time.sleep(0.1)
        return "pip/0"

    monkeypatch.setattr(pip_session, "user_agent", slow)
    monkeypatch.setattr(PipSession, "request", request)
    session = Agent().session(PipSession)
    assert asked == []
    session.get("http://127.0.0.1/")
    assert asked == ["pip/0"]


def test_certificates_are_read_before_a_session_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    index_command._create_truststore_ssl_context.cache_clear()
    made: list[object] = []

    def make() -> PipSession:
        assert index_command._create_truststore_ssl_context.cache_info().misses == 1
        made.append(index_command._create_truststore_ssl_context())
        return PipSession()

    Agent().session(make)
    assert made[0] is not None
    assert index_command._create_truststore_ssl_context.cache_info().misses == 1

    index_command._create_truststore_ssl_context.cache_clear()
    monkeypatch.setattr("pip._vendor.certifi.where", lambda: "/no/such/file")
    Agent().session(PipSession)  # who needs it will be told


def test_threads_that_need_the_same_password_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session, looked_up, asked, answers = PipSession(), Event(), list[str](), list[object]()
    auth = session.auth

    def need() -> None:
        answers.append(auth._prompt_for_password("host"))

    def prompt(netloc: str) -> tuple[str, str, bool]:
        asked.append(netloc)
        if len(asked) == 1:
            looked_up.clear()
            other.start()
            assert looked_up.wait(PATIENCE)
        return "user", "secret", True

    def get(passwords: dict[str, object], netloc: str) -> object:
        looked_up.set()
        return dict.get(passwords, netloc)

    other = Thread(target=need)
    monkeypatch.setattr(auth, "_prompt_for_password", prompt)
    mask_credentials(session, Mask())
    monkeypatch.setattr(type(auth.passwords), "get", get, raising=False)
    need()
    other.join(PATIENCE)
    assert asked == ["host"]
    assert answers == [("user", "secret", True), ("user", "secret", False)]


def test_nothing_is_forked_while_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    is_known = False

    def slow() -> str:
        nonlocal is_known
        time.sleep(0.3)
        is_known = True
        return "pip/0"

    monkeypatch.setattr(pip_session, "user_agent", slow)
    Agent()
    child = os.fork()
    if child == 0:
        os._exit(0 if is_known else 1)
    assert os.waitpid(child, 0)[1] == 0
