"""``pipshim why``: the chains of requirements that lead to a package."""

from __future__ import annotations

import sys
from itertools import islice
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import UsageError
from pipshim.cli import lock_graph_loader as graphs
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.lock_graph import Graph, Need, Node, in_both, narrowing
from pipshim.model.requests import WhyRequest
from pipshim.progress.formatting import paint, use_color

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from optparse import Values


_ARROW, _PLAIN_ARROW = " → ", " -> "
_NAMED = 3


class WhyCommand(PlainCommand):
    """Show why a package is in the lock: the chains that lead to it.

    The shortest come first, and those of build environments last. Each
    package is followed by its request: versions, marker, and the project's
    extra or dependency group.

    For example:
      pipshim why numpy
      pipshim why numpy --limit 50 --output-format json
    """

    usage = """
      %prog [options] <package> ..."""

    declared = option_table.WHY

    def run(self, options: Values, args: list[str]) -> int:
        if not args:
            raise UsageError("why: no package given", hint="pipshim why NAME")
        fields = self.declared.fields(WhyRequest, options)
        request = WhyRequest(**graphs.explaining(self, options, args), **fields)
        found = graphs.read_explained(request)
        graph = found.graph(builds=True)
        nodes = [found.find(graph, name) for name in request.names]
        return found.show(
            request,
            lambda: {"packages": [_as_json(graph, one, request) for of in nodes for one in of]},
            lambda: "\n\n".join("\n".join(_told(graph, of, request)) for of in nodes),
        )


def _told(graph: Graph, nodes: Sequence[Node], request: WhyRequest) -> Iterator[str]:
    color = use_color(sys.stdout, no_color=request.common.no_color)
    arrow = _ARROW if graphs.can_write(sys.stdout, _ARROW) else _PLAIN_ARROW
    before = ""
    for node in nodes:
        header = paint(graphs.label(node), "bold", color=color)
        if node.within is not None:
            header += f", a build requirement of {_built_with(graph, node.within)}"
        yield f"{before}{header}"
        before = "\n"
        chains = list(islice(graph.chains(node), request.limit + 1))
        for chain in chains[: request.limit]:
            yield from _wrapped(graph, chain, arrow)
        if len(chains) > request.limit:
            yield f"  and more: --limit {2 * request.limit}"


def _built_with(graph: Graph, environment: str) -> str:
    """Name what is built in an environment; only some if there are many."""
    built = [one for one in graph if one.kind == "build" and one.environment == environment]
    names = [" ".join(filter(None, (one.name, one.version))) for one in sorted(built, key=str)]
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _wrapped(graph: Graph, chain: Sequence[Need], arrow: str) -> Iterator[str]:
    """Write a chain; if it is too long for one line, lines begin with an arrow."""
    room = graphs.width(sys.stdout)
    line = f"  {graphs.label(graph.root)}"
    combinations = graph.combinations
    for need in chain:
        part = arrow + _part(need, narrowing(combinations, need))
        combinations = in_both(combinations, need.combinations)
        if room is None or len(line) + len(part) <= room:
            line += part
            continue
        yield line
        indent = "   " + " " * len(arrow)
        *whole, line = wrap(
            part.strip(),
            room,
            initial_indent="    ",
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from whole
    yield line


def _part(need: Need, only: str) -> str:
    if need.node.kind == "build":
        return f"build ({graphs.how_built(need.node)})"
    asked = graphs.condition(need, only)
    return graphs.with_extras(need) + (f" ({asked})" if asked else "")


def _as_json(graph: Graph, node: Node, request: WhyRequest) -> dict[str, Any]:
    chains = list(islice(graph.chains(node), request.limit + 1))
    return {
        **graphs.as_json(node, None),
        "chains": [
            [graphs.as_json(graph.root, None), *(graphs.as_json(need.node, need) for need in chain)]
            for chain in chains[: request.limit]
        ],
        "more": len(chains) > request.limit,
    }
