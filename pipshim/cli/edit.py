"""``pipshim add`` and ``pipshim remove``: edit pyproject.toml, then lock and sync."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import FileError, LockError, PipshimError, ProjectError
from pipshim.cli.added_requirements import AddedIndex, NewRequirement, added_index, read_arguments
from pipshim.cli.command_report import reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.sync import report_sync, sync, write_lock
from pipshim.lock.project_lock import make
from pipshim.model.combinations import Conflicts
from pipshim.model.project import PYPROJECT, Project
from pipshim.model.workspace_selection import with_requirements_of_member
from pipshim.progress.summary import summarize, summarize_edits
from pipshim.project.editing import Document, RequirementList
from pipshim.project.pyproject import read_text
from pipshim.project.workspaces import load_project

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.cli.command_report import Report
    from pipshim.cli.pip_command import PipCommand
    from pipshim.model.project import Project
    from pipshim.model.requests import AddRequest, EditRequest, RemoveRequest

_CHANGED = "was changed by another program meanwhile"


def add(request: AddRequest, pip: PipCommand) -> int:
    """Add requirements to pyproject.toml, lock and sync.

    Raises:
        PipshimError: they cannot be added; files and environment are as before.

    """
    with (
        reporting(request, pip.mask, "add") as report,
        open_context(request, pip, report.observer) as context,
    ):
        editing = _Editing(context, request, report)
        requirements = read_arguments(request, context)
        index = added_index(request, requirements, context)
        workspace = context.project.workspace if context.project is not None else None
        members = workspace.members if workspace is not None else {}
        addition = _Addition(request, requirements, index, members)
        if not request.frozen:
            addition.versions = _versions_without_bound(editing, addition)
        editing.finish(_Edit(addition.names, addition.apply), exact=False)
    return 0


def remove(request: RemoveRequest, pip: PipCommand) -> int:
    """Remove requirements from pyproject.toml, lock and sync.

    Raises:
        PipshimError: a name is not there; files and environment are as before.

    """
    with (
        reporting(request, pip.mask, "remove") as report,
        open_context(request, pip, report.observer) as context,
    ):
        editing = _Editing(context, request, report)
        document = editing.document()
        place = editing.place_in(document)
        for name in request.names:
            if not document.stated(place, {name}):
                raise _not_there(document, place, name)
        edit = _Edit(
            set(request.names), lambda document, place: _remove(document, place, request.names)
        )
        editing.finish(edit, exact=None)
    return 0


class _Edit(NamedTuple):
    """A change of a project's lists of requirements.

    Attributes:
        names: the distributions that are added or removed.
        apply: edits the document, unless it is done already.

    """

    names: set[NormalizedName]
    apply: Callable[[Document, RequirementList], object]


class _Addition:
    """Requirements to add.

    Attributes:
        versions: by requirement, the version for its lower bound.

    """

    def __init__(
        self,
        request: AddRequest,
        requirements: Iterable[NewRequirement],
        index: AddedIndex | None,
        members: Container[str],
    ) -> None:
        self._request = request
        self._index = index
        self._members = members
        self._requirements = list(requirements)
        self.versions: Mapping[str, Version] = {}

    @property
    def names(self) -> set[NormalizedName]:
        return {canonicalize_name(Requirement(one.text).name) for one in self._requirements}

    def apply(self, document: Document, place: RequirementList) -> None:
        """Add the requirements, with bounds."""
        for text in self.add(document, place):
            if text in self.versions:
                document.bound(place, text, self.versions[text], self._request.bounds)

    def add(self, document: Document, place: RequirementList) -> list[str]:
        """Add the requirements; return those that need a bound."""
        raw, unbound = self._request.raw, []
        if self._index is not None:
            self._index(document)
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


def _versions_without_bound(editing: _Editing, addition: _Addition) -> dict[str, Version]:
    """Find the versions of added requirements that need a bound, by locking without one."""
    document = editing.document()
    unbound = addition.add(document, editing.place_in(document))
    if not unbound:
        return {}
    context = editing.context
    project = editing.project(document.text)
    if editing.member is not None:  # whose metadata is read off its file
        project = with_requirements_of_member(project, editing.member, map(Requirement, unbound))
    lock = make(context.at(project), old=context.old_lock)
    found = {}
    for text in unbound:
        name = canonicalize_name(Requirement(text).name)
        versions = [one.version for one in lock.packages if one.name == name]
        locked = [version for version in versions if version is not None]
        if locked:  # a marker may leave it out here
            found[text] = min(locked)
    return found


def _remove(document: Document, place: RequirementList, names: Iterable[NormalizedName]) -> None:
    for name in names:
        document.remove(place, name)


class _Edited(NamedTuple):
    """The texts of a file before and after an edit, and the differences to show.

    Attributes:
        configured: indexes and sources.

    """

    before: str
    text: str
    changes: list[tuple[str, str, str]]
    configured: list[tuple[str, str, str]]
    place: RequirementList


class _Editing:
    """One edit of a project's file, and its effects.

    Other programs may write the file at any time: it is read again before it is written.
    """

    def __init__(self, context: Context, request: EditRequest, report: Report) -> None:
        assert context.project is not None  # no requirements to lock were given
        self.context = context
        self._project = context.project
        self._request = request
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

    def _check_place(self) -> None:
        """Check that this project can have the list to edit."""
        request, project = self._request, self._edited_project
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

    @property
    def member(self) -> Project | None:
        """The member of a workspace that is edited; None for a project, or the root of one."""
        edited = self._edited_project
        return edited if edited.name != self._project.name else None

    def place_in(self, document: Document) -> RequirementList:
        """Return the list to edit."""
        if self._request.group is not None:
            return document.place("group", self._request.group)
        if self._request.optional:
            return document.place("extra", self._request.optional)
        return RequirementList()

    def document(self) -> Document:
        """Read the file as it is now.

        Raises:
            ProjectError: it cannot be read, or is invalid.

        """
        text = read_text(self._path)
        self.project(text)
        return Document(text, self._path)

    def project(self, text: str) -> Project:
        """Read a text as the project's file."""
        return load_project(self._project.here.directory, {self._path.parent: text})

    def _check_unchanged(self, text: str) -> None:
        """Check that nothing but requirements has changed since the command began."""
        if _without_requirements(self.project(text)) != _without_requirements(self._project):
            raise ProjectError(self._path, _CHANGED, hint="run the command again")

    def finish(self, edit: _Edit, *, exact: bool | None) -> None:
        """Write the file, lock and sync as requested, and report it.

        Raises:
            PipshimError: it failed; files and environment are as before.

        """
        request, report = self._request, self._report
        edited = self._edited(edit)
        self._check_unchanged(edited.before)
        if edited.text == edited.before:
            self.context.say(f"{edited.place} is unchanged: it has that already")
        context = self.context.at(self.project(edited.text))
        report.details["requirements"] = [
            {"action": "add" if sign == "+" else "remove", "requirement": one, "place": place}
            for sign, one, place in edited.changes
        ]
        report.text = summarize_edits(
            [*edited.configured, *edited.changes], no_color=request.common.no_color
        )
        with self._written(edited, edit):
            if request.frozen:
                return
            if request.no_sync:
                write_lock(context, make(context, old=context.old_lock))
                return
            outcome = sync(context, request, exact=exact)
        report.text += summarize(
            report_sync(report, context, outcome),
            packages=outcome.installed,
            seconds=report.seconds,
            saved=context.saved_seconds,
            no_color=request.common.no_color,
        )

    def _edited(self, edit: _Edit) -> _Edited:
        """Edit the current text of the file."""
        document = self.document()
        before, place = document.original, self.place_in(document)
        old = document.stated(place, edit.names)
        edit.apply(document, place)
        new = document.stated(place, edit.names)
        changes = [("-", text, str(place)) for text in old if text not in new]
        changes += [("+", text, str(place)) for text in new if text not in old]
        configured = [("+", text, where) for text, where in document.configured]
        return _Edited(before, document.text, changes, configured, place)

    @contextmanager
    def _written(self, edited: _Edited, edit: _Edit) -> Iterator[None]:
        """Write the edited file; restore it if what follows fails.

        If another program saves the file meanwhile, the edit is applied again to what it saved. If
        what follows fails, what was saved stays.
        """
        if edited.text == edited.before:
            yield
            return
        times = self._path.stat()
        write_file(self._path, edited.text)
        try:
            yield
        except BaseException:
            if self._has(edited.text):
                self._restore(edited.before, times)
            else:
                self.context.say(f"{PYPROJECT} {_CHANGED}; it is left as it is", "warning")
            raise
        if not self._has(edited.text):
            again = self._edited(edit)
            if again.text != again.before:
                write_file(self._path, again.text)
                self.context.say(f"{PYPROJECT} {_CHANGED}; the edit was redone")

    def _has(self, text: str) -> bool:
        """Return whether this is the file's text."""
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
