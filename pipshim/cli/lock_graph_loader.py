"""Load the lock as a graph for ``tree`` and ``why``, and tell if it is out of date."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipshim.base.errors import LockError, PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.spelling import nearest
from pipshim.fastpath import up_to_date
from pipshim.model.combinations import PREFIX, Combination, named
from pipshim.model.lock_graph import Graph, Need, Node, graph_of
from pipshim.model.option_parsing import name
from pipshim.model.pylock import LOCK_NAME, Lock, read
from pipshim.progress.formatting import paint, use_color
from pipshim.progress.json_output import SCHEMA, write_document
from pipshim.project.pyproject import find_if_any, find_project
from pipshim.project.workspaces import load_project

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from optparse import Values

    from packaging.utils import NormalizedName

    from pipshim.cli.command_base import PlainCommand
    from pipshim.model.project import Project
    from pipshim.model.requests import ExplainRequest

_OUT_OF_DATE = "its inputs have changed"


@dataclass(frozen=True)
class Explained:
    """A lock that is explained.

    Attributes:
        project: its project; None if it was made from given requirements.

    """

    path: Path
    lock: Lock
    project: Project | None

    def graph(
        self,
        *,
        origins: Collection[str] | None = None,
        combination: Combination | None = None,
        builds: bool,
    ) -> Graph:
        extra: dict[NormalizedName, list[str]] = {}
        if self.project is None:
            root = Node(self.path.name, kind="project")
        else:
            settings = self.project.configuration.extra_build_dependencies
            extra = {name: [str(one.requirement) for one in of] for name, of in settings.items()}
            name = self.project.name or self.project.display_name
            root = Node(name, self.project.version, "project")
        return graph_of(
            self.lock, root, origins=origins, combination=combination, builds=builds, extra=extra
        )

    def find(self, graph: Graph, name: NormalizedName) -> list[Node]:
        found = graph.named(name)
        if found:
            return found
        known = sorted({one.name for one in graph})
        hint = f"did you mean {nearest(name, known)}?"
        deferred = sorted({one.name for one in graph if one.deferred})
        if deferred:
            hint += f" The build environment of {', '.join(deferred)} is unknown until it is built."
        raise PipshimError(f"{name} is not in {self.path.name}", hint=hint)

    def show(
        self,
        request: ExplainRequest,
        data: Callable[[], Mapping[str, Any]],
        text: Callable[[], str],
    ) -> int:
        """Write what was asked for, as JSON or text, and warn if the lock is out of date."""
        why = self._out_of_date(request)
        if request.common.output_format == "json":
            head = {"schema": SCHEMA, "lock": str(self.path), "out_of_date": why}
            write_document({**head, **data()})
        else:
            shown = text()
            sys.stdout.write(f"{shown}\n" if shown else "")
        sys.stdout.flush()
        if why is not None and request.common.verbosity >= 0:
            color = use_color(sys.stderr, no_color=request.common.no_color)
            word = paint("warning:", "yellow", color=color)
            sys.stderr.write(
                f"{word} {self.path.name} is out of date: {why}; update it: pipshim lock\n"
            )
        return 0

    def _out_of_date(self, request: ExplainRequest) -> str | None:
        """Return why the lock is out of date; None if it is not, or if that is unknown."""
        if self.project is None or not self.lock.inputs:
            return None
        usual = request.common.project is None and request.lock is None
        if usual and up_to_date.is_unchanged(os.environ):
            return None
        from pipshim.cli.lock import inputs_now  # noqa: PLC0415 imports all of pip's machinery

        now = inputs_now(self.project, self.lock, isolated=request.isolated)
        return None if now == self.lock.inputs else _OUT_OF_DATE


def explaining(command: PlainCommand, options: Values, args: Sequence[str]) -> dict[str, Any]:
    """Return the parts that the requests of ``tree`` and ``why`` have in common."""
    return {
        "common": command.common_options(options),
        "names": tuple(map(name, args)),
        "isolated": options.isolated_mode,
    }


def read_explained(request: ExplainRequest) -> Explained:
    """Read the requested lock.

    Raises:
        LockError: there is none, it is damaged, or it lacks requirements.
        ProjectError: pyproject.toml is invalid.

    """
    path, project = request.lock, None
    if path is None or request.common.project is not None:
        directory = _directory(request)
        project = load_project(directory) if directory is not None else None
        path = path or (project.directory if project is not None else Path.cwd()) / LOCK_NAME
    elif (path.absolute().parent / "pyproject.toml").is_file() and path.name == LOCK_NAME:
        project = load_project(path.absolute().parent)
    if not path.exists():
        raise LockError(path, "there is no lock file", hint="create it: pipshim lock")
    lock = read(path)
    if lock.packages and not lock.roots:
        raise LockError(
            path,
            "the lock has no dependency graph: it was made by another tool, or by an older pipshim",
            hint="update it: pipshim lock",
        )
    return Explained(path, lock, None if lock.requirements else project)


def _directory(request: ExplainRequest) -> Path | None:
    """Find the project's folder; a lock of given requirements needs none."""
    named = request.common.project
    if named is None and (Path.cwd() / LOCK_NAME).exists():
        return find_if_any(Path.cwd())
    return find_project(named or Path.cwd())


def label(node: Node) -> str:
    """Return a node's name, with its version or place."""
    if node.kind == "build":
        return f"build of {' '.join(filter(None, (node.name, node.version)))} ({how_built(node)})"
    if node.kind == "absent":
        return f"{node.name} (not in the lock)"
    shown = " ".join(filter(None, (node.name, node.version)))
    shown += f" [{', '.join(node.targets)}]" if node.targets else ""
    return f"{shown} @ {node.place}" if node.place else shown


def how_built(node: Node) -> str:
    """Return the mode of a build, and whether its environment is known."""
    return f"{node.mode}{', environment unknown until it is built' if node.deferred else ''}"


def with_extras(need: Need) -> str:
    """Return the name of a needed node, with the requested extras."""
    if not need.extras:
        return label(need.node)
    name = need.node.name
    return label(need.node).replace(name, f"{name}[{','.join(need.extras)}]", 1)


def condition(need: Need, only: str = "") -> str:
    """Return the rest of a requirement: ``extra viz, >=2; python_version < "3.12"``.

    Args:
        only: how it limits the combinations of conflicting extras and groups.

    """
    whose = {
        "extra": "extra-build-dependencies",
        "backend": "asked for by the backend",
    }.get(need.origin, "")
    if need.origin.startswith(("extra ", "group ")):
        is_members = need.origin.startswith(PREFIX)
        whose = named(need.origin).replace("'", "") if is_members else need.origin
    return ", ".join(part for part in (whose, only, need.condition) if part)


def as_json(node: Node, need: Need | None) -> dict[str, Any]:
    """Return a node, and the need that led to it, as plain data."""
    made: dict[str, Any] = {"name": node.name, "version": node.version, "kind": node.kind}
    if node.place is not None:
        made["place"] = node.place
    if node.targets:
        made["targets"] = list(node.targets)
    if node.within is not None:
        made["build_environment"] = node.within
    if node.kind == "build":
        made |= {"mode": node.mode, "build_environment": node.environment}
        made |= {"build_environment_deferred": True} if node.deferred else {}
    if need is not None and need.asks is not None:
        made["requirement"] = need.asks
    if need is not None and need.origin:
        made["origin"] = need.origin
    return made


def width(stream: TextIO) -> int | None:
    """Return the terminal's width; None in a pipe or a file."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def can_write(stream: TextIO, text: str) -> bool:
    """Return whether a stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
