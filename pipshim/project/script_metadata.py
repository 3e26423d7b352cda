"""Find a script's metadata block (PEP 723) in bytes, without imports.

An unchanged ``run`` of a script needs it at every start (`pipshim.fastpath.up_to_date`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_KIND = b"script"


class BlockError(ValueError):
    """An invalid block; ``line`` is counted from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


def read(path: str) -> bytes | None:
    """Read a file's block as it is written; None without one, or if it is invalid."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 pathlib costs more than all the rest
            found = find(file.read())
    except (OSError, BlockError):
        return None
    return found[0] if found is not None else None


def find(source: bytes) -> tuple[bytes, int] | None:
    """Find the block of the type ``script``.

    Returns:
        its TOML, and the line of the source (from 1) that this begins in; None without a block.

    Raises:
        BlockError: it is not closed, or there are two.

    """
    if b"# /// script" not in source:
        return None
    found: tuple[bytes, int] | None = None
    for kind, content, line in _blocks(source):
        if kind != _KIND:
            continue
        if content is None:
            raise BlockError("the script metadata that begins here has no line '# ///'", line)
        if found is not None:
            raise BlockError("a second block of script metadata begins here", line)
        found = content, line + 1
    return found


def _blocks(source: bytes) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Yield each block's type, content (None if it is not closed) and first line."""
    lines = [line.rstrip(b"\r") for line in source.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    position = 0
    while position < len(lines):
        start = position
        position += 1
        kind = lines[start].removeprefix(b"# /// ")
        if not (lines[start].startswith(b"# /// ") and kind.replace(b"-", b"").isalnum()):
            continue
        end = position
        while end < len(lines) and (lines[end] == b"#" or lines[end].startswith(b"# ")):
            end += 1
        # The last such line closes the block: one before it is a comment of the TOML.
        closing = [at for at in range(position + 1, end) if lines[at] == b"# ///"]
        if not closing:
            yield kind, None, start + 1
            continue
        yield kind, b"\n".join(line[2:] for line in lines[position : closing[-1]]), start + 1
        position = closing[-1] + 1
