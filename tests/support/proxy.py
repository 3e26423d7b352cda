"""A proxy on 127.0.0.1 that makes tunnels (CONNECT), all of them to one place."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self


class Proxy:
    """It runs from the moment it is made until the end of the ``with``.

    Args:
        port: where every tunnel leads, whatever host is asked for.
        tls: how the proxy itself is spoken to; None for plain text.
        credentials: who may use it; None for everybody.

    Attributes:
        asked: the host and port of each tunnel that was asked for.

    """

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._server.tls = tls
        self.port = port
        expected = base64.b64encode(":".join(credentials or ()).encode()).decode()
        self.expected = None if credentials is None else f"Basic {expected}"
        self.scheme = "http" if tls is None else "https"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, credentials: tuple[str, str] | None = None) -> str:
        """Say where it is, for these to use it."""
        user = f"{':'.join(credentials)}@" if credentials is not None else ""
        return f"{self.scheme}://{user}127.0.0.1:{self._server.server_address[1]}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    proxy: Proxy
    tls: ssl.SSLContext | None


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        proxy, tls = self.server.proxy, self.server.tls
        try:
            client = (
                self.request if tls is None else tls.wrap_socket(self.request, server_side=True)
            )
            with client:
                self._serve(client, proxy)
        except OSError:
            return  # whoever asked has gone, or does not trust us

    @staticmethod
    def _serve(client: socket.socket, proxy: Proxy) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            got = client.recv(1)  # what follows is not for the proxy
            if not got:
                return
            head += got
        request, *lines = head.decode().split("\r\n")
        method, place, _ = request.split()
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        proxy.asked.append(place)
        if proxy.expected not in (None, headers.get("proxy-authorization")):
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            )
            return
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", proxy.port)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(client, server)


def _relay(one: socket.socket, other: socket.socket) -> None:
    ways = {one: other, other: one}
    while True:
        # What TLS has read already, select does not know of.
        pending = [s for s in ways if getattr(s, "pending", int)()]
        for source in pending or select.select([*ways], [], [], 60)[0]:
            data = source.recv(65536)
            if not data:
                return
            ways[source].sendall(data)
