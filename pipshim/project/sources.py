"""Read ``[tool.pipshim.sources]``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pipshim.model.direct_sources import DirectSource

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from pipshim.project.toml_reader import KeyPath, Reader

_KINDS = ("path", "url", "git")
_REVISIONS = ("rev", "tag", "branch")
_KNOWN = (*_KINDS, "editable", "subdirectory", *_REVISIONS)


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
