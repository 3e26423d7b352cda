"""pipshim's own options, without pip."""

from __future__ import annotations

import subprocess
import sys
from optparse import OptionParser, Values
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from packaging.requirements import Requirement

from pipshim.base.errors import UsageError
from pipshim.model import option_table
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.option_parsing import (
    Option,
    decide_between,
    own_layers,
    parser_options,
    read_switch,
    read_variables,
)
from pipshim.model.requests import BuildOptions, LockOptions, shim_cache_directory
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable


class Parser(OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


def parse(options: Iterable[Option], *args: str) -> tuple[Values, list[str]]:
    parser = Parser(add_help_option=False)
    parser.add_options(parser_options(options))
    return parser.parse_args(list(args))


def read(options: Iterable[Option], **environ: str) -> Values:
    values, _ = parse(options)
    read_variables(parser_options(options), values, environ)
    return values


def test_pip_is_not_imported() -> None:
    script = (
        "import sys, pipshim.__main__, pipshim.cli.error_boundary, pipshim.model.option_table, "
        "pipshim._pip.compat\n"
        "sys.exit(any(name.split('.')[0] in {'pip', 'rich', 'tox'} for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0


@pytest.mark.parametrize("text", ["1", "true", "YES", "on"])
def test_yes(text: str) -> None:
    assert read_switch("PIPSHIM_LOCKED", text) is True


@pytest.mark.parametrize("text", ["0", "False", "no", "off"])
def test_no(text: str) -> None:
    assert read_switch("PIPSHIM_LOCKED", text) is False


@pytest.mark.parametrize("text", ["2", "maybe", "y"])
def test_neither(text: str) -> None:
    with pytest.raises(UsageError, match="PIPSHIM_LOCKED"):
        read_switch("PIPSHIM_LOCKED", text)


def test_variables_of_every_kind() -> None:
    values = read(
        option_table.SYNC.options,
        PIPSHIM_JOBS="3",
        PIPSHIM_LINK_MODE="copy",
        PIPSHIM_PROJECT="some/where",
        PIPSHIM_LOCKED="yes",
        PIPSHIM_FROZEN="0",
        PIPSHIM_EXTRA="Fast plot",
        PIPSHIM_NO_COMPILE="1",
        PIPSHIM_OFFLINE="",
    )
    assert values.jobs == 3
    assert values.link_mode == "copy"
    assert values.project == Path("some/where")
    assert values.locked is True
    assert values.frozen is False
    assert values.extra == ["fast", "plot"]
    assert values.compile is False
    assert values.offline is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PIPSHIM_JOBS", "many"),
        ("PIPSHIM_JOBS", "0"),
        ("PIPSHIM_LINK_MODE", "symlink"),
        ("PIPSHIM_OFFLINE", "sometimes"),
    ],
)
def test_bad_variable_is_named(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name):
        read(option_table.COMMON, **{name: text})


def test_what_to_run_is_no_setting() -> None:
    values = read(option_table.RUN.options, PIPSHIM_MODULE="pytest")
    assert values.module is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-j", "0"], "above 0"),
        (["-j", "two"], "above 0"),
        (["--link-mode", "symlink"], "invalid choice"),
    ],
)
def test_bad_common_option(args: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(option_table.COMMON, *args)


def build_values(*args: str) -> Values:
    values, _ = parse(option_table.BUILD, *args)
    values.config_settings = None
    values.build_constraints = []
    values.check_build_deps = False
    return values


def test_extra_build_dependencies_are_gathered() -> None:
    values = build_values(
        "--extra-build-dependency=Flash_Attn=torch==2.1; python_version > '3'",
        "--extra-build-dependency",
        "flash-attn=ninja",
        "--extra-build-dependency",
        "natten=cmake",
    )
    build = option_table.LOCK.fields(BuildOptions, values)
    assert build["extra_build_dependencies"] == {
        "flash-attn": (Requirement("torch==2.1; python_version > '3'"), Requirement("ninja")),
        "natten": (Requirement("cmake"),),
    }


def test_settings_given_twice_make_a_list() -> None:
    values = build_values(
        "--config-settings-package=a:setup-args=-Dx=1",
        "--config-settings-package=A:setup-args=-Dy=2",
        "--config-settings-package=a:setup-args=-Dz=3",
        "--config-settings-package=b:empty=",
    )
    build = option_table.LOCK.fields(BuildOptions, values)
    assert build["config_settings_package"] == {
        "a": {"setup-args": ["-Dx=1", "-Dy=2", "-Dz=3"]},
        "b": {"empty": ""},
    }


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("--extra-build-dependency=torch", "PACKAGE=REQUIREMENT"),
        ("--extra-build-dependency=torch=", "PACKAGE=REQUIREMENT"),
        ("--extra-build-dependency=a b=torch", "not a valid name"),
        ("--extra-build-dependency=a=torch=>1", "not a requirement"),
        ("--config-settings-package=a", "PACKAGE:KEY=VALUE"),
        ("--config-settings-package=a:b", "PACKAGE:KEY=VALUE"),
        ("--config-settings-package=a:=b", "PACKAGE:KEY=VALUE"),
        ("--no-build-isolation-package=torch==2", "not a valid name"),
    ],
)
def test_bad_build_option(arg: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(option_table.BUILD, arg)


def test_a_flag_that_stands_for_a_value_has_a_variable_too() -> None:
    assert read(option_table.SELECTION, PIPSHIM_ONLY_DEV="1").only_group == ["dev"]
    assert read(option_table.SELECTION, PIPSHIM_ONLY_DEV="0").only_group == []
    assert read(option_table.ADD.options, PIPSHIM_DEV="yes").group == "dev"


def test_own_layers() -> None:
    environ = {
        "PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "Natten  flash_attn",
        "PIPSHIM_NO_BUILD_ISOLATION": "0",
        "PIPSHIM_BUILD_ISOLATION": "no",
    }
    assert own_layers(environ) == (
        IsolationLayer(
            "PIPSHIM_NO_BUILD_ISOLATION_PACKAGE",
            packages=frozenset(("natten", "flash-attn")),  # type: ignore[arg-type]
        ),
        IsolationLayer("PIPSHIM_NO_BUILD_ISOLATION", no_build_isolation=False),
        IsolationLayer("PIPSHIM_BUILD_ISOLATION", no_build_isolation=True),
    )


@pytest.mark.parametrize("name", ["PIPSHIM_NO_BUILD_ISOLATION", "PIPSHIM_BUILD_ISOLATION"])
def test_own_layers_say_what_is_wrong(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: 'natten'"):
        own_layers({name: "natten"})


def test_a_list_with_commas_is_no_name() -> None:
    with pytest.raises(UsageError, match="a,b"):
        own_layers({"PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "a,b"})


@pytest.mark.parametrize(
    ("typed", "below", "expected"),
    [
        ((False, False), (False, False), (False, False)),
        ((True, False), (False, True), (True, False)),
        ((False, False), (False, True), (False, True)),
        ((False, True), (True, True), (False, True)),
    ],
)
def test_what_is_typed_wins(
    typed: tuple[bool, bool], below: tuple[bool, bool], expected: tuple[bool, bool]
) -> None:
    assert decide_between("--a", "--b", typed=typed, below=below) == expected


@pytest.mark.parametrize("below", [True, False])
def test_both_from_one_source(below: bool) -> None:
    both, none = (True, True), (False, False)
    with pytest.raises(UsageError, match="--a and --b"):
        decide_between("--a", "--b", typed=none if below else both, below=both if below else none)


@pytest.mark.parametrize(
    ("lock", "given"),
    [
        (LockOptions(), False),
        (LockOptions(constraints=("c.txt",), upgrade=True), False),
        (LockOptions(requirements=("six",)), True),
        (LockOptions(requirement_files=("r.txt",)), True),
        (LockOptions(scripts=("s.py",)), True),
        (LockOptions(editables=(".",)), True),
        (LockOptions(groups=(("pyproject.toml", "dev"),)), True),
    ],
)
def test_given(lock: LockOptions, given: bool) -> None:
    assert lock.given is given


def test_shim_cache_is_beside_pips(tmp_path: Path) -> None:
    assert shim_cache_directory(str(tmp_path / "pip"), {}) == tmp_path / "pipshim"
    assert shim_cache_directory(None, {}) is None


@pytest.mark.parametrize("pip_cache", [None, "/somewhere/pip"])
def test_shim_cache_is_where_the_variable_says(
    pip_cache: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = shim_cache_directory(pip_cache, {"PIPSHIM_CACHE_DIR": "~/here"})
    assert found == tmp_path / "here"
    assert shim_cache_directory(pip_cache, {"PIPSHIM_CACHE_DIR": "there"}) == tmp_path / "there"
