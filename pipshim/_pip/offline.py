"""``--offline``: answer from pip's HTTP cache alone, however old the answers are.

CacheControl would revalidate stale answers, and drop those that it cannot revalidate
(``pip._vendor.cachecontrol.controller``). A request that the cache cannot answer gets 504, as for
``only-if-cached`` (RFC 9111, 5.2.1.7): pip passes over such index pages, and stops at files.
"""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pip._internal.utils.misc import redact_auth_from_url
from pip._vendor.cachecontrol import CacheControlAdapter
from pip._vendor.requests.adapters import BaseAdapter
from pip._vendor.requests.models import Response

from pipshim._pip import patches
from pipshim.model import fetch_errors
from pipshim.model.fetch_errors import NOT_CACHED

if TYPE_CHECKING:
    from optparse import Values

    from pip._internal.models.link import Link
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import PreparedRequest
    from pip._vendor.urllib3 import HTTPResponse


def restrict(session: PipSession) -> None:
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
