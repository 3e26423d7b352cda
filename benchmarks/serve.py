"""A package index for benchmarks: a folder of files on 127.0.0.1, in a process of its own.

Started as ``python -m benchmarks.serve FOLDER [--latency SECONDS] [--bandwidth MB] [--older N]
[--pages FOLDER]``, it prints its address and serves until its standard input closes. Pages are HTML
(PEP 503) and JSON (PEP 691, 700) with hashes and metadata files (PEP 658, 714), and carry the
headers of a public index: pages are fresh for ten minutes, files for ever. Everything is rendered
before the first request, so that what is measured is the client.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import html
import json
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "max-age=600, public"
FILE = "max-age=365000000, immutable, public"

_PIECE = 1 << 20
"""What is sent at once where bandwidth is limited, in bytes."""


@dataclass(frozen=True)
class Answer:
    """What a path is answered with: a body in memory, or a file."""

    kind: str
    cache: str
    body: bytes = b""
    file: Path | None = None

    @property
    def size(self) -> int:
        """The length of the body."""
        return self.file.stat().st_size if self.file is not None else len(self.body)


@dataclass(frozen=True)
class Entry:
    """A file as its project's page lists it."""

    name: str
    version: str
    sha256: str
    size: int
    requires_python: str | None
    metadata: bytes | None

    @property
    def metadata_sha256(self) -> str:
        """The hash of the metadata file."""
        return hashlib.sha256(self.metadata or b"").hexdigest()


def read(path: Path) -> tuple[str, Entry]:
    """Give the project and the entry of a file."""
    is_wheel = path.suffix == ".whl"
    parsed = parse_wheel_filename(path.name) if is_wheel else parse_sdist_filename(path.name)
    metadata = _wheel_metadata(path) if is_wheel else _sdist_metadata(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    entry = Entry(
        name=path.name,
        version=str(parsed[1]),
        sha256=digest.hexdigest(),
        size=path.stat().st_size,
        requires_python=BytesParser().parsebytes(metadata).get("Requires-Python"),
        metadata=metadata if is_wheel else None,
    )
    return canonicalize_name(parsed[0]), entry


def older(project: str, entries: list[Entry], count: int) -> list[Entry]:
    """Invent versions that are older than all others, so that a page is as long as a real one.

    None is ever chosen, for each requires what there is not: none has a file behind it.
    """
    python = entries[0].requires_python
    found = []
    for number in range(count):
        version = f"0.0.0.{number}"
        for name in (
            f"{project.replace('-', '_')}-{version}-py3-none-any.whl",
            f"{project.replace('-', '_')}-{version}.tar.gz",
        ):
            sha256 = hashlib.sha256(name.encode()).hexdigest()
            told = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
            told += "Requires-Dist: there-is-no-such-thing\n"
            metadata = told.encode() if name.endswith(".whl") else None
            found.append(Entry(name, version, sha256, 10_000, python, metadata))
    return found


def beside(page: Path, entries: list[Entry]) -> list[Entry]:
    """Read off a registry's page what else there is, up to the newest version of the entries.

    There is no file behind them, but wheels of a version that is here have its metadata.
    """
    metadata = {entry.version: entry.metadata for entry in entries if entry.metadata is not None}
    newest = max(Version(entry.version) for entry in entries)
    known = {entry.name for entry in entries}
    found = []
    for file in json.loads(page.read_bytes()):
        name = file["filename"]
        try:
            parsed = parse_wheel_filename if name.endswith(".whl") else parse_sdist_filename
            version = parsed(name)[1]
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            continue
        if name not in known and version <= newest:
            told = metadata.get(str(version)) if name.endswith(".whl") else None
            sha256, python = file["hashes"]["sha256"], file["requires-python"]
            found.append(Entry(name, str(version), sha256, file["size"], python, told))
    return found


def answers(folder: Path, count: int, pages: Path | None = None) -> dict[str, Answer]:
    """Render all that can be asked for; the paths of pages end in the format."""
    projects: dict[str, list[Entry]] = {}
    found: dict[str, Answer] = {}
    for path in sorted(folder.iterdir()):
        project, entry = read(path)
        projects.setdefault(project, []).append(entry)
        found[f"/files/{path.name}"] = Answer("application/octet-stream", FILE, file=path)
        if entry.metadata is not None:
            where = f"/files/{path.name}.metadata"
            found[where] = Answer("text/plain", FILE, entry.metadata)
    for project, entries in projects.items():
        page = pages / f"{project}.json" if pages is not None else None
        if page is not None and page.exists():
            before = beside(page, entries)
        else:
            before = older(project, entries, count)
        for entry in before:
            if entry.metadata is not None:
                found[f"/files/{entry.name}.metadata"] = Answer("text/plain", FILE, entry.metadata)
        listed = before + entries
        text = json.dumps(_page(project, listed))
        found[f"/simple/{project}/json"] = Answer(JSON, PAGE, text.encode())
        links = "".join(map(_link, listed))
        text = f"<!DOCTYPE html><html><body>\n{links}</body></html>\n"
        found[f"/simple/{project}/html"] = Answer("text/html", PAGE, text.encode())
    return found


def _wheel_metadata(path: Path) -> bytes:
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return wheel.read(names[0])


def _sdist_metadata(path: Path) -> bytes:
    with tarfile.open(path) as sdist:
        for member in sdist:
            if member.name.count("/") == 1 and member.name.endswith("/PKG-INFO"):
                file = sdist.extractfile(member)
                return file.read() if file is not None else b""
    return b""


def _page(project: str, entries: list[Entry]) -> dict[str, Any]:
    return {
        "meta": {"api-version": "1.1"},
        "name": project,
        "versions": sorted({entry.version for entry in entries}),
        "files": [_file(entry) for entry in entries],
    }


def _file(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "filename": entry.name,
        "url": f"../../files/{quote(entry.name)}",
        "hashes": {"sha256": entry.sha256},
        "size": entry.size,
        "upload-time": "2024-01-01T00:00:00Z",
        "yanked": False,
    }
    if entry.requires_python is not None:
        found["requires-python"] = entry.requires_python
    if entry.metadata is not None:
        found["core-metadata"] = {"sha256": entry.metadata_sha256}
    return found


def _link(entry: Entry) -> str:
    attributes = {"href": f"../../files/{quote(entry.name)}#sha256={entry.sha256}"}
    if entry.requires_python is not None:
        attributes["data-requires-python"] = entry.requires_python
    if entry.metadata is not None:
        attributes["data-core-metadata"] = f"sha256={entry.metadata_sha256}"
    text = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{entry.name}</a><br>\n"


class Server:
    """Answers from what was rendered."""

    def __init__(self, found: dict[str, Answer], latency: float, bandwidth: float = 0) -> None:
        self._answers = found
        self._tags = {path: _tag(path, answer) for path, answer in found.items()}
        self._latency = latency
        self._bandwidth = bandwidth  # bytes a second of all files together; 0 for no limit
        self._free_at = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode("latin-1"), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        request, *lines = head.split("\r\n")
        method, target, _ = request.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, found, value in (line.partition(":") for line in lines)
            if found
        }
        if self._latency:
            await asyncio.sleep(self._latency)
        path = unquote(target.partition("?")[0])
        if path.startswith("/simple/"):
            path += "json" if JSON in headers.get("accept", "") else "html"
        answer = self._answers.get(path)
        if answer is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        tag = self._tags[path]
        common = f"ETag: {tag}\r\nCache-Control: {answer.cache}\r\nVary: Accept\r\n"
        if headers.get("if-none-match") == tag:
            writer.write(f"HTTP/1.1 304 Not Modified\r\n{common}\r\n".encode())
            return
        start, stop, status = _range(headers.get("range"), answer.size)
        writer.write(
            f"HTTP/1.1 {status}\r\n{common}Content-Type: {answer.kind}\r\n"
            f"Accept-Ranges: bytes\r\nContent-Length: {stop - start}\r\n\r\n".encode()
        )
        if method == "HEAD":
            return
        if answer.file is None:
            writer.write(answer.body[start:stop])
            return
        await writer.drain()
        loop = asyncio.get_running_loop()
        piece = _PIECE if self._bandwidth else stop - start
        with answer.file.open("rb") as file:
            for offset in range(start, stop, piece):
                count = min(piece, stop - offset)
                if self._bandwidth:
                    self._free_at = max(self._free_at, loop.time()) + count / self._bandwidth
                    await asyncio.sleep(self._free_at - loop.time())
                await loop.sendfile(writer.transport, file, offset, count)


def _tag(path: str, answer: Answer) -> str:
    data = answer.body or path.encode()
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _range(wanted: str | None, size: int) -> tuple[int, int, str]:
    """Read a Range header of one range."""
    if wanted is None or not wanted.startswith("bytes=") or "," in wanted:
        return 0, size, "200 OK"
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if first:
        start, stop = int(first), int(last) + 1 if last else size
    else:
        start, stop = size - int(last), size
    stop = min(stop, size)
    status = f"206 Partial Content\r\nContent-Range: bytes {start}-{stop - 1}/{size}"
    return start, stop, status


async def main(
    folder: Path, latency: float, bandwidth: float, count: int, pages: Path | None
) -> None:
    """Serve until standard input closes."""
    server = Server(answers(folder, count, pages), latency, bandwidth)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    host, port = listening.sockets[0].getsockname()
    print(f"http://{host}:{port}/simple/", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listening.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--bandwidth", type=float, default=0, help="in millions of bytes a second")
    parser.add_argument("--older", type=int, default=0)
    parser.add_argument("--pages", type=Path)
    chosen = parser.parse_args()
    bandwidth = chosen.bandwidth * 1e6
    asyncio.run(main(chosen.folder, chosen.latency, bandwidth, chosen.older, chosen.pages))
