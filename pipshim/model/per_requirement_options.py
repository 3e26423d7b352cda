"""Build options in the lines of requirements files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipshim.model.option_parsing import COMMAND_LINE, extras_by_package, settings_by_package

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from pipshim.model.build_mode import IsolationLayer
    from pipshim.model.config_settings import ConfigSettings
    from pipshim.model.requests import BuildOptions


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
        for name, requirements in build.extra_build_dependencies.items():
            extra[name] = (*extra.get(name, ()), *requirements)
        settings = settings_by_package(self.config_settings_package)
        for name, given in build.config_settings_package.items():
            settings[name] = {**settings.get(name, {}), **given}
        return replace(
            build,
            layers_above=(*typed, *self.layers, *variables),
            extra_build_dependencies=extra,
            config_settings_package=settings,
        )

    def add_layer(self, layer: IsolationLayer) -> None:
        """Add what a line says about isolation, if anything."""
        if layer.no_build_isolation is not None or layer.packages:
            # What names a package goes before what is said of all, wherever it stands.
            self.layers = sorted([*self.layers, layer], key=lambda one: not one.packages)
