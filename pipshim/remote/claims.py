"""Claim builds in a remote, so that other machines wait for them.

A claim only saves work: if the remote fails, or cannot create files exclusively, several machines
build the same, which does no harm. No lock is held while a build is claimed or waited for.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import field
from secrets import token_hex
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.model import claim
from pipshim.model.claim import Claim
from pipshim.remote.file_store import PATIENCE, FileStore, RemoteError, started, within

if TYPE_CHECKING:
    from collections.abc import Callable


CLAIMS = "v1/claims"
BEAT_SECONDS = 5.0
EXPIRY_SECONDS = 30.0
"""A claim that has stayed the same for so long has lost its holder: six beats are missing."""

_ABANDONED_SECONDS = 3600.0
"""A claim that is older was left behind, even if clocks differ by minutes."""

_FIRST_POLL, _LAST_POLL = 0.25, 3.0
_STEP = 0.2
_RELEASE_SECONDS = 0.5


@dataclass
class Claims:
    """The claims of a remote, as one command uses them.

    Attributes:
        holder: what others are shown (`pipshim.model.claim.is_name`).
        beat_seconds: how often a claim is renewed.
        expiry_seconds: how long a claim holds that is not renewed.

    """

    store: FileStore
    holder: str = ""
    is_stopped: Callable[[], bool] = lambda: False
    beat_seconds: float = BEAT_SECONDS
    expiry_seconds: float = EXPIRY_SECONDS
    _id: str = field(default_factory=lambda: token_hex(8), init=False)
    _expired: dict[str, int] = field(default_factory=dict, init=False)
    _held: list[HeldClaim] = field(default_factory=list, init=False)

    def wait(self, key: str, most: float, report: Callable[[Claim | None], object]) -> bool:
        """Wait while another command builds something; return whether one did.

        Returns when the claim is released or has expired, when the remote fails, and when the
        command is stopped.

        Args:
            key: of the build (`pipshim.model.claim.key_of`).
            most: how long to wait, in seconds.
            report: told who builds, as far as that is known, when waiting begins.

        """
        start = changed = time.monotonic()
        poll = _FIRST_POLL
        before: int | None = None
        while not self.is_stopped():
            try:
                number = self._number(key)
                if number is None or (before is not None and number < before):
                    break  # it has been released
                now = time.monotonic()
                if before is None:
                    held = _read(self.store, key, number)
                    if held is not None and held.id == self._id:
                        return False
                    report(held)
                if number != before:
                    before, changed = number, now
            except RemoteError:
                break
            if now - changed > self.expiry_seconds:
                self._expired[key] = number
                break
            if now - start > most:
                break
            self._pause(poll)
            poll = min(poll * 1.5, _LAST_POLL, self.expiry_seconds / 4)
        return before is not None

    def keys(self) -> set[str]:
        """Return what is claimed, by one look: a holder may have died just now."""
        try:
            files = within(PATIENCE, lambda: self.store.walk(CLAIMS))
        except RemoteError:
            return set()
        oldest = time.time() - _ABANDONED_SECONDS
        return {
            one.name.partition("/")[0] for one in files if one.time is None or one.time > oldest
        }

    def take(self, key: str) -> HeldClaim | None:
        """Claim a build; None if another command has the claim, or the remote fails."""
        try:
            number = self._number(key)
            if number is not None and number != self._expired.get(key):
                return None
            first = 0 if number is None else number + 1
            if not claim.can_follow(first):
                return None
            held = HeldClaim(self.store, key, Claim(self._id, self.holder, 0), first)
            if not held.begin(self.beat_seconds):
                return None
        except RemoteError:
            return None
        self._held.append(held)
        return held

    def close(self) -> None:
        """Release what was not released: the command is being stopped."""
        wait([started(one.release) for one in self._held if not one.is_released])

    def _number(self, key: str) -> int | None:
        entries = self.store.names(f"{CLAIMS}/{key}", "", PATIENCE)
        return claim.number_of(one.name for one in entries)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_stopped() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _STEP))


class HeldClaim:
    """A claim that this command has, renewed by a thread until it is released.

    Args:
        said: what the claim says at first.
        number: that of its first file.

    """

    def __init__(self, store: FileStore, key: str, said: Claim, number: int) -> None:
        self._store = store
        self._key = key
        self._said = said
        self._number = number
        self._start = time.monotonic()
        self._end = threading.Event()
        self._guard = threading.Lock()

    def begin(self, beat_seconds: float) -> bool:
        """Create the first file, and renew it from now on; return False if somebody else has."""
        if not self._create(self._number):
            return False
        if self._number > 0:  # that of a holder who is dead
            self._remove(self._number - 1)
        threading.Thread(
            target=self._renew, args=(beat_seconds,), name="claim", daemon=True
        ).start()
        return True

    @property
    def is_released(self) -> bool:
        return self._end.is_set()

    def release(self) -> None:
        """Give the claim up; whoever waits for it looks for the result then."""
        self._end.set()
        with suppress(RemoteError):
            within(_RELEASE_SECONDS, self._remove_last)

    def _remove_last(self) -> None:
        with self._guard:
            self._remove(self._number)

    def _renew(self, beat_seconds: float) -> None:
        while not self._end.wait(beat_seconds):
            with self._guard:
                if self._end.is_set() or not self._renewed():
                    return

    def _renewed(self) -> bool:
        """Create the next file, and remove the last one; return False if the claim is lost."""
        following = self._number + 1
        try:
            if not (claim.can_follow(following) and self._create(following)):
                return False
        except RemoteError:
            return True  # it may be there again for the next beat
        self._number = following
        self._remove(following - 1)
        return True

    def _create(self, number: int) -> bool:
        said = Claim(self._said.id, self._said.holder, int(time.monotonic() - self._start))
        if self._store.create(_path(self._key, number), said.to_bytes(), PATIENCE):
            return True
        found = _read(self._store, self._key, number)
        return found is not None and found.id == said.id  # the answer to an earlier try was lost

    def _remove(self, number: int) -> None:
        with suppress(RemoteError):
            self._store.remove(_path(self._key, number))


def _path(key: str, number: int) -> str:
    return f"{CLAIMS}/{key}/{claim.file_name(number)}"


def _read(store: FileStore, key: str, number: int) -> Claim | None:
    try:
        return claim.read(store.read(_path(key, number), claim.MOST_BYTES, PATIENCE))
    except RemoteError:
        return None
