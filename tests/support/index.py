"""A package index on 127.0.0.1 that tests fill, watch and break."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import socket
import socketserver
import struct
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from typing_extensions import Self

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class _File:
    name: str
    project: str
    version: str
    data: bytes
    sha256: str
    size: int
    requires_python: str | None
    yanked: bool | str
    upload_time: str
    metadata: bytes | None
    served_metadata: bytes | None = None

    @property
    def metadata_sha256(self) -> str:
        return hashlib.sha256(self.metadata or b"").hexdigest()


@dataclass
class Cut:
    """How an answer breaks off.

    Attributes:
        after: how many bytes of the body are sent.
        times: how often, before the answer is whole again.
        how: ``closed`` or ``reset`` (the connection), ``chunked`` (likewise, of an answer that does
            not tell its length), or ``shortened`` (the answer says that it is as long as that).

    """

    after: int
    times: int = 1
    how: str = "closed"


class Index:
    """A simple repository: HTML (PEP 503) and JSON (PEP 691, 700), metadata files (PEP 658, 714).

    It runs from the moment it is made until `stop`; as a context manager it stops itself.

    Attributes:
        requests: each request so far, ``GET /simple/natten/``.
        agents: who asked (``User-Agent``).
        at_once: how many requests are being answered; `most_at_once`, at most so far; of files
            alone, `files_at_once` and `most_files_at_once`.
        counting: held while those two are changed.
        html_only: answer in HTML whatever is asked for.
        without_metadata: offer no metadata files.
        without_hashes: give no hashes of files.
        without_metadata_hashes: nor of metadata files, in JSON.
        credentials: user and password that every request must carry (else 401), or None.
        proxy_credentials: those for it as a proxy (else 407), which it always can be too: it
            answers as if all hosts had what it has.
        address: what pages say that it is at, if that is not where it is.
        latency: seconds that every answer waits.
        fail: a status to answer with, by path: ``{"/simple/natten/": 503}``.
        company: until two requests were there at once, answers wait for so many seconds.
        meetings: answers to these paths wait until as many are asked for as their barrier says, or
            until their event is set.
        stall: send half of the body and then nothing, for these paths, until `stop`.
        stalled: those that were asked for.
        truncate: close the connection after so many bytes of the body, by path.
        cuts: how answers break off, by path.
        redirects: where to, by path; an answer without ``Location`` for an empty text.
        cache_control: the header of every answer.
        etags: give answers an ETag, by which a cache may ask whether they still hold.
        ranges: give parts of files (``Range``); `parts` are what was asked for.
        tampered_parts: of which contents the parts are, by path, if not of the file's.
        halves: answers to these paths send their second half when the event is set.

    """

    def __init__(
        self,
        *,
        html_only: bool = False,
        without_metadata: bool = False,
        credentials: tuple[str, str] | None = None,
        latency: float = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.html_only = html_only
        self.without_metadata = without_metadata
        self.without_hashes = False
        self.without_metadata_hashes = False
        self.credentials = credentials
        self.proxy_credentials: tuple[str, str] | None = None
        self.address: str | None = None
        self.latency = latency
        self.company = 0.0
        self.fail: dict[str, int] = {}
        self.meetings: dict[str, threading.Barrier | threading.Event] = {}
        self.stall: set[str] = set()
        self.stalled: list[str] = []
        self.stopped = threading.Event()
        self.truncate: dict[str, int] = {}
        self.cuts: dict[str, Cut] = {}
        self.redirects: dict[str, str] = {}
        self.cache_control = "no-cache"
        self.etags = True
        self.ranges = False
        self.parts: list[str] = []
        self.tampered_parts: dict[str, bytes] = {}
        self.halves: dict[str, threading.Event] = {}
        self.requests: list[str] = []
        self.agents: set[str] = set()
        self.most_at_once = 0
        self.at_once = 0
        self.most_files_at_once = 0
        self.files_at_once = 0
        self.counting = threading.Lock()
        self._files: dict[str, _File] = {}
        self._server = _Server(self)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def root(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.root}/simple/"

    @property
    def url_with_credentials(self) -> str:
        if self.credentials is None:
            return self.url
        user, password = (quote(part, safe="") for part in self.credentials)
        return self.url.replace("//", f"//{user}:{password}@", 1)

    @property
    def downloads(self) -> list[str]:
        """The names of the files (metadata files too) that were asked for with GET."""
        return [line[11:] for line in self.requests if line.startswith("GET /files/")]

    def file_url(self, filename: str) -> str:
        return f"{self.address or self.root}/files/{quote(filename)}"

    def stop(self) -> None:
        self.stopped.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, *paths: Path, upload_time: str = "2024-01-01T00:00:00Z") -> None:
        for path in paths:
            self.add_bytes(path.name, path.read_bytes(), upload_time=upload_time)

    def add_bytes(
        self,
        filename: str,
        data: bytes,
        *,
        project: str | None = None,
        upload_time: str = "2024-01-01T00:00:00Z",
    ) -> None:
        """Serve `data`; a file whose name is not well-formed needs its `project`."""
        version = ""
        if project is None:
            wheel = filename.endswith(".whl")
            parsed = parse_wheel_filename(filename) if wheel else parse_sdist_filename(filename)
            project, version = parsed[0], str(parsed[1])
        metadata = _metadata(filename, data)
        self._files[filename] = _File(
            name=filename,
            project=canonicalize_name(project),
            version=version,
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            requires_python=BytesParser().parsebytes(metadata or b"").get("Requires-Python"),
            yanked=False,
            upload_time=upload_time,
            metadata=metadata if filename.endswith(".whl") else None,
        )

    def remove(self, filename: str) -> None:
        del self._files[filename]

    def yank(self, filename: str, reason: str = "") -> None:
        self._files[filename].yanked = reason or True

    def offer_metadata(self, filename: str, contents: bytes) -> None:
        """Offer other metadata than the wheel contains, with its hash on the page."""
        self._files[filename].metadata = contents

    def tamper_metadata(self, filename: str, contents: bytes) -> None:
        """Serve other metadata than the hash on the page is of."""
        self._files[filename].served_metadata = contents

    def tamper(self, filename: str, data: bytes) -> None:
        """Serve other bytes than the page's hash and size say."""
        self._files[filename].data = data

    def sha256(self, filename: str) -> str:
        return self._files[filename].sha256

    def answer(self, path: str, accept: str) -> tuple[str, bytes] | None:
        """Give the content type and body of a path, or None where there is nothing."""
        as_json = JSON in accept and not self.html_only
        area, _, rest = unquote(path).lstrip("/").partition("/")
        if area == "simple" and not rest:
            return self._projects(as_json=as_json)
        if area == "simple" and rest.endswith("/"):
            files = [file for file in self._files.values() if file.project == rest[:-1]]
            return self._page(rest[:-1], files, as_json=as_json) if files else None
        if area != "files":
            return None
        if (file := self._files.get(rest)) is not None:
            return "application/octet-stream", file.data
        file = self._files.get(rest.removesuffix(".metadata"))
        if file is None or file.metadata is None or self.without_metadata:
            return None
        return "text/plain", file.served_metadata or file.metadata

    def _projects(self, *, as_json: bool) -> tuple[str, bytes]:
        names = sorted({file.project for file in self._files.values()})
        if as_json:
            listing = [{"name": name} for name in names]
            return JSON, json.dumps({"meta": {"api-version": "1.1"}, "projects": listing}).encode()
        return "text/html", "".join(f'<a href="{n}/">{n}</a>\n' for n in names).encode()

    def _page(self, project: str, files: list[_File], *, as_json: bool) -> tuple[str, bytes]:
        if not as_json:
            links = "".join(map(self._link, files))
            return "text/html", f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode()
        page = {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({file.version for file in files} - {""}),
            "files": [self._entry(file) for file in files],
        }
        return JSON, json.dumps(page).encode()

    def _offers_metadata(self, file: _File) -> bool:
        return file.metadata is not None and not self.without_metadata

    def _entry(self, file: _File) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "filename": file.name,
            "url": self.file_url(file.name),
            "hashes": {} if self.without_hashes else {"sha256": file.sha256},
            "size": file.size,
            "upload-time": file.upload_time,
            "yanked": file.yanked,
        }
        if file.requires_python is not None:
            entry["requires-python"] = file.requires_python
        if self._offers_metadata(file):
            known = {"sha256": file.metadata_sha256}
            entry["core-metadata"] = True if self.without_metadata_hashes else known
        return entry

    def _link(self, file: _File) -> str:
        fragment = "" if self.without_hashes else f"#sha256={file.sha256}"
        attributes = {"href": f"{self.file_url(file.name)}{fragment}"}
        if file.requires_python is not None:
            attributes["data-requires-python"] = file.requires_python
        if file.yanked is not False:
            attributes["data-yanked"] = "" if file.yanked is True else str(file.yanked)
        if self._offers_metadata(file):
            attributes["data-core-metadata"] = f"sha256={file.metadata_sha256}"
        text = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
        return f"<a {text}>{file.name}</a><br>\n"


def _part(body: bytes, wanted: str) -> bytes:
    """Return what a header asks for: ``bytes=3-`` or, of the end, ``bytes=-3``."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    assert not (first and last), wanted
    return body[int(first) :] if first else body[-int(last) :]


def _metadata(filename: str, data: bytes) -> bytes | None:
    """Give METADATA or PKG-INFO, or None if the file is not what its name says."""
    try:
        if filename.endswith(".whl"):
            with zipfile.ZipFile(BytesIO(data)) as wheel:
                inside = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
                return wheel.read(inside[0]) if inside else None
        with tarfile.open(fileobj=BytesIO(data)) as sdist:
            for member in sdist:
                if member.name.count("/") == 1 and member.name.endswith("/PKG-INFO"):
                    file = sdist.extractfile(member)
                    return file.read() if file is not None else None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError):
        pass
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, index: Index) -> None:
        self.index = index
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for this machine's name: slow, and not needed.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away is the client's affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    def log_message(self, *args: object) -> None:
        """Say nothing: the index keeps its own list."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        index = self.server.index
        path = unquote(urlsplit(self.path).path)
        index.requests.append(f"{self.command} {path}")
        index.agents.add(self.headers.get("User-Agent", ""))
        with index.counting:
            index.at_once += 1
            index.files_at_once += path.startswith("/files/")
            index.most_at_once = max(index.most_at_once, index.at_once)
            index.most_files_at_once = max(index.most_files_at_once, index.files_at_once)
        time.sleep(index.latency)
        end = time.monotonic() + index.company
        while index.most_at_once < 2 and time.monotonic() < end:
            time.sleep(0.01)
        if path in index.meetings:
            index.meetings[path].wait()
        with index.counting:
            index.at_once -= 1
            index.files_at_once -= path.startswith("/files/")
        if not self._may_pass():
            self._send(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
        elif not self._may_enter():
            self._send(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="tests"'})
        elif path in index.fail:
            self._send(index.fail[path])
        elif path in index.redirects:
            target = index.redirects[path]
            self._send(HTTPStatus.FOUND, {"Location": target} if target else {})
        elif (found := index.answer(path, self.headers.get("Accept", ""))) is None:
            self._send(HTTPStatus.NOT_FOUND)
        else:
            self._send_found(path, *found)

    def _send_found(self, path: str, kind: str, body: bytes) -> None:
        index = self.server.index
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"Cache-Control": index.cache_control, "Vary": "Accept"}
        headers |= {"ETag": tag} if index.etags else {}
        wanted = self.headers.get("Range") if index.ranges else None
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, headers)
        elif wanted is not None:
            index.parts.append(f"{path} {wanted}")
            part = _part(index.tampered_parts.get(path, body), wanted)
            self._send(HTTPStatus.PARTIAL_CONTENT, headers | {"Content-Type": kind}, part)
        elif (cut := index.cuts.get(path)) is not None and cut.times > 0:
            cut.times -= 1
            self._send_cut(cut, {"Content-Type": kind}, body)
        else:
            self._send_whole(path, headers | {"Content-Type": kind}, body)

    def _send_whole(self, path: str, headers: dict[str, str], body: bytes) -> None:
        index = self.server.index
        is_half = path in index.stall or path in index.halves
        limit = len(body) // 2 if is_half else index.truncate.get(path)
        self._send(HTTPStatus.OK, headers, body, limit)
        if is_half:
            self.wfile.flush()
        if path in index.halves:
            index.halves[path].wait()
            self.wfile.write(body[limit:])
        elif path in index.stall:
            index.stalled.append(path)
            index.stopped.wait()

    def _may_enter(self) -> bool:
        return self._says("Authorization", self.server.index.credentials)

    def _may_pass(self) -> bool:
        return self._says("Proxy-Authorization", self.server.index.proxy_credentials)

    def _says(self, header: str, credentials: tuple[str, str] | None) -> bool:
        expected = base64.b64encode(":".join(credentials or ()).encode()).decode()
        return credentials is None or self.headers.get(header) == f"Basic {expected}"

    def _send(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        limit: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:limit])
            self.close_connection = self.close_connection or limit is not None

    def _send_cut(self, cut: Cut, headers: dict[str, str], body: bytes) -> None:
        part = body[: cut.after]
        if cut.how == "shortened":
            self._send(HTTPStatus.OK, headers, part)
            return
        self.send_response(HTTPStatus.OK)
        chunked = cut.how == "chunked"
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        for name, value in (headers | length).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"%x\r\n%s" % (len(body), part) if chunked else part)
        if cut.how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        self.close_connection = True
