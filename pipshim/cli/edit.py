"""``pipshim add`` and ``pipshim remove``: edit pyproject.toml, then lock and sync."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import FileError, LockError, PipshimError, ProjectError
from pipshim.cli.added_requirements import added_index, read_arguments
from pipshim.cli.command_report import Report, reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.sync import summary_of, sync, write_lock
from pipshim.lock.project_locking import make
from pipshim.model.combinations import Conflicts
from pipshim.model.project import PYPROJECT, Project
from pipshim.model.requests import AddRequest
from pipshim.model.workspace_selection import with_requirements_of_member
from pipshim.progress.summary import summarize_edits
from pipshim.project.editing import Document, RequirementList
from pipshim.project.pyproject import read_text
from pipshim.project.workspaces import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.version import Version

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.requests import EditRequest, RemoveRequest

_CHANGED = "was changed by another program meanwhile"


def main(request: AddRequest | RemoveRequest, pip: PipCommand) -> int:
    """Add requirements to pyproject.toml, or remove some; lock and sync.

    Raises:
        PipshimError: they cannot be added, or are not there; files and environment are as before.

    """
    with (
        reporting(request, pip.mask, pip.command.name) as report,
        open_context(request, pip, report.observer) as context,
    ):
        if isinstance(request, AddRequest):
            _Addition(context, request, report).finish(exact=False)
        else:
            _Deletion(context, request, report).finish(exact=None)
    return 0


class _Editing:
    """One edit of a project's file, and its effects.

    Other programs may write the file at any time: it is read again before it is written.

    Attributes:
        names: the distributions that are added or removed.

    """

    names: set[NormalizedName]

    def __init__(self, context: Context, request: EditRequest, report: Report) -> None:
        assert context.project is not None  # no requirements to lock were given
        self.context = context
        self._project = context.project
        self._asked = request
        self._report = report
        self._edited_project = context.edited
        self._path = self._edited_project.directory / PYPROJECT
        self._check_place()
        if not request.frozen and context.old_lock is not None and context.old_lock.requirements:
            raise LockError(
                context.lock_path,
                "the lock was made from given requirements, not from the project",
                hint="lock the project: pipshim lock",
            )

    def apply(self, document: Document, place: RequirementList) -> None:
        """Edit the document, unless it is done already."""
        raise NotImplementedError

    def _check_place(self) -> None:
        """Check that this project can have the list to edit."""
        request, project = self._asked, self._edited_project
        if request.group is not None:
            return
        key = "optional-dependencies" if request.optional else "dependencies"
        if project.name is None:
            raise ProjectError(
                self._path,
                "has no [project] table, which dependencies are added to",
                hint="add to a dependency group: --group NAME; or write a [project]",
            )
        if key in project.dynamic:
            raise ProjectError(
                self._path,
                f"{key} is dynamic: only the build backend knows it",
                hint="edit what the backend reads, then: pipshim sync",
            )

    def place_in(self, document: Document) -> RequirementList:
        if self._asked.group is not None:
            return document.place("group", self._asked.group)
        if self._asked.optional:
            return document.place("extra", self._asked.optional)
        return RequirementList()

    def document(self) -> Document:
        text = read_text(self._path)
        self.project(text)
        return Document(text, self._path)

    def project(self, text: str) -> Project:
        return load_project(self._project.here.directory, {self._path.parent: text})

    def finish(self, *, exact: bool | None) -> None:
        """Write the file, lock and sync as requested, and report it."""
        request, report = self._asked, self._report
        document, changes = self._edited()
        before, text = document.original, document.text
        if _without_requirements(self.project(before)) != _without_requirements(self._project):
            raise ProjectError(self._path, _CHANGED, hint="run the command again")
        if text == before:
            self.context.say(f"{self.place_in(document)} is unchanged: it has that already")
        context = self.context.at(self.project(text))
        report.details["requirements"] = [
            {"action": "add" if sign == "+" else "remove", "requirement": one, "place": place}
            for sign, one, place in changes
        ]
        configured = [("+", one, where) for one, where in document.configured]
        report.text = summarize_edits([*configured, *changes], no_color=request.common.no_color)
        with self._written(before, text):
            if request.frozen:
                return
            if request.no_sync:
                write_lock(context, make(context, old=context.old_lock))
                return
            outcome = sync(context, request, exact=exact)
        report.text += summary_of(report, context, outcome)

    def _edited(self) -> tuple[Document, list[tuple[str, str, str]]]:
        """Edit the current text of the file; return the differences of the list too."""
        document = self.document()
        place = self.place_in(document)
        old = document.stated(place, self.names)
        self.apply(document, place)
        new = document.stated(place, self.names)
        changes = [("-", text, str(place)) for text in old if text not in new]
        return document, changes + [("+", text, str(place)) for text in new if text not in old]

    @contextmanager
    def _written(self, before: str, text: str) -> Iterator[None]:
        """Write the edited file; restore it if what follows fails.

        If another program saves the file meanwhile, the edit is applied again to what it saved. If
        what follows fails, what was saved stays.
        """
        if text == before:
            yield
            return
        times = self._path.stat()
        write_file(self._path, text)
        try:
            yield
        except BaseException:
            if self._has(text):
                self._restore(before, times)
            else:
                self.context.say(f"{PYPROJECT} {_CHANGED}; it is left as it is", "warning")
            raise
        if not self._has(text):
            again, _ = self._edited()
            if (text := again.text) != again.original:
                write_file(self._path, text)
                self.context.say(f"{PYPROJECT} {_CHANGED}; the edit was redone")

    def _has(self, text: str) -> bool:
        try:
            return self._path.read_bytes() == text.encode("utf-8")
        except OSError:
            return False

    def _restore(self, text: str, times: os.stat_result) -> None:
        try:
            write_file(self._path, text)
        except FileError:
            # On a full disk there is room for the old content only in the file itself.
            with self._path.open("r+b") as file:
                file.write(text.encode("utf-8"))
                file.truncate()
        # An unchanged run goes by the time.
        os.utime(self._path, ns=(times.st_atime_ns, times.st_mtime_ns))


class _Addition(_Editing):
    """Requirements to add, those without a version with a bound by the one that is locked."""

    def __init__(self, context: Context, request: AddRequest, report: Report) -> None:
        super().__init__(context, request, report)
        self._request = request
        self._requirements = read_arguments(request, context)
        self._set_index = added_index(request, self._requirements, context)
        self.names = {canonicalize_name(Requirement(one.text).name) for one in self._requirements}
        workspace = self._project.workspace
        self._members = workspace.members if workspace is not None else {}
        self._versions = {} if request.frozen else self._locked_versions()

    def apply(self, document: Document, place: RequirementList) -> None:
        for text in self._add(document, place):
            if text in self._versions:
                document.bound(place, text, self._versions[text], self._request.bounds)

    def _add(self, document: Document, place: RequirementList) -> list[str]:
        """Add the requirements; return those that need a bound."""
        raw, unbound = self._request.raw, []
        if self._set_index is not None:
            self._set_index(document)
        for one in self._requirements:
            text = document.add(place, one.text, raw=raw)
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if one.source is not None or requirement.url is not None:
                document.set_source(name, one.source)
            elif name in self._members and not document.has_source(name):
                document.add_source(name, {"workspace": True})
            elif not (raw or requirement.specifier or document.has_source(name)):
                unbound.append(text)
        return unbound

    def _locked_versions(self) -> dict[str, Version]:
        document = self.document()
        unbound = self._add(document, self.place_in(document))
        if not unbound:
            return {}
        context, edited = self.context, self._edited_project
        project = self.project(document.text)
        if edited.name != self._project.name:  # a member, whose metadata is read off its file
            project = with_requirements_of_member(project, edited, map(Requirement, unbound))
        lock = make(context.at(project), old=context.old_lock)
        found = {}
        for text in unbound:
            name = canonicalize_name(Requirement(text).name)
            versions = [one.version for one in lock.packages if one.name == name]
            locked = [version for version in versions if version is not None]
            if locked:  # a marker may leave it out here
                found[text] = min(locked)
        return found


class _Deletion(_Editing):
    """Requirements to remove."""

    def __init__(self, context: Context, request: RemoveRequest, report: Report) -> None:
        super().__init__(context, request, report)
        self.names = set(request.names)
        document = self.document()
        place = self.place_in(document)
        for name in request.names:
            if not document.stated(place, {name}):
                raise _not_there(document, place, name)

    def apply(self, document: Document, place: RequirementList) -> None:
        for name in sorted(self.names):
            document.remove(place, name)


def _without_requirements(project: Project) -> Project:
    workspace = project.workspace
    if workspace is not None:
        members = {name: _without_requirements(one) for name, one in workspace.members.items()}
        workspace = replace(workspace, members=members)
    return replace(
        project,
        dependencies=(),
        optional_dependencies={},
        dependency_groups={},
        workspace=workspace,
        conflicts=Conflicts(),
    )


def _not_there(document: Document, place: RequirementList, name: NormalizedName) -> PipshimError:
    others = document.having(name)
    hint = None
    if others:
        option = {"group": f" --group {others[0].name}", "extra": f" --optional {others[0].name}"}
        hint = (
            f"it is in {', '.join(map(str, others))}: "
            f"pipshim remove{option.get(others[0].kind, '')} {name}"
        )
    return PipshimError(f"{name} is not in {place}", hint=hint)
