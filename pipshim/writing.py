"""Writing a file of the user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipshim.errors import FileError


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; what it is a link to is what is replaced.

    Raises:
        FileError: it cannot be written.

    """
    path = Path(os.path.realpath(path))
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=".pylock-", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
        try:
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileError(path, f"cannot be written: {error.strerror}") from error


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
