"""Read ``[tool.uv]`` in place of a missing ``[tool.pipshim]``, and the versions of uv.lock.

Settings with the same meaning are used. The names of all others go into one warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files
from pipshim.model.package_sources import SOURCE_KEYS, Index
from pipshim.model.value_reader import fields_by_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

_NOT_FOR_RESOLVING = frozenset({"build-backend"})
"""What is for another program than uv's resolver and installer: uv_build reads it itself."""

_AS_HERE: Mapping[str, object] = {"managed": True, "prerelease": "if-necessary"}
"""Values that say what pipshim does anyway."""

_METADATA_KEYS = ("name", "version", "requires-dist", "requires-python", "provides-extra")
_INDEX_OPTIONS = ("index-url", "extra-index-url", "find-links")
_NEVER = "sys_platform == 'none'"


def tool_of(data: Mapping[str, Any]) -> str:
    """Return whose table has the settings of a project: that of pipshim, or of uv alone."""
    tool = data.get("tool", {})
    is_of_uv = isinstance(tool, dict) and "uv" in tool and "pipshim" not in tool
    return "uv" if is_of_uv else "pipshim"


def translate(
    uv: Mapping[str, Any], known: Collection[str], groups: Iterable[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings that pipshim has too. Its reader checks the values.

    Args:
        known: the settings of ``[tool.pipshim]``.
        groups: the names of all dependency groups.

    Returns:
        the equivalent ``[tool.pipshim]``, and the names of the other settings.

    """
    ignored: list[str] = []
    table: dict[str, Any] = {}
    for key, value in uv.items():
        if key in known:
            kind, translate_value = _TRANSLATED.get(key, (object, lambda value, _: value))
            table[key] = translate_value(value, ignored) if isinstance(value, kind) else value
        elif key not in _READ_ELSEWHERE and _AS_HERE.get(key) != value:
            ignored.append(key)
    indexes = [*table.get("index", ()), *_of_options(uv)]
    if indexes:
        table["index"] = indexes
    excluded = uv.get("exclude-dependencies")
    if isinstance(excluded, list):
        excluded = [f"{name}; {_NEVER}" for name in excluded]
        table["override-dependencies"] = [*table.get("override-dependencies", ()), *excluded]
    if table.get("default-groups") == "all":
        table["default-groups"] = list(groups)
    return table, tuple(ignored)


def with_dev_dependencies(groups: Mapping[str, Any], uv: object) -> Mapping[str, Any]:
    """Return the dependency groups, with uv's older ``dev-dependencies`` in the group ``dev``."""
    dev = uv.get("dev-dependencies") if isinstance(uv, dict) else None
    if not isinstance(dev, list) or not isinstance(groups.get("dev", []), list):
        return groups
    return {**groups, "dev": [*groups.get("dev", []), *dev]}


def _sources(value: dict[str, Any], ignored: list[str]) -> object:
    return {
        name: (
            [_only(SOURCE_KEYS, entry, f"sources.{name}", ignored) for entry in entries]
            if isinstance(entries, list)
            else _only(SOURCE_KEYS, entries, f"sources.{name}", ignored)
        )
        for name, entries in value.items()
    }


def _indexes(value: list[Any], ignored: list[str]) -> object:
    return [
        {"name": f"index-{number}", **_only(fields_by_key(Index), entry, "index", ignored)}
        if isinstance(entry, dict)
        else entry
        for number, entry in enumerate(value, 1)
    ]


def _metadata(value: list[Any], ignored: list[str]) -> object:
    return [_only(_METADATA_KEYS, entry, "dependency-metadata", ignored) for entry in value]


def _requirements(value: list[Any], ignored: list[str]) -> object:
    """Leave out tables, which uv accepts too."""
    if any(isinstance(one, dict) for one in value):
        ignored.append("override-dependencies (tables)")
    return [one for one in value if not isinstance(one, dict)]


_TRANSLATED: Mapping[str, tuple[type, Callable[[Any, list[str]], object]]] = {
    "sources": (dict, _sources),
    "index": (list, _indexes),
    "dependency-metadata": (list, _metadata),
    "override-dependencies": (list, _requirements),
}
_READ_ELSEWHERE = {*_NOT_FOR_RESOLVING, *_INDEX_OPTIONS, "exclude-dependencies", "dev-dependencies"}


def _only(known: Collection[str], entry: Any, path: str, ignored: list[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    for key in entry:
        if key not in known and f"{path}.{key}" not in ignored:
            ignored.append(f"{path}.{key}")
    return {key: value for key, value in entry.items() if key in known}


def _of_options(uv: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the indexes of uv's settings that are named like pip's options."""
    found: list[dict[str, Any]] = []
    if "index-url" in uv:
        found.append({"name": "index-url", "url": uv["index-url"], "default": True})
    for key, form in (("extra-index-url", "simple"), ("find-links", "flat")):
        value = uv.get(key, [])
        for number, url in enumerate(value if isinstance(value, list) else [value], 1):
            found.append({"name": f"{key}-{number}", "url": url, "format": form})
    return found


UV_LOCK = "uv.lock"


def read_versions(directory: Path) -> dict[NormalizedName, tuple[Version, ...]]:
    """Read the versions of the packages that a uv.lock has from an index, the newest last.

    A package has several where uv resolved platforms, Pythons or conflicting extras apart.

    Args:
        directory: the project's; there need be no uv.lock in it.

    """
    found: dict[NormalizedName, set[Version]] = {}
    try:
        for one in toml_files.read(directory / UV_LOCK)["package"]:
            if "registry" in one.get("source", {}):
                versions = found.setdefault(canonicalize_name(one["name"]), set())
                versions.add(Version(one["version"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return {}  # it is not pipshim's to judge
    return {name: tuple(sorted(versions)) for name, versions in found.items()}
