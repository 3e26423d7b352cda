"""Write the lines that hints give to paste or to type. Pure.

Whoever pastes a line replaces the one that is there. So each line repeats what the user has written
or typed already.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from pipshim.base import toml_files
from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_DISTRIBUTION = r"\s*(\w[\w.-]*)(?![\w./:\\-])"


@dataclass(frozen=True)
class UserInput:
    """What the user has written and typed.

    Attributes:
        document: pyproject.toml with the settings, or a script's metadata.
        groups: the dependency groups: of a workspace's member, its own.
        groups_file: the file of the groups, if that is not the one of the settings.
        is_script: whether this is a script's metadata.
        files: the requirements files that are read in place of a project.
        requirements: those in the command.
        option: goes before each of these, as ``--with`` does.
        extra: by package, the extra build dependencies in the command.
        typed: say what to type, not what to write in pyproject.toml.

    """

    document: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)
    groups_file: str = ""
    is_script: bool = False
    files: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    option: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    typed: bool = False

    @property
    def tool(self) -> str:
        """The table of ``tool`` that the settings are read from."""
        tools = _table(self.document, ("tool",))
        return "uv" if "uv" in tools and "pipshim" not in tools else "pipshim"

    @property
    def group(self) -> str:
        """The dependency group that what a build needs belongs in: one that is installed."""
        default = _table(self.document, ("tool", self.tool)).get("default-groups")
        if not isinstance(default, list) or not default or "dev" in default:
            return "dev"
        return str(default[0])

    @property
    def run_time(self) -> str:
        """Name the requirements that the project environment is made of."""
        kind = "dependencies" if self.is_script else f"requirements of the group {self.group}"
        return f"The {kind}"

    def setting(self, table: str, key: str, change: Callable[[Any], object]) -> str:
        """Return the lines of a setting, with ``table`` below ``[tool.pipshim]``.

        Args:
            table: its table, or ``""``.
            key: the setting, or a package in the table.
            change: return the new value for the one that is there, or for None.

        """
        path = ("tool", self.tool, *([table] if table else []))
        return self._block(path, _table(self.document, path), key, change)

    def extra_dependencies(self, package: str, requirement: str) -> str:
        """Return the lines that add a requirement to the build environment of a package."""
        return self.setting(
            "extra-build-dependencies",
            package,
            lambda old: merge([*_array(old), *self._typed_extra(package, old)], (), requirement),
        )

    def variables(self, package: str, variables: Mapping[str, str]) -> str:
        """Return the lines that set variables for the builds of a package."""
        return self.setting(
            "extra-build-variables",
            package,
            lambda old: {**(old if isinstance(old, dict) else {}), **variables},
        )

    def without_isolation(self, package: str) -> str:
        """Return the lines that have a package built without isolation."""

        def change(old: Any) -> object:
            names = _array(old)
            known = {canonicalize_name(str(one)) for one in names}
            return names if package in known else [*names, package]

        return self.setting("", "no-build-isolation-package", change)

    def constraint(self, bound: str) -> str:
        """Return the lines of a constraint, in place of an earlier bound of that kind."""
        earlier = re.compile(rf"{re.escape(re.split(r'(?<=[<>])', bound)[0])}[\w.+]+")

        def change(old: Any) -> object:
            kept = [one for one in _array(old) if not earlier.fullmatch(_text(one))]
            return merge(kept, (), bound)

        return self.setting("", "constraint-dependencies", change)

    def constrain(self, bound: str) -> str:
        """Say how to add a constraint."""
        if self.typed:
            return f", as in {toml_files.inline(bound)}"
        return f", in pyproject.toml:\n{self.constraint(bound).rstrip()}"

    def installed(self, declared: Sequence[str], requirement: str) -> str:
        """Return the lines that have requirements installed in the project environment."""

        def change(old: Any) -> object:
            return merge(_array(old), declared, requirement)

        if self.is_script:
            return self._block((), self.document, "dependencies", change)
        default = ""
        if _table(self.document, ("tool", self.tool)).get("default-groups") == []:
            default = self.setting("", "default-groups", lambda _: [self.group])
        return default + self._block(
            ("dependency-groups",), self.groups, self.group, change, self.groups_file
        )

    def is_installed(self, requirement: str) -> bool:
        """Return whether the project environment gets a requirement by what is there already."""
        if self.typed:
            return False
        tables = self.document if self.is_script else self.groups
        key = "dependencies" if self.is_script else self.group
        return _has(_array(tables.get(_same_key(tables, key))), requirement)

    def is_extra(self, package: str, requirement: str) -> bool:
        """Return whether a package's build environment gets a requirement already."""
        table = _table(self.document, ("tool", self.tool, "extra-build-dependencies"))
        old = _array(table.get(_same_key(table, package)))
        return _has([*old, *self._typed_extra(package, old)], requirement)

    def extra_options(self, package: str, requirement: str) -> str:
        """Return the options that add a requirement to the build environment of a package."""
        found = merge(self.extra.get(package, ()), (), requirement)
        return " ".join(
            f"--extra-build-dependency {shlex.quote(f'{package}={one}')}" for one in found
        )

    def arguments(self, package: str, declared: Sequence[str], requirement: str) -> str:
        """Return the requirements to name in a command, beside the package."""
        named = [one for one in self.requirements if distribution(one) != package]
        option = f"{self.option} " if self.option else ""
        return " ".join(option + shlex.quote(one) for one in merge(named, declared, requirement))

    def _typed_extra(self, package: str, old: Any) -> list[str]:
        return [one for one in self.extra.get(package, ()) if one not in _array(old)]

    def _block(
        self,
        path: tuple[str, ...],
        table: Mapping[str, Any],
        key: str,
        change: Callable[[Any], object],
        file: str = "",
    ) -> str:
        name = _same_key(table, key)
        value = toml_files.inline(change(table.get(name)))
        replaces = f"  # replaces the {name} that is there" if name in table else ""
        there = "  # add to this table" if table and not replaces else ""
        there = f"  # of {file}" if file else there
        lines = [f"{toml_files.key(name)} = {value}{replaces}"]
        if path:
            lines.insert(0, f"[{'.'.join(map(toml_files.key, path))}]{there}")
        mark = "# " if self.is_script else ""
        return "".join(["\n", *(f"    {mark}{line}\n" for line in lines)])


def merge(old: Iterable[Any], declared: Sequence[str], requirement: str) -> list[Any]:
    """Add what a build needs to requirements: those that it declares, and one that it lacks.

    Args:
        old: the requirements that are there; tables among them stay as they are.
        declared: those of the build, which may include the missing one.
        requirement: the missing one.

    """
    missing = distribution(requirement)
    same = [one for one in declared if distribution(one) == missing]
    others = [one for one in declared if one not in same]
    lacking = same if same and _is_bare(requirement, requirement) else [requirement]
    merged = list(old)
    there = {_name(one) for one in merged}
    merged += [one for one in others if distribution(one) not in there]
    for one in lacking:
        if _has(merged, one):
            continue
        alike = next((at for at, each in enumerate(merged) if _is_bare(each, one)), len(merged))
        merged[alike : alike + 1] = [one]
    return merged


def distribution(requirement: str) -> str | None:
    """Return the name that a requirement begins with; None for a path."""
    match = re.match(_DISTRIBUTION, requirement)
    return canonicalize_name(match[1]) if match else None


def _text(entry: Any) -> str:
    text = entry.get("requirement", "") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else ""


def _name(entry: Any) -> str | None:
    """Return what an entry requires in every environment, if it is one distribution."""
    return None if ";" in _text(entry) else distribution(_text(entry))


def _is_bare(entry: Any, requirement: str) -> bool:
    """Return whether an entry is the name of the distribution of a requirement, and no more."""
    return (
        isinstance(entry, str)
        and re.fullmatch(_DISTRIBUTION, entry.rstrip()) is not None
        and distribution(entry) == distribution(requirement)
    )


def _has(entries: Iterable[Any], requirement: str) -> bool:
    """Return whether entries include a requirement, or a narrower one for every environment."""
    bare = _is_bare(requirement, requirement)
    return any(
        _text(entry) == requirement or (bare and _name(entry) == distribution(requirement))
        for entry in entries
    )


def _array(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _table(document: Mapping[str, Any], path: Iterable[str]) -> Mapping[str, Any]:
    found: Any = document
    for key in path:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _same_key(table: Mapping[str, Any], key: str) -> str:
    """Return the key as the table spells it."""
    name = canonicalize_name(key)
    return next((one for one in table if canonicalize_name(one) == name), key)
