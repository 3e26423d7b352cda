from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packaging
import pytest
from packaging.markers import default_environment
from packaging.tags import sys_tags

from pipshim.base.cache_folders import STAMPS
from pipshim.base.errors import TargetError
from pipshim.envs import interpreter as module
from pipshim.envs.interpreter import base_of, query
from pipshim.fastpath import up_to_date
from tests.unit.fake_python import answering, script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipshim.model.interpreter import Target

HERE = Path(os.path.abspath(sys.executable))  # noqa: PTH100 not resolved
MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def venv(directory: Path, python: Path = HERE) -> Path:
    base = query(python, None).base_python
    subprocess.run([base, "-I", "-m", "venv", "--without-pip", directory], check=True)
    return directory / "bin/python"


@pytest.fixture
def no_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(python: Path) -> Any:
        pytest.fail(f"{python} was asked again")

    monkeypatch.setattr(module, "_ask", fail)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    real = module._ask
    calls: list[Path] = []

    def ask(python: Path) -> dict[str, Any]:
        calls.append(python)
        return real(python)

    monkeypatch.setattr(module, "_ask", ask)
    return calls  # type: ignore[return-value]


@pytest.fixture(params=["3.10", "3.11", "3.12", "3.13", "3.14"])
def another(request: pytest.FixtureRequest) -> Target:
    """Give another Python than the running one, as far as this machine has it."""
    version = tuple(map(int, request.param.split(".")))
    if version == sys.version_info[:2]:
        pytest.skip("it is the running one")
    found = shutil.which(f"python{request.param}")
    if found is None:
        pytest.skip("not on PATH")
    try:
        target = query(Path(found), None)
    except TargetError as error:
        pytest.skip(error.message)
    assert target.version[:2] == version
    return base_of(target, None)


# What it answers


def test_markers_and_tags_are_those_of_packaging() -> None:
    target = query(HERE, None)
    assert target.markers == dict(default_environment())
    assert target.tags == tuple(map(str, sys_tags()))
    assert target.version == sys.version_info[:3]
    assert target.implementation == sys.implementation.name
    assert target.full_version == default_environment()["python_full_version"]


def test_paths_are_those_of_pip() -> None:
    code = (
        "import json; from pip._internal.locations import get_scheme; s = get_scheme('NAME');"
        "print(json.dumps([s.purelib, s.platlib, s.scripts, s.data, s.headers]))"
    )
    output = subprocess.run(
        [HERE, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    target = query(HERE, None)
    paths = [target.purelib, target.platlib, target.scripts, target.data, target.headers / "NAME"]
    assert list(map(str, paths)) == json.loads(output)


def test_venv(tmp_path: Path) -> None:
    base = base_of(query(HERE, None), None)
    python = venv(tmp_path / "env")
    target = query(python, None)
    assert target.is_venv
    assert target.python == python
    assert target.prefix == tmp_path / "env"
    assert target.base_prefix == base.prefix
    assert not target.base_python.is_relative_to(target.prefix)
    assert target.scripts == tmp_path / "env/bin"
    assert target.data == tmp_path / "env"
    assert target.headers == tmp_path / f"env/include/site/{MINOR}"
    assert target.purelib == tmp_path / f"env/lib/{MINOR}/site-packages"


def test_base(tmp_path: Path) -> None:
    of_venv = base_of(query(venv(tmp_path / "env"), None), None)
    assert not of_venv.is_venv
    assert of_venv.version == sys.version_info[:3]
    assert of_venv.base_python == of_venv.python
    assert of_venv.base_prefix == of_venv.prefix
    assert of_venv.headers.is_relative_to(of_venv.prefix)
    assert base_of(of_venv, None) is of_venv


def test_another_python(another: Target, tmp_path: Path) -> None:
    major, minor, _ = another.version
    assert another.markers["python_version"] == f"{major}.{minor}"
    assert another.tags[0].startswith(f"cp{major}{minor}-")
    target = query(venv(tmp_path / "env", another.python), None)
    assert target.tags == another.tags
    assert target.version == another.version
    assert target.prefix == tmp_path / "env"
    assert target.base_prefix == another.prefix
    assert not target.base_python.is_relative_to(target.prefix)
    assert not base_of(target, None).is_venv
    assert base_of(target, None).version == another.version
    assert target.headers == tmp_path / f"env/include/site/python{major}.{minor}"


def test_packagings_folder_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "packaging"
    original = Path(packaging.__file__ or "").parent
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(packaging, "__file__", str(folder / "__init__.py"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    query(HERE, None)
    assert not (folder / "__pycache__").exists()


def test_what_is_installed_in_the_target_does_not_matter(tmp_path: Path) -> None:
    python = venv(tmp_path / "env")
    site = query(python, None).purelib
    (site / "packaging").mkdir()
    (site / "packaging/__init__.py").touch()
    (site / "packaging/tags.py").write_text("sys_tags = lambda: ['wrong']")
    (site / "noise.pth").write_text(
        "import sys; sys.stdout.write('noise'); import packaging.tags; sys.stderr.write('noise')\n"
    )
    assert query(python, None).tags == tuple(map(str, sys_tags()))


def test_variables_of_the_caller_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "platform.py").write_text("raise SystemExit('the wrong platform')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert query(HERE, None).version == sys.version_info[:3]


def test_relative_path_is_made_absolute_and_links_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = venv(tmp_path / "env")
    assert python.is_symlink()
    monkeypatch.chdir(tmp_path)
    target = query(Path("env/bin/python"), None)
    assert target.python == python
    assert target.prefix == tmp_path / "env"


def test_target_can_be_a_key(tmp_path: Path) -> None:
    assert {query(HERE, tmp_path): 1}[query(HERE, tmp_path)] == 1


# The cache


def test_second_time_is_from_the_cache(tmp_path: Path, asked: list[Path]) -> None:
    first = query(HERE, tmp_path)
    assert query(HERE, tmp_path) == first
    assert asked == [HERE]
    assert [path.suffix for path in (tmp_path / "interpreters").iterdir()] == [".json"]


def test_without_a_cache_it_is_asked_each_time(asked: list[Path]) -> None:
    query(HERE, None)
    query(HERE, None)
    assert asked == [HERE, HERE]


def test_two_environments_of_one_python_are_two(tmp_path: Path) -> None:
    one, two = venv(tmp_path / "one"), venv(tmp_path / "two")
    assert one.resolve() == two.resolve()
    cache = tmp_path / "cache"
    assert query(one, cache).prefix == tmp_path / "one"
    assert query(two, cache).prefix == tmp_path / "two"
    assert query(one, cache).prefix == tmp_path / "one"


def test_changed_pyvenv_cfg_is_seen(tmp_path: Path, asked: list[Path]) -> None:
    python = venv(tmp_path / "env")
    cache = tmp_path / "cache"
    asked.clear()
    query(python, cache)
    os.utime(tmp_path / "env/pyvenv.cfg", ns=(1, 1))
    query(python, cache)
    assert asked == [python, python]
    (tmp_path / "env/pyvenv.cfg").unlink()
    assert not query(python, cache).is_venv


def test_changed_interpreter_is_seen(tmp_path: Path, asked: list[Path]) -> None:
    python = venv(tmp_path / "env")
    cache = tmp_path / "cache"
    real = python.resolve()
    python.unlink()
    shutil.copy(real, python)
    asked.clear()
    query(python, cache)
    query(python, cache)
    os.utime(python, ns=(1, 1))
    query(python, cache)
    assert asked == [python, python]


def test_other_link_is_seen(tmp_path: Path, asked: list[Path]) -> None:
    python = venv(tmp_path / "env")
    copy = tmp_path / "python-copy"
    shutil.copy2(python.resolve(), copy)
    cache = tmp_path / "cache"
    asked.clear()
    query(python, cache)
    python.unlink()
    python.symlink_to(copy)
    query(python, cache)
    assert asked == [python, python]


def test_other_packaging_is_seen(
    tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    query(HERE, tmp_path)
    monkeypatch.setattr(packaging, "__version__", "99")
    query(HERE, tmp_path)
    assert asked == [HERE, HERE]


def test_other_kernel_is_seen(
    tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    query(HERE, tmp_path)
    monkeypatch.setattr(os, "uname", lambda: ("Linux", "host", "99.0", "#1", "x86_64"))
    query(HERE, tmp_path)
    assert asked == [HERE, HERE]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"stamp": 1}',
        lambda kept: kept["answer"].pop("tags"),
        lambda kept: kept["answer"].update(version=[3]),
        lambda kept: kept["answer"].update(markers=None),
        lambda kept: kept["answer"].update(prefix=3),
        lambda kept: kept.update(answer=[]),
    ],
)
def test_damaged_entry_is_ignored_and_mended(
    damage: Any, tmp_path: Path, asked: list[Path]
) -> None:
    target = query(HERE, tmp_path)
    (entry,) = (tmp_path / "interpreters").iterdir()
    whole = entry.read_bytes()
    if callable(damage):
        kept = json.loads(whole)
        damage(kept)
        damage = json.dumps(kept).encode()
    entry.write_bytes(damage)
    assert query(HERE, tmp_path) == target
    assert asked == [HERE, HERE]
    assert json.loads(entry.read_bytes()) == json.loads(whole)


def test_cache_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "interpreters").write_text("a file")
    assert query(HERE, tmp_path) == query(HERE, None)


def test_entry_that_cannot_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    query(HERE, tmp_path)
    (entry,) = (tmp_path / "interpreters").iterdir()
    entry.unlink()
    entry.mkdir()
    query(HERE, tmp_path)
    assert list((tmp_path / "interpreters").iterdir()) == [entry]


def test_kept_answer_needs_few_imports(tmp_path: Path) -> None:
    query(HERE, tmp_path)
    code = (
        "import sys; from pathlib import Path; from pipshim.envs.interpreter import query;"
        "query(Path(sys.argv[1]), Path(sys.argv[2]));"
        "heavy = {'pip', 'rich', 'subprocess', 'tempfile', 'filelock', 'importlib.metadata'};"
        "print(*[name for name in sys.modules if name in heavy or name.startswith('packaging.')])"
    )
    # -S: what the site-packages of this machine import at start is not pipshim's.
    path = os.pathsep.join(
        [str(Path(module.__file__).parents[1]), str(Path(packaging.__file__ or "").parents[1])]
    )
    output = subprocess.run(
        [HERE, "-S", "-c", code, HERE, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        timeout=60,
    ).stdout
    assert output.split() == []


# Scripts in the place of interpreters


def test_shim_is_asked_each_time_and_not_the_target(tmp_path: Path) -> None:
    one, two = venv(tmp_path / "one"), venv(tmp_path / "two")
    choice = tmp_path / "choice"
    shim = script(tmp_path / "python", f'exec "$(cat {choice})" "$@"')
    for python in (one, two):
        choice.write_text(str(python))
        assert query(shim, tmp_path / "cache").python == python


# What goes wrong


def fails(python: Path, cache_dir: Path | None = None) -> TargetError:
    with pytest.raises(TargetError) as caught:
        query(python, cache_dir)
    assert "\n" not in caught.value.message
    assert str(python) in caught.value.message
    return caught.value


def test_no_such_interpreter(tmp_path: Path) -> None:
    assert "no such interpreter" in fails(tmp_path / "python").message
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert "no such interpreter" in fails(tmp_path / "dangling").message


def test_interpreter_that_has_gone_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    python = venv(tmp_path / "env")
    query(python, tmp_path)
    python.unlink()
    fails(python, tmp_path)


@pytest.mark.usefixtures("no_asking")
def test_nothing_is_asked_of_what_is_not_there(tmp_path: Path) -> None:
    fails(tmp_path / "python")


def test_not_executable(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("text")
    assert "not executable" in fails(tmp_path / "python").message
    assert "not executable" in fails(tmp_path).message


def test_no_program(tmp_path: Path) -> None:
    (tmp_path / "python").write_bytes(b"\x7fELF")
    (tmp_path / "python").chmod(0o755)
    assert "Exec format error" in fails(tmp_path / "python").message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo Traceback; exit 1", "no answer (exit status 1)"),
        ("printf 'Traceback:\\n  at\\nImportError: why\\n\\n' >&2; exit 1", "ImportError: why"),
        ("printf 'path = x\\nFatal Python error: why\\n<none>\\n' >&2", "Fatal Python error: why"),
        ("printf 'shim: not found\\n\\nsee help\\n' >&2; exit 127", "shim: not found"),
        ("kill -9 $$", "signal 9"),
        ("true", "no answer (exit status 0)"),
    ],
)
def test_interpreter_that_fails_says_why(body: str, said: str, tmp_path: Path) -> None:
    error = fails(script(tmp_path / "python", body))
    assert error.message.endswith(said)
    assert error.hint


def test_interpreter_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.1)
    assert "no answer in 0.1 seconds" in fails(script(tmp_path / "py", "exec sleep 600")).message


def test_too_old(tmp_path: Path) -> None:
    error = fails(answering(tmp_path / "python3.9", "3.9.18"))
    assert error.message.endswith("is Python 3.9.18, which is too old")
    assert error.hint
    assert "3.10" in error.hint


def test_too_old_to_know_the_option(tmp_path: Path) -> None:
    body = (
        'test "$1" = -I && { echo "Unknown option: -I" >&2; exit 2; }\n'
        """echo 'pipshim-target:{"version": [2, 7, 18]}'"""
    )
    assert "is Python 2.7.18" in fails(script(tmp_path / "python2", body)).message


def test_script_is_parsed_by_old_pythons() -> None:
    """No f-strings, no walrus: nothing that an old Python refuses before it says its version."""
    import ast  # noqa: PLC0415

    ast.parse(module._SCRIPT, feature_version=(3, 4))


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
def test_really_old(version: str) -> None:
    found = shutil.which(f"python{version}")
    if found is None or subprocess.run([found, "-V"], check=False, capture_output=True).returncode:
        pytest.skip("not on PATH")
    assert f"is Python {version}." in fails(Path(found)).message


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        query(HERE, None).version = (1, 2, 3)  # type: ignore[misc]


def test_stamps_of_locks_have_one_place_in_the_cache() -> None:
    assert up_to_date.CACHE_FOLDER == STAMPS
