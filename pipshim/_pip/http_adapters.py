"""The HTTP adapters of pip's session: certificates, connections, its cache, and ``--offline``.

- Each connection would read the certificate files again (``pip._vendor.truststore``), which takes
  a third of the time of locking 46 packages over TLS. Here each file is read once.
- pipshim keeps metadata files and wheels itself: pip's HTTP cache need not keep a second copy.
- Offline, pip's cache alone answers, however old the answers are; CacheControl would drop stale
  ones. What it lacks gets 504, as for ``only-if-cached`` (RFC 9111, 5.2.1.7): pip passes over such
  index pages, and stops at files.
"""

from __future__ import annotations

import io
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pip._internal.utils.misc import redact_auth_from_url
from pip._vendor.cachecontrol import CacheControlAdapter
from pip._vendor.requests.adapters import DEFAULT_POOLSIZE, BaseAdapter, HTTPAdapter
from pip._vendor.requests.models import Response

from pipshim._pip import patches
from pipshim.base.resolver_prefetch import AT_ONCE
from pipshim.model import fetch_errors
from pipshim.model.fetch_errors import NOT_CACHED

if TYPE_CHECKING:
    from optparse import Values

    from pip._internal.models.link import Link
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import PreparedRequest
    from pip._vendor.urllib3 import HTTPResponse


def keep_connections(session: PipSession) -> None:
    """Let a new session keep a connection for each concurrent request; requests keeps ten."""
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.init_poolmanager(DEFAULT_POOLSIZE, AT_ONCE + 1)  # pip asks, too


_READING = ("load_verify_locations", "set_default_verify_paths")


def read_certificates_once(session: PipSession) -> None:
    """Let a session's contexts read each certificate file once."""
    contexts = [getattr(one, "_ssl_context", None) for one in session.adapters.values()]
    for context in {id(one): one for one in contexts}.values():
        inner = getattr(context, "_ctx", None)  # what truststore has read into
        for name in _READING if inner is not None else ():
            setattr(inner, name, cache(getattr(inner, name)))


def spare_cache(session: PipSession, urls: set[str]) -> None:
    """Let a session not cache responses of ``urls``, to which more may be added."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        if isinstance(adapter, CacheControlAdapter):
            patches.override(adapter, build_response=partial(_unwrapped, adapter, urls))


def _unwrapped(
    adapter: CacheControlAdapter,
    urls: set[str],
    request: PreparedRequest,
    response: HTTPResponse,
    *args: Any,
    **kwargs: Any,
) -> Response:
    """Build a response; files that pipshim keeps are not written by CacheControl."""
    is_new = response.status == HTTPStatus.OK and not (args or kwargs)
    if is_new and adapter.controller.cache_url(request.url or "") in urls:
        return HTTPAdapter.build_response(adapter, request, response)
    return type(adapter).build_response(adapter, request, response, *args, **kwargs)


def restrict_to_cache(session: PipSession) -> None:
    """Keep a session from the network; local files are read as before."""
    for prefix, adapter in [*session.adapters.items()]:
        if not prefix.startswith("file:"):
            session.mount(prefix, _Cached(adapter))
    # It is mounted later for hosts that a requirements file declares trusted.
    trusted = _Cached(session._trusted_host_adapter)  # noqa: SLF001
    patches.override(session, _trusted_host_adapter=trusted)


def is_not_cached(error: object) -> bool:
    """Return whether an error is about something that is not in the cache."""
    return getattr(getattr(error, "response", None), "reason", None) == NOT_CACHED


def check_checkout(link: Link, options: Values) -> None:
    """Check that a checkout may be made: version control systems have no cache.

    Raises:
        NetworkError: it is remote, and ``--offline`` is given.

    """
    if getattr(options, "offline", False) and link.is_vcs and not link.scheme.endswith("+file"):
        raise fetch_errors.not_checked_out(redact_auth_from_url(link.url))


class _Cached(BaseAdapter):
    """Answers for an adapter of pip's from its cache."""

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        adapter = self._adapter
        if isinstance(adapter, CacheControlAdapter):
            found = _find(adapter, request)
            if found is not None:
                return adapter.build_response(request, found, from_cache=True)
        response = Response()
        response.request = request
        response.url = request.url or ""
        response.status_code = HTTPStatus.GATEWAY_TIMEOUT
        response.reason = NOT_CACHED
        response.raw = io.BytesIO()
        return response

    def close(self) -> None:
        self._adapter.close()


def _find(adapter: CacheControlAdapter, request: PreparedRequest) -> HTTPResponse | None:
    """Look an answer up as CacheControl does, however old it is."""
    if request.method != "GET" or "Range" in request.headers or request.url is None:
        return None
    controller = adapter.controller
    key = controller.cache_url(request.url)
    data = adapter.cache.get(key)
    if data is None:
        return None
    body = adapter.cache.get_body(key) if hasattr(adapter.cache, "get_body") else None
    return controller.serializer.loads(request, data, body)
