"""``pipshim add`` and ``pipshim remove``: pyproject.toml edited, then locked and synced."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.cli.adding import read_arguments
from pipshim.cli.report import reporting
from pipshim.cli.sync import sync, tell, write_lock
from pipshim.config.editing import Document, Place
from pipshim.config.project import PYPROJECT, read_project
from pipshim.context import Context, opened
from pipshim.errors import LockError, PipshimError, ProjectError
from pipshim.lock.locking import make
from pipshim.progress.summary import summarize, summarize_edits
from pipshim.writing import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.utils import NormalizedName

    from pipshim.cli.options import AddRequest, EditRequest, RemoveRequest
    from pipshim.cli.report import Report
    from pipshim.config.project import Project


def add(request: AddRequest) -> int:
    """Add requirements to pyproject.toml, lock and sync.

    Raises:
        PipshimError: they cannot be added; files and environment are as before.

    """
    with reporting(request, "add") as report, opened(request, report.observer) as context:
        editing = _Editing(context, request, report)
        document, place = editing.document, editing.place
        new = read_arguments(request, context)
        unbound = []
        for one in new:
            text = document.add(place, one.text, raw=request.raw)
            name = canonicalize_name(Requirement(text).name)
            if one.source is not None or Requirement(text).url is not None:
                document.set_source(name, one.source)
            elif not (request.raw or Requirement(text).specifier or document.has_source(name)):
                unbound.append(text)
        if unbound and not request.frozen:
            lock = make(context.at(editing.project()), old=context.old_lock)
            for text in unbound:
                name = canonicalize_name(Requirement(text).name)
                versions = [one.version for one in lock.packages if one.name == name]
                found = [version for version in versions if version is not None]
                if found:  # a marker may leave it out here
                    document.bound(place, text, min(found), request.bounds)
        names = {canonicalize_name(Requirement(one.text).name) for one in new}
        old = Document(editing.before, editing.path).stated(place, names)
        now = document.stated(place, names)
        edits = [("-", text, str(place)) for text in old if text not in now]
        edits += [("+", text, str(place)) for text in now if text not in old]
        if document.text == editing.before:
            context.say(f"{place} has that already")
        editing.finish(edits, exact=False)
    return 0


def remove(request: RemoveRequest) -> int:
    """Remove requirements from pyproject.toml, lock and sync.

    Raises:
        PipshimError: a name is not there; files and environment are as before.

    """
    with reporting(request, "remove") as report, opened(request, report.observer) as context:
        editing = _Editing(context, request, report)
        edits = []
        for name in dict.fromkeys(request.names):
            removed = editing.document.remove(editing.place, name)
            if not removed:
                raise _not_there(editing.document, editing.place, name)
            edits += [("-", text, str(editing.place)) for text in removed]
        editing.finish(edits, exact=None)
    return 0


class _Editing:
    """One edit of a project's file, and what follows from it.

    Attributes:
        path: the file.
        before: what it said before.
        document: what it will say.
        place: the list that is edited.

    """

    def __init__(self, context: Context, request: EditRequest, report: Report) -> None:
        assert context.project is not None  # no requirements to lock were given
        self._context = context
        self._request = request
        self._report = report
        self.path = context.project.directory / PYPROJECT
        self.before = self.path.read_bytes().decode("utf-8")
        self.document = Document(self.before, self.path)
        self.place = self._place()
        if not request.frozen and context.old_lock is not None and context.old_lock.requirements:
            raise LockError(
                context.lock_path,
                "the lock was made of requirements that were given, not of the project",
                hint="lock the project: pipshim lock",
            )

    def _place(self) -> Place:
        """Tell which list is meant.

        Raises:
            ProjectError: there cannot be one in this project.

        """
        request, project = self._request, self._context.project
        assert project is not None
        if request.group is not None:
            return self.document.place("group", request.group)
        key = "optional-dependencies" if request.optional else "dependencies"
        if project.name is None:
            raise ProjectError(
                self.path,
                "has no [project] that could depend on anything",
                hint="add to a dependency group: --group NAME; or write a [project]",
            )
        if key in project.dynamic:
            raise ProjectError(
                self.path,
                f"{key} is dynamic: what it is only the build backend knows",
                hint="edit what the backend reads, then: pipshim sync",
            )
        if request.optional:
            return self.document.place("extra", request.optional)
        return Place()

    def project(self) -> Project:
        """Read the project as it is after the edit."""
        assert self._context.project is not None
        return read_project(self._context.project.directory, self.document.text)

    def finish(self, edits: list[tuple[str, str, str]], *, exact: bool | None) -> None:
        """Write the file, lock and sync as asked, and tell of it.

        Raises:
            PipshimError: it failed; files and environment are as before.

        """
        request, report = self._request, self._report
        text = self.document.text
        context = self._context.at(self.project())
        report.details["requirements"] = [
            {"action": "add" if sign == "+" else "remove", "requirement": one, "place": place}
            for sign, one, place in edits
        ]
        report.text = summarize_edits(edits, no_color=request.common.no_color)
        with self._written(text):
            if request.frozen:
                return
            if request.no_sync:
                write_lock(context, make(context, old=context.old_lock))
                return
            outcome = sync(context, request, exact=exact)
        report.text += summarize(
            tell(report, context, outcome),
            packages=outcome.installed,
            seconds=report.seconds,
            no_color=request.common.no_color,
        )

    @contextmanager
    def _written(self, text: str) -> Iterator[None]:
        """Have the file say this; if what follows fails, it says again what it said."""
        if text == self.before:
            yield
            return
        times = self.path.stat()
        write_file(self.path, text)
        try:
            yield
        except BaseException:
            write_file(self.path, self.before)
            # An unchanged run goes by the time.
            os.utime(self.path, ns=(times.st_atime_ns, times.st_mtime_ns))
            raise


def _not_there(document: Document, place: Place, name: NormalizedName) -> PipshimError:
    others = document.having(name)
    hint = None
    if others:
        option = {"group": f" --group {others[0].name}", "extra": f" --optional {others[0].name}"}
        hint = (
            f"it is in {', '.join(map(str, others))}: "
            f"pipshim remove{option.get(others[0].kind, '')} {name}"
        )
    return PipshimError(f"{name} is not in {place}", hint=hint)
