"""Keep metadata files and wheels out of pip's HTTP cache.

pipshim keeps metadata files (`pipshim._pip.metadata`) and wheels (`pipshim.store.fetcher`) itself.
A second copy in pip's cache would take as long to write as to fetch, and twice the space.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pip._vendor.cachecontrol import CacheControlAdapter
from pip._vendor.requests.adapters import HTTPAdapter

from pipshim._pip import patches

if TYPE_CHECKING:
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import PreparedRequest, Response
    from pip._vendor.urllib3 import HTTPResponse


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


def spare(session: PipSession, urls: set[str]) -> None:
    """Let a session not cache responses of ``urls``, to which more may be added."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        if isinstance(adapter, CacheControlAdapter):
            patches.override(adapter, build_response=partial(_unwrapped, adapter, urls))
