from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from pipshim.base.errors import TargetError
from pipshim.envs import discovery
from pipshim.envs.discovery import Request, admits, default, running
from pipshim.envs.interpreter import query
from tests.unit.fake_python import answering, script

HERE = Path(sys.executable)
NOW = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))
OTHER = SpecifierSet(f"!={NOW}")


def path_of(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(map(str, folders))}


# --python


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3", (3,)),
        ("3.12", (3, 12)),
        ("3.12.1", (3, 12, 1)),
        ("python3", (3,)),
        ("python3.12", (3, 12)),
        ("python", ()),
        ("pypy3.10", ()),
        ("python3.12t", ()),
        ("3.12.1.1", ()),
    ],
)
def test_names_and_versions(
    text: str, version: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Request.parse(text) == Request(text, None, version)


def test_file_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python3.12").touch()
    assert Request.parse("python3.12").path == tmp_path / "python3.12"


def test_path_keeps_its_links(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(HERE)
    assert Request.parse(str(tmp_path / "python")).path == tmp_path / "python"


@pytest.mark.parametrize("text", ["no/such/python", "./python3.12", "", "/nowhere"])
def test_path_where_nothing_is(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match="does not exist") as caught:
        Request.parse(text)
    assert repr(text) in caught.value.message


def test_path_is_asked(tmp_path: Path) -> None:
    assert Request.parse(str(HERE)).resolve({}, tmp_path) == query(HERE, tmp_path)


def test_version_is_found_by_its_name(tmp_path: Path) -> None:
    answering(tmp_path / "python3.98", "3.98.1")
    wanted = answering(tmp_path / "python3.99", "3.99.1")
    for text in ("3.99", "python3.99", "3.99.1"):
        assert Request.parse(text).resolve(path_of(tmp_path), None).python == wanted


def test_version_is_found_behind_a_name_that_does_not_say_it(tmp_path: Path) -> None:
    wanted = answering(tmp_path / "python", "3.99.1")
    answering(tmp_path / "python3", "3.98.1")
    assert Request.parse("3.99").resolve(path_of(tmp_path), None).python == wanted


def test_three_numbers_pass_over_the_wrong_one(tmp_path: Path) -> None:
    answering(tmp_path / "a/python3.99", "3.99.1")
    wanted = answering(tmp_path / "b/python3.99", "3.99.2")
    environ = path_of(tmp_path / "a", tmp_path / "b")
    assert Request.parse("3.99.2").resolve(environ, None).python == wanted


def test_path_order_decides(tmp_path: Path) -> None:
    answering(tmp_path / "a/python3.99", "3.99.1")
    wanted = answering(tmp_path / "b/python3.99", "3.99.2")
    environ = path_of(tmp_path / "b", tmp_path / "a")
    assert Request.parse("3.99").resolve(environ, None).python == wanted


def test_name_without_a_version(tmp_path: Path) -> None:
    wanted = answering(tmp_path / "pypy3", "3.11.1", implementation="pypy")
    target = Request.parse("pypy3").resolve(path_of(tmp_path), None)
    assert (target.python, target.implementation) == (wanted, "pypy")


def test_one_that_does_not_work_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "a/python3.99", "echo 'shim: no such version' >&2; exit 127")
    wanted = answering(tmp_path / "b/python3.99", "3.99.1")
    environ = path_of(tmp_path / "a", tmp_path / "b")
    assert Request.parse("3.99").resolve(environ, None).python == wanted


def test_nothing_found_says_what_was_tried(tmp_path: Path) -> None:
    broken = script(tmp_path / "python3.99", "echo 'shim: no such version' >&2; exit 127")
    with pytest.raises(TargetError) as caught:
        Request.parse("3.99").resolve(path_of(tmp_path), None)
    assert caught.value.message.splitlines() == [
        "--python: Python 3.99 was not found on PATH",
        f"  {broken} does not work: shim: no such version",
    ]
    assert caught.value.hint


def test_running_python_is_found_without_path() -> None:
    for text in (MINOR, NOW, f"python{MINOR}"):
        assert Request.parse(text).resolve({"PATH": ""}, None) == running(None)


def test_running_python_does_not_stand_in_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="'pypy3' was not found on PATH"):
        Request.parse("pypy3").resolve(path_of(tmp_path), None)


def test_virtual_environment_on_path_gives_its_base(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(query(HERE, None).base_python)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {query(HERE, None).base_python.parent}\n")
    assert query(tmp_path / "bin/python3", None).is_venv
    found = Request.parse(MINOR).resolve(path_of(tmp_path / "bin"), None)
    assert not found.is_venv
    assert found.version == sys.version_info[:3]


def test_current_folder_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path / "bin/python3.99", "3.99.1")
    answering(tmp_path / "bin/python99", "3.99.1")
    monkeypatch.chdir(tmp_path / "bin")
    for entries in ("", ".", f".{os.pathsep}", "../bin"):
        with pytest.raises(TargetError):
            Request.parse("3.99").resolve({"PATH": entries}, None)


def test_what_is_no_program_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a/python3.99").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/python3.99").touch()
    environ = path_of(tmp_path / "a", tmp_path / "b", tmp_path / "missing")
    with pytest.raises(TargetError) as caught:
        Request.parse("3.99").resolve(environ, None)
    assert caught.value.message == "--python: Python 3.99 was not found on PATH"


# requires-python


def test_admits() -> None:
    assert admits(None, "3.11.7")
    assert admits(SpecifierSet(">=3.10"), "3.11.7")
    assert not admits(SpecifierSet(">=3.12"), "3.11.7")
    assert admits(SpecifierSet(">=3.12"), "3.15.0rc1")


def test_running_python_is_the_default(tmp_path: Path) -> None:
    answering(tmp_path / "python3.99", "3.99.1")
    target = default(SpecifierSet(f"=={NOW}"), path_of(tmp_path), None)
    assert target == default(None, path_of(tmp_path), None) == running(None)
    assert not target.is_venv


def test_running_python_that_gives_no_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine, a lock would otherwise be made for whatever else is on PATH."""
    answering(tmp_path / "python3.99", "3.99.1")
    base = script(tmp_path / "base", "exit 1")
    monkeypatch.setattr(discovery, "base_of", lambda _, cache_dir: query(base, cache_dir))
    with pytest.raises(TargetError, match="base does not work"):
        default(None, path_of(tmp_path), None)


def test_else_the_newest_that_is_admitted(tmp_path: Path) -> None:
    answering(tmp_path / "a/python3.97", "3.97.1")
    answering(tmp_path / "a/python3.99", "3.99.1")
    wanted = answering(tmp_path / "b/python3.98", "3.98.1")
    answering(tmp_path / "a/python3.98-config", "3.98.2")
    environ = path_of(tmp_path / "a", tmp_path / "b")
    assert default(SpecifierSet(">=3.90,<3.99"), environ, None).python == wanted


def test_newest_is_by_number(tmp_path: Path) -> None:
    answering(tmp_path / "python3.99", "3.99.1")
    wanted = answering(tmp_path / "python3.100", "3.100.1")
    assert default(OTHER, path_of(tmp_path), None).python == wanted


def test_plain_names_are_the_last_resort(tmp_path: Path) -> None:
    wanted = answering(tmp_path / "python", "3.99.1")
    answering(tmp_path / "python3.98", "3.98.1")
    environ = path_of(tmp_path)
    assert default(SpecifierSet(">=3.99"), environ, None).python == wanted
    assert default(OTHER, environ, None).version == (3, 98, 1)


def test_old_ones_are_not_even_asked(tmp_path: Path) -> None:
    script(tmp_path / "python3.9", f"touch {tmp_path}/asked")
    with pytest.raises(TargetError):
        default(SpecifierSet("<3"), path_of(tmp_path), None)
    assert not (tmp_path / "asked").exists()


def test_folder_that_is_missing_is_passed_over(tmp_path: Path) -> None:
    wanted = answering(tmp_path / "bin/python3.99", "3.99.1")
    environ = path_of(tmp_path / "missing", tmp_path / "bin")
    assert default(OTHER, environ, None).python == wanted


def test_one_under_several_names_is_asked_once(tmp_path: Path) -> None:
    count = f"echo asked >> {tmp_path}/asked; exit 1"
    python = script(tmp_path / "bin/python3.99", count)
    for name in ("python3", "python"):
        (tmp_path / "bin" / name).symlink_to(python)
    with pytest.raises(TargetError):
        default(OTHER, path_of(tmp_path / "bin"), None)
    assert (tmp_path / "asked").read_text().split() == ["asked"]


def test_none_is_admitted(tmp_path: Path) -> None:
    script(tmp_path / "python3.99", "echo 'shim: no such version' >&2; exit 127")
    with pytest.raises(TargetError) as caught:
        default(SpecifierSet(">=3.99"), path_of(tmp_path), None)
    first, second = caught.value.message.splitlines()
    assert ">=3.99" in first
    assert "shim: no such version" in second
    assert caught.value.hint


def test_pipshim_without_an_interpreter_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = answering(tmp_path / "python3.99", "3.99.1")
    monkeypatch.setattr(discovery.sys, "executable", "")  # type: ignore[attr-defined]
    assert default(None, path_of(tmp_path), None).python == wanted
