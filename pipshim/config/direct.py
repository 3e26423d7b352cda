"""``[tool.pipshim.sources]``: where a project's dependencies come from instead of an index.

The keys are those of uv's table of this name. A source counts for what the project requires by that
name, and for whoever else requires it; other versions than those that are asked for stay an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from pipshim.config.configuration import KeyPath, Reader

_KINDS = ("path", "url", "git")
_REVISIONS = ("rev", "tag", "branch")
_KNOWN = (*_KINDS, "editable", "subdirectory", *_REVISIONS)


@dataclass(frozen=True)
class DirectSource:
    """Where one distribution comes from.

    Attributes:
        path: a folder or file, relative to pyproject.toml's; None for a URL.
        url: what pip takes behind ``@`` (``git+https://…@main``); None for a path.
        editable: installed as a link to its folder.

    """

    path: str | None = None
    url: str | None = None
    editable: bool = False

    def link(self, directory: Path) -> str:
        """Give the URL, of a path too.

        Args:
            directory: pyproject.toml's.

        """
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Give a path as an absolute one."""
        return (directory / Path(self.path or ".").expanduser()).resolve()


def read_sources(
    reader: Reader, value: object, path: KeyPath
) -> dict[NormalizedName, DirectSource]:
    """Read the table.

    Raises:
        ProjectError: an entry is neither path, URL nor git, or has a key that does not belong.

    """
    return {name: _source(reader, item, at) for name, item, at in reader.by_name(value, path)}


def _source(reader: Reader, value: object, path: KeyPath) -> DirectSource:
    table = reader.known_table(value, path, _KNOWN)
    given = [kind for kind in _KINDS if kind in table]
    if len(given) != 1:
        raise reader.error(
            path,
            "must have one of 'path', 'url' and 'git'",
            hint='for example: { path = "../lib", editable = true }',
        )
    (kind,) = given
    allowed = {
        "path": ("path", "editable"),
        "url": ("url", "subdirectory"),
        "git": ("git", "subdirectory", *_REVISIONS),
    }[kind]
    for key in table:
        if key not in allowed:
            raise reader.error((*path, key), f"does not go with '{kind}'")
    text = reader.string(table[kind], (*path, kind))
    if kind == "path":
        editable = reader.boolean(table.get("editable", False), (*path, "editable"))
        return DirectSource(path=text, editable=editable)
    if not urlsplit(text).scheme or "://" not in text:
        raise reader.error((*path, kind), f"is not a URL: {text!r}")
    revisions = [key for key in _REVISIONS if key in table]
    if len(revisions) > 1:
        raise reader.error(path, f"has more than one of {', '.join(_REVISIONS)}")
    if kind == "git":
        text = text if text.startswith("git+") else f"git+{text}"
        for key in revisions:
            text += "@" + reader.string(table[key], (*path, key))
    if "subdirectory" in table:
        folder = reader.string(table["subdirectory"], (*path, "subdirectory"))
        text += f"#subdirectory={quote(folder)}"
    return DirectSource(url=text)
