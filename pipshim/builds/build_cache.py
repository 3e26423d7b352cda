"""Cached results of builds, each valid for as long as its build record holds.

One file a result: ``ROOT/<digest of the source>/<kind>-<record's key>.json``. Kinds are
``requires``, ``metadata`` and ``wheel`` (which names a tree of the store).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pipshim.base.atomic_write import replace_file
from pipshim.base.file_lock import FileLock
from pipshim.base.light import jsons
from pipshim.model.build_record import Record, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pipshim.model.build_record import Used

Kind = Literal["requires", "metadata", "wheel"]


class BuildCache:
    """Results of builds from sdists and commits.

    Args:
        root: a folder of pipshim's cache.
        content: what `pipshim.model.build_record.difference` asks of identities.

    """

    def __init__(self, root: Path, content: Callable[[str], str] = str) -> None:
        self._root = root
        self._content = content

    @contextmanager
    def lock(self, digest: str, waiting: Callable[[], object]) -> Iterator[None]:
        """Be the only one, among all processes, who builds from a source.

        ``waiting`` is called once if another one does.
        """
        folder = self._folder(digest)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", waiting):
            yield

    def lookup(
        self, kind: Kind, now: Record, available: Mapping[str, Used], *, exact: bool
    ) -> Iterator[tuple[Record, Any]]:
        """Tell the earlier results whose record still holds.

        Args:
            kind: what was asked of the backend.
            now: of the build that would be made; its ``against`` is not looked at.
            available: what the environment of that build has.
            exact: whether every distribution counts, pure Python ones too.

        """
        for path in sorted(self._folder(now.source).glob(f"{kind}-*.json")):
            try:
                data = jsons.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            record = Record.from_json(data.get("record")) if isinstance(data, dict) else None
            if record is None or "result" not in data:
                continue
            why = difference(record, now, available, exact=exact, content=self._content)
            if why is None:
                yield record, data["result"]

    def store(self, kind: Kind, record: Record, result: Any, log: str | None = None) -> None:
        """Put a result beside its record, and the name of the log; whole or not at all."""
        folder = self._folder(record.source)
        folder.mkdir(parents=True, exist_ok=True)
        data = {"record": record.to_json(), "result": result, "log": log}
        text = json.dumps(data, sort_keys=True)
        replace_file(folder / f"{kind}-{record.key()}.json", text.encode("ascii"))

    def discard(self, kind: Kind, record: Record) -> None:
        """Remove a result, if it is there."""
        path = self._folder(record.source) / f"{kind}-{record.key()}.json"
        path.unlink(missing_ok=True)

    def _folder(self, digest: str) -> Path:
        return self._root / digest[:2] / digest
