"""Mask credentials in everything that pipshim shows or logs.

Known secrets are masked anywhere, in all their forms (in a URL, plain, in a Basic header), and so
are user and password of any URL, as in pip.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "****"

_USERINFO = re.compile(r"://(?P<user>[^/?#\s\"'<>]*)@")
# As services have it that want the token for the user's name.
_NO_PASSWORDS = frozenset({"", "x-oauth-basic"})
_LONG = 8
_SHORTEST = 3


class Mask:
    """Knows secrets, and masks them; threads may add more at any time.

    A short secret is masked only as a whole word: ``pass`` does not mask ``passed``, and what has
    fewer than three characters is masked in URLs only.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Mask these too, from now on."""
        found = {form for one in secrets for form in (one, unquote(one), quote(one, safe=""))}
        found = {one for one in found if len(one) >= _SHORTEST and one != MASK}
        if found <= self._secrets:
            return
        self._secrets |= found
        # The longest first: one may be a part of another.
        ordered = sorted(self._secrets, key=lambda one: (-len(one), one))
        self._pattern = re.compile("|".join(map(_expression, ordered)))

    def add_credentials(self, user: str | None, password: str | None) -> None:
        """Mask a password; without one also a long user name, which may be a token."""
        if password in _NO_PASSWORDS or password is None:
            self.add(*([user] if user and len(user) >= _LONG else []))
        else:
            self.add(password)
        pair = f"{unquote(user or '')}:{unquote(password or '')}"
        if len(pair) > _LONG:
            self.add(base64.b64encode(pair.encode()).decode())

    def add_urls(self, text: str) -> None:
        """Mask the credentials of the space-separated URLs in a setting."""
        for word in text.split():
            user, at, _ = word.partition("://")[2].partition("/")[0].rpartition("@")
            if at and not word.partition("://")[0].lower().endswith("ssh"):
                name, colon, password = user.partition(":")
                self.add_credentials(name, password if colon else None)

    def hide(self, text: str) -> str:
        """Mask secrets in a text."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _USERINFO.sub(_without_user, text) if "@" in text and "://" in text else text

    def hide_in(self, data: Any) -> Any:
        """Mask secrets in plain data (as of JSON)."""
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, dict):
            return {self.hide(str(key)): self.hide_in(value) for key, value in data.items()}
        if isinstance(data, (list, tuple)):
            return type(data)(map(self.hide_in, data))
        return data


def _expression(secret: str) -> str:
    if len(secret) >= _LONG:
        return re.escape(secret)
    return rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])"


def _without_user(match: re.Match[str]) -> str:
    user = match["user"]
    name, colon, password = user.partition(":")
    if colon and password not in _NO_PASSWORDS:
        return f"://{name}:{MASK}@"
    # The user of an SSH URL is a part of the address (``git@``).
    start = match.start()
    if match.string[max(start - 3, 0) : start].lower() == "ssh":
        return match[0]
    return f"://{MASK}@"
