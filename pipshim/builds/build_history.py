"""The history of builds: a file of JSON lines in the cache, newest last.

Any number of commands append at once, each whole lines under a lock. Reading takes no lock. A file
that has grown large is written anew with the newest builds.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import replace_file
from pipshim.base.cache_folders import HISTORY
from pipshim.base.file_lock import FileLock
from pipshim.model.past_build import MemoryNeed, PastBuild, last_success, memory_need, trimmed

if TYPE_CHECKING:
    from pathlib import Path


_MOST_BYTES = 1 << 20
_MOST, _MOST_OF_ONE = 1000, 20


class BuildHistory:
    """The builds that this cache remembers.

    Args:
        most_bytes: how large the file may grow before it is trimmed.

    """

    def __init__(self, cache: Path, *, most_bytes: int = _MOST_BYTES) -> None:
        self._file = cache / HISTORY
        self._most_bytes = most_bytes

    def builds(self) -> list[PastBuild]:
        """Read all builds, the oldest first.

        One with the same log as another is the same build: a worker with this cache added it too.
        """
        try:
            lines = self._file.read_bytes().splitlines()
        except OSError:
            return []
        found: dict[str | int, PastBuild] = {}
        for line in lines:
            try:
                build = PastBuild.from_json(json.loads(line))
            except ValueError:
                continue  # a command was killed while it wrote this line
            if build is not None:
                found[build.log or len(found)] = build
        return [*found.values()]

    def last_success(self, name: str, version: str, what: str = "wheel") -> PastBuild | None:
        """Return the build to estimate the next one by, as of when this was first asked."""
        own = [one for one in self._known if not one.worker]
        own_last = last_success(own, name, version, what)
        return own_last or last_success(self._known, name, version, what)

    def memory_need(self, name: str) -> MemoryNeed | None:
        """Return how much memory a build of a package will need, likewise."""
        return memory_need(self._known, name)

    @cached_property
    def _known(self) -> list[PastBuild]:
        return self.builds()

    def add(self, build: PastBuild) -> None:
        """Append a build; a cache that cannot be written remembers nothing."""
        line = json.dumps(build.to_json()).encode() + b"\n"
        with suppress(OSError), FileLock(self._file.with_suffix(".lock")):
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            with os.fdopen(descriptor, "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line)
            if size + len(line) > self._most_bytes:
                kept = trimmed(self.builds(), most=_MOST, most_of_one=_MOST_OF_ONE)
                lines = (json.dumps(one.to_json()) + "\n" for one in kept)
                replace_file(self._file, "".join(lines).encode())
