"""pipshim's commands in pip's parser, and the way to them and to pip."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from packaging.requirements import Requirement
from pip._internal.cli.main_parser import create_main_parser
from pip._internal.commands import create_command

from pipshim.base.light import signals
from pipshim.cli import command_names, error_boundary, supported_pip
from pipshim.cli import dispatch as entry
from pipshim.cli.pip_main import project_command, register
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.requests import ExportOptions, LockOptions, LockRequest, RunRequest, SyncRequest
from tests.support.pipshim import Cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import Values

    from packaging.utils import NormalizedName

    from pipshim.base.errors import PipshimError
    from pipshim.cli.command_base import PipCommand


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PIP_", "PIPSHIM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.chdir(tmp_path)

    def render(error: PipshimError, *, width: int | None, color: bool) -> str:
        assert width is None  # standard error is captured
        assert not color
        return f"error: {error.message}\nhint: {error.hint}\n"

    failure = SimpleNamespace(render=render)
    monkeypatch.setitem(sys.modules, "pipshim.progress.error_text", cast("Any", failure))


def asked(command: str, *args: str, isolated: bool = False, status: int = 0) -> Any:
    """Run with an action that keeps the request; None if it was not reached."""
    return asked_of_pip(command, *args, isolated=isolated, status=status)[0]


def asked_of_pip(command: str, *args: str, isolated: bool = False, status: int = 0) -> Any:
    """Return the request, and pip's part of it."""
    kept: list[tuple[LockRequest, PipCommand]] = []

    def keep(request: LockRequest, pip: PipCommand) -> int:
        kept.append((request, pip))
        return 0

    def action() -> int:
        return project_command(command, args, isolated=isolated, action=keep)

    assert error_boundary.run_guarded(action) == status
    return kept[0] if kept else (None, None)


def pips(command: str, *args: str) -> Values:
    """Return what pip's parser stored."""
    pip: PipCommand = asked_of_pip(command, *args)[1]
    return pip.options


def lock(*args: str, **more: Any) -> LockRequest:
    return cast("LockRequest", asked("lock", *args, **more))


def sync(*args: str, **more: Any) -> SyncRequest:
    return cast("SyncRequest", asked("sync", *args, **more))


def run(*args: str, **more: Any) -> RunRequest:
    return cast("RunRequest", asked("run", *args, **more))


def configure(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = Path("pip.conf").absolute()
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))


def named(*names: str) -> frozenset[NormalizedName]:
    return cast("frozenset[NormalizedName]", frozenset(names))


class TestLock:
    def test_nothing_given(self) -> None:
        request = lock()
        assert request.lock == LockOptions()
        assert not request.lock.given
        assert request.build.layers_above == request.build.layers_below == ()

    def test_requirements(self) -> None:
        request = lock(
            *("six", "-r", "r.txt", "-e", ".", "-c", "c.txt", "--group", "dev", "-o", "-"),
            *("-U", "-P", "A.b", "-P", "c", "--check", "--dry-run"),
        )
        assert request.lock == LockOptions(
            requirements=("six",),
            requirement_files=("r.txt",),
            editables=(".",),
            constraints=("c.txt",),
            groups=(("pyproject.toml", "dev"),),
            upgrade=True,
            upgrade_packages=("a-b", "c"),  # type: ignore[arg-type]
            check=True,
            dry_run=True,
            output="-",
        )

    def test_takes_all_that_pips_lock_takes(self) -> None:
        given = ("--no-deps", "--ignore-requires-python", "--src", "s", "--require-hashes")
        options = pips("lock", *given)
        assert options.ignore_dependencies
        assert options.ignore_requires_python
        assert options.require_hashes

    def test_build_options(self) -> None:
        build = lock(
            *("-C", "a=1", "-C", "a=2", "--config-settings-package", "p:k=v"),
            *("--extra-build-dependency", "p=torch", "--build-constraint", "b.txt"),
            "--check-build-dependencies",
        ).build
        assert build.config_settings == {"a": ["1", "2"]}
        assert build.config_settings_package == {"p": {"k": "v"}}
        assert build.extra_build_dependencies == {"p": (Requirement("torch"),)}
        assert build.build_constraints == ("b.txt",)
        assert build.check_build_dependencies

    def test_index_options_are_pips(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(monkeypatch, "[global]\nindex-url = https://a.example\n[lock]\nretries = 1\n")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b.example https://c.example")
        options = pips("lock", "--pre", "--no-binary", "six")
        assert options.index_url == "https://a.example"
        assert options.extra_index_urls == ["https://b.example", "https://c.example"]
        assert options.retries == 1
        assert options.release_control.all_releases == {":all:"}
        assert options.format_control.no_binary == {"six"}

    def test_pip_may_still_check_its_own_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert lock("--pre", "--only-final", "six", status=2) is None
        assert "--pre cannot be used" in capsys.readouterr().err


class TestIsolation:
    def test_command_line(self) -> None:
        build = lock("--no-build-isolation").build
        assert build.layers_above == (IsolationLayer("command line", no_build_isolation=True),)

    def test_the_last_one_counts(self) -> None:
        build = lock("--no-build-isolation", "--build-isolation").build
        assert build.layers_above == (IsolationLayer("command line", no_build_isolation=False),)

    def test_packages(self) -> None:
        build = sync(
            *("--no-build-isolation-package", "Flash_Attn"),
            *("--no-build-isolation-package", "natten", "--build-isolation"),
        ).build
        assert build.layers_above == (
            IsolationLayer(
                "command line", no_build_isolation=False, packages=named("flash-attn", "natten")
            ),
        )

    def test_a_list_is_no_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert lock("--no-build-isolation-package", "a,b", status=2) is None
        assert "'a,b' is not a valid name" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["lock", "sync", "run"])
    def test_every_source(self, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(
            monkeypatch,
            f"[global]\nno-build-isolation = 1\nno-build-isolation-package = a\n"
            f"[{command}]\nno-build-isolation = 0\n",
        )
        monkeypatch.setenv("PIPSHIM_NO_BUILD_ISOLATION", "1")
        monkeypatch.setenv("PIPSHIM_NO_BUILD_ISOLATION_PACKAGE", "B c")
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION_PACKAGE", "D")
        rest = ["python"] if command == "run" else []
        request = asked(command, "--no-build-isolation-package", "e", *rest)
        assert request.build.layers_above == (
            IsolationLayer("command line", packages=named("e")),
            IsolationLayer("PIPSHIM_NO_BUILD_ISOLATION_PACKAGE", packages=named("b", "c")),
            IsolationLayer("PIP_NO_BUILD_ISOLATION_PACKAGE", packages=named("d")),
            IsolationLayer("PIPSHIM_NO_BUILD_ISOLATION", no_build_isolation=True),
            IsolationLayer("PIP_NO_BUILD_ISOLATION", no_build_isolation=True),
        )
        assert request.build.layers_below == (
            IsolationLayer("pip.conf", no_build_isolation=True, packages=named("a")),
        )
        assert pips(command, *rest).build_isolation is False

    @pytest.mark.parametrize(
        ("text", "no_build_isolation"),
        [
            ("0", True),
            ("no", True),
            ("false", True),
            ("off", True),
            ("1", False),
            ("yes", False),
            ("true", False),
            ("on", False),
            ("", None),
        ],
    )
    def test_pips_variable_means_what_it_means_to_pip(
        self, text: str, no_build_isolation: bool | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", text)
        request = lock()
        expected = (
            ()
            if no_build_isolation is None
            else (IsolationLayer("PIP_NO_BUILD_ISOLATION", no_build_isolation),)
        )
        assert request.build.layers_above == expected
        assert bool(pips("lock").build_isolation) is not bool(no_build_isolation)

    def test_pips_variable_says_neither(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "maybe")
        assert lock(status=2) is None
        assert "maybe is not a valid value for no-build-isolation" in capsys.readouterr().err

    def test_own_variable_says_neither(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PIPSHIM_NO_BUILD_ISOLATION", "maybe")
        assert lock(status=2) is None
        assert "PIPSHIM_NO_BUILD_ISOLATION: 'maybe'" in capsys.readouterr().err

    def test_isolated_mode_heeds_no_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIPSHIM_NO_BUILD_ISOLATION", "1")
        monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
        assert lock("--isolated", isolated=True).build.layers_above == ()

    def test_build_constraint_on_the_same_command_line(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert lock("--no-build-isolation", "--build-constraint", "b.txt", status=2) is None
        assert "--build-constraint cannot be used" in capsys.readouterr().err

    def test_build_constraint_from_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_BUILD_CONSTRAINT", "a.txt b.txt")
        assert lock("--no-build-isolation").build.build_constraints == ("a.txt", "b.txt")
        both = lock("--build-constraint", "c.txt").build
        assert both.build_constraints == ("a.txt", "b.txt", "c.txt")


class TestSync:
    def test_selection(self) -> None:
        request = sync(
            *("--extra", "A_b", "--extra", "c", "--all-extras", "--group", "Dev_Tools"),
            *("--no-group", "docs", "--only-group", "x", "--all-groups", "--no-default-groups"),
            *("--no-editable", "--no-install-project", "--no-install-package", "Six"),
            *("--reinstall", "--reinstall-package", "Torch", "--inexact", "--no-compile"),
            *("--frozen", "--check", "--dry-run"),
        )
        chosen = request.selection
        assert chosen.extras == ("a-b", "c")
        assert chosen.groups == ("dev-tools",)
        assert (chosen.no_groups, chosen.only_groups) == (("docs",), ("x",))
        assert chosen.no_install_packages == ("six",)
        assert chosen.reinstall_packages == ("torch",)
        assert chosen.exact is False
        assert chosen.compile is False
        assert all((chosen.all_extras, chosen.all_groups, chosen.no_default_groups))
        assert all((chosen.no_editable, chosen.no_install_project, chosen.reinstall))
        assert request.sync.frozen
        assert request.sync.check
        assert request.sync.dry_run
        assert not request.sync.locked

    def test_defaults(self) -> None:
        request = sync()
        assert request.selection.exact is None
        assert request.selection.compile is None
        assert pips("sync").requirements == []
        assert pips("sync").dependency_groups == []

    def test_constraints_are_for_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_CONSTRAINT", "c.txt")
        assert sync().lock == LockOptions(constraints=("c.txt",))

    def test_configuration_section(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(monkeypatch, "[sync]\nlocked = yes\njobs = 2\n[lock]\njobs = 9\n")
        request = sync()
        assert request.sync.locked
        assert request.common.jobs == 2

    def test_own_variable_goes_before_pips(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_JOBS", "2")
        monkeypatch.setenv("PIPSHIM_JOBS", "3")
        assert sync().common.jobs == 3
        assert sync("-j4").common.jobs == 4

    def test_locked_and_frozen(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert sync("--locked", "--frozen", status=2) is None
        assert "--locked and --frozen" in capsys.readouterr().err

    def test_typed_wins_over_the_other_in_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIPSHIM_LOCKED", "1")
        request = sync("--frozen")
        assert (request.sync.locked, request.sync.frozen) == (False, True)

    def test_arguments(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert sync("six", status=2) is None
        assert "takes no arguments: six" in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["-e", "-o", "--src", "--ignore-requires-python"])
    def test_locks_own_options(self, option: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert sync(option, "x", status=2) is None
        assert f"no such option: {option}" in capsys.readouterr().err


class TestGiven:
    def test_a_lock_is_told_by_its_name(self) -> None:
        assert sync("-r", "a/pylock.dev.toml").lock == LockOptions(output="a/pylock.dev.toml")
        words = ("-r", "a.txt", "-r", "pylock.a.b.toml", "-c", "c.txt", "--no-deps")
        given = sync(*words)
        files = ("a.txt", "pylock.a.b.toml")
        assert (given.lock.requirement_files, given.lock.constraints) == (files, ("c.txt",))
        assert given.lock.pinned
        assert pips("sync", *words).ignore_dependencies

    def test_what_variables_say_of_requirements_is_not_said_of_a_lock(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_NO_DEPS", "1")
        monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
        options = pips("sync")
        assert not options.ignore_dependencies
        assert not options.require_hashes

    def test_export(self) -> None:
        request = asked("export", "-o", "r.txt", "--no-hashes", "--extra", "E", "--frozen")
        assert request.export == ExportOptions(output="r.txt", hashes=False)
        assert request.selection.extras == ("e",)
        assert request.sync.frozen
        assert asked("export", "--no-header", "--no-annotate").export == ExportOptions(
            header=False, annotate=False
        )

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("sync", "-r", "pylock.toml", "-r", "requirements.txt"), "cannot be combined"),
            (("sync", "-r", "pylock.toml", "-r", "pylock.a.toml"), "cannot be combined"),
            (("sync", "-r", "https://h.invalid/pylock.toml"), "not from a URL"),
            (("sync", "-r", "pylock.toml", "--no-deps"), "--no-deps is for a requirements file"),
            (("sync", "--no-deps"), "--no-deps is for a requirements file"),
            (("export", "-r", "requirements.txt"), "is not one"),
            (("export", "demo"), "export takes no arguments"),
            (("export", "--reinstall"), "no such option"),
            (("run", "-r", "pylock.toml", "x"), "no such option"),
        ],
    )
    def test_what_cannot_be(
        self, args: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert asked(*args, status=2) is None
        assert said in capsys.readouterr().err


class TestRun:
    def test_options_end_at_the_command(self) -> None:
        request = run("--no-sync", "--extra", "a", "pytest", "-q", "--extra", "b", "--", "x")
        assert request.run.no_sync
        assert request.selection.extras == ("a",)
        assert request.run.module is None
        assert request.run.command == ("pytest", "-q", "--extra", "b", "--", "x")

    def test_dashes(self) -> None:
        assert run("-q", "--", "-x", "--", "y").run.command == ("-x", "--", "y")

    @pytest.mark.parametrize("args", [("-m", "pytest"), ("-mpytest",), ("--module=pytest",)])
    def test_module(self, args: tuple[str, ...]) -> None:
        request = run("-v", *args, "-q", "--frozen", "--", "x")
        assert request.run.module == "pytest"
        assert request.run.command == ("-q", "--frozen", "--", "x")
        assert request.common.verbosity == 1
        assert not request.sync.frozen

    def test_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--frozen", status=2) is None
        assert "no command given" in capsys.readouterr().err

    def test_never_removes(self) -> None:
        assert run("python").selection.exact is None

    def test_module_is_no_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_MODULE", "pytest")
        monkeypatch.setenv("PIPSHIM_MODULE", "pytest")
        assert run("python").run.module is None

    @pytest.mark.parametrize("option", ["--exact", "--check", "--dry-run"])
    def test_not_for_run(self, option: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(option, "python", status=2) is None
        assert f"no such option: {option}" in capsys.readouterr().err

    def test_becomes_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[tuple[object, ...]] = []
        monkeypatch.setattr(os, "execve", lambda *args: started.append(args))
        monkeypatch.setattr(signals, "signal", lambda *_: None)
        temporary: list[Path] = []

        def action(_: RunRequest, command: PipCommand) -> error_boundary.Replacement:
            from pipshim._pip.session import Pip  # noqa: PLC0415 imports much

            pip = Pip(command.command, command.options, cast("Any", None))
            temporary.append(pip.temporary_directory("test"))
            assert temporary[0].is_dir()
            return error_boundary.Replacement(Path("/bin/x"), ("x", "y"), {"A": "b"})

        project_command("run", ["x", "y"], action=action)
        assert started == [(Path("/bin/x"), ("x", "y"), {"A": "b"})]
        assert not temporary[0].exists()


class TestCommon:
    def test_everything(self, tmp_path: Path) -> None:
        common = sync(
            *("--project", "here", "--python", "3.12", "-j", "2", "--link-mode", "hardlink"),
            *("--offline", "--no-color", "--progress-bar", "raw", "--debug"),
            *("--cache-dir", "c/pip", "--require-virtualenv"),
        ).common
        assert common.project == Path("here")
        assert common.python == "3.12"
        assert common.jobs == 2
        assert common.link_mode == "hardlink"
        assert common.shim_cache == tmp_path / "c/pipshim"
        assert common.progress_bar == "raw"
        assert common.verbosity == 2
        assert all((common.offline, common.no_color, common.require_virtualenv))

    def test_defaults(self) -> None:
        common = sync().common
        assert common.shim_cache is not None
        assert common.shim_cache.name == "pipshim"
        assert (common.project, common.python, common.jobs) == (None, None, None)
        assert common.progress_bar == "on"

    def test_python_from_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_PYTHON", "3.12")
        request = sync()
        assert request.common.python == "3.12"
        assert pips("sync").python is None

    def test_no_cache(self) -> None:
        assert sync("--no-cache-dir").common.shim_cache is None

    def test_bad_value_in_a_variable(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PIP_TIMEOUT", "long")
        assert sync(status=2) is None
        assert "timeout" in capsys.readouterr().err

    def test_broken_configuration(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(monkeypatch, "what = is this\n")
        assert sync(status=2) is None
        assert "pip.conf" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "shown"),
        [([], ["warning"]), (["-v"], ["note", "warning"]), (["-q"], ["warning"]), (["-qq"], [])],
    )
    def test_pips_log(
        self, options: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        def action(*_: object) -> int:
            logger = logging.getLogger("pip._internal.somewhere")
            logger.info("a note")
            logger.warning("a warning")
            return 0

        assert project_command("sync", options, action=action) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert [word for word in ("note", "warning") if word in captured.err] == shown


def _raises(error: BaseException) -> Callable[[object, object], int]:
    def action(*_: object) -> int:
        raise error

    return action


class TestErrors:
    def test_pips(self, capsys: pytest.CaptureFixture[str]) -> None:
        from pip._internal.exceptions import (  # noqa: PLC0415
            DiagnosticPipError,
            InstallationError,
        )

        assert project_command("sync", [], action=_raises(InstallationError("no such file"))) == 1
        assert capsys.readouterr().err.startswith("error: no such file")
        diagnostic = DiagnosticPipError(
            reference="some-trouble",
            message="[red]What[/] happened",
            context="why it did",
            hint_stmt="do [bold]this[/]",
        )
        assert project_command("sync", [], action=_raises(diagnostic)) == 1
        err = capsys.readouterr().err
        assert err == "error: What happened\nwhy it did\nhint: do this\n"

    def test_network(self, capsys: pytest.CaptureFixture[str]) -> None:
        from pip._vendor.requests.exceptions import ConnectTimeout  # noqa: PLC0415

        assert project_command("sync", [], action=_raises(ConnectTimeout("too late"))) == 1
        assert "error: too late" in capsys.readouterr().err

    def test_debug_shows_where(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert project_command("sync", ["--debug"], action=_raises(ValueError("oh"))) == 1
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "pipshim has a bug: ValueError: oh" in err

    def test_interrupted(self) -> None:
        assert project_command("sync", [], action=_raises(KeyboardInterrupt())) == 130


class TestVersions:
    @pytest.mark.parametrize("version", ["26.1", "26.1.2", "26.2.1", "26.3", "26.3.dev0"])
    def test_supported(self, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pip.__version__", version)
        assert supported_pip.is_supported()

    @pytest.mark.parametrize("version", ["25.3", "26.0.1", "26.4", "27.1", "26.10"])
    def test_others(
        self, version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("pip.__version__", version)
        assert entry.dispatch(["sync"]) == 1
        err = capsys.readouterr().err
        assert f"pip {version} is not supported; supported versions are 26.1, 26.2, 26.3" in err
        assert "pip>=26.1,<26.4" in err


class TestLine:
    @pytest.mark.parametrize(
        ("args", "expected"),
        [
            ([], ([], None, [])),
            (["-v"], (["-v"], None, [])),
            (["lock", "-U"], ([], "lock", ["-U"])),
            (["--python", "x", "sync"], (["--python", "x"], "sync", [])),
            (["--python=x", "-qv", "run", "y"], (["--python=x", "-qv"], "run", ["y"])),
            (["--log", "lock", "lock", "lock"], (["--log", "lock"], "lock", ["lock"])),
            (
                ["--project", "p", "--no-color", "lock"],
                (["--project", "p", "--no-color"], "lock", []),
            ),
            (["--pyth", "x", "sync", "-v"], (["--pyth", "x"], "sync", ["-v"])),
            (["-v", "--", "run", "x"], (["-v"], "run", ["x"])),
        ],
    )
    def test_split(
        self, args: list[str], expected: tuple[list[str], str | None, list[str]]
    ) -> None:
        assert entry.split(args) == expected

    def test_unknown_options_before_the_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert entry.dispatch(["--frozen", "sync"]) == 2
        assert "no such option: --frozen" in capsys.readouterr().err

    def test_the_table_is_pips(self) -> None:
        options = create_main_parser().option_list_all
        settings = {
            name for option in options if option.takes_value() for name in _spellings(option)
        }
        assert settings | {"--project"} == command_names.SETTINGS


def _spellings(option: Any) -> list[str]:
    return list(option._long_opts)


@pytest.mark.parametrize("command", ["lock", "sync", "run"])
def test_examples_in_the_help_are_right(command: str) -> None:
    register()
    text = create_command(command).__doc__ or ""
    lines = [line.strip() for line in text.splitlines()]
    examples = [line.split("   ")[0].split() for line in lines if line.startswith("pipshim ")]
    assert len(examples) >= 3
    for _, name, *words in examples:
        assert name == command
        assert asked(name, *words) is not None


class TestProcess:
    @pytest.fixture
    def cli(self, tmp_path: Path) -> Cli:
        return Cli(tmp_path / "cli", cwd=tmp_path, index_url="http://127.0.0.1:9/simple")

    def test_versions(self, cli: Cli) -> None:
        from pip import __version__ as pip_version  # noqa: PLC0415

        out = cli.ok("--version").out
        assert out.startswith("pipshim ")
        assert f"(pip {pip_version} from " in out
        assert cli.ok("-qV", "lock").out == out

    def test_both_versions_are_named(self, cli: Cli) -> None:
        assert f"pipshim version: {supported_pip.version_text()}" in cli.ok("debug").out
        for shell in ("bash", "zsh", "fish", "powershell"):
            script = cli.ok("completion", f"--{shell}").out
            assert f"# pipshim {shell} completion start: {supported_pip.versions()}\n" in script
            assert "pip[0-9.]" not in script

    def test_help(self, cli: Cli) -> None:
        text = cli.ok("--help").out
        assert "pipshim <command> [options]" in text
        for line in ("  lock  ", "  sync  ", "  run  ", "  install  "):
            assert line in text
        assert text.endswith(f"\n{supported_pip.versions()}\n")
        assert cli.ok("help").out == cli.ok().out == text
        assert "pipshim run [options] [--] <command>" in cli.ok("help", "run").out
        assert "pipshim lock [options]" in cli.ok("lock", "--help").out

    def test_help_is_wrapped_to_a_width_but_not_in_a_pipe(self, cli: Cli) -> None:
        def longest() -> int:
            return max(map(len, cli.ok("lock", "--help").out.splitlines()))

        cli.env["COLUMNS"] = "80"
        assert longest() <= 80
        del cli.env["COLUMNS"]
        assert longest() > 200

    @pytest.mark.parametrize(
        "args",
        [
            ("list", "--format=json"),
            ("list", "--no-such"),
            ("--no-such", "list"),
            ("bogus",),
            ("install",),
            ("check", "--python", "x"),
            ("--python", "/nowhere/python", "list"),
            ("download", "--no-deps", "--no-index", "absent-package"),
        ],
    )
    def test_every_other_command_is_pips(self, args: tuple[str, ...], cli: Cli) -> None:
        ours, theirs = cli(*args), cli.pip(*args)
        assert ours.status == theirs.status
        assert ours.out == theirs.out
        prog = f"{sys.executable} -m pip"
        assert ours.err == theirs.err.replace(prog, f"{prog}shim")

    def test_the_working_directory_is_not_imported(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "optparse.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
        cli.ok("list")

    def test_exit_status_of_what_it_becomes(self, cli: Cli) -> None:
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from pipshim.cli.pip_main import project_command\n"
            "from pipshim.cli.error_boundary import Replacement\n"
            "def action(request, pip):\n"
            "    command = ('sh', '-c', *request.run.command)\n"
            "    return Replacement(Path('/bin/sh'), command, os.environ)\n"
            "project_command('run', sys.argv[1:], action=action)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, "read line; echo got $line; kill -PIPE $$; exit 7"],
            check=False,
            capture_output=True,
            cwd=cli.cwd,
            encoding="utf-8",
            env=cli.env,
            input="word\n",
        )
        assert done.stdout == "got word\n"
        assert done.returncode == -13
