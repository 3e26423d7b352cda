"""Cached results of builds, each valid for as long as its build record holds.

One file a result: ``ROOT/<digest of the source>/<kind>-<record's key>.json``. Kinds are
``requires``, ``metadata`` and ``wheel`` (which names a tree of the store).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipshim.base.atomic_write import replace_file
from pipshim.base.file_lock import FileLock
from pipshim.base.light import jsons
from pipshim.model.build_record import Record, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pipshim.model.build_record import Conditions
    from pipshim.model.shared_record import Kind

OLDER = "its build record is that of an older pipshim"
"""Why a wheel is not reused whose record lacks what counts today."""


@dataclass(frozen=True)
class BuildResult:
    """What a build answered.

    Attributes:
        kind: what was asked of the backend.
        record: what it was built from and against.
        result: of a wheel, its hash in the store; METADATA; or requirements.
        seconds: how long the backend took.
        private: why no other machine may have it; empty if nothing prevents that.
        log: the name of the file with the build's output.
        needs: what a wheel needs of a machine (`pipshim.model.machine_needs`); None if unknown.

    """

    kind: Kind
    record: Record
    result: Any
    seconds: float
    private: str = ""
    log: str | None = None
    needs: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, path: Path) -> BuildResult | None:
        """Read a file of the cache; None if it cannot be read, or an older pipshim wrote it."""
        try:
            data = jsons.loads(path.read_text(encoding="utf-8"))
            record = Record.from_json(data["record"])
            return None if record is None else cls(**{**data, "record": record})
        except (OSError, ValueError, KeyError, TypeError):
            return None


class BuildCache:
    """Results of builds from sdists and commits.

    Args:
        root: a folder of pipshim's cache.

    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def lock(self, digest: str, waiting: Callable[[], object]) -> Iterator[None]:
        """Keep other processes from building a source; ``waiting`` is called once if one does."""
        folder = self._folder(digest)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", waiting):
            yield

    def lookup(
        self, kind: Kind, now: Record, conditions: Conditions
    ) -> Iterator[tuple[Record, Any]]:
        """Return the earlier results whose record is still valid.

        Args:
            kind: what was asked of the backend.
            now: of the build that would be made, without what only a build can tell.
            conditions: what that build would meet.

        """
        for record, result in self._all(kind, now.source):
            if record is not None and difference(record, now, conditions) is None:
                yield record, result

    def why_not(self, kind: Kind, now: Record, conditions: Conditions) -> str | None:
        """Return why no earlier result for this Python can be used; None if there is none.

        The reason is that of the result with the fewest differences.
        """
        records = [record for record, _ in self._all(kind, now.source)]
        readable = [one for one in records if one is not None]
        same = [one for one in readable if (one.python, one.platform) == (now.python, now.platform)]
        reasons = [why for one in same if (why := difference(one, now, conditions)) is not None]
        if not readable and records:
            return OLDER
        return min(reasons, key=lambda why: why.count("; "), default=None)

    def _all(self, kind: Kind, source: str) -> Iterator[tuple[Record | None, Any]]:
        """Yield the earlier results, the newest first, with their records; None if not readable."""
        paths = sorted(self._folder(source).glob(f"{kind}-*.json"), key=_time, reverse=True)
        for path in paths:
            try:
                data = jsons.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(data, dict) and "result" in data:
                yield Record.from_json(data.get("record")), data["result"]

    def store(self, result: BuildResult) -> None:
        """Write a result with its record, atomically."""
        kind, record = result.kind, result.record
        folder = self._folder(record.source)
        folder.mkdir(parents=True, exist_ok=True)
        data = {**vars(result), "record": record.to_json()}
        text = json.dumps(data, sort_keys=True)
        replace_file(folder / f"{kind}-{record.key()}.json", text.encode("ascii"))

    def has(self, kind: Kind, record: Record, is_there: Callable[[Any], bool]) -> bool:
        """Return whether there is a result with an equal record that `is_there` admits."""
        found = self._all(kind, record.source)
        return any(one == record and is_there(result) for one, result in found)

    def results(self) -> Iterator[BuildResult]:
        """Yield all results that this pipshim can share."""
        for path in sorted(self._root.glob("*/*/*.json")):
            result = BuildResult.read(path)
            if result is not None:
                yield result

    def discard(self, kind: Kind, record: Record) -> None:
        """Remove a result, if it exists."""
        path = self._folder(record.source) / f"{kind}-{record.key()}.json"
        path.unlink(missing_ok=True)

    def _folder(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
