"""The files of a ``*.dist-info`` folder: their names, RECORD's rows, METADATA's headers.

The rules are those of "Recording installed projects" (PEP 376, PEP 627) and of the wheel format
(PEP 427). Nothing heavy is imported, as every sync needs this.
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH123

from __future__ import annotations

import hashlib
import io
from binascii import b2a_base64

from pipshim.base.light.named_tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = ".dist-info"
METADATA = "METADATA"
RECORD = "RECORD"
INSTALLER = "INSTALLER"
REQUESTED = "REQUESTED"
DIRECT_URL = "direct_url.json"
ORIGIN = "pipshim.json"
"""What pipshim notes of a distribution that it installs: what from, and its build record."""

SIGNATURES = frozenset({"RECORD.jws", "RECORD.p7s"})
"""Files that sign RECORD, so RECORD cannot hold their hashes (PEP 427)."""

PER_ENVIRONMENT = frozenset({RECORD, INSTALLER, REQUESTED, DIRECT_URL, ORIGIN})
"""Files that an installer writes; what a wheel brings under these names counts for nothing."""

HASH = "sha256"
"""The algorithm of the hashes that pipshim writes."""

STRONG_HASHES = frozenset(
    {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
)
"""The algorithms that RECORD may use: sha256 or better (PEP 427)."""

_FOR_URLS = bytes.maketrans(b"+/", b"-_")

CHUNK = 1 << 20
"""Bytes read at once from a file that may be large."""


class Row(NamedTuple):
    """One line of RECORD; ``hash`` and ``size`` may be empty."""

    path: str
    hash: str = ""
    size: str = ""


def parse_record(text: str) -> list[Row]:
    """Return RECORD's rows; raise ValueError if it is not CSV."""
    import csv  # noqa: PLC0415 nearly all paths go without

    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return [Row(*[*line, "", ""][:3]) for line in lines if line and line[0]]


def content_of(files: Iterable[tuple[str, str]], dist_info: str) -> str:
    """Digest what a distribution has in site-packages, whoever installed it.

    Args:
        files: each path, relative to site-packages, with its hash as RECORD has it.
        dist_info: the name of its ``.dist-info`` folder.

    """
    others = {f"{dist_info}/{name}" for name in PER_ENVIRONMENT | SIGNATURES}
    lines = sorted(
        f"{path} {digest}"
        for path, digest in files
        if not (path in others or path.endswith(".pyc") or path.startswith(("../", "/")))
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def record_line(row: Row) -> str:
    """Return a row as RECORD has it, without the end of the line."""
    if set('",\r\n').isdisjoint(row.path):
        return f"{row.path},{row.hash},{row.size}"
    import csv  # noqa: PLC0415

    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue().removesuffix("\r\n")


def path_of(line: str) -> str:
    """Return the path in a line of `record_line`; RECORD is sorted by it, as pip does."""
    if line[0] != '"':
        return line.partition(",")[0]
    import csv  # noqa: PLC0415

    return next(csv.reader([line]))[0]


def join_record(lines: Iterable[str]) -> bytes:
    """Return RECORD as pip writes it."""
    return "".join(f"{line}\r\n" for line in lines).encode()


def encode_hash(algorithm: str, digest: bytes) -> str:
    """Return a hash as RECORD spells it: ``sha256=`` and base64 for URLs, without padding."""
    text = b2a_base64(digest, newline=False).translate(_FOR_URLS).decode("ascii")
    return f"{algorithm}={text.rstrip('=')}"


def hash_bytes(data: bytes) -> str:
    return encode_hash(HASH, hashlib.sha256(data).digest())


def hash_file(path: str, algorithm: str = HASH) -> str:
    """Return RECORD's hash of a file, which is read in pieces of ``CHUNK``."""
    hasher = hashlib.new(algorithm)
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(CHUNK):
            hasher.update(piece)
    return encode_hash(algorithm, hasher.digest())


def read_headers(text: str) -> dict[str, str]:
    """Return METADATA's (or WHEEL's) headers by lower-case name, the first of each name.

    Continuation lines and the description are left out: no header that pipshim reads here has them,
    and ``email.parser`` takes too long to import for an unchanged sync.
    """
    headers: dict[str, str] = {}
    for line in text.splitlines():
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            headers.setdefault(name.lower(), value.strip())
    return headers


def tags_of(wheel: str) -> list[str]:
    """Return the tags in the text of a WHEEL file, as it has them."""
    lines = (line.partition(":") for line in wheel.splitlines())
    return [value.strip() for key, _, value in lines if key.strip().lower() == "tag"]


def read_text(path: str) -> str:
    """Read a file as UTF-8; empty if that is not possible."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
