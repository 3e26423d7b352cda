"""``pipshim builds list``: the wheels that were built here, or that the remote has."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import UsageError
from pipshim.base.sizes import size
from pipshim.cli import cache_store
from pipshim.cli.cache_store_remote import remote_files
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.requests import StoreRequest
from pipshim.progress.formatting import rough_duration
from pipshim.remote import remote_inventory
from pipshim.remote.signatures import signer_of

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.remote.remote_inventory import RemoteRecord


class BuildsListCommand(PlainCommand):
    """List the wheels that were built here, and what they were built against.

    With --remote it lists those of the remote: the project's, that of
    PIPSHIM_REMOTE_URL, or --remote-url.

    For example:
      pipshim builds list
      pipshim builds list --remote 'torch*'
    """

    usage = """
      %prog [options] [<pattern>]"""

    declared = option_table.BUILDS_LIST

    def run(self, options: Values, args: list[str]) -> int:
        cache_store.check_names(args)
        if len(args) > 1:
            raise UsageError(f"builds list: too many arguments: {' '.join(args)}")
        request = StoreRequest(
            common=self.common_options(options),
            action="list",
            arguments=tuple(args),
            as_json=options.output_format == "json",
            **self.declared.fields(StoreRequest, options),
        )
        if not request.remote:
            return cache_store.main(request, options)
        pattern = re.sub(r"[-_.]+", "-", args[0]).lower() if args else "*"
        with remote_files(request, options) as (store, _):
            found = remote_inventory.records(
                store,
                lambda name: name.kind == "wheel" and fnmatch.fnmatchcase(name.package, pattern),
            )
        if request.as_json:
            shown = [_as_json(one) for one in found if one.shared is not None]
            sys.stdout.write(json.dumps(shown, indent=2) + "\n")
            return 0
        cache_store.write_table([_row(one) for one in found])
        return 0


def _row(one: RemoteRecord) -> tuple[str, ...]:
    shared = one.shared
    if shared is None:
        return one.name.package, "", "", "", "", "cannot be read by this pipshim"
    record = shared.record
    return (
        *cache_store.row_of(record),
        size(shared.wheel.size),
        rough_duration(shared.seconds),
        cache_store.against(record),
    )


def _as_json(one: RemoteRecord) -> dict[str, Any]:
    shared = one.shared
    assert shared is not None
    written = one.entry.time
    return {
        **cache_store.record_as_json(shared.record),
        "wheel": shared.wheel.sha256,
        "size": shared.wheel.size,
        "seconds": shared.seconds,
        "signer": signer_of(shared.content, shared.signature) or None,
        "added": (
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written))
            if written is not None
            else None
        ),
    }
