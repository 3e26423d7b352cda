"""``pipshim builds show``: what wheels were built from, and whether they would be reused."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.errors import PipshimError, UsageError
from pipshim.base.light.dataclasses import dataclass
from pipshim.cli.context import Context, open_context
from pipshim.cli.project_commands import FollowingCommand
from pipshim.cli.sync import part_of
from pipshim.envs import installed
from pipshim.envs.dist_info import METADATA
from pipshim.envs.install_notes import origin_of, site_folders
from pipshim.model import option_table
from pipshim.model.build_record import Record, Used
from pipshim.model.combinations import named
from pipshim.model.option_parsing import name
from pipshim.model.requests import BuildsShowRequest
from pipshim.progress.formatting import paint, plural, use_color
from pipshim.progress.json_output import SCHEMA, write_document
from pipshim.store import inventory
from pipshim.sync.synchronizer import Sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from optparse import Values

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.solution import Source


@dataclass(frozen=True)
class ShownBuild:
    """A build whose wheel can be shown.

    Attributes:
        reused: whether sync would reuse its wheel; None if that cannot be told.

    """

    result: inventory.Result
    reused: bool | None
    why: str
    installed: bool


@dataclass(frozen=True)
class ShownPackage:
    """What is shown of a package.

    Attributes:
        others: how many builds of other versions and sources there are besides.
        note: what is to be said besides.

    """

    name: NormalizedName
    builds: tuple[ShownBuild, ...]
    others: int
    note: str | None


class BuildsShowCommand(FollowingCommand):
    """Show what a wheel was built from, and whether it would be reused now.

    For each wheel of a package in the cache: its source and settings, the
    distributions that it was built against, the log of its build, and whether
    sync would reuse it now; if not, what differs. Nothing is locked, built or
    installed.

    For example:
      pipshim builds show flash-attn
      pipshim builds show --all flash-attn    those of other sources too
    """

    usage = """
      %prog [options] <package> ..."""

    declared = option_table.BUILDS_SHOW

    def request(self, options: Values, args: list[str]) -> BuildsShowRequest:
        if not args:
            raise UsageError("builds show: no package given", hint="pipshim builds show NAME")
        return BuildsShowRequest(
            **self.installing(options),
            **self.declared.fields(BuildsShowRequest, options),
            names=tuple(map(name, args)),
        )

    def act(self, request: BuildsShowRequest, pip: PipCommand) -> int:
        """Show the builds of packages.

        Raises:
            PipshimError: a package is unknown, the lock is damaged or for another environment.

        """
        with open_context(request, pip, optional=True) as context:
            lookup = _Lookup(context, request)
            packages = [lookup.package(name, every=request.all) for name in request.names]
        if request.common.output_format == "json":
            document = {"schema": SCHEMA, "packages": list(map(_package_as_json, packages))}
            write_document(document)
            return 0
        color = use_color(sys.stdout, no_color=request.common.no_color)
        for number, package in enumerate(packages):
            sys.stdout.write("\n" * bool(number))
            for line in _lines(package, color=color, verbose=request.common.verbosity > 0):
                sys.stdout.write(f"{line}\n")
        return 0


class _Lookup:
    """Looks for builds in the cache, and in the sync that would be if there is a lock."""

    def __init__(self, context: Context, request: BuildsShowRequest) -> None:
        self.context = context
        self.sync: Sync | None = None
        if context.old_lock is not None:
            part, selection = part_of(context, request, context.old_lock)
            self.sync = Sync(context, part, selection, request.selection, exact=None)

    def package(self, name: NormalizedName, *, every: bool) -> ShownPackage:
        results = inventory.wheels(self.context.cache, name)
        sources = self.sync.builds.named(name) if self.sync is not None else []
        note = self._note(name, sources)
        if note is None and not results and not sources:
            where = f"{self.context.lock_path.name} does not have {name}, nor does the cache"
            raise PipshimError(where, hint="pipshim cache store list")
        digests = {source.digest for source in sources}
        is_known = bool(sources) and not every
        own = [one for one in results if one.record.source in digests or not is_known]
        shown = [self._shown(one, sources) for one in own]
        shown.sort(key=lambda one: (one.reused is not True, not one.installed, -one.result.time))
        return ShownPackage(name, tuple(shown), len(results) - len(own), note)

    def _note(self, name: NormalizedName, sources: list[Source]) -> str | None:
        if self.sync is None:
            return f"there is no {self.context.lock_path.name} to compare with"
        if sources:
            return None
        if any(one.name == name for one in self.sync.selection.folders):
            return "built from its folder each time; nothing is kept"
        package = self.sync.selection.packages.get(name)
        if package is not None:
            return f"{package.version} is installed from a wheel: nothing is built"
        return None

    def _shown(self, result: inventory.Result, sources: list[Source]) -> ShownBuild:
        is_installed = result.record == self._installed(result.record.name)
        source = next((one for one in sources if one.digest == result.record.source), None)
        if self.sync is None or not sources:
            return ShownBuild(result, None, self._why_unknown(result.record.name), is_installed)
        tree = self.context.store.tree(str(result.tree))
        assert tree is not None  # wheels that are gone are not listed
        metadata = tree.text(METADATA)
        why_not = self.sync.builds.why_stale(
            source or sources[0], result.record, metadata, result.signer
        )
        return ShownBuild(result, why_not is None, why_not or result.record.why(), is_installed)

    def _why_unknown(self, name: str) -> str:
        where, lock = self.context.lock_path.name, self.context.old_lock
        if lock is None or self.sync is None:
            return f"there is no {where}"
        key = canonicalize_name(name)
        of = sorted(lock.origins.get(key, ()))
        if not of or key in self.sync.selection.packages:
            return f"{where} does not build it"
        return f"{where} has it for {' and '.join(map(named, of))}: pass --extra or --group"

    def _installed(self, name: str) -> Record | None:
        """Return the record of what the environment has."""
        if not self.context.choice.exists:
            return None
        found = installed.scan(site_folders(self.context.target)).get(name)  # type: ignore[call-overload]
        return None if found is None else Record.from_json(origin_of(found).get("record"))


def _lines(package: ShownPackage, *, color: bool, verbose: bool) -> Iterator[str]:
    if package.note is not None or not package.builds:
        yield f"{package.name}: {package.note or 'not built yet'}"
    for build in package.builds:
        yield from _build_lines(build, color=color, verbose=verbose)
    if package.others:
        yield f"{plural(package.others, 'build')} of other versions or sources: --all shows them"


def _build_lines(build: ShownBuild, *, color: bool, verbose: bool) -> Iterator[str]:
    result, record = build.result, build.result.record
    built = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(result.time))
    yield f"{paint(f'{record.name} {record.version}', 'bold', color=color)}, built {built}"
    style, word = {
        True: ("green", "reused"),
        False: ("yellow", "built again"),
        None: ("", "unknown"),
    }[build.reused]
    rows = {
        "now": f"{paint(word, style, color=color)}: {build.why}",
        "installed": "in the environment" if build.installed else "",
        "mode": record.mode,
        "python": f"{record.python}, {record.platform}",
        "source": record.source,
        "variables": _variables(record, verbose=verbose),
        "tools": ", ".join(
            f"{name}: {tool.version if tool is not None else 'not found'}"
            for name, tool in sorted(record.tools.items())
        ),
        "requires": ", ".join(record.requirements),
        "constraints": ", ".join(record.constraints),
        "config settings": ", ".join(f"{k}={v}" for k, v in record.config_settings.items()),
        "built against": _versions(record, counts=True),
        "also used": _versions(record, counts=False),
        "wheel": result.tree or "",
        "log": str(result.log or ""),
        "from a remote": _signed(result.signer),
    }
    width = max(map(len, rows))
    for title, text in rows.items():
        if text:
            yield f"  {title:{width}}  {text}"


def _signed(signer: str | None) -> str:
    if signer is None:
        return ""
    return f"signed with {signer}" if signer else "not signed"


def _variables(record: Record, *, verbose: bool) -> str:
    """Name the variables that count; of those that were not set, only their number at first."""
    found = [name for name, digest in record.variables.items() if digest is not None]
    unset = [name for name, digest in record.variables.items() if digest is None]
    if unset:
        found.append(
            f"not set: {', '.join(unset)}" if verbose else f"{len(unset)} that are not set"
        )
    return ", ".join(found)


def _versions(record: Record, *, counts: bool) -> str:
    used: Iterable[tuple[str, Used]] = sorted(record.against.items())
    return ", ".join(f"{name} {one.version}" for name, one in used if one.counts is counts)


def _package_as_json(package: ShownPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "note": package.note,
        "builds": list(map(_build_as_json, package.builds)),
        "other_builds": package.others,
    }


def _build_as_json(build: ShownBuild) -> dict[str, Any]:
    result = build.result
    return {
        "name": result.record.name,
        "version": result.record.version,
        "reused": build.reused,
        "reason": build.why,
        "installed": build.installed,
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(result.time)),
        "wheel": result.tree,
        "log": str(result.log) if result.log is not None else None,
        "remote": result.signer is not None,
        "signer": result.signer or None,
        "record": result.record.to_json(),
    }
