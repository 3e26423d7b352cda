"""Cached results of builds, each valid for as long as its build record holds.

One file a result: ``ROOT/<digest of the source>/<kind>-<record's key>.json``. Kinds are
``requires``, ``metadata`` and ``wheel`` (which names a tree of the store).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipshim.base.atomic_write import replace_file
from pipshim.base.file_lock import FileLock
from pipshim.base.light import jsons
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.paths import modified
from pipshim.model.build_record import OLDER, Conditions, Record, difference
from pipshim.model.shared_record import NO_KEY, Kind
from pipshim.model.signing_keys import why_untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path


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
        key: what was known before the build (`pipshim.model.claim.selection_key`).
        signer: of what came from a remote, the public key that signed it; empty if none did. None
            for what was built here.

    """

    kind: Kind
    record: Record
    result: Any
    seconds: float
    private: str = ""
    log: str | None = None
    needs: Mapping[str, Any] | None = None
    key: str = NO_KEY
    signer: str | None = None

    @classmethod
    def read(cls, path: Path) -> BuildResult | None:
        """Read a file of the cache; None if it cannot be read, or an older pipshim wrote it."""
        try:
            data = jsons.read(path)
            record = Record.from_json(data["record"])
            return None if record is None else cls(**{**data, "record": record})
        except (KeyError, TypeError):
            return None


class BuildCache:
    """Results of builds from sdists and commits.

    Args:
        trust: the public keys of which one must have signed what came from a remote; without any,
            everything counts.

    """

    def __init__(self, root: Path, trust: Collection[str] = ()) -> None:
        self._root = root
        self._trust = trust

    @contextmanager
    def lock(self, digest: str, waiting: Callable[[], object]) -> Iterator[None]:
        """Keep other processes from building a source; ``waiting`` is called once if one does."""
        folder = self._folder(digest)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", waiting):
            yield

    def lookup(self, kind: Kind, now: Record, conditions: Conditions) -> Iterator[BuildResult]:
        """Yield the earlier results whose record is still valid, the newest first.

        Args:
            now: of the build that would be made, without what only a build can tell.

        """
        for result in self._read(kind, now.source):
            if self._is_trusted(result) and difference(result.record, now, conditions) is None:
                yield result

    def why_not(self, kind: Kind, now: Record, conditions: Conditions) -> str | None:
        """Return why no earlier result for this Python can be used; None if there is none.

        The reason is that of the result with the fewest differences.
        """
        found = self._read(kind, now.source)
        if not found and self._paths(kind, now.source):
            return OLDER
        reasons = [
            difference(one.record, now, conditions) or why_untrusted(one.signer, self._trust)
            for one in found
            if (one.record.python, one.record.platform) == (now.python, now.platform)
        ]
        return min(filter(None, reasons), key=lambda why: why.count("; "), default=None)

    def _is_trusted(self, result: BuildResult) -> bool:
        return why_untrusted(result.signer, self._trust) is None

    def _read(self, kind: Kind, source: str) -> list[BuildResult]:
        """Read the earlier results of a source, the newest first."""
        paths = sorted(self._paths(kind, source), key=modified, reverse=True)
        return [*filter(None, map(BuildResult.read, paths))]

    def _paths(self, kind: Kind, source: str) -> list[Path]:
        return [*self._folder(source).glob(f"{kind}-*.json")]

    def store(self, result: BuildResult) -> None:
        """Write a result with its record, atomically."""
        kind, record = result.kind, result.record
        folder = self._folder(record.source)
        folder.mkdir(parents=True, exist_ok=True)
        data = {**vars(result), "record": record.to_json()}
        text = json.dumps(data, sort_keys=True)
        replace_file(folder / f"{kind}-{record.key()}.json", text.encode("ascii"))

    def has(self, kind: Kind, record: Record, is_there: Callable[[Any], bool]) -> bool:
        """Return whether a trusted result has an equal record, and `is_there` admits it."""
        return any(
            one.record == record and self._is_trusted(one) and is_there(one.result)
            for one in self._read(kind, record.source)
        )

    def results(self) -> list[BuildResult]:
        """Return all results that this pipshim can share."""
        paths = sorted(self._root.glob("*/*/*.json"))
        return [*filter(None, map(BuildResult.read, paths))]

    def discard(self, kind: Kind, record: Record) -> None:
        path = self._folder(record.source) / f"{kind}-{record.key()}.json"
        path.unlink(missing_ok=True)

    def _folder(self, digest: str) -> Path:
        return self._root / digest[:2] / digest
