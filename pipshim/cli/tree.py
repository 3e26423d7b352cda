"""``pipshim tree``: the lock as a tree."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pipshim.base.light.dataclasses import dataclass
from pipshim.cli import lock_graph_loader as graphs
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.lock_graph import Graph, Need, Node, in_both, narrowing
from pipshim.model.requests import SelectionOptions, TreeRequest
from pipshim.model.selection import chosen_of
from pipshim.model.workspace_selection import selected
from pipshim.progress.formatting import paint, use_color

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from optparse import Values

    from pipshim.model.combinations import Combination

_REPEATED, _CYCLE = "(*)", "(cycle)"
_LINES = ("├── ", "└── ", "│   ", "    ")
_PLAIN_LINES = ("|-- ", "`-- ", "|   ", "    ")


@dataclass(frozen=True)
class Branch:
    """A node in the drawn tree.

    Attributes:
        need: why it is below its parent; None for a root.
        mark: why its branches are not shown: ``(*)`` they are above, ``(cycle)`` it is within
            itself; else empty.
        only: how the need limits the combinations of conflicting extras and groups.

    """

    node: Node
    need: Need | None
    mark: str
    branches: tuple[Branch, ...]
    only: str = ""


class TreeCommand(PlainCommand):
    """Show the lock as a tree of requirements.

    Without names, it starts at the project, with all its extras and groups;
    options select some of them, as for sync. With names, it starts at these
    packages. (*) marks a package whose requirements are shown above.

    For example:
      pipshim tree --depth 1                what the project requires itself
      pipshim tree --builds flash-attn      what it is built with, too
      pipshim tree --invert numpy           what needs numpy
    """

    usage = """
      %prog [options]
      %prog [options] <package> ...
      %prog [options] --invert <package> ..."""

    declared = option_table.TREE

    def run(self, options: Values, args: list[str]) -> int:
        fields = self.declared.fields
        request = TreeRequest(
            **graphs.explaining(self, options, args), **fields(TreeRequest, options)
        )
        found = graphs.read_explained(request)
        origins = combination = None
        asked = SelectionOptions(**fields(SelectionOptions, options))
        if asked != SelectionOptions():
            selection = selected(asked, found.project, found.lock)
            origins = chosen_of(found.lock, selection, found.path).origins
            combination = found.lock.conflicts.chosen_by(origins)
        graph = found.graph(origins=origins, combination=combination, builds=request.builds)
        if request.names:
            roots = [node for name in request.names for node in found.find(graph, name)]
        else:
            roots = graph.ends() if request.invert else [graph.root]
        trees = build_tree(
            graph, roots, invert=request.invert, depth=request.depth, dedupe=request.dedupe
        )
        no_color, invert = request.common.no_color, request.invert
        return found.show(
            request,
            lambda: {"tree": list(map(_as_json, trees))},
            lambda: "\n".join(draw(trees, no_color=no_color, invert=invert)),
        )


def build_tree(
    graph: Graph, roots: Sequence[Node], *, invert: bool, depth: int | None, dedupe: bool = True
) -> list[Branch]:
    """Walk the graph from `roots`, down or (`invert`) up, at most `depth` levels."""
    seen: set[object] = set()

    def branch(
        node: Node,
        need: Need | None,
        above: tuple[Node, ...],
        combinations: frozenset[Combination] | None,
    ) -> Branch:
        only = ""
        if need is not None:
            only = "" if invert else narrowing(combinations, need)
            combinations = in_both(combinations, need.combinations)
        needs = [
            one
            for one in (graph.needed if invert else graph.needs).get(node, ())
            if in_both(combinations, one.combinations) != frozenset()
        ]
        key = (node, combinations)
        if node in above:
            return Branch(node, need, _CYCLE, (), only)
        if depth is not None and len(above) >= depth:
            return Branch(node, need, "", (), only)
        if dedupe and key in seen and needs:
            return Branch(node, need, _REPEATED, (), only)
        seen.add(key)
        path = (*above, node)
        below = tuple(
            branch(one.by if invert else one.node, one, path, combinations) for one in needs
        )
        return Branch(node, need, "", below, only)

    return [branch(node, None, (), graph.combinations) for node in roots]


def draw(trees: Sequence[Branch], *, no_color: bool, invert: bool) -> list[str]:
    """Draw trees, one line for each branch, no longer than the terminal is wide."""
    color = use_color(sys.stdout, no_color=no_color)
    room = graphs.width(sys.stdout)
    lines = _LINES if graphs.can_write(sys.stdout, "".join(_LINES)) else _PLAIN_LINES
    marked: set[str] = set()

    def draw(one: Branch, start: str, below: str) -> Iterator[str]:
        marked.add(one.mark)
        yield start + _line(one, room and room - len(start), invert=invert, color=color)
        for number, branch in enumerate(one.branches, 1):
            last = number == len(one.branches)
            yield from draw(branch, below + lines[last], below + lines[2 + last])

    drawn = [line for one in trees for line in draw(one, "", "")]
    if _REPEATED in marked:
        drawn.append(f"{_REPEATED} shown above")
    return drawn


def _line(one: Branch, room: int | None, *, invert: bool, color: bool) -> str:
    """Draw a branch's text; if it is too long, leave out the requirement."""
    name = _name(one, invert=invert)
    asked = graphs.condition(one.need, one.only) if one.need is not None else ""
    asked = f" ({asked})" if asked else ""
    mark = f" {one.mark}" if one.mark else ""
    if room is not None and len(name) + len(asked) + len(mark) > room:
        asked = ""
    if room is not None and len(name) + len(mark) > room:
        name = name[: max(room - len(mark) - 3, 1)] + "..."
    return name + paint(asked, "dim", color=color) + paint(mark, "dim", color=color)


def _name(one: Branch, *, invert: bool) -> str:
    node = one.node
    if node.kind == "build" and not invert:
        where = f"environment {node.environment}" if node.environment else "no environment"
        if node.deferred:
            part = (
                f"environment {node.environment}, the rest" if node.environment else "environment"
            )
            where = f"{part} unknown until it is built"
        return f"build: {node.mode}, {where}"
    return (
        graphs.with_extras(one.need) if one.need is not None and not invert else graphs.label(node)
    )


def _as_json(one: Branch) -> dict[str, Any]:
    made = graphs.as_json(one.node, one.need)
    if one.mark:
        made["cycle" if one.mark == _CYCLE else "repeated"] = True
    made["branches"] = list(map(_as_json, one.branches))
    return made
