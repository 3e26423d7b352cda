"""Remotes that mean harm: servers with odd answers, and records that lie."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from pipshim.model.artifacts import digest_of_file
from pipshim.model.shared_record import SharedRecord, parse
from pipshim.remote.signatures import sign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Trick = Callable[["Handler"], bool]
"""Answers a request; returns False to have it answered as usual."""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, unless a trick answers."""

    protocol_version = "HTTP/1.1"
    trick: Trick
    end: threading.Event

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            if not self.trick(self):
                super().do_GET()

    def begin(self, *, length: int | None = None, kind: str = "application/octet-stream") -> None:
        """Send the head of an answer; without a length, it ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def send(self, content: bytes) -> bool:
        """Answer with this content."""
        kind = "text/html" if content.startswith(b"<html>") else "application/octet-stream"
        self.begin(length=len(content), kind=kind)
        self.wfile.write(content)
        return True

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path, trick: Trick) -> Iterator[str]:
    """Serve a folder on 127.0.0.1; give its URL."""

    class Tricky(Handler):
        pass

    Tricky.trick = staticmethod(trick)
    Tricky.end = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Tricky, directory=str(folder)))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        Tricky.end.set()
        server.shutdown()
        server.server_close()


def only(pattern: str, trick: Trick) -> Trick:
    """Restrict a trick to some paths."""

    def answer(handler: Handler) -> bool:
        return re.search(pattern, handler.path) is not None and trick(handler)

    return answer


def content(data: bytes) -> Trick:
    """Answer with the same content always."""
    return lambda handler: handler.send(data)


def endless(piece: bytes, pause: float = 0.0) -> Trick:
    """Send a piece again and again, as long as it is served."""

    def answer(handler: Handler) -> bool:
        handler.begin()
        while not handler.end.wait(pause):
            handler.wfile.write(piece)
        return True

    return answer


def silent(handler: Handler) -> bool:
    """Accept a request, and never answer."""
    handler.end.wait()
    handler.close_connection = True
    return True


def redirected(handler: Handler) -> bool:
    """Send the client to another path, and so on."""
    handler.send_response(302)
    handler.send_header("Location", f"{handler.path}x")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


def shared_record(remote: Path) -> tuple[Path, SharedRecord]:
    """Return the only record of a wheel in a folder, and its file."""
    (path,) = remote.glob("v1/records/*/*-wheel-*.json")
    found = parse(path.read_bytes(), path.parent.name, path.name)
    assert found is not None
    return path, found


def replace_record(remote: Path, private: str | None = None, **changes: Any) -> None:
    """Replace the record of a wheel by another one, which is valid as such.

    Args:
        remote: the folder.
        private: the key to sign it with; None: the signature stays.
        changes: of the record.

    """
    path, known = shared_record(remote)
    made = replace(known, **changes)
    if private is not None:
        made = replace(made, signature=sign(made.content, private))
    path.unlink()
    (path.parent / made.name).write_bytes(made.to_bytes())


def replace_wheel(remote: Path, file: Path | None = None, **changes: Any) -> None:
    """Let the record of a wheel name another file, or say something else of it.

    Args:
        remote: the folder.
        file: another wheel.
        changes: of the record's `SharedWheel`.

    """
    wheel = shared_record(remote)[1].wheel
    if file is not None:
        wheel = replace(wheel, sha256=digest_of_file(file), size=file.stat().st_size)
        (remote / "v1" / "wheels" / f"{wheel.sha256}.whl").write_bytes(file.read_bytes())
    replace_record(remote, result=replace(wheel, **changes))
