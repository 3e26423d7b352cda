"""Record the pip options that choose versions and files, as the user gave them.

pip's parser keeps only the effect of some options: ``--no-binary :none:`` leaves no trace, and
``--uploaded-prior-to P7D`` is another moment in every command.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from pipshim._pip.configuration import SWITCHES, says
from pipshim.model import cutoff
from pipshim.model.selection_preferences import LISTS, GivenPreferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from optparse import Option, Values

    from pipshim.cli.command_base import ProjectParser

_TYPED = {
    "all-releases": "pre",
    "prefer-binary": "prefer_binary",
    "ignore-requires-python": "ignore_requires_python",
    "index-url": "index_url",
    "extra-index-url": "extra_index_urls",
    "no-index": "no_index",
    "find-links": "find_links",
}
"""Options that nothing but what the parser has stored tells of."""

_NOTED = (*LISTS, "uploaded-prior-to")
_UNDER_PROJECT = ("uploaded-prior-to", "resolution")
"""Those that pyproject.toml has too."""


class NotedOptions:
    """The options of a parser that were given, in their own words; `typed` has their names."""

    def __init__(self, parser: ProjectParser) -> None:
        self._parser = parser
        self._words: dict[str, str] = {}
        self.typed: set[str] = set()
        self._is_typing = False
        for name in _NOTED:
            option = parser.get_option(f"--{name}")
            if option is not None and option.callback is not None:
                option.callback = partial(self._note, name, option.callback)

    def _note(
        self, name: str, inner: Callable[..., object], option: Option, opt: str, *rest: Any
    ) -> None:
        inner(option, opt, *rest)
        self._words[name] = str(rest[0])
        if self._is_typing:
            self.typed.add(name)

    @contextmanager
    def typing(self, values: Values) -> Iterator[None]:
        """Note options that are parsed into ``values`` meanwhile as typed."""
        before = {name: copy(getattr(values, dest, None)) for name, dest in _TYPED.items()}
        self._is_typing = True
        yield
        self._is_typing = False
        changed = {n for n, dest in _TYPED.items() if getattr(values, dest, None) != before[n]}
        self.typed |= changed

    def preferences(self, values: Values, environ: Mapping[str, str]) -> GivenPreferences:
        """Return what was given.

        Args:
            values: what the parser stored; for ``--pre`` pip stores ``--all-releases :all:``.

        """
        words = dict(self._words)
        above = set(self.typed)
        if environ.get("PIPSHIM_RESOLUTION"):
            above.add("resolution")
        above |= {one for one in _UNDER_PROJECT if says(self._parser, one, environment=True)}
        found: dict[str, Any] = {}
        control = values.format_control
        releases = values.release_control
        lists = (control.no_binary, control.only_binary, releases.all_releases, releases.only_final)
        found |= {name: sorted(value) for name, value in zip(LISTS, lists, strict=True) if value}
        found |= {name: True for name, dest in SWITCHES.items() if getattr(values, dest, None)}
        if "uploaded-prior-to" in words:
            found["uploaded-prior-to"] = _moment(words["uploaded-prior-to"], values)
        if getattr(values, "resolution", None):
            found["resolution"] = values.resolution
        below = {name for name in _UNDER_PROJECT if name in found} - above
        return GivenPreferences(
            found, frozenset({*found, *words}), frozenset(below), frozenset(self.typed)
        )


def _moment(word: str, values: Values) -> str:
    """Normalise a moment as pip does: a date is the beginning of that day, in local time."""
    is_length = word.startswith("P")
    return cutoff.normalised(word if is_length else values.uploaded_prior_to.isoformat())
