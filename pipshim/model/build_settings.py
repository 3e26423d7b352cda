"""Combine the build settings of commands, variables, files of requirements and the project."""

from __future__ import annotations

from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_mode import ALL, IsolationLayer, ModeChoice, choose
from pipshim.model.build_variables import VariableRules
from pipshim.model.option_parsing import (
    COMMAND_LINE,
    extras_by_package,
    isolation_layer,
    settings_by_package,
)
from pipshim.model.settings import Configuration, ExtraBuildRequirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from optparse import Values

    from packaging.utils import NormalizedName

    from pipshim.model.requests import BuildOptions
    from pipshim.model.settings import ConfigSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Settings(Configuration):
    """How to build, for every package: what the project says, with what the command says.

    Attributes:
        layers: the isolation settings, the strongest first.
        config_settings_requirement: from a requirement or the lock, for one package's backend; they
            add to the general ones, and those of `config_settings_package` to both.
        constraint_lines: the lines of the files of ``--build-constraint``.
        check: check that a no-isolation build has what it declares.
        rebuilt: packages to build even if a wheel could be reused, or `ALL`.
        own_variables: digests that count in place of what this machine has.

    """

    layers: tuple[IsolationLayer, ...] = ()
    config_settings_requirement: Mapping[NormalizedName, ConfigSettings] = field(
        default_factory=dict
    )
    constraint_lines: tuple[str, ...] = ()
    check: bool = False
    rebuilt: frozenset[str] = frozenset()
    own_variables: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def constraints(self) -> tuple[str, ...]:
        """The constraints of isolated and matched builds, as text."""
        stated = map(str, self.build_constraint_dependencies)
        return tuple(sorted({*stated, *self.constraint_lines}))

    def choice(self, name: NormalizedName) -> ModeChoice:
        """Choose a package's mode; whether an isolated build is matched is decided later."""
        return choose(name, self.layers)

    def is_rebuilt(self, name: NormalizedName) -> bool:
        """Return whether a package is built even if a wheel could be reused."""
        return name in self.rebuilt or ALL in self.rebuilt

    def is_exact(self, name: NormalizedName) -> bool:
        """Return whether every distribution that a package's build used counts."""
        if isinstance(self.rebuild, str):
            return self.rebuild == "exact"
        return name in self.rebuild

    def config_for(self, name: NormalizedName) -> dict[str, str | list[str]]:
        """Merge the config settings for one package, its own last."""
        return {
            **self.config_settings,
            **self.config_settings_requirement.get(name, {}),
            **self.config_settings_package.get(name, {}),
        }

    def variables_for(self, name: NormalizedName) -> dict[str, str]:
        return dict(self.extra_build_variables.get(name, {}))

    @property
    def rules(self) -> VariableRules:
        """Which variables count in build records."""
        return VariableRules(self.record_variables, self.ignore_variables, own=self.own_variables)

    def rules_for(self, name: NormalizedName) -> VariableRules:
        """Return which variables count in the records of a package's builds."""
        return self.rules._replace(given=frozenset(self.extra_build_variables.get(name, ())))

    def as_data(self) -> dict[str, Any]:
        """Return everything that could change a lock, as plain data in a fixed order."""
        return {
            "isolation": [
                [layer.no_build_isolation, sorted(layer.packages)]
                for layer in self.layers
                if layer.no_build_isolation is not None or layer.packages
            ],
            "match-runtime": (
                self.match_runtime
                if isinstance(self.match_runtime, str)
                else sorted(self.match_runtime)
            ),
            "extra": {
                name: sorted([str(one.requirement), one.match_runtime] for one in extras)
                for name, extras in sorted(self.extra_build_dependencies.items())
            },
            "variables": {
                name: dict(sorted(v.items()))
                for name, v in sorted(self.extra_build_variables.items())
            },
            "config": dict(sorted(self.config_settings.items())),
            "config-package": {
                name: dict(sorted(v.items()))
                for name, v in sorted(self.config_settings_package.items())
            },
            "constraints": sorted(map(str, self.build_constraint_dependencies)),
            "static": sorted(map(repr, self.dependency_metadata)),
        }


def combine(
    options: BuildOptions, configuration: Configuration, file: str = "pyproject.toml"
) -> Settings:
    """Combine a request with pyproject.toml (or another `file`)."""
    project = IsolationLayer(
        file,
        configuration.no_build_isolation,
        configuration.no_build_isolation_package,
    )
    extra = {
        name: tuple(ExtraBuildRequirement(one, match_runtime=False) for one in found)
        for name, found in options.extra_build_dependencies.items()
    }
    changes = {
        "layers": (*options.layers_above, project, *options.layers_below),
        "extra_build_dependencies": _appended(configuration.extra_build_dependencies, extra),
        "config_settings": {**configuration.config_settings, **options.config_settings},
        "config_settings_package": _updated(
            configuration.config_settings_package, options.config_settings_package
        ),
        "constraint_lines": tuple(_lines(options.build_constraints)),
        "check": options.check_build_dependencies,
        "rebuilt": options.rebuild,
    }
    return Settings(**{**vars(configuration), **changes})


def _appended(
    first: Mapping[NormalizedName, tuple[T, ...]], more: Mapping[NormalizedName, tuple[T, ...]]
) -> dict[NormalizedName, tuple[T, ...]]:
    """Return what packages have in one table, and then in the other."""
    return {name: (*first.get(name, ()), *more.get(name, ())) for name in {**first, **more}}


def _updated(
    first: Mapping[NormalizedName, ConfigSettings], more: Mapping[NormalizedName, ConfigSettings]
) -> dict[NormalizedName, ConfigSettings]:
    """Return the settings of packages in two tables; the second one wins."""
    return {name: {**first.get(name, {}), **more.get(name, {})} for name in {**first, **more}}


def _lines(paths: Iterable[str]) -> Iterator[str]:
    """Return the lines of files for records; pip reads them too, and reports errors."""
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            yield path
            continue
        for line in text.splitlines():
            constraint = line.partition(" #")[0].strip()
            if constraint and not constraint.startswith("#"):
                yield constraint


@dataclass
class BuildLines:
    """What the requirements files of a command say about builds.

    Attributes:
        layers: about isolation, by file.
        extra_build_dependency, config_settings_package: as the options of these names have it.
        config_settings: of requirements that have their own (pip's ``name --config-settings …``).

    """

    layers: list[IsolationLayer] = field(default_factory=list)
    extra_build_dependency: list[Any] = field(default_factory=list)
    config_settings_package: list[Any] = field(default_factory=list)
    config_settings: dict[NormalizedName, ConfigSettings] = field(default_factory=dict)

    def beside(self, build: BuildOptions) -> BuildOptions:
        """Add what the files say to a request; the command line wins."""
        typed = [one for one in build.layers_above if one.source == COMMAND_LINE]
        variables = [one for one in build.layers_above if one.source != COMMAND_LINE]
        extra = extras_by_package(self.extra_build_dependency)
        settings = settings_by_package(self.config_settings_package)
        return replace(
            build,
            layers_above=(*typed, *self.layers, *variables),
            extra_build_dependencies=_appended(extra, build.extra_build_dependencies),
            config_settings_package=_updated(settings, build.config_settings_package),
        )

    def note(self, file: str, values: Values) -> None:
        """Note what a line of a file says.

        Args:
            values: the parsed options of the line.

        """
        self.extra_build_dependency += values.extra_build_dependency or ()
        self.config_settings_package += values.config_settings_package or ()
        layer = isolation_layer(file, values)
        if layer.no_build_isolation is not None or layer.packages:
            # What names a package goes before what is said of all, wherever it stands.
            self.layers = sorted([*self.layers, layer], key=lambda one: not one.packages)

    @staticmethod
    def misplaced(option: str, where: str) -> str:
        """Say that an option of builds stands beside a requirement."""
        return f"{where}: {option} must be on a line of its own"
