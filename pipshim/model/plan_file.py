"""Build plans as JSON: what builds need, for any machine (docs/reference/build-plan.md). Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packaging.pylock import Package, Pylock, PylockValidationError

from pipshim.base.errors import PlanError
from pipshim.base.graph_search import distances
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.artifacts import is_wheel
from pipshim.model.build_mode import Mode
from pipshim.model.pylock import as_dicts, key_of
from pipshim.model.settings import ABIS
from pipshim.model.value_reader import Reader, ReadValue, read_by

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.utils import NormalizedName

    from pipshim.base.toml_files import KeyPath
    from pipshim.model.settings import ConfigSettings, Rebuild

SCHEMA = 1
"""Raised when an older pipshim could not run a plan, or would build something else."""

LARGEST = 64 << 20
"""How many bytes a plan may have; real ones have a few thousand for each build."""

GPU_VARIABLES = frozenset({"TORCH_CUDA_ARCH_LIST"})
"""Variables that say which GPUs to compile for; without them, builds ask those of the machine."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEMES = frozenset({"http", "https", "ssh", "git+ssh"})


class _Reader(Reader):
    """Checks the values of a plan; every method raises `PlanError`."""

    separator = "_"

    def failure(self, problem: str, *, line: int | None, hint: str | None) -> PlanError:
        hint = hint or "create it: pipshim builds plan -o FILE"
        return PlanError(self.where, problem, line=line, hint=hint)

    def plan(self, data: bytes) -> PlanFile:
        plan = PlanFile(**self.fields(self.decoded(data), (), self.kinds(PlanFile)))
        return replace(plan, builds=self.in_order(plan.builds))

    def decoded(self, data: bytes) -> dict[str, object]:
        """Decode a plan of a schema that is known, which is left out."""
        if len(data) > LARGEST:
            raise self.error((), f"is larger than {LARGEST >> 20} MB")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, json.JSONDecodeError) else "not JSON"
            raise self.error((), f"invalid JSON: {reason}") from error
        if not isinstance(found, dict) or "schema" not in found:
            raise self.error((), "is not a build plan")
        schema = found.pop("schema")
        if schema is True or schema != SCHEMA:
            if isinstance(schema, int) and schema > SCHEMA:
                problem = f"has schema {schema}; this pipshim reads schema {SCHEMA}"
                hint = "upgrade pipshim here to the version that made the plan"
                raise self.error((), problem, hint=hint)
            raise self.error(("schema",), f"must be {SCHEMA}")
        return found

    def in_order(self, builds: tuple[PlannedBuild, ...]) -> tuple[PlannedBuild, ...]:
        """Check what builds need of each other; return each after what it needs."""
        path: KeyPath = ("builds",)
        known = {one.id: one for one in builds}
        if len(known) < len(builds):
            ids = [one.id for one in builds]
            twice = next(one for one in ids if ids.count(one) > 1)
            raise self.error(path, f"has {twice!r} twice")
        for build in builds:
            for needed in build.needs:
                if needed not in known:
                    raise self.error(path, f"has {build.id!r}, which needs {needed!r}: missing")
        try:
            order = [*TopologicalSorter({one.id: one.needs for one in builds}).static_order()]
        except CycleError as error:
            problem = f"wait for each other: {' -> '.join(error.args[1])}"
            raise self.error(path, problem) from error
        return tuple(known[one] for one in order)

    def builds(self, value: object, path: KeyPath) -> tuple[PlannedBuild, ...]:
        return tuple(self.build(one, at) for one, at in self.array(value, path))

    def build(self, value: object, path: KeyPath) -> PlannedBuild:
        kinds = {**self.kinds(PlannedBuild), "version": self.optional_text}
        found = self.fields(value, path, kinds)
        version = found.pop("version")
        build = PlannedBuild(**found)
        own = build.source.name, build.version, key_of(build.source)
        if own != (build.name, version, build.id):
            raise self.error((*path, "source"), f"is not that of {build.id!r}")
        return build

    def environment(self, value: object, path: KeyPath) -> tuple[Package | str, ...]:
        found: list[Package | str] = []
        for one, at in self.array(value, path):
            if isinstance(one, dict) and "build" in one:
                found.append(self.fields(one, at, {"build": self.string})["build"])
            else:
                package = self.package(one, at)
                archive = package.archive
                if not (package.wheels or (archive is not None and is_wheel(archive))):
                    raise self.error(at, "must have a wheel, or be a build of the plan")
                found.append(package)
        return tuple(found)

    def source(self, value: object, path: KeyPath) -> Package:
        package = self.package(value, path)
        if package.wheels or not (package.sdist or package.archive or package.vcs):
            raise self.error(path, "must have an sdist, an archive or a commit")
        return package

    def package(self, value: object, path: KeyPath) -> Package:
        """Read an entry of a lock whose files can be fetched by any machine."""
        data = {"lock-version": "1.0", "created-by": "", "packages": [value]}
        try:
            (package,) = Pylock.from_dict(data).packages
        except PylockValidationError as error:
            problem = str(error).replace(" in 'packages[0]'", "").replace("packages[0].", "")
            raise self.error(path, f"is not a package as in pylock.toml: {problem}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise self.error(path, "is not a package as in pylock.toml") from error
        for file in (package.sdist, package.archive, *(package.wheels or ())):
            if file is not None:
                self.check_url(file.url, path)
                if not re.fullmatch("[0-9a-f]{64}", file.hashes.get("sha256", "")):
                    raise self.error(path, "has a file without a sha256 hash")
        if (vcs := package.vcs) is not None:
            self.check_url(vcs.url, path)
            if vcs.type != "git" or not re.fullmatch("[0-9a-f]{40,64}", vcs.commit_id):
                raise self.error(path, "has no commit of a git repository")
        for placed in (package.archive, package.vcs):
            folder = (placed.subdirectory or "") if placed is not None else ""
            if folder.startswith("/") or ".." in re.split(r"[\\/]", folder):
                raise self.error(path, f"has an invalid subdirectory: {folder!r}")
        return package

    def check_url(self, url: str | None, path: KeyPath) -> None:
        try:
            scheme = urlsplit(url or "").scheme
        except ValueError:
            scheme = ""
        if scheme not in _SCHEMES:
            raise self.error(path, f"has no URL that other machines can fetch: {url!r}")

    def left_out(self, value: object, path: KeyPath) -> tuple[LeftOut, ...]:
        kinds = self.kinds(LeftOut)
        return tuple(LeftOut(**self.fields(one, at, kinds)) for one, at in self.array(value, path))

    def fields(
        self, value: object, path: KeyPath, kinds: Mapping[str, ReadValue]
    ) -> dict[str, Any]:
        """Read a table with exactly these keys."""
        return self.record(value, path, kinds, needs=kinds)

    def string(self, value: object, path: KeyPath) -> str:
        """Return a text that can be written and passed on."""
        text = super().string(value, path)
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.error(path, "has an invalid character")
        return text

    def optional_text(self, value: object, path: KeyPath) -> str | None:
        return None if value is None else self.string(value, path)

    def name(self, value: object, path: KeyPath) -> NormalizedName:
        """Return a name that is normalised already."""
        name = super().name(value, path)
        if name != value:
            raise self.error(path, f"must be normalised: {name!r}")
        return name

    def mode(self, value: object, path: KeyPath) -> Mode:
        return Mode(self.word(value, path, tuple(map(str, Mode))))

    def count(self, value: object, path: KeyPath) -> int | None:
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(path, "must be a whole number above 0, or null")
        return value

    def variables(self, value: object, path: KeyPath) -> dict[str, str]:
        found = self.texts(value, path)
        for name in found:
            if not _VARIABLE.fullmatch(name):
                raise self.error(path, f"has an invalid name of a variable: {name!r}")
        return found

    def digests(self, value: object, path: KeyPath) -> dict[str, str | None]:
        table = self.table(value, path)
        self.variables(dict.fromkeys(table, ""), path)
        return {key: self.optional_text(one, (*path, key)) for key, one in table.items()}

    def rebuild(self, value: object, path: KeyPath) -> Rebuild:
        if value in ("auto", "exact"):
            return "auto" if value == "auto" else "exact"
        return frozenset(self.name(one, at) for one, at in self.array(value, path))

    def abi(self, value: object, path: KeyPath) -> dict[str, str]:
        found = self.table(value, path).items()
        return {self.string(key, path): self.word(one, (*path, key), ABIS) for key, one in found}


@dataclass(frozen=True)
class PlannedBuild:
    """One build of a plan.

    Attributes:
        id: names it in the plan (`pipshim.model.pylock.key_of`).
        name: the distribution.
        source: its entry, as in a lock (PEP 751), with an sdist, archive or commit.
        mode: the build mode.
        chosen_by: who chose it.
        requirements: its build requirements, declared and extra.
        environment: in order, the entries of wheels, and the ids of builds.
        config_settings: for the backend.
        variables: those that the project sets for the build.
        reads: those of `GPU_VARIABLES` that an earlier build read.
        cores: how many an earlier build used; None if not known.
        memory: how many bytes it needs: configured, or measured; None if not known.
        combination: of conflicting extras and groups, if its environment depends on it.

    """

    id: str = read_by(_Reader.string)
    name: NormalizedName = read_by(_Reader.name)
    source: Package = read_by(_Reader.source)
    mode: Mode = read_by(_Reader.mode)
    chosen_by: str = read_by(_Reader.string)
    requirements: tuple[str, ...] = read_by(_Reader.strings, default=())
    environment: tuple[Package | str, ...] = read_by(_Reader.environment, default=())
    config_settings: ConfigSettings = read_by(_Reader.config_settings, default_factory=dict)
    variables: Mapping[str, str] = read_by(_Reader.variables, default_factory=dict)
    reads: tuple[str, ...] = read_by(_Reader.strings, default=())
    cores: int | None = read_by(_Reader.count, default=None)
    memory: int | None = read_by(_Reader.count, default=None)
    combination: str = read_by(_Reader.string, default="")

    @property
    def version(self) -> str | None:
        """Its version; None if only the build can tell."""
        return str(self.source.version) if self.source.version is not None else None

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the builds that it needs."""
        return tuple(one for one in self.environment if isinstance(one, str))

    def to_json(self) -> dict[str, Any]:
        names = ("id", "name", "version", *list(vars(self))[2:])
        return {name: _plain(getattr(self, name)) for name in names} | {
            "environment": [
                {"build": one} if isinstance(one, str) else _plain(one) for one in self.environment
            ],
        }


@dataclass(frozen=True)
class LeftOut:
    """A build that a plan cannot describe, and why."""

    name: str = read_by(_Reader.string)
    version: str | None = read_by(_Reader.optional_text)
    reason: str = read_by(_Reader.string)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self)}


@dataclass(frozen=True)
class PlanFile:
    """Builds, each after those that it needs, and the machine that they are for.

    Attributes:
        pipshim: the version that made the plan.
        python: implementation and minor version, as in build records.
        python_abi: the ABI tag of its wheels, which tells debug and free-threaded builds.
        platform: system and machine, as in build records.
        tools: by name, the version that a compiler or program must have.
        variables: environment variables of compilers that were set where the plan was made.
        own_variables: such variables whose value names paths: each machine has its own. Digests of
            values that are nothing else, which count in records; None of others.
        constraints: of all isolated and matched builds.
        record_variables, ignore_variables: patterns of variables that count, or not, in records.
        rebuild, abi: how far records may differ from what is planned
            (`pipshim.model.build_settings.Settings`).
        left_out: what is built where it is installed.

    """

    pipshim: str = read_by(_Reader.string)
    python: str = read_by(_Reader.string)
    python_abi: str = read_by(_Reader.string)
    platform: str = read_by(_Reader.string)
    tools: Mapping[str, str] = read_by(_Reader.texts, default_factory=dict)
    variables: Mapping[str, str] = read_by(_Reader.variables, default_factory=dict)
    own_variables: Mapping[str, str | None] = read_by(_Reader.digests, default_factory=dict)
    constraints: tuple[str, ...] = read_by(_Reader.strings, default=())
    record_variables: tuple[str, ...] = read_by(_Reader.strings, default=())
    ignore_variables: tuple[str, ...] = read_by(_Reader.strings, default=())
    rebuild: Rebuild = read_by(_Reader.rebuild, default="auto")
    abi: Mapping[str, str] = read_by(_Reader.abi, default_factory=dict)
    builds: tuple[PlannedBuild, ...] = read_by(_Reader.builds, default=())
    left_out: tuple[LeftOut, ...] = read_by(_Reader.left_out, default=())

    @property
    def by_id(self) -> dict[str, PlannedBuild]:
        return {one.id: one for one in self.builds}

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA} | {name: _plain(value) for name, value in vars(self).items()}

    def write(self) -> str:
        return json.dumps(self.to_json(), indent=2) + "\n"

    def part(self, ids: Iterable[str]) -> PlanFile:
        """Return the plan of these builds and what they need."""
        known = self.by_id
        wanted = distances(ids, lambda one: known[one].needs)
        return replace(self, builds=tuple(one for one in self.builds if one.id in wanted))


def _plain(value: object) -> Any:
    """Return the value of a field as JSON has it."""
    match value:
        case PlannedBuild() | LeftOut():
            return value.to_json()
        case Mode():
            return str(value)
        case Package():
            return as_dicts([value])[0]
        case Mapping():
            return dict(value)
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(one) for one in value]
    return value


def read_plan(data: bytes, path: Path | str) -> PlanFile:
    """Read a plan.

    Args:
        data: what the file has.
        path: what errors call it.

    Raises:
        PlanError: it is damaged, or of a newer pipshim.

    """
    return _Reader(path).plan(data)
