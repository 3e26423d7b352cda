"""Take the results of builds from a remote into the cache, and add new ones to it."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from packaging.tags import parse_tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from pipshim.base.errors import InstallError
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.build_cache import BuildCache, BuildResult
from pipshim.builds.build_request import BuiltWheel
from pipshim.envs.abi_providers import is_platform_specific
from pipshim.envs.dist_info import METADATA, tags_of
from pipshim.model.artifacts import digest_of_file, unsuitable_tags
from pipshim.model.build_record import Conditions, Record, difference
from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.requirements import requires_dist
from pipshim.model.shared_record import (
    InvalidRecordError,
    Kind,
    SharedRecord,
    SharedWheel,
    headers_of,
    parse,
    why_private,
    without_paths,
)
from pipshim.remote.signatures import signer_of
from pipshim.remote.transfer import why_excessive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipshim.model.events import Level
    from pipshim.model.interpreter import TargetPython
    from pipshim.remote.claims import HeldClaim
    from pipshim.remote.remote_cache import RemoteCache
    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import UnpackedWheel

FROM_REMOTE = "it came from a remote"
"""Why a result is not added to a remote."""


class Pushed(NamedTuple):
    """What became of a result.

    Attributes:
        how: whether it was added, was there, is not for others, or could not be added.
        why: why it is not for others.
        size: of an added wheel, in bytes.

    """

    how: Literal["added", "present", "private", "failed"]
    why: str = ""
    size: int = 0


@dataclass
class RemoteResults:
    """The results of builds that other machines have, and those that they may have."""

    remote: RemoteCache
    cache: BuildCache
    store: Store
    target: TargetPython

    def find(
        self,
        kind: Kind,
        now: Record,
        key: str,
        conditions: Sequence[Conditions],
        suits: Callable[[SharedRecord], bool] = lambda _: True,
    ) -> SharedRecord | None:
        """Return a result that may be used now.

        Args:
            now: the record of the build that would be made.
            key: what is known before it (`pipshim.model.claim.selection_key`).
            conditions: what it would meet, the strictest first.
            suits: says whether the distribution of a wheel may require what it does.

        """
        for batch in self.remote.batches(kind, now.source, now.python, now.platform, key):
            for one, shared in product(conditions, batch):
                if difference(shared.record, now, one) is not None:
                    continue
                if (kind != "wheel" or suits(shared)) and self.may_be_used(shared):
                    return shared
        return None

    def may_be_used(self, shared: SharedRecord) -> bool:
        """Return whether a result is trusted and of use on this machine; if not, say why."""
        if shared.kind != "wheel":
            return self.remote.is_trusted(shared)
        if self.remote.is_damaged(shared):  # that was said
            return False
        tags = unsuitable_tags(shared.wheel.filename, self.target)
        why = f"it is for {tags}" if tags is not None else self.remote.why_unusable(shared)
        if why is not None:
            self.remote.say_why(f"{shared.wheel.filename} is not used", why)
        return why is None and self.remote.is_trusted(shared)

    def has(self, shared: SharedRecord) -> bool:
        """Return whether the cache has a result with an equal record, and its wheel."""
        return self.cache.has(
            shared.kind,
            shared.record,
            lambda result: shared.kind != "wheel" or self.store.tree(str(result)) is not None,
        )

    def why_not(self, now: Record, conditions: Conditions) -> str | None:
        """Say how the most similar wheel of the remote differs; None if there is none."""
        every = self.remote.records("wheel", now.source, now.python, now.platform)
        reasons = [difference(one.record, now, conditions) for one in every]
        closest = min(filter(None, reasons), key=lambda why: why.count("; "), default=None)
        return None if closest is None else f"the remote has another: {closest}"

    def take_answer(self, shared: SharedRecord, conditions: Conditions) -> BuildResult:
        result = shared.result
        plain = list(result) if isinstance(result, tuple) else result
        return self._keep(shared, plain, conditions)

    def take_wheel(self, shared: SharedRecord, conditions: Conditions) -> BuiltWheel | None:
        """Take a wheel into the store; None if that fails."""
        present = self.store.tree(shared.wheel.sha256)
        tree = present if present is not None else self._fetched(shared)
        if tree is None:
            return None
        problem = _mismatch(shared, tree) or self.remote.why_unloadable(shared, tree)
        if problem is not None:
            if present is None:  # else it is not the remote's alone
                self.store.remove(tree.folder)
            self.remote.reject_wheel(shared, problem)
            return None
        kept = self._keep(shared, tree.sha256, conditions)
        return BuiltWheel(tree, kept, "remote")

    def _fetched(self, shared: SharedRecord) -> UnpackedWheel | None:
        """Fetch a wheel into the store; None if it cannot be fetched or unpacked."""
        file = self.remote.wheel(shared)
        if file is None:
            return None
        try:
            why = why_excessive(file)
            if why is None:
                return self.store.add(file, shared.record.name, shared.wheel.sha256, built=True)
        except InstallError as error:
            why = str(error)
        finally:
            file.unlink(missing_ok=True)
        self.remote.reject_wheel(shared, why)
        return None

    def _keep(self, shared: SharedRecord, result: Any, conditions: Conditions) -> BuildResult:
        """Write a result into the cache, with its signer and the places of this machine's tools."""
        record = shared.record
        here = {name: conditions.tools(name, record.systems) for name in record.tools}
        same = {name: tool for name, tool in here.items() if tool == record.tools[name]}
        record = replace(record, tools={**record.tools, **same})
        signer = signer_of(shared.content, shared.signature)
        kept = BuildResult(
            shared.kind, record, result, shared.seconds, private=FROM_REMOTE, signer=signer
        )
        self.cache.store(kept)
        return kept

    def wait(
        self, key: str, is_stopped: Callable[[], bool], most: float, report: Callable[[str], object]
    ) -> bool:
        """Wait while another machine builds something; return whether one did.

        Args:
            key: of the build (`pipshim.model.claim.key_of`).
            most: how long to wait, in seconds.
            report: told who builds, when waiting begins.

        """
        claims = self.remote.claims(is_stopped)
        if claims is None:
            return False
        unknown = "another machine"
        waited = claims.wait(key, most, lambda held: report(held.who if held else unknown))
        if waited:
            self.remote.look_again()
        return waited

    def claimed_keys(self) -> set[str]:
        """Return the keys of what other machines are building, in a command that builds nothing."""
        claims = self.remote.claims(lambda: False)
        return claims.keys() if claims is not None else set()

    @contextmanager
    def claimed(self, key: str, is_stopped: Callable[[], bool]) -> Iterator[HeldClaim | None]:
        """Claim a build, if it is to be pushed; an error in the block gives the claim up.

        Whoever has pushed the result releases it.
        """
        claims = self.remote.claims(is_stopped) if self.remote.pushes else None
        held = claims.take(key) if claims is not None else None
        try:
            yield held
        except BaseException:
            if held is not None:
                held.release()
            raise

    def push(
        self,
        result: BuildResult,
        wheel: Path | None = None,
        *,
        anew: bool = False,
        claim: HeldClaim | None = None,
    ) -> None:
        """Add a result to the remote, soon.

        Args:
            wheel: the file of a wheel, which may be moved meanwhile.
            anew: add it though the remote has one with an equal record.
            claim: released when that is done.

        """
        why = why_unshared(result)
        if self.remote.pushes and why is not None and why != FROM_REMOTE:
            is_unknown = result.kind == "wheel" and result.needs is None
            level: Level = "warning" if is_unknown else "debug"
            self.remote.say_why(f"{result.record.name} is not shared", why, level)
        if not self.remote.pushes or why is not None:
            if claim is not None:
                claim.release()
            return
        file = None
        if wheel is not None:
            file = self.remote.folder() / wheel.name
            try:
                os.link(wheel, file)
            except OSError:
                shutil.copyfile(wheel, file)

        def work() -> None:
            try:
                get = (lambda: file) if file is not None else None
                push(self.remote, self.store, result, get, anew=anew)
            finally:
                if claim is not None:
                    claim.release()

        self.remote.soon(work)


def why_unshared(result: BuildResult) -> str | None:
    """Say why no other machine may have a result; None if nothing prevents that."""
    why = result.private or why_private(result.record)
    if why is None and result.kind == "wheel" and result.needs is None:
        return "an older pipshim built it, and did not read what it needs of a machine"
    return why


def push(
    remote: RemoteCache,
    store: Store,
    result: BuildResult,
    file: Callable[[], Path] | None,
    *,
    anew: bool = False,
) -> Pushed:
    """Add a result to the remote.

    Args:
        file: makes the file of a wheel; None for another kind of result.
        anew: add it though the remote has one with an equal record.

    """
    why = why_unshared(result)
    if why is not None:
        return Pushed("private", why)
    record = without_paths(result.record)
    there = remote.records(result.kind, record.source, record.python, record.platform)
    same = (one for one in there if one.record.key() == record.key())
    if not anew and any(map(remote.is_of_use, same)):
        return Pushed("present")
    wheel = file() if file is not None else None
    shared = _shared(store, replace(result, record=record), wheel)
    try:
        parse(shared.to_bytes(), record.source, shared.name)
    except InvalidRecordError as error:
        return Pushed("private", str(error))
    if not remote.push(shared, wheel):
        return Pushed("failed")
    return Pushed("added", size=shared.wheel.size if wheel is not None else 0)


def _shared(store: Store, result: BuildResult, file: Path | None) -> SharedRecord:
    plain: SharedWheel | str | tuple[str, ...]
    needs = None
    if file is not None:
        tree = store.tree(str(result.result))
        assert tree is not None  # whoever has the file has put it there
        metadata = tree.text(METADATA)
        size = file.stat().st_size
        plain = SharedWheel(digest_of_file(file), size, file.name, tuple(requires_dist(metadata)))
        needs = MachineNeeds.from_json(result.needs)
    elif result.kind == "metadata":
        plain = headers_of(str(result.result))
    else:
        plain = tuple(result.result)
    seconds = float(result.seconds)
    return SharedRecord(result.kind, result.record, plain, seconds, needs, result.key)


def _mismatch(shared: SharedRecord, tree: UnpackedWheel) -> str | None:
    """Say in what a wheel is not what its record says."""
    record = shared.record
    tags = frozenset().union(*map(parse_tag, tags_of(tree.text("WHEEL"))))
    if tags != parse_wheel_filename(shared.wheel.filename)[3]:
        return "it is for other tags than its name says"
    if record.version != "?" and Version(tree.version) != Version(record.version):
        return f"it is version {tree.version}, not {record.version}"
    if is_platform_specific(tree.text("WHEEL")) != record.compiled:
        return "its record does not say whether it is compiled"
    if tuple(requires_dist(tree.text(METADATA))) != shared.wheel.requires:
        return "its record does not say what it requires"
    return None
