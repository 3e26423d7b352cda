"""The store: against pip's own installs of the same wheels, and against bad wheels."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from pipshim.base import interruption
from pipshim.base.errors import InstallError
from pipshim.envs import scripts
from pipshim.store.installer import install, restore
from pipshim.store.linking import Linker
from pipshim.store.shared_paths import SharedPath, find_shared, losing_paths
from pipshim.store.store import Store
from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.store.linking import LinkMode
    from pipshim.store.unpacked_wheel import UnpackedWheel

NAME = "demo"
INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
METADATA = "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n\ntext\n"


@dataclass(frozen=True)
class Env:
    """The paths of a virtual environment, without asking it."""

    prefix: Path
    version: tuple[int, int, int] = (*sys.version_info[:2], 0)

    @property
    def minor(self) -> str:
        return f"python{self.version[0]}.{self.version[1]}"

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def bytecode(self) -> str:
        return f"cpython-{self.version[0]}.{self.version[1]}"

    @property
    def purelib(self) -> Path:
        return self.prefix / "lib" / self.minor / "site-packages"

    @property
    def platlib(self) -> Path:
        return self.purelib

    @property
    def scripts(self) -> Path:
        return self.prefix / "bin"

    @property
    def data(self) -> Path:
        return self.prefix

    @property
    def headers(self) -> Path:
        return self.prefix / "include" / "site" / self.minor


def record_hash(content: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def make_wheel(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    pure: bool = True,
    record: Mapping[str, str] | None = None,
    name: str = "Demo",
    executable: tuple[str, ...] = (),
) -> Path:
    """Write a wheel; `record` replaces the rows of some files (empty: no row), or adds rows."""
    stem = f"{name.lower()}-1.0"
    info = f"{stem}.dist-info"
    contents: dict[str, bytes] = {
        path: text.encode() if isinstance(text, str) else text
        for path, text in {
            f"{info}/METADATA": METADATA.replace("Demo", name),
            f"{info}/WHEEL": (
                f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\nTag: py3-none-any\n"
            ),
            **files,
        }.items()
    }
    rows = {
        path: f'"{path}",{record_hash(content)},{len(content)}'
        for path, content in contents.items()
    }
    rows[f"{info}/RECORD"] = f"{info}/RECORD,,"
    rows |= record or {}
    text = "".join(f"{row}\n" for row in rows.values() if row)
    contents.setdefault(f"{info}/RECORD", text.encode())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(path)
            mode = 0o755 if path in executable else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)
    return wheel


WHEELS: dict[str, dict[str, str | bytes]] = {
    "plain": {"demo/__init__.py": "x = 1\n", "demo/data.txt": b"\x00\xff"},
    "entry points": {
        "demo.py": "def main():\n    print('ran')\n",
        f"{INFO}/entry_points.txt": (
            "[console_scripts]\ndemo = demo:main\ndemo.two = demo:main [extra]\n"
            "[gui_scripts]\ndemo-gui = demo:main\n[other]\nthing = demo:main\n"
        ),
    },
    "data scripts": {
        f"{DATA}/scripts/start": "#!python -E\nprint('ran')\n",
        f"{DATA}/scripts/start-gui": "#!pythonw\nprint('ran')\n",
        f"{DATA}/scripts/shell": "#!/bin/sh\necho ran\n",
        f"{DATA}/scripts/program": b"\x7fELF...",
        f"{DATA}/scripts/demo": "#!python\nby setuptools, replaced by the entry point\n",
        f"{DATA}/scripts/demo-script.py": "#!python\nthe same\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
        "demo.py": "def main():\n    print('ran')\n",
    },
    "other schemes": {
        f"{DATA}/data/share/demo/file.txt": "text",
        f"{DATA}/data/etc/demo.conf": "",
        f"{DATA}/headers/demo.h": "#define DEMO\n",
        f"{DATA}/headers/sub/more.h": "#define MORE\n",
        f"{DATA}/purelib/demo_pure.py": "",
        f"{DATA}/platlib/demo_plat.py": "",
    },
    "namespace": {"space/name/demo.py": "x = 1\n"},
    "names": {
        "demo/größe — 日本.txt": "text",
        "demo/with, comma.txt": "text",
        "demo/with space/__init__.py": "",
        "demo/__init__.py": "",
    },
    "pip's own scripts": {
        "demo.py": "def main():\n    print('ran')\n",
        f"{INFO}/entry_points.txt": (
            "[console_scripts]\npip = demo:main\npip3 = demo:main\npip3.7 = demo:main\n"
            "easy_install = demo:main\neasy_install-3.7 = demo:main\n"
        ),
    },
    "left by an installer": {
        "demo.py": "",
        f"{INFO}/licenses/LICENSE": "text",
    },
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def env(tmp_path: Path) -> Env:
    env = make_env(tmp_path / "env")
    assert env.purelib.is_dir()
    return env


def make_env(prefix: Path) -> Env:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    return Env(prefix)


def pip(env: Env, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", env.prefix, "--isolated", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install_with_pip(env: Env, wheel: Path) -> None:
    pip(env, "install", "--no-deps", "--no-index", "--no-compile", wheel)


def snapshot(env: Env) -> dict[str, tuple[int, bytes]]:
    """Tell every file's mode and content, but for INSTALLER's."""
    found = {}
    for path in sorted(env.prefix.rglob("*")):
        relative = str(path.relative_to(env.prefix))
        if not path.is_file() or "__pycache__" in relative or path.is_symlink():
            continue
        content = path.read_bytes()
        if path.name == "INSTALLER":
            content = b""
        elif path.name == "RECORD":
            content = b"\n".join(
                line
                for line in content.splitlines()
                # pip leaves rows for the scripts that it replaces by its own.
                if b"INSTALLER" not in line and not line.startswith(DATA.encode())
            )
        found[relative] = (stat.S_IMODE(path.stat().st_mode), content)
    return found


def files(env: Env) -> set[str]:
    return {
        str(path.relative_to(env.prefix)) for path in env.prefix.rglob("*") if not path.is_dir()
    }


def add(store: Store, wheel: Path, name: str = NAME) -> UnpackedWheel:
    return store.add(wheel, name)


@pytest.mark.parametrize(
    ("kind", "pure"),
    [*((kind, True) for kind in WHEELS), ("plain", False), ("other schemes", False)],
)
def test_installs_what_pip_installs_and_pip_removes_it(
    kind: str, pure: bool, store: Store, tmp_path: Path
) -> None:
    wheel = make_wheel(
        tmp_path, WHEELS[kind], pure=pure, executable=(f"{DATA}/scripts/start", "demo/data.txt")
    )
    prefix = tmp_path / "env"
    env = make_env(prefix)
    before = files(env)
    install_with_pip(env, wheel)
    expected = snapshot(env)
    shutil.rmtree(prefix)
    make_env(prefix)

    placed = install(add(store, wheel), env, requested=True, direct_url=direct_url_of(wheel))

    assert snapshot(env) == expected
    assert sorted(placed) == sorted(str(prefix / path) for path in files(env) - before)
    assert (env.purelib / INFO / "INSTALLER").read_text() == "pipshim\n"
    check_record(env)
    if kind == "plain":
        assert "No broken requirements" in pip(env, "check")
        listed = pip(env, "show", "-f", "-v", NAME)
        assert "Installer: pipshim" in listed
        assert f"{INFO}/RECORD" in listed
    pip(env, "uninstall", "-y", NAME)
    assert files(env) == before


def direct_url_of(wheel: Path) -> dict[str, object]:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    hashes = {"hash": f"sha256={digest}", "hashes": {"sha256": digest}}
    return {"archive_info": hashes, "url": wheel.as_uri()}


def check_record(env: Env, info: str = INFO) -> None:
    with (env.purelib / info / "RECORD").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == sorted(rows)
    for path, told, size in rows:
        content = (env.purelib / path).read_bytes()
        if path == f"{info}/RECORD":
            assert (told, size) == ("", "")
        else:
            assert (told, size) == (record_hash(content), str(len(content)))


def test_scripts_run_in_the_environment(store: Store, env: Env, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, WHEELS["data scripts"], executable=(f"{DATA}/scripts/start",))
    install(add(store, wheel), env)
    for name in ("demo", "start"):
        done = subprocess.run([env.scripts / name], check=True, capture_output=True, text=True)
        assert done.stdout == "ran\n"
    assert (env.scripts / "demo").read_text().startswith(f"#!{env.python}\n")


@pytest.mark.parametrize("folder", ["with space", "it's", "$HOME `x`", "x" * 130])
def test_scripts_run_where_the_kernel_needs_help(folder: str, store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, WHEELS["data scripts"], executable=(f"{DATA}/scripts/start",))
    env = make_env(tmp_path / folder)
    install(add(store, wheel), env)
    for name in ("demo", "start"):
        done = subprocess.run(
            [env.scripts / name], check=True, capture_output=True, text=True, env={"HOME": "/"}
        )
        assert (done.stdout, done.stderr) == ("ran\n", "")


@pytest.mark.parametrize(
    "python", ["/env/bin/python", "/an env/bin/python", f"/{'x' * 130}/python"]
)
def test_first_line_is_pips(python: str, tmp_path: Path) -> None:
    from pip._internal.operations.install.wheel import PipScriptMaker  # noqa: PLC0415
    from pip._vendor.distlib.scripts import enquote_executable  # noqa: PLC0415

    maker: Any = PipScriptMaker(None, str(tmp_path))  # type: ignore[no-untyped-call]
    maker.executable = enquote_executable(python)  # type: ignore[no-untyped-call]
    maker.variants = {""}
    (path,) = maker.make("demo = demo:main")
    assert Path(path).read_bytes().startswith(scripts.shebang(python) + b"import sys\n")


def test_gui_script_replaces_console_script_of_its_name(
    store: Store, env: Env, tmp_path: Path
) -> None:
    entry_points = (
        "[gui_scripts]\na = demo:gui\nb = demo:gui\n[console_scripts]\na = demo:console\n"
    )
    wheel = make_wheel(tmp_path, {f"{INFO}/entry_points.txt": entry_points})
    install(add(store, wheel), env)
    assert {path.name for path in env.scripts.iterdir()} >= {"a", "b"}
    assert "from demo import gui" in (env.scripts / "a").read_text()
    assert os.access(env.scripts / "a", os.X_OK)


def test_scripts_of_pip_are_named_for_the_environments_python(store: Store, tmp_path: Path) -> None:
    env = Env(tmp_path / "env", version=(3, 14, 1))
    install(add(store, make_wheel(tmp_path, WHEELS["pip's own scripts"])), env)
    assert {path.name for path in env.scripts.iterdir()} == {
        "pip",
        "pip3",
        "pip3.14",
        "easy_install",
        "easy_install-3.14",
    }


def test_tree_tells_what_it_is(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        {"demo/fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF", "demo/a.py": ""},
        pure=False,
    )
    tree = add(store, wheel)
    assert (tree.name, tree.version, tree.dist_info) == ("Demo", "1.0", INFO)
    assert tree.root == "platlib"
    assert tree.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert Path(tree.lib, "demo/a.py").is_file()
    assert list(tree.module_files) == ["demo/a.py", "demo/fast.cpython-311-x86_64-linux-gnu.so"]
    assert store.tree(tree.sha256) == tree
    assert store.tree("0" * 64) is None
    assert store.tree("../../etc") is None


def leftovers(store: Store) -> list[str]:
    return [str(path) for path in Path(store.root).rglob(".*")]


BAD: dict[str, tuple[dict[str, str | bytes], dict[str, str], str]] = {
    "wrong hash": (
        {"demo.py": "x = 1\n"},
        {"demo.py": f"demo.py,{record_hash(b'x = 2')},6"},
        "does not match its hash in RECORD",
    ),
    "wrong weak hash": (
        {"demo.py": "x = 1\n"},
        {"demo.py": f"demo.py,{record_hash(b'x = 2', 'md5')},6"},
        "does not match its hash in RECORD",
    ),
    "wrong hash of a script": (
        {f"{DATA}/scripts/demo": "#!python\nx = 1\n"},
        {f"{DATA}/scripts/demo": f"{DATA}/scripts/demo,{record_hash(b'x')},15"},
        "does not match its hash in RECORD",
    ),
    "two hashes": (
        {"demo.py": ""},
        {"again": f"demo.py,{record_hash(b'x')},1"},
        "its RECORD has two hashes for 'demo.py'",
    ),
    "broken RECORD": ({}, {"x": '"a"b,,'}, "RECORD is invalid"),
    "above": ({"../demo.py": ""}, {}, "leads out of the folder"),
    "above, below": ({"demo/../../demo.py": ""}, {}, "leads out of the folder"),
    "absolute": ({"/tmp/demo.py": ""}, {}, "leads out of the folder"),  # noqa: S108
    "script above": ({f"{DATA}/scripts/../../x": ""}, {}, "leads out of the folder"),
    "unknown scheme": ({f"{DATA}/secret/x": ""}, {}, "Unknown scheme key"),
    "no scheme": ({f"{DATA}/x": ""}, {}, "Unexpected file"),
    "no callable": (
        {f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo\n"},
        {},
        "A callable suffix is required",
    ),
    "no entry point": (
        {f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = -:main\n"},
        {},
        "is not a valid wheel",
    ),
    "broken entry point": (
        {f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo:main [x\n"},
        {},
        "is not a valid wheel",
    ),
    "entry point above": (
        {f"{INFO}/entry_points.txt": "[console_scripts]\n../../demo = demo:main\n"},
        {},
        "outside the scripts folder",
    ),
    "entry point below": (
        {f"{INFO}/entry_points.txt": "[gui_scripts]\nsub/demo = demo:main\n"},
        {},
        "outside the scripts folder",
    ),
    "script over the interpreter": (
        {f"{DATA}/scripts/python3": "#!python\n"},
        {},
        "would overwrite the interpreter",
    ),
    "another Wheel-Version": (
        {f"{INFO}/WHEEL": "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"},
        {},
        "not compatible with this version",
    ),
    "no Wheel-Version": ({f"{INFO}/WHEEL": "Root-Is-Purelib: true\n"}, {}, "missing Wheel-Version"),
    "two dist-infos": ({"demo-2.0.dist-info/METADATA": METADATA}, {}, "multiple .dist-info"),
    "no version": ({f"{INFO}/METADATA": "Name: demo\n\n"}, {}, "has no Name or no Version"),
    "another name": (
        {f"{INFO}/METADATA": "Name: demon\nVersion: 1.0\n\n"},
        {},
        "is a wheel of demon, not of demo",
    ),
}
for _name in ("python", "python3", "python3.11", "Python3", "pythonw", "python3.13t", "python.exe"):
    BAD[f"entry point over {_name}"] = (
        {f"{INFO}/entry_points.txt": f"[console_scripts]\n{_name} = demo:main\n"},
        {},
        "would overwrite the interpreter",
    )


@pytest.mark.parametrize("kind", BAD)
def test_bad_wheel_is_refused_and_leaves_nothing(kind: str, store: Store, tmp_path: Path) -> None:
    contents, record, message = BAD[kind]
    wheel = make_wheel(tmp_path / "wheels", contents, record=record)
    with pytest.raises(InstallError) as caught:
        add(store, wheel)
    assert message in caught.value.message
    assert wheel.name in caught.value.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [wheel]
    assert leftovers(store) == []


def test_what_is_no_wheel_is_refused(store: Store, tmp_path: Path) -> None:
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    wheel.write_bytes(b"no zip")
    with pytest.raises(InstallError, match="not a valid wheel"):
        add(store, wheel)
    whole = make_wheel(tmp_path, {"demo.py": "x = 1\n" * 1000})
    wheel.write_bytes(whole.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05", 1))
    with pytest.raises(InstallError, match="not a valid wheel: Bad magic number"):
        add(store, wheel)
    with pytest.raises(InstallError, match="cannot be read"):
        add(store, tmp_path / "gone.whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("demo.py", "")
    with pytest.raises(InstallError, match="dist-info directory not found"):
        add(store, wheel)


def test_an_encrypted_file_is_refused(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo.py": "x = 1\n"})
    data = bytearray(wheel.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    wheel.write_bytes(data)
    with pytest.raises(InstallError, match="is encrypted"):
        add(store, wheel)


def test_large_and_small_files_are_written_at_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b"x" * (1 << 20)
    wheel = make_wheel(tmp_path, {"demo.py": "x = 1\n", "demo/large.so": large})
    both = threading.Barrier(2)
    utime, called = os.utime, threading.local()

    def meet(*arguments: Any) -> None:
        if not hasattr(called, "before"):
            called.before = True
            both.wait(PATIENCE)
        utime(*arguments)

    monkeypatch.setattr(os, "utime", meet)
    tree = add(store, wheel)
    assert {"demo.py", "demo/large.so"} <= {file.path for file in tree.files}
    assert Path(tree.folder, "purelib/demo/large.so").read_bytes() == large


def test_an_interrupt_leaves_nothing_half_unpacked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, WHEELS["plain"])
    told = iter([False, True])
    monkeypatch.setattr(interruption, "is_ending", lambda: next(told))
    with pytest.raises(KeyboardInterrupt):
        add(store, wheel)
    assert leftovers(store) == []
    monkeypatch.undo()
    assert add(store, wheel).version == "1.0"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_file_twice_is_refused(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo.py": ""})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("demo.py", "x = 1\n")
    with pytest.raises(InstallError, match=r"two files named 'demo.py'"):
        add(store, wheel)


def test_signatures_and_what_installers_write(store: Store, env: Env, tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        {
            f"{INFO}/RECORD.jws": "signature",
            f"{INFO}/INSTALLER": "someone",
            f"{INFO}/REQUESTED": "",
            f"{INFO}/direct_url.json": "{}",
        },
        record={f"{INFO}/RECORD.jws": f"{INFO}/RECORD.jws,,"},
    )
    install(add(store, wheel), env)
    found = {path.name for path in (env.purelib / INFO).iterdir()}
    assert found == {"INSTALLER", "METADATA", "RECORD", "RECORD.jws", "WHEEL"}
    assert f"{INFO}/RECORD.jws,," in (env.purelib / INFO / "RECORD").read_text()


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_stronger_and_padded_hashes_are_good(
    algorithm: str, store: Store, env: Env, tmp_path: Path
) -> None:
    told = record_hash(b"x = 1\n", algorithm) + "="
    wheel = make_wheel(tmp_path, {"demo.py": "x = 1\n"}, record={"demo.py": f"demo.py,{told},"})
    tree = add(store, wheel)
    install(tree, env)
    assert told.rstrip("=") in (env.purelib / INFO / "RECORD").read_text()
    assert store.tree(tree.sha256) == tree


UNHASHED: dict[str, tuple[dict[str, str], str | None]] = {
    "no hash": ({"demo.py": "demo.py,,"}, None),
    "a hash in one of two rows": ({"again": "demo.py,,"}, None),
    "only a path": ({"demo.py": "demo.py"}, None),
    "wrong size": ({"demo.py": f"demo.py,{record_hash(b'x = 1')},7"}, None),
    "weak hash": ({"demo.py": f"demo.py,{record_hash(b'x = 1', 'md5')},5"}, None),
    "unknown hash": ({"demo.py": "demo.py,rot13=x,5"}, None),
    "not in RECORD": ({"demo.py": ""}, "its RECORD does not list demo.py"),
    "a file too few": (
        {f"{number}.py": f"{number}.py,{record_hash(b'')},0" for number in range(4)},
        "its RECORD lists files that the wheel does not contain: 0.py, 1.py, 2.py and 1 more",
    ),
}


@pytest.mark.parametrize("kind", UNHASHED)
def test_file_without_a_usable_hash_in_record_is_installed_with_one(
    kind: str, store: Store, env: Env, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record, warning = UNHASHED[kind]
    wheel = make_wheel(tmp_path, {"demo.py": "x = 1"}, record=record)
    tree = add(store, wheel)
    install(tree, env)
    installed = (env.purelib / INFO / "RECORD").read_text().splitlines()
    assert f"demo.py,{record_hash(b'x = 1')},5" in installed
    assert not [row for row in installed if row.startswith("0.py")]
    assert caplog.messages == ([f"{wheel.name}: {warning}"] if warning else [])


def test_script_of_an_entry_point_replaces_one_that_record_does_not_list(
    store: Store, env: Env, tmp_path: Path
) -> None:
    entry_points = "[console_scripts]\ndemo = demo:main\n"
    script = f"{DATA}/scripts/demo"
    wheel = make_wheel(
        tmp_path,
        {"demo.py": "", script: "#!python\n", f"{INFO}/entry_points.txt": entry_points},
        record={script: ""},
    )
    install(add(store, wheel), env)
    assert "from demo import main" in (env.scripts / "demo").read_text()


def test_damaged_tree_is_made_again(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo.py": "x = 1\n", "other.py": ""})
    tree = add(store, wheel)
    path = Path(tree.lib, "demo.py")
    for damage in (
        lambda: path.write_text("x = 2\n"),
        lambda: path.write_text("x = 1000\n"),
        path.unlink,
        lambda: Path(tree.folder, "tree.json").write_text("{"),
        lambda: Path(tree.folder, "tree.json").unlink(),
        lambda: Path(tree.folder, "tree.json").write_text("{}"),
    ):
        os.utime(path, ns=(1, 1))
        assert store.tree(tree.sha256) is not None
        damage()
        os.utime(Path(tree.folder), ns=(1, 1))
        assert store.tree(tree.sha256) is None
        assert add(store, wheel).sha256 == tree.sha256
        assert path.read_text() == "x = 1\n"
    assert leftovers(store) == []
    store.remove(tree.folder)
    assert store.tree(tree.sha256) is None


def test_copied_store_is_hashed_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = add(store, make_wheel(tmp_path, WHEELS["plain"]))
    for path in Path(tree.lib).rglob("*"):
        os.utime(path, (1, 1))
    assert store.tree(tree.sha256) is not None
    monkeypatch.setattr("pipshim.envs.dist_info.hash_file", None)
    assert store.tree(tree.sha256) is not None


def test_many_add_the_same(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {f"demo/m{n}.py": f"x = {n}\n" for n in range(50)})
    trees: list[UnpackedWheel] = []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait()
        trees.append(add(Store(store.root), wheel))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trees) == 4
    assert len(set(trees)) == 1
    assert leftovers(store) == []


def inode(path: Path | str) -> int:
    return os.stat(path).st_ino  # noqa: PTH116


def refuse_reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.ioctl", refuse)


@pytest.mark.parametrize(
    ("mode", "linked"),
    [
        ("auto", {"small.py", "large.bin", "small.h"}),
        ("reflink", {"small.py", "large.bin", "small.h"}),
        ("hardlink", {"small.py", "large.bin", "small.h"}),
        ("copy", set()),
        ("mixed", {"large.bin", "small.h"}),
    ],
)
def test_modes_without_reflinks(
    mode: LinkMode,
    linked: set[str],
    store: Store,
    env: Env,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse_reflinks(monkeypatch)
    contents: dict[str, str | bytes] = {"small.py": "x = 1\n", "large.bin": b"x" * 70_000}
    contents["small.h"] = "#define X 1\n"
    tree = add(store, make_wheel(tmp_path, contents, executable=("small.py",)))
    linker = Linker(mode)
    install(tree, env, linker)
    for name, content in contents.items():
        placed, kept = env.purelib / name, Path(tree.lib, name)
        assert (inode(placed) == inode(kept)) is (name in linked)
        assert placed.read_bytes() == (content.encode() if isinstance(content, str) else content)
        assert placed.stat().st_mode == kept.stat().st_mode
        assert placed.stat().st_mtime_ns == kept.stat().st_mtime_ns
    assert linker.fell_back_to == ("hardlink" if mode == "reflink" else None)
    check_record(env)


def test_reflinks_where_there_are(
    store: Store, env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(new: int, _: int, old: int) -> None:
        os.write(new, os.pread(old, 1 << 20, 0))

    monkeypatch.setattr("fcntl.ioctl", clone)
    tree = add(store, make_wheel(tmp_path, {"demo.py": "x = 1\n"}))
    linker = Linker("mixed")
    install(tree, env, linker)
    assert linker.fell_back_to is None
    assert (env.purelib / "demo.py").stat().st_nlink == 1
    assert inode(env.purelib / "demo.py") != inode(Path(tree.lib, "demo.py"))


@pytest.mark.parametrize("mode", ["auto", "reflink", "hardlink", "mixed"])
def test_copies_across_file_systems(
    mode: LinkMode,
    store: Store,
    env: Env,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []

    def refuse(*paths: str) -> None:
        tried.append(paths)
        raise OSError(18, "Invalid cross-device link")

    refuse_reflinks(monkeypatch)
    monkeypatch.setattr("os.link", refuse)
    linker = Linker(mode)
    install(
        add(store, make_wheel(tmp_path, {"a.bin": b"x" * 70_000, "b.bin": b"y" * 70_000})),
        env,
        linker,
    )
    assert linker.fell_back_to == "copy"
    assert len(tried) == 1
    check_record(env)


def test_refuses_to_overwrite(store: Store, env: Env, tmp_path: Path) -> None:
    before = files(env)
    (env.purelib / "demo.py").write_text("mine")
    tree = add(store, make_wheel(tmp_path, {"a/b/demo.py": "", "demo.py": "x = 1\n"}))
    with pytest.raises(InstallError, match=r"would overwrite .*/demo\.py$") as caught:
        install(tree, env)
    assert caught.value.hint is not None
    assert files(env) - before == {str((env.purelib / "demo.py").relative_to(env.prefix))}
    assert not (env.purelib / "a").exists()


def test_refuses_to_overwrite_scripts_and_the_interpreter(
    store: Store, env: Env, tmp_path: Path
) -> None:
    tree = add(store, make_wheel(tmp_path, WHEELS["entry points"]))
    (env.scripts / "demo").write_text("mine")
    with pytest.raises(InstallError, match=r"would overwrite .*/bin/demo"):
        install(tree, env)
    for path in ("bin/python", "bin/python3.99", "pyvenv.cfg"):
        contents = {f"{DATA}/data/{path}": ""}
        tree = add(store, make_wheel(tmp_path, contents))
        with pytest.raises(InstallError, match="would overwrite"):
            install(tree, env)
    assert not (env.purelib / INFO).exists()


def test_does_not_follow_links_out_of_the_environment(
    store: Store, env: Env, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (env.purelib / "demo").symlink_to(outside)
    tree = add(store, make_wheel(tmp_path, {"demo/__init__.py": ""}))
    with pytest.raises(InstallError, match="leads out of the environment"):
        install(tree, env)
    assert list(outside.iterdir()) == []
    (env.purelib / "demo").unlink()
    (env.prefix / "inside").mkdir()
    (env.purelib / "demo").symlink_to(env.prefix / "inside")
    install(tree, env)
    (env.purelib / "other").write_text("")
    other = add(store, make_wheel(tmp_path, {"other/x.py": ""}, name="Other"), "other")
    with pytest.raises(InstallError, match="is in the way of a folder"):
        install(other, env)


def test_the_last_distribution_by_name_wins_a_path(store: Store, env: Env, tmp_path: Path) -> None:
    points = "[console_scripts]\nrun = demo:main\n"
    one = add(
        store,
        make_wheel(tmp_path, {"same.py": "x", "who.py": "1", f"{INFO}/entry_points.txt": points}),
    )
    entry_points = {"two-1.0.dist-info/entry_points.txt": points.replace("main", "other")}
    two = add(
        store,
        make_wheel(tmp_path, {"same.py": "x", "who.py": "2", **entry_points}, name="Two"),
        "two",
    )
    trees = {canonicalize_name(tree.name): tree for tree in (one, two)}
    owners = (canonicalize_name("demo"), canonicalize_name("two"))
    shared = find_shared(trees, env)
    assert shared == [
        SharedPath(str(env.scripts / "run"), owners, differs=True),
        SharedPath(str(env.purelib / "same.py"), owners, differs=False),
        SharedPath(str(env.purelib / "who.py"), owners, differs=True),
    ]
    skip = losing_paths(shared)
    assert skip == {owners[0]: {one.path for one in shared}}
    install(two, env)
    assert str(env.purelib / "who.py") not in install(one, env, skip=skip[owners[0]])
    assert (env.purelib / "who.py").read_text() == "2"
    assert "import other" in (env.scripts / "run").read_text()
    assert f"who.py,{record_hash(b'1')},1" in (env.purelib / INFO / "RECORD").read_text()

    for path in skip[owners[0]]:
        Path(path).unlink()
    restore(one, env, skip[owners[0]], Linker("auto"))
    assert (env.purelib / "who.py").read_text() == "1"
    assert "import main" in (env.scripts / "run").read_text()
    check_record(env)


def test_root_twice_on_one_path(store: Store, env: Env, tmp_path: Path) -> None:
    same = make_wheel(tmp_path, {"demo.py": "x = 1\n", f"{DATA}/platlib/demo.py": "x = 1\n"})
    install(add(store, same), env)
    check_record(env)
    shutil.rmtree(env.purelib)
    other = make_wheel(tmp_path, {"demo.py": "x = 1\n", f"{DATA}/platlib/demo.py": "x = 2\n"})
    with pytest.raises(InstallError, match="two files for"):
        install(add(store, other), env)


def test_half_made_distribution_shows(
    store: Store, env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed can undo nothing: METADATA comes last."""
    tree = add(store, make_wheel(tmp_path, {"a.py": "", "z.py": ""}))
    order = []
    real = os.link

    def note(source: str, destination: str) -> None:
        order.append(Path(destination).name)
        assert (env.purelib / INFO / "RECORD").is_file()
        real(source, destination)

    monkeypatch.setattr(os, "link", note)
    install(tree, env, Linker("hardlink"))
    assert order == ["a.py", "z.py", "WHEEL", "METADATA"]


def test_failure_gives_back_what_was_there(
    store: Store, env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(env)
    tree = add(store, make_wheel(tmp_path, {"a/x.py": "x", **WHEELS["entry points"]}))

    def full(source: str, destination: str) -> None:
        raise OSError(28, "No space left on device", source, None, destination)

    linker = Linker("hardlink")
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", full)
        with pytest.raises(InstallError, match=r"a/x\.py: No space left on device"):
            install(tree, env, linker)
    assert files(env) == before
    install(tree, env, linker)
    check_record(env)


def test_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wheel = make_wheel(tmp_path, WHEELS["plain"])
    with pytest.raises(InstallError, match="cannot be unpacked"):
        add(Store(tmp_path / "file"), wheel)


def test_linking_needs_no_pip(store: Store, env: Env, tmp_path: Path) -> None:
    tree = add(store, make_wheel(tmp_path, WHEELS["data scripts"]))
    program = (
        "import sys, pathlib\n"
        "from pipshim.store.installer import install\n"
        "from pipshim.store.store import Store\n"
        "from tests.unit.test_store import Env\n"
        f"tree = Store(pathlib.Path({str(store.root)!r})).tree({tree.sha256!r})\n"
        f"install(tree, Env(pathlib.Path({str(env.prefix)!r})))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('pip', 'rich')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "[]\n"


def test_tree_hash_is_the_wheels(store: Store, tmp_path: Path) -> None:
    tree = add(store, make_wheel(tmp_path, WHEELS["plain"]))
    assert hash(tree._replace(folder="elsewhere")) == hash(tree)
