"""Repack an unpacked wheel as a wheel file, for pip or for sharing.

The files and their hashes are those of the original wheel, the archive is not. Scripts that entry
points replace are missing: pip would not install them either.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from pipshim.envs import dist_info
from pipshim.envs.dist_info import RECORD, Row

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.store.unpacked_wheel import UnpackedWheel

_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN, _EXECUTABLE = 0o100644, 0o100755


def pack(tree: UnpackedWheel, into: Path) -> Path:
    """Write the wheel file into a folder, and return its path (PEP 427)."""
    stem = tree.dist_info.removesuffix(dist_info.SUFFIX)
    rows: list[Row] = []
    path = into / f"{stem}-{_tags(tree)}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        # Metadata comes last, as the format recommends.
        last = f"{tree.dist_info}/"
        for file in sorted(tree.files, key=lambda one: (one.path.startswith(last), one)):
            own = file.scheme == tree.root
            name = file.path if own else f"{stem}.data/{file.scheme}/{file.path}"
            with open(f"{tree.folder}/{file.scheme}/{file.path}", "rb") as content:  # noqa: PTH123
                entry = _entry(name, executable=file.executable)
                with archive.open(entry, "w", force_zip64=True) as member:
                    while piece := content.read(dist_info.CHUNK):
                        member.write(piece)
            rows.append(Row(name, file.hash, str(file.size) if file.hash else ""))
        rows.append(Row(f"{tree.dist_info}/{RECORD}"))
        text = dist_info.join_record(map(dist_info.record_line, rows))
        archive.writestr(_entry(f"{tree.dist_info}/{RECORD}", executable=False), text)
    return path


def _entry(name: str, *, executable: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr = (_EXECUTABLE if executable else _PLAIN) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _tags(tree: UnpackedWheel) -> str:
    """Return the part of the file's name that is in WHEEL: build number and tags."""
    text = tree.text("WHEEL")
    triples = [tag.split("-") for tag in dist_info.tags_of(text)]
    parts = [".".join(dict.fromkeys(column)) for column in zip(*triples, strict=True)]
    build = dist_info.read_headers(text).get("build")
    return "-".join([*([build] if build else []), *parts])
