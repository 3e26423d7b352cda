"""Read a project from pyproject.toml (PEP 621, PEP 735), or a script's metadata (PEP 723).

Only files are read, so values that ``dynamic`` names are unknown.
"""

from __future__ import annotations

import functools
import operator
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.dependency_groups import CyclicDependencyGroup, DependencyGroupResolver
from packaging.errors import ExceptionGroup
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base import toml_files
from pipshim.base.errors import FileError, ProjectError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.spelling import nearest
from pipshim.base.toml_files import KeyPath, line_finder
from pipshim.model.combinations import PROJECT, origin_of_member
from pipshim.model.project import PYPROJECT, STDIN, Project
from pipshim.model.settings import SETTINGS, Configuration, load_configuration
from pipshim.model.value_reader import Reader
from pipshim.project import script_metadata, uv_settings
from pipshim.project.conflicts import read_conflicts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from packaging.markers import Marker
    from packaging.version import Version

    from pipshim.model.package_sources import Index
    from pipshim.model.settings import Configuration

    _Given = tuple[NormalizedName, frozenset[Marker]]  # an extra, and the markers it is under

_SCRIPT_KEYS = ("requires-python", "dependencies", "tool")


def find_project(start: Path) -> Path:
    """Return the folder of the nearest pyproject.toml: ``start``, or one of its parents.

    Raises:
        ProjectError: there is none, or ``start`` is no folder.

    """
    try:
        # `..` after a symbolic link is not the link's parent: only the file system knows
        start = start.resolve() if ".." in start.parts else start.absolute()
        if not start.is_dir():
            problem = "is not a folder" if start.exists() else "there is no such folder"
            raise ProjectError(start, problem, hint=f"give the folder that has the {PYPROJECT}")
        for folder in (start, *start.parents):
            if _exists(folder / PYPROJECT):
                return folder
    except OSError as error:
        raise ProjectError(start, f"cannot be read: {error.strerror}") from error
    raise ProjectError(
        start,
        f"no {PYPROJECT} in this folder or any above it",
        hint=_how_to_begin(start),
    )


def find_if_any(start: Path) -> Path | None:
    """Return the folder of the nearest pyproject.toml; None if there is none."""
    try:
        return find_project(start)
    except ProjectError:
        return None


def _how_to_begin(folder: Path) -> str:
    """Return a hint on how to make a project of a folder, based on its files."""
    hint = "change to the project's folder, or name it with --project DIR"
    for path in sorted(folder.glob("*requirements*.txt")):
        hint += f"\nor lock {path.name}:\n\n    pipshim lock -r {shlex.quote(path.name)}\n"
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "my-project"
    return (
        f'{hint}\nor write a {PYPROJECT}:\n\n    [project]\n    name = "{name}"\n'
        '    version = "0.1"\n    dependencies = []'
    )


def _exists(file: Path) -> bool:
    """Return whether anything has this name, a dangling link or a folder included.

    These are refused when they are read: continuing with a parent would serve another project.
    """
    try:
        file.lstat()
    except FileNotFoundError:
        return False
    return True


def read_project(directory: Path, text: str, more_indexes: Iterable[Index] = ()) -> Project:
    """Read a pyproject.toml, without regard to a workspace.

    Args:
        text: its text, which may not be written yet.
        more_indexes: the indexes of its workspace.

    Raises:
        ProjectError: it is invalid; with the line.

    """
    file = directory / PYPROJECT
    try:
        reader = Reader(file, line_finder(text))
        return _project(directory, _parse_toml(text, file), reader, more_indexes)
    except RecursionError:
        raise ProjectError(file, "arrays, tables or includes are nested too deeply") from None


def load_script(path: Path, source: bytes | None = None) -> Project | None:
    """Read a script's metadata (PEP 723); None without any.

    Args:
        path: the script; `STDIN` for one without a file.
        source: its text, if that is known.

    Raises:
        ProjectError: it cannot be read, or is invalid; with the line.

    """
    if source is None:
        try:
            source = path.read_bytes()
        except OSError as error:
            raise ProjectError(path, f"cannot be read: {error.strerror}") from error
    try:
        found = script_metadata.find(source)
        if found is None:
            return None
        block, line = found
        # As many empty lines before it, and every line is told as that of the script.
        text = "\n" * (line - 1) + block.decode("utf-8")
    except script_metadata.BlockError as error:
        raise ProjectError(path, str(error), line=error.line) from None
    except UnicodeDecodeError:
        raise ProjectError(path, "has metadata that is not UTF-8") from None
    reader = Reader(path, line_finder(text))
    try:
        return _script(path, _parse_toml(text, path), reader, block)
    except RecursionError:
        raise ProjectError(path, "has metadata that is nested too deeply") from None


def _script(path: Path, data: dict[str, Any], reader: Reader, block: bytes) -> Project:
    for key in data:
        if key not in _SCRIPT_KEYS:
            raise ProjectError(
                path,
                f"unknown key {key!r} in the script's metadata;"
                f" did you mean {nearest(key, _SCRIPT_KEYS)!r}?",
                line=reader.line_of((key,)),
            )
    configuration, ignored = _configuration(reader, data, {})
    made = Project(
        directory=Path.cwd() if path == STDIN else path.absolute().parent,
        display_name=path.name,
        requires_python=reader.get(data, (), "requires-python", reader.specifiers),
        dependencies=reader.get(data, (), "dependencies", reader.requirements, ()),
        configuration=configuration,
        ignored_settings=ignored,
        script=path if path == STDIN else path.absolute(),
        block=block,
    )
    read_conflicts(
        reader, ("tool", uv_settings.tool_of(data)), made, (), {}
    )  # a script has neither extras nor groups
    return made


def read_text(file: Path) -> str:
    """Read a pyproject.toml.

    Raises:
        ProjectError: it cannot be read, or is not UTF-8.

    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ProjectError(
            file, "there is no such file", hint=f"name the folder of a {PYPROJECT} with --project"
        ) from None
    except OSError as error:
        raise ProjectError(file, f"cannot be read: {error.strerror}") from error
    try:
        return toml_files.decode(data)
    except toml_files.TomlError as error:
        raise ProjectError(file, error.problem, line=error.line, hint="save it as UTF-8") from None


def _parse_toml(text: str, file: Path) -> dict[str, Any]:
    try:
        return toml_files.loads(text)
    except toml_files.TomlError as error:
        raise ProjectError(file, error.problem, line=error.line) from None


def _project(
    directory: Path, data: dict[str, Any], reader: Reader, more_indexes: Iterable[Index]
) -> Project:
    project = reader.table(data.get("project", {}), ("project",))
    get = functools.partial(reader.get, project, ("project",))
    name: NormalizedName | None = get("name", reader.name)
    version: Version | None = get("version", reader.version)
    dynamic = frozenset(get("dynamic", reader.strings, ()))
    if "project" in data:
        _check_keys(reader, project, dynamic)
    optional = list(get("optional-dependencies", reader.by_name, ()))
    extras = {extra: reader.requirements(items, at) for extra, items, at in optional}
    dependencies: tuple[Requirement, ...] = get("dependencies", reader.requirements, ())
    own = _OwnExtras(reader, name, version, extras, "optional-dependencies" in dynamic)
    for extra, _, at in optional:
        own.check(extras[extra], at)
    own.check(dependencies, ("project", "dependencies"))
    written = data.get("dependency-groups", {})
    if uv_settings.tool_of(data) == "uv" and isinstance(written, dict):
        written = uv_settings.with_dev_dependencies(written, data["tool"]["uv"])
    groups = _dependency_groups(reader, written, own)
    configuration, ignored = _configuration(reader, data, groups, more_indexes)
    made = Project(
        directory=directory,
        name=name,
        display_name=project.get("name", directory.absolute().name),
        version=project.get("version"),
        requires_python=get("requires-python", reader.specifiers),
        dependencies=own.expand(dependencies),
        optional_dependencies={extra: own.expand(extras[extra], extra) for extra in extras},
        dependency_groups=groups,
        dynamic=dynamic,
        has_build_system=_has_build_system(reader, data),
        configuration=configuration,
        ignored_settings=ignored,
    )
    includes = {PROJECT: own.named_in(dependencies), **_included_by_groups(written, own)}
    includes |= {f"extra {extra}": own.named_in(of) for extra, of in extras.items()}
    return _with_conflicts(made, reader, data, includes)


def _check_keys(reader: Reader, project: Mapping[str, object], dynamic: Collection[str]) -> None:
    """Check the keys of the project table."""
    if "name" not in project:
        raise reader.error(("project",), "has no 'name'", hint='write one: name = "my-project"')
    for key in project:
        if key in dynamic:
            raise reader.error(("project", key), "is both given and listed in project.dynamic")


def _with_conflicts(
    project: Project, reader: Reader, data: dict[str, Any], includes: Mapping[str, set[str]]
) -> Project:
    """Add the conflicts of extras and groups, and which of them include each other."""
    sets, ignored = project.configuration.conflicts, project.ignored_settings
    origins = list(project.lists)
    if project.name is not None:
        sets = _naming_itself(sets, project.name, origins, project.dynamic)
    if uv_settings.tool_of(data) == "uv" and any(PROJECT in each for each in sets):
        ignored = (*ignored, "conflicts (of the project itself)")
        sets = tuple(each for each in sets if PROJECT not in each)
    made = replace(
        project,
        configuration=replace(project.configuration, conflicts=sets),
        ignored_settings=ignored,
    )
    return replace(
        made,
        conflicts=read_conflicts(
            reader, ("tool", uv_settings.tool_of(data)), made, origins, includes
        ),
        includes={origin: frozenset(names) for origin, names in includes.items() if names},
    )


def _naming_itself(
    sets: Iterable[tuple[str, ...]],
    name: NormalizedName,
    origins: Iterable[str],
    dynamic: Collection[str],
) -> tuple[tuple[str, ...], ...]:
    """Return conflicts, where the project is named as their package too, with its own origins."""
    plain = {origin_of_member(name, origin): origin for origin in origins}
    extra = origin_of_member(name, "extra ")

    def own(origin: str) -> str:
        if "optional-dependencies" in dynamic and origin.startswith(extra):
            return f"extra {origin.removeprefix(extra)}"
        return plain.get(origin, origin)

    return tuple(tuple(map(own, each)) for each in sets)


def _included_by_groups(
    raw: Mapping[str, Iterable[str | Mapping[str, str]]], own: _OwnExtras
) -> dict[str, set[str]]:
    """Return the groups and extras that each group includes."""
    return {
        f"group {canonicalize_name(name)}": {
            *own.named_in(Requirement(item) for item in items if isinstance(item, str)),
            *(
                f"group {canonicalize_name(item['include-group'])}"
                for item in items
                if not isinstance(item, str)
            ),
        }
        for name, items in raw.items()
    }


def _has_build_system(reader: Reader, data: dict[str, Any]) -> bool:
    if "build-system" not in data:
        return False
    table = reader.table(data["build-system"], ("build-system",))
    if "requires" not in table:
        raise reader.error(("build-system",), "has no 'requires' (PEP 518)")
    reader.requirements(table["requires"], ("build-system", "requires"))
    return True


def _configuration(
    reader: Reader,
    data: dict[str, Any],
    groups: Mapping[str, object],
    more_indexes: Iterable[Index] = (),
) -> tuple[Configuration, tuple[str, ...]]:
    """Read the settings; return the ignored ones of another tool too."""
    tool = reader.table(data.get("tool", {}), ("tool",))
    name = uv_settings.tool_of(data)
    table = tool.get(name, {})
    ignored: tuple[str, ...] = ()
    if name == "uv":
        uv = reader.table(table, ("tool", "uv"))
        table, ignored = uv_settings.translate(uv, SETTINGS, groups)
    configuration = load_configuration(reader, table, name, more_indexes)
    if configuration.default_groups:
        for index, written in enumerate(table["default-groups"]):
            if canonicalize_name(written) not in groups:
                raise _unknown_group(
                    reader, ("tool", name, "default-groups", index), written, groups
                )
    return configuration, ignored


def _dependency_groups(
    reader: Reader, value: object, own: _OwnExtras
) -> dict[str, tuple[Requirement, ...]]:
    path: KeyPath = ("dependency-groups",)
    raw = reader.table(value, path)
    entries = list(reader.by_name(raw, path))
    groups: dict[str, KeyPath] = {name: at for name, _, at in entries}
    includes: dict[tuple[str, str], KeyPath] = {}
    for name, items, at in entries:
        for item, here in reader.array(items, at):
            if isinstance(item, dict):
                entry = reader.known_table(item, here, ("include-group",))
                if not entry:
                    raise reader.error(here, "has no 'include-group'")
                included = reader.string(entry["include-group"], here)
                if canonicalize_name(included) not in groups:
                    raise _unknown_group(reader, here, included, groups)
                includes[name, canonicalize_name(included)] = here
            elif isinstance(item, str):
                own.check_requirement(reader.requirement(item, here), here)
            else:
                raise reader.wrong_type(here, "a requirement or {include-group}", item)
    resolver = DependencyGroupResolver(raw)
    try:
        return {name: own.expand(resolver.resolve(name)) for name in groups}
    except ExceptionGroup as group:
        # all that the resolver can find besides was looked for above
        cycle = group.exceptions[0]
        if not isinstance(cycle, CyclicDependencyGroup):
            raise
        # packaging gives the names as they are written, or normalized since 26.4
        inner, outer = canonicalize_name(cycle.group), canonicalize_name(cycle.include_group)
        here = includes[inner, outer]
        raise reader.error(
            here,
            f"closes a cycle of groups: {inner!r} is included by {outer!r}"
            if inner != outer
            else f"makes the group {inner!r} include itself",
        ) from None


def _unknown_group(
    reader: Reader, path: KeyPath, name: str, groups: Mapping[str, object]
) -> FileError:
    hint = f"the groups are: {', '.join(groups)}" if groups else "there is no [dependency-groups]"
    return reader.error(path, f"names a group that does not exist: {name!r}", hint=hint)


@dataclass(frozen=True)
class _OwnExtras:
    """The project's extras, which replace requirements of the project on itself."""

    reader: Reader
    name: NormalizedName | None
    version: Version | None
    extras: Mapping[NormalizedName, tuple[Requirement, ...]]
    dynamic: bool

    def check(self, requirements: Iterable[Requirement], path: KeyPath) -> None:
        """Refuse references to the project that cannot be replaced."""
        for index, requirement in enumerate(requirements):
            self.check_requirement(requirement, (*path, index))

    def check_requirement(self, requirement: Requirement, path: KeyPath) -> None:
        if not self._is_own(requirement):
            return
        text = str(requirement)
        if requirement.url is not None:
            raise self.reader.error(path, f"requires the project itself from a URL: {text!r}")
        if self.version is not None and not requirement.specifier.contains(
            self.version, prereleases=True
        ):
            raise self.reader.error(
                path, f"requires another version of the project ({self.version}): {text!r}"
            )
        for extra in sorted(requirement.extras):
            if canonicalize_name(extra) not in self.extras and not self.dynamic:
                known = ", ".join(self.extras)
                raise self.reader.error(
                    path,
                    f"names an extra that the project does not have: {extra!r}",
                    hint=f"the extras are: {known}" if known else "the project has no extras",
                )

    def named_in(self, requirements: Iterable[Requirement]) -> set[str]:
        """Return the extras that requirements of the project on itself name, as origins."""
        return {
            f"extra {canonicalize_name(extra)}"
            for requirement in requirements
            if self._is_own(requirement)
            for extra in requirement.extras
        }

    def expand(
        self, requirements: Iterable[Requirement], *of: NormalizedName
    ) -> tuple[Requirement, ...]:
        """Replace references to extras, in order, each requirement once."""
        seen: list[_Given] = [(extra, frozenset()) for extra in of]
        return tuple(dict.fromkeys(self._expand(requirements, (), seen)))

    def _expand(
        self,
        requirements: Iterable[Requirement],
        markers: tuple[Marker, ...],
        seen: list[_Given],
    ) -> Iterator[Requirement]:
        """Yield the requirements that hold where all of ``markers`` do.

        ``seen`` has the extras already yielded, with their markers: one that was yielded under some
        of these markers has nothing to add, which also ends cycles.
        """
        for requirement in requirements:
            if not self._is_own(requirement) or (self.dynamic and requirement.extras):
                yield _under(requirement, markers)
                continue
            inner = markers
            if requirement.marker is not None and requirement.marker not in markers:
                inner = (*markers, requirement.marker)
            for extra in sorted(map(canonicalize_name, requirement.extras)):
                if not any(extra == other and given.issubset(inner) for other, given in seen):
                    seen.append((extra, frozenset(inner)))
                    yield from self._expand(self.extras[extra], inner, seen)

    def _is_own(self, requirement: Requirement) -> bool:
        return canonicalize_name(requirement.name) == self.name


def _under(requirement: Requirement, markers: tuple[Marker, ...]) -> Requirement:
    if not markers:
        return requirement
    own = () if requirement.marker in (None, *markers) else (requirement.marker,)
    narrowed = Requirement(str(requirement))
    narrowed.marker = functools.reduce(operator.and_, (*own, *markers))
    return narrowed
