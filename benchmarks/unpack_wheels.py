"""The least that unpacking wheels can take: each file is inflated, hashed and written.

``python unpack_wheels.py OUT WHEEL...``: nothing is fetched, checked, linked or noted.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path


def main(out: str, *wheels: str) -> None:
    """Unpack one after the other."""
    folders = set()
    for wheel in map(Path, wheels):
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                content = archive.read(info)
                hashlib.sha256(content).digest()
                folder, _, name = info.filename.rpartition("/")
                if (wheel.name, folder) not in folders:
                    Path(out, wheel.name, folder).mkdir(parents=True, exist_ok=True)
                    folders.add((wheel.name, folder))
                with open(f"{out}/{wheel.name}/{folder}/{name}", "xb") as file:  # noqa: PTH123
                    file.write(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
