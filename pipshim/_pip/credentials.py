"""Find the credentials that pip uses, to mask them (``pip._internal.network.auth``).

Those of keyring, and of URLs in requirements files or on index pages, are found when pip uses them;
all others are known from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pip._internal.network.auth import MultiDomainBasicAuth

from pipshim._pip import patches
from pipshim.base.prompts import asking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pip._internal.network.session import PipSession
    from pip._internal.vcs.versioncontrol import AuthInfo

    from pipshim.base.masking import Mask


def learn(session: PipSession, mask: Mask) -> None:
    """Let the mask learn a session's new credentials, and draw nothing while it asks for them."""
    auth = session.auth
    prompt, should_save = auth._prompt_for_password, auth._should_save_password_to_keyring  # noqa: SLF001

    def ask(netloc: str) -> tuple[str | None, str | None, bool]:
        before = auth.passwords.get(netloc)
        with asking():
            now = auth.passwords.get(netloc)
            # Another thread may have asked the same just now.
            return prompt(netloc) if now is None or now == before else (*now, False)

    def ask_to_save() -> bool:
        with asking():
            return should_save()

    patches.override(
        auth,
        passwords=_Passwords(auth.passwords, mask),
        _prompt_for_password=ask,
        _should_save_password_to_keyring=ask_to_save,
    )


def let_keyring_answer(session: PipSession) -> None:
    """Use keyring without asking the user: pip's ``--no-input`` would rule out both."""
    patches.become(session.auth, _WithKeyring)


class _WithKeyring(MultiDomainBasicAuth):
    @property
    def use_keyring(self) -> bool:
        return True


class _Passwords(dict[str, "AuthInfo"]):
    """pip's memory of the credentials of each host."""

    def __init__(self, before: Mapping[str, AuthInfo], mask: Mask) -> None:
        super().__init__(before)
        self._mask = mask

    def __setitem__(self, host: str, found: AuthInfo) -> None:
        self._mask.add_credentials(*found)
        super().__setitem__(host, found)
