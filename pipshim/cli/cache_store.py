"""``pipshim cache store``: show and clear pipshim's part of the cache."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from functools import partial
from optparse import SUPPRESS_HELP, Values
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from pipshim.base.cache_folders import Alone
from pipshim.base.errors import PipshimError, UsageError
from pipshim.base.sizes import size
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.requests import StoreRequest
from pipshim.progress.json_output import write_document
from pipshim.progress.summary import count_removals, summarize_removals
from pipshim.store import inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pipshim.model.build_record import Record

_DAYS = 30


class CacheStoreCommand(PlainCommand):
    """Inspect and clear what pipshim adds to the cache.

    pipshim keeps unpacked wheels, results of builds with their records, build
    logs, and answers of interpreters. All other subcommands of "cache" are
    pip's, for pip's own part.

    - info: Show where the cache is, and how much it contains.
    - list: List built wheels, and what they were built against.
    - remove: Remove the results of building a package.
    - prune: Remove unreferenced files, and what was not used for long.
    - verify: Find edited files, and remove the wheels that have them; with
      --remote, remove damaged results of these packages, or of all.
    - push: Add what was built here to the remote.
    - pull: Fetch builds of these packages, or of the lock, from the remote.

    The remote is the project's, that of PIPSHIM_REMOTE_URL, or --remote-url.
    A pattern is a name, or a glob of names. Nothing is removed while another
    command of pipshim runs.
    """

    declared = option_table.STORE
    usage = """
      %prog info [--format text|json]
      %prog list [<pattern>] [--format text|json]
      %prog remove [--dry-run] <name>[==<version>] ...
      %prog prune [--days <n>] [--dry-run]
      %prog prune --remote [--days <n>] [--max-size <size>] [--dry-run]
      %prog verify [--dry-run]
      %prog verify --remote [<name> ...] [--dry-run]
      %prog push [<name> ...]
      %prog pull [<name> ...]"""

    def add_options(self) -> None:
        self.cmd_opts.title = "Store Options"
        super().add_options()
        # It is a general option, which may stand anywhere.
        self.cmd_opts.add_option("--project", help=SUPPRESS_HELP)

    def run(self, options: Values, args: list[str]) -> int:
        return main(
            StoreRequest(
                common=self.common_options(options),
                action=args[0] if args else "",
                arguments=tuple(args[1:]),
                as_json=options.format == "json",
                **self.declared.fields(StoreRequest, options),
            ),
            options,
        )


def main(request: StoreRequest, options: Values) -> int:
    """Run an action; return 1 if something was damaged, or the remote failed.

    Raises:
        UsageError: there is no such action, or its arguments are wrong.
        PipshimError: there is no cache, it is in use, or it lacks what should be removed.

    """
    _check(request)
    if request.remote or request.action in ("push", "pull"):
        from pipshim.cli import cache_store_remote  # noqa: PLC0415 imports what builds

        root = partial(existing_cache, request.common.shim_cache)
        return cache_store_remote.main(request, options, root)
    return _LOCAL[request.action](existing_cache(request.common.shim_cache), request)


def existing_cache(root: Path | None) -> Path:
    """Return pipshim's cache folder."""
    if root is None:
        raise PipshimError(
            "the cache is disabled, or belongs to another user",
            hint="choose a folder for it: PIPSHIM_CACHE_DIR=DIR",
        )
    return root


def check_names(names: Iterable[str]) -> None:
    """Refuse an address in the place of a package's name."""
    for name in names:
        if "/" in name:
            raise UsageError(
                f"{name} is not the name of a package",
                hint=f"if the remote is meant: --remote-url {name}",
            )


def _check(request: StoreRequest) -> None:
    actions = ", ".join(ACTIONS)
    if request.action not in ACTIONS:
        what = f"unknown action {request.action!r}" if request.action else "no action given"
        raise UsageError(f"cache store: {what}", hint=f"one of: {actions}")
    check_names(request.arguments)
    if request.remote and request.action in ("info", "list", "remove"):
        raise UsageError(
            f"cache store {request.action}: --remote is for prune and verify",
            hint="to list what the remote has: pipshim builds list --remote",
        )
    most = {"list": 1, "remove": None, "push": None, "pull": None}.get(request.action, 0)
    most = None if request.remote and request.action == "verify" else most
    if most is not None and len(request.arguments) > most:
        raise UsageError(
            f"cache store {request.action}: too many arguments: {' '.join(request.arguments)}"
        )
    if request.action == "remove" and not request.arguments:
        raise UsageError(
            "cache store remove: no package given",
            hint="NAME or NAME==VERSION; to remove what is no longer used: "
            "pipshim cache store prune",
        )


def _info(root: Path, request: StoreRequest) -> int:
    parts, total = inventory.parts(root), inventory.size_of(root)
    if request.as_json:
        listed = [{"name": one.name, "count": one.count, "size": one.size} for one in parts]
        write_document({"location": str(root), "size": total, "parts": listed})
        return 0
    sys.stdout.write(f"Location: {root}\nSize: {size(total)}\n")
    for one in parts:
        name = f"{one.name[0].upper()}{one.name[1:]}"
        sys.stdout.write(f"{name}: {one.count} ({size(one.size)})\n")
    return 0


def _list(root: Path, request: StoreRequest) -> int:
    found = inventory.wheels(root, request.arguments[0] if request.arguments else None)
    if request.as_json:
        write_document([_as_json(root, one) for one in found])
    else:
        write_table([(*row_of(one.record), against(one.record)) for one in found])
    return 0


def row_of(record: Record) -> tuple[str, str, str]:
    return f"{record.name} {record.version}", record.mode, f"{record.python} {record.platform}"


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Write lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        padded = [f"{cell:{width}}" for cell, width in zip(cells, widths, strict=False)]
        sys.stdout.write("  ".join([*padded, last]).rstrip() + "\n")


def against(record: Record) -> str:
    used = [f"{name} {one.version}" for name, one in sorted(record.against.items())]
    return f"against {', '.join(used)}" if used else "against nothing"


def _as_json(root: Path, result: inventory.Result) -> dict[str, Any]:
    tree = result.tree or ""
    return {
        **record_as_json(result.record),
        "wheel": tree,
        "size": inventory.size_of(inventory.tree_folder(root, tree)),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(result.time)),
        "remote": result.signer is not None,
        "signer": result.signer or None,
    }


def record_as_json(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "version": record.version,
        "mode": record.mode,
        "python": record.python,
        "platform": record.platform,
        "against": {name: one.version for name, one in sorted(record.against.items())},
        "source": record.source,
    }


def _prune(root: Path, request: StoreRequest) -> int:
    days = _DAYS if request.days is None else request.days
    _discard(root, request, lambda: inventory.stale(root, days=days, now=time.time()))
    return 0


def _remove(root: Path, request: StoreRequest) -> int:
    _discard(root, request, lambda: _named(root, request.arguments))
    if request.common.verbosity >= 0 and not request.dry_run:
        rebuilt = " ".join(f"--rebuild {Requirement(one).name}" for one in request.arguments)
        sys.stdout.write(
            "environments keep what is installed; to build and install it now: "
            f"pipshim sync {rebuilt}\n"
        )
    return 0


def _named(root: Path, arguments: Iterable[str]) -> list[inventory.Item]:
    items: dict[Path, inventory.Item] = {}
    for text in arguments:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise UsageError(
                f"cache store remove: {text!r} is not of the form NAME or NAME==VERSION"
            ) from None
        found = inventory.of(root, requirement)
        if not found:
            raise PipshimError(
                f"the cache has no builds of {text}",
                hint="list the builds that it has: pipshim cache store list",
            )
        items.update({one.path: one for one in found})
    return list(items.values())


def _discard(root: Path, request: StoreRequest, find: Callable[[], list[inventory.Item]]) -> None:
    """Remove what is found while no other command is at work, and tell it."""
    with Alone(root) if root.is_dir() else nullcontext():
        items = find()
        if not request.dry_run:
            inventory.discard(root, items)
    items.sort(key=lambda one: (one.kind, one.path))
    sys.stdout.write(
        summarize_removals(items, dry_run=request.dry_run, verbosity=request.common.verbosity)
    )


def _verify(root: Path, request: StoreRequest) -> int:
    items = inventory.damaged(root)
    for item in items:
        sys.stdout.write(f"{item.kind}: {item.why}\n")
    if items and not request.dry_run:
        with Alone(root):
            inventory.discard(root, items)
    if request.common.verbosity >= 0:
        text = "all files are intact"
        if items:
            text = f"{count_removals(items, dry_run=request.dry_run)}: recreated when needed; to "
            text += "repair environments that share these files: pipshim sync --reinstall"
        sys.stdout.write(f"{text}\n")
    return 1 if items else 0


_LOCAL = {"info": _info, "list": _list, "remove": _remove, "prune": _prune, "verify": _verify}
ACTIONS = (*_LOCAL, "push", "pull")
