"""The tox plugin: runners that install with pipshim, and sync from the project's lock."""

from __future__ import annotations

import glob
import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

from tox.execute.request import StdinSource
from tox.plugin import impl
from tox.report import HandledError
from tox.tox_env.errors import Fail, Recreate
from tox.tox_env.package import PackageToxEnv
from tox.tox_env.python.package import PythonPackageToxEnv
from tox.tox_env.python.pip.pip_install import Pip
from tox.tox_env.python.virtual_env.api import VirtualEnv
from tox.tox_env.python.virtual_env.package.pyproject import (
    Pep517VenvPackager,
    Pep517VirtualEnvPackager,
)
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner

from pipshim.base.errors import PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_settings import combine
from pipshim.model.requests import BuildOptions
from pipshim.model.settings import Configuration
from pipshim.project.workspaces import load_builder, load_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.requirements import Requirement
    from tox.config.main import Config
    from tox.config.sets import ConfigSet, EnvConfigSet
    from tox.config.types import Command
    from tox.session.state import State
    from tox.tox_env.package import Package
    from tox.tox_env.register import ToxEnvRegister

_NO_ISOLATION = "pipshim_no_build_isolation"
_LISTS = {
    "pipshim_no_build_isolation_package": "--no-build-isolation-package",
    "pipshim_extra_build_dependency": "--extra-build-dependency",
    "pipshim_config_settings_package": "--config-settings-package",
}
"""Keys that hold lists, and the option that each item becomes."""

_MATCH = "pipshim_match_runtime"

_PACKAGING = ("package_env", "wheel_build_env")
"""Keys about packaging environments, which an environment that is synced does not have."""

_VARIABLES = (
    "PIPSHIM_",
    "PIP_BUILD_CONSTRAINT",
    "PIP_CONFIG_SETTINGS",
    "PIP_NO_BINARY",
    "PIP_NO_BUILD_ISOLATION",
    "PIP_ONLY_BINARY",
)
"""How variables begin that change what a build comes to."""

_PIPS = ("pip_pre", "constrain_package_deps", "use_frozen_constraints")
"""Switches of tox that only an installation by requirements can heed."""


@dataclass(frozen=True)
class LockedSync:
    """What ``pipshim-lock`` installs, as ``tox_on_install`` is told.

    Attributes:
        project: the folder of pyproject.toml and pylock.toml.
        options: what is given to ``pipshim sync``.

    """

    project: Path
    options: tuple[str, ...]


@dataclass(frozen=True)
class LockedBuild:
    """What a matched packaging environment installs, as ``tox_on_install`` is told.

    Attributes:
        project: the folder of pyproject.toml and pylock.toml.
        name: the project, whose build environment the lock has.

    """

    project: Path
    name: str


class PipshimInstaller(Pip):
    """Installs with the pipshim of tox's own Python, so the environment need not have any."""

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of pipshim, serving the tox environment."""
        return [
            sys.executable,
            "-I",  # a module in the project's folder is not to be imported in place of pip's
            "-m",
            "pipshim",
            "--python",
            str(self._env.env_dir),
            *arguments,
        ]

    def build_options(self) -> list[str]:
        """Give the options that the configuration's build settings mean."""
        conf = self._env.conf
        # Of a packaging environment, this is said of the project, and not of what is installed.
        is_said = conf[_NO_ISOLATION] and not isinstance(self._env, PackageToxEnv)
        options = ["--no-build-isolation"] if is_said else []
        for key, option in _LISTS.items():
            options += [f"{option}={value}" for value in conf[key]]
        return options

    def default_install_command(self, conf: Config, env_name: str | None) -> Command:
        """Give what installs unless ``install_command`` is set."""
        command = super().default_install_command(conf, env_name)
        command.args[:] = self.command("install", "{opts}", "{packages}")
        return command

    def post_process_install_command(self, cmd: Command) -> Command:
        """Put the build options where ``{opts}`` is.

        Raises:
            Fail: there are some, and the command has no place for them.

        """
        options = self.build_options()
        if options and "{opts}" not in cmd.args:
            raise Fail(
                f"install_command has no {{opts}}, so it would ignore {' '.join(options)}:"
                " add {opts}, or leave out the pipshim_* keys"
            )
        if options:
            at = cmd.args.index("{opts}")
            cmd.args[at:at] = options
        return super().post_process_install_command(cmd)

    def freeze_cmd(self) -> list[str]:
        """Give the command that lists what is installed."""
        return self.command("freeze", "--all")

    def install(self, arguments: Any, section: str, of_type: str) -> None:
        """Install what tox asks for; build settings that have changed mean a new environment.

        Raises:
            Recreate: they have changed since the environment was made.

        """
        if isinstance(arguments, LockedSync):
            self._sync(arguments)
            return
        now = {
            "options": self.build_options(),
            "variables": dict(self._build_variables()),
            "project": self._project_settings(),
        }
        with self._env.cache.compare(now, "pipshim", "build") as (same, before):
            if not same and before is not None:
                raise Recreate("build options changed")
        if isinstance(arguments, LockedBuild):
            self._match(arguments)
            return
        super().install(arguments, section, of_type)

    def _build_variables(self) -> Iterator[tuple[str, str]]:
        """Tell the variables that change builds; their values may be secrets, so as digests."""
        for name, value in sorted(self._env.environment_variables.items()):
            if name.startswith(_VARIABLES):
                yield name, _digest(value)

    def _project_settings(self) -> str:
        """Tell the build settings of pyproject.toml where pipshim will run, as a digest."""
        try:
            project = load_builder(None, self._env.core["tox_root"])
        except PipshimError as error:
            raise Fail(str(error)) from error
        configuration = project.configuration if project is not None else Configuration()
        return _digest(json.dumps(combine(BuildOptions(), configuration).as_data()))

    def _match(self, arguments: LockedBuild) -> None:
        file = self._env.env_dir / "pipshim-build.txt"
        export = self.command("export", "--project", str(arguments.project), "--locked")
        command = [*export, "--build", arguments.name, "--no-header", "-o", str(file)]
        self._run(command, "pipshim_export")
        pins = file.read_text(encoding="utf-8").splitlines()
        with self._env.cache.compare(pins, "pipshim", "matched") as (same, before):
            if not same:
                if before is not None:
                    raise Recreate("the lock has another build environment")
                options = ["--no-deps", "--require-hashes", "-r", str(file)]
                if pins:
                    self._execute_installer(options, "matched")

    def _run(self, command: list[str], run_id: str) -> None:
        self._env.execute(command, stdin=StdinSource.OFF, run_id=run_id).assert_success()

    def _sync(self, arguments: LockedSync) -> None:
        command = self.command(
            "sync", "--project", str(arguments.project), *arguments.options, *self.build_options()
        )
        self._run(command, "pipshim_sync")


class PipshimEnvironment(VirtualEnv):
    """What environments of pipshim have in common: what installs, and how it builds."""

    @property
    def installer(self) -> PipshimInstaller:
        """What installs into the environment."""
        if not isinstance(self._installer, PipshimInstaller):
            self._installer = PipshimInstaller(self)
        return self._installer

    def register_config(self) -> None:
        """Add the keys of pipshim to those of tox."""
        self.conf.add_config(
            keys=[_NO_ISOLATION],
            of_type=bool,
            default=False,
            desc="build all source distributions without isolation",
        )
        for key, option in _LISTS.items():
            self.conf.add_config(
                keys=[key], of_type=list[str], default=[], desc=f"passed to pipshim as {option}"
            )
        super().register_config()

    def _default_pass_env(self) -> list[str]:
        return [*super()._default_pass_env(), "PIPSHIM_*"]

    @property
    def _allow_externals(self) -> list[str]:
        return [*super()._allow_externals, glob.escape(sys.executable)]


class PipshimPackager(PipshimEnvironment, Pep517VirtualEnvPackager):
    """tox's packaging environment, filled by pipshim; matched, or without isolation, if asked."""

    @staticmethod
    def id() -> str:
        """Give the name of this kind of packaging environment."""
        return "pipshim-pep-517"

    def register_config(self) -> None:
        """Add whether the project is built against what the lock has for run time."""
        self.conf.add_config(
            keys=[_MATCH],
            of_type=bool,
            default=False,
            desc="build the project in the build environment that the lock has for it",
        )
        super().register_config()

    @property
    def _is_ready_made(self) -> bool:
        """Whether what the build declares is not asked for."""
        return bool(self.conf[_NO_ISOLATION] or self.conf[_MATCH])

    def requires(self) -> tuple[Requirement, ...]:
        """Give what the build declares, unless its environment comes from somewhere else."""
        return () if self._is_ready_made else super().requires()

    def _setup_build_requires(self, of_type: str) -> None:
        if not self._is_ready_made:
            super()._setup_build_requires(of_type)

    def _setup_env(self) -> None:
        if not self._is_ready_made:
            super()._setup_env()
            return
        is_matched = self.conf[_MATCH]
        if is_matched and (self.conf[_NO_ISOLATION] or self.conf["deps"]):
            other = _NO_ISOLATION if self.conf[_NO_ISOLATION] else "deps"
            raise Fail(f"{_MATCH} and {other} cannot be used together")
        # tox's own would refuse `deps`, and ask a backend that is not there yet.
        super(Pep517VenvPackager, self)._setup_env()
        if is_matched:
            arguments: Any = LockedBuild(self.root, _name_of(self.root))
            self._install(arguments, PythonPackageToxEnv.__name__, "matched")


class PipshimRunner(PipshimEnvironment, VirtualEnvRunner):
    """tox's virtual environment, with deps and package installed by pipshim."""

    @staticmethod
    def id() -> str:
        """Give the name that ``runner`` selects it by."""
        return "pipshim"

    @property
    def _package_tox_env_type(self) -> str:
        return PipshimPackager.id()

    def get_package_env_types(self) -> tuple[str, str] | None:
        """Give the packaging environment's name and kind.

        tox's own runner has one too, of another kind, and the two cannot share a name: unless the
        configuration speaks of ``.pkg``, this is ``.pkg-pipshim``.
        """
        found = super().get_package_env_types()
        if found is None or found[1] != PipshimPackager.id() or self._speaks_of(found[0]):
            return found
        return f"{found[0]}-pipshim", found[1]

    def _speaks_of(self, name: str) -> bool:
        """Whether the packaging environment is named, or has a section."""
        keys = {"package_env", "isolated_build_env"}
        confs = (self.conf, self.core)
        if any(keys & set(loader.found_keys()) for conf in confs for loader in conf.loaders):
            return True
        return any(section.name == name for section in self.conf._conf.sections())  # noqa: SLF001


class PipshimLockRunner(PipshimRunner):
    """tox's virtual environment, synced from the project's lock."""

    @staticmethod
    def id() -> str:
        """Give the name that ``runner`` selects it by."""
        return "pipshim-lock"

    def register_config(self) -> None:
        """Add the keys of syncing."""
        self.conf.add_config(
            keys=["pipshim_sync_flags"],
            of_type=list[str],
            default=[],
            desc="more options of pipshim sync",
        )
        self.conf.add_config(
            keys=["pipshim_locked"],
            of_type=bool,
            default=True,
            desc="fail if the lock is out of date; otherwise it is updated",
        )
        super().register_config()

    @property
    def _package_types(self) -> tuple[str, ...]:
        return ("editable", "wheel", "deps-only", "skip", "external")

    @property
    def default_pkg_type(self) -> str:
        """How the project is installed unless ``package`` says so: as ``pipshim sync`` does."""
        return "editable"

    def _register_package_conf(self) -> bool:
        # sync installs the project itself; only the package of --installpkg is tox's to install
        return super()._register_package_conf() and self.pkg_type == "external"

    def _build_packages(self) -> list[Package]:
        packages = super()._build_packages()
        for package in packages:
            # what it depends on is installed, in the versions of the lock
            vars(package)["deps"] = []
        return packages

    def _install_deps(self) -> None:
        self._refuse_ignored()
        project = self.core["package_root" if "package_root" in set(self.core) else "tox_root"]
        options = self._selection()
        now = {"synced": options is not None}
        with self.cache.compare(now, "pipshim", "lock") as (same, before):
            if not same and before is not None and options is None:
                raise Recreate("nothing is to be installed any more")
        if options is None:
            return
        flags = self.conf["pipshim_sync_flags"]
        if self.conf["pipshim_locked"] and "--frozen" not in flags:
            options.append("--locked")
        options += flags
        arguments: Any = LockedSync(project, tuple(options))
        self._install(arguments, type(self).__name__, "lock")

    def _install_pylock(self) -> None:
        # tox comes here instead if `pylock` is set, which is refused there
        self._install_deps()

    def _install_dependency_groups(self) -> None:
        """Do nothing: the groups came with the lock."""

    def _selection(self) -> list[str] | None:
        """Give sync's options for what to install; None if that is nothing."""
        kind = self.pkg_type
        if kind == "skip" and self.core["no_package"]:
            kind = "deps-only"  # it is no package, and may depend on some all the same
        groups, extras = sorted(self.conf["dependency_groups"]), sorted(self.conf["extras"])
        if kind == "skip":
            if extras:
                raise Fail("extras would be ignored: the package is not installed (skip_install)")
            return [f"--only-group={group}" for group in groups] or None
        options = ["--no-default-groups"]
        options += [f"--group={group}" for group in groups]
        options += [f"--extra={extra}" for extra in extras]
        skipped = getattr(self.options, "skip_pkg_install", False)
        if kind in ("deps-only", "external") or skipped:
            options.append("--no-install-project")
        elif kind == "wheel":
            options.append("--no-editable")
        return options

    def _refuse_ignored(self) -> None:
        conf = self.conf
        ignored = [key for key in ("deps", "constraints") if conf[key].as_root_args]
        ignored += [key for key in ("pylock", *_PIPS) if key in set(conf) and conf[key]]
        ignored += [key for key in _PACKAGING if key in _own_keys(conf)]
        default = self.installer.command("install", *self.installer.build_options(), "{packages}")
        if not conf["pip_pre"] and conf["install_command"].args != default:
            ignored.append("install_command")
        if getattr(self.options, "force_dep", None):
            ignored.append("--force-dep")
        if ignored:
            raise Fail(
                f"{', '.join(ignored)} would be ignored by runner pipshim-lock: what is installed"
                " comes from the lock; use dependency_groups and extras, or runner pipshim"
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _name_of(root: Path) -> str:
    """Tell the project's name."""
    try:
        name = load_project(root).name
    except PipshimError as error:
        raise Fail(str(error)) from error
    if name is None:
        raise Fail(f"{_MATCH} is for a project with a name in pyproject.toml")
    return name


def _own_keys(conf: ConfigSet) -> set[str]:
    """Tell the keys of an environment's own section that nothing has defined."""
    found: set[str] = set()
    for loader in conf.loaders:
        if loader.section.name == conf.name:
            found |= set(loader.found_keys())
    return found & set(conf.unused())


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:  # noqa: ARG001 tox's signature
    """Refuse keys of pipshim where they would mean nothing."""
    ignored = sorted(key for key in _own_keys(env_conf) if key.startswith("pipshim_"))
    if ignored:
        raise HandledError(
            f"{', '.join(ignored)} would be ignored in environment {env_conf.name}:"
            " keys of pipshim are for its runners (runner = pipshim or pipshim-lock) and for the"
            " packaging environment of runner pipshim"
        )


@impl(trylast=True)  # the first that is registered becomes the default
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runners known to tox; its default runner stays what it is."""
    register.add_run_env(PipshimRunner)
    register.add_run_env(PipshimLockRunner)
    register.add_package_env(PipshimPackager)
