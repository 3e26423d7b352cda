"""The tox plugin: runners that install with pipshim, and sync from the project's lock."""

from __future__ import annotations

import glob
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tox.execute.request import StdinSource
from tox.plugin import impl
from tox.tox_env.errors import Fail, Recreate
from tox.tox_env.python.pip.pip_install import Pip
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner

if TYPE_CHECKING:
    from pathlib import Path

    from tox.config.main import Config
    from tox.config.types import Command
    from tox.tox_env.package import Package
    from tox.tox_env.register import ToxEnvRegister

_NO_ISOLATION = "pipshim_no_build_isolation"
_LISTS = {
    "pipshim_no_build_isolation_package": "--no-build-isolation-package",
    "pipshim_extra_build_dependency": "--extra-build-dependency",
    "pipshim_config_settings_package": "--config-settings-package",
}
"""Keys that hold lists, and the option that each item becomes."""

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
        options = ["--no-build-isolation"] if conf[_NO_ISOLATION] else []
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
        variables = self._env.environment_variables.items()
        now = {
            "options": self.build_options(),
            "variables": {name: value for name, value in variables if name.startswith("PIPSHIM_")},
        }
        with self._env.cache.compare(now, "pipshim", "build") as (same, before):
            if not same and before is not None:
                raise Recreate("build options changed")
        super().install(arguments, section, of_type)

    def _sync(self, arguments: LockedSync) -> None:
        command = self.command(
            "sync", "--project", str(arguments.project), *arguments.options, *self.build_options()
        )
        done = self._env.execute(command, stdin=StdinSource.OFF, run_id="pipshim_sync")
        done.assert_success()


class PipshimRunner(VirtualEnvRunner):
    """tox's virtual environment, with deps and package installed by pipshim."""

    @staticmethod
    def id() -> str:
        """Give the name that ``runner`` selects it by."""
        return "pipshim"

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
                keys=[key], of_type=list[str], default=[], desc=f"what pipshim gets as {option}"
            )
        super().register_config()

    def _default_pass_env(self) -> list[str]:
        return [*super()._default_pass_env(), "PIPSHIM_*"]

    @property
    def _allow_externals(self) -> list[str]:
        return [*super()._allow_externals, glob.escape(sys.executable)]


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
            desc="fail if the lock is out of date; otherwise it is made anew",
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
        if self.conf["pipshim_locked"]:
            options.append("--locked")
        options += self.conf["pipshim_sync_flags"]
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


@impl(trylast=True)  # the first that is registered becomes the default
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runners known to tox; its default runner stays what it is."""
    register.add_run_env(PipshimRunner)
    register.add_run_env(PipshimLockRunner)
