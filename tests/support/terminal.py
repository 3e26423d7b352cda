"""A program on a terminal, and what is typed into it."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

_ON_IT = 'terminal=$0; exec "$@" <"$terminal" >"$terminal" 2>&1'
"""The first terminal that the leader of a session opens is the session's: ``/dev/tty``."""


class Typist:
    """A program on a terminal of its own; whatever it is by the end, it is ended."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._terminal, inside = os.openpty()
        self.program = subprocess.Popen(
            ["sh", "-c", _ON_IT, os.ttyname(inside), *command],
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self._inside = inside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._inside)
        self.hang_up()

    def attributes(self) -> list[object]:
        """Tell how the terminal is set: echo, line editing and so on."""
        return termios.tcgetattr(self._inside)

    def hang_up(self) -> None:
        """Close the terminal, as by closing its window."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def fill(self) -> None:
        """Let it take no more output, as if nobody read it."""
        os.set_blocking(self._inside, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self._inside, b"x" * 1024)

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def interrupt(self) -> None:
        """Type Ctrl-C until it has ended.

        What comes as ``input()`` begins to wait, Python heeds with the next key only. A key that
        comes while the program ends is a second signal, so there is time for that.
        """
        for _ in range(10):
            self.type("\x03")
            with suppress(subprocess.TimeoutExpired):
                self.program.wait(timeout=10)
                return

    def wait_for(self, *texts: str, seconds: float = 200) -> str:
        """Read until it has shown these; give all that it has shown since the last time."""
        end, shown = time.monotonic() + seconds, ""
        while any(text not in shown for text in texts):
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{texts!r} are not in {shown!r}"
            shown += os.read(self._terminal, 4096).decode(errors="replace")
        return shown

    def wait(self, *, seconds: float = 200) -> tuple[int, str]:
        """Read until it has ended; give its status, and what it has shown since the last time."""
        end, shown = time.monotonic() + seconds, ""
        while True:
            ended = self.program.poll() is not None
            while select.select([self._terminal], [], [], 0 if ended else 0.1)[0]:
                shown += os.read(self._terminal, 4096).decode(errors="replace")
            if ended:
                return self.program.returncode, shown
            assert time.monotonic() < end, f"it does not end: {shown!r}"
