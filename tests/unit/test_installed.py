"""What an environment has: folders written by hand, and by pip."""

from __future__ import annotations

import json
import py_compile
import re
from typing import TYPE_CHECKING

import pytest
from packaging.utils import NormalizedName

from pipshim.base.errors import InstallError
from pipshim.envs.installed import Installed, files_of, scan
from pipshim.store.installer import install
from pipshim.store.shared_paths import find_shared, losing_paths
from pipshim.store.store import Store
from pipshim.sync.journal import Journal
from pipshim.sync.uninstall_paths import find_uninstall_paths
from tests.unit.test_store import (
    DATA,
    WHEELS,
    Env,
    install_with_pip,
    make_env,
    make_wheel,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = Env(tmp_path / "env").purelib
    site.mkdir(parents=True)
    return site


DEMO = NormalizedName("demo")
ONE = NormalizedName("one")
TWO = NormalizedName("two")


def dist(site: Path, stem: str = "demo-1.0", **more: str) -> Path:
    """Write a dist-info folder; `more` is by file name, with ``_`` for ``.``; None leaves out."""
    name, _, version = stem.rpartition("-")
    info = site / f"{stem}.dist-info"
    info.mkdir()
    contents = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n",
        "RECORD": f"{stem}.dist-info/METADATA,,\n{stem}.dist-info/RECORD,,\n",
        "INSTALLER": "pip\n",
        **more,
    }
    for file, text in contents.items():
        if text != "-":
            (info / file.replace("direct_url_json", "direct_url.json")).write_text(text)
    return info


def write(site: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def only(site: Path) -> Installed:
    (found,) = scan([site]).values()
    return found


def prefix_of(site: Path) -> Path:
    return site.parents[2]


def take(one: Installed, prefix: Path, others: Iterable[Installed] = ()) -> Journal:
    """Begin a change that takes a distribution out."""
    files = find_uninstall_paths({one.name: one}, others, prefix, {}).files[one.name]
    journal = Journal(Env(prefix))
    journal.take(files)
    return journal


def remove(one: Installed, prefix: Path) -> None:
    take(one, prefix).commit()


def test_scan(site: Path) -> None:
    info = dist(site, "Demo_Pkg-1.0", REQUESTED="")
    found = scan([site, site, site / "gone"])
    name = NormalizedName("demo-pkg")
    assert found == {name: Installed(name, "1.0", info, installer="pip", requested=True)}
    assert found[name].display_name == "Demo_Pkg"
    assert not found[name].editable


@pytest.mark.parametrize(
    ("left_out", "damaged"),
    [
        (["METADATA"], "no METADATA"),
        (["RECORD"], "no RECORD"),
        (["METADATA", "RECORD", "INSTALLER"], "no METADATA and no RECORD"),
        (["INSTALLER"], None),
    ],
)
def test_damaged(left_out: list[str], damaged: str | None, site: Path) -> None:
    dist(site, **dict.fromkeys(left_out, "-"))
    found = only(site)
    assert (found.name, found.version, found.damaged) == ("demo", "1.0", damaged)
    assert found.installer == ("" if "INSTALLER" in left_out else "pip")
    assert found.display_name == "demo"


@pytest.mark.parametrize(
    ("text", "read", "editable"),
    [
        ('{"url": "file:///x", "dir_info": {"editable": true}}', True, True),
        ('{"url": "file:///x", "dir_info": {}}', True, False),
        ('{"url": "file:///x"}', True, False),
        ("{", False, False),
        ("[]", False, False),
    ],
)
def test_direct_url(text: str, read: bool, editable: bool, site: Path) -> None:
    dist(site, direct_url_json=text)
    found = only(site)
    assert found.direct_url == (json.loads(text) if read else None)
    assert found.editable is editable


def test_what_is_no_distribution(site: Path) -> None:
    dist(site, "~emo-1.0")
    write(site, {"file-1.0.dist-info": "", "x.py": "", ".dist-info/METADATA": ""})
    assert scan([site]) == {}


def test_folder_without_version_takes_metadata(site: Path) -> None:
    write(
        site,
        {"demo.dist-info/METADATA": "Name: demo\nVersion: 2\n", "demo.dist-info/RECORD": ""},
    )
    assert only(site).version == "2"


def test_legacy(site: Path) -> None:
    write(
        site,
        {
            "one-1.0-py3.11.egg-info/PKG-INFO": "Name: one\nVersion: 1.0\n",
            "two.egg-info/PKG-INFO": "Name: two\nVersion: 2.0\n",
            "three-3.0.egg-info": "Name: three\nVersion: 3.0\n",
            "four.egg-link": "/somewhere\n.",
            "five-5.0-py3.11-linux-x86_64.egg": "",
        },
    )
    found = scan([site])
    assert {name: one.version for name, one in found.items()} == {
        "one": "1.0",
        "two": "2.0",
        "three": "3.0",
        "four": "",
        "five": "5.0",
    }
    assert not any(one.removable for one in found.values())
    assert [name for name, one in found.items() if one.editable] == ["four"]
    assert files_of(found[ONE]) == []
    with pytest.raises(InstallError, match=r"one 1\.0 was installed without a list of its files"):
        remove(found[ONE], prefix_of(site))


def test_earlier_folder_hides_later(site: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    dist(site, "demo-2.0")
    dist(tmp_path / "other", "demo-1.0")
    assert scan([site, tmp_path / "other"])[DEMO].version == "2.0"
    assert scan([tmp_path / "other", site])[DEMO].version == "1.0"


def test_duplicates_go_together(site: Path) -> None:
    dist(site, "demo-1.0", RECORD="-")
    dist(site, "demo-2.0")
    dist(site, "demo-3.0", METADATA="-")
    write(site, {"demo.egg-info/PKG-INFO": ""})
    found = only(site)
    assert found.version == "2.0"
    assert {path.name for path in found.duplicates} == {"demo-1.0.dist-info", "demo-3.0.dist-info"}
    remove(found, prefix_of(site))
    assert [path.name for path in site.iterdir()] == ["demo.egg-info"]


def test_files_with_what_was_compiled(site: Path) -> None:
    info = dist(site, RECORD="demo/a.py,,\ndemo/gone.py,,\ndemo/a.b.py,,\ndemo-1.0.dist-info/,,\n")
    ours = {
        "demo/a.py",
        "demo/a.pyc",
        "demo/a.b.py",
        "demo/__pycache__/a.cpython-311.pyc",
        "demo/__pycache__/a.cpython-312.opt-2.pyc",
        "demo/__pycache__/a.b.pypy310.pyc",
        "demo-1.0.dist-info/NEW",
    }
    not_ours = {"demo/b.py", "demo/__pycache__/b.cpython-311.pyc", "demo/__pycache__/a.txt"}
    write(site, dict.fromkeys(ours | not_ours, ""))
    found = {str(path.relative_to(site)) for path in files_of(only(site), prefix_of(site))}
    named = {f"{info.name}/{name}" for name in ("METADATA", "RECORD", "INSTALLER")}
    assert found == ours | named


@pytest.mark.parametrize(
    "row", ["../../../../outside.txt", "/etc/hostname", "link/outside.txt", "demo/..", "../.."]
)
def test_refuses_paths_outside(row: str, site: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("")
    (site / "link").symlink_to(tmp_path)
    dist(site, RECORD=f"{row},,\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InstallError, match="outside the environment"):
        remove(only(site), prefix_of(site))
    assert sorted(tmp_path.rglob("*")) == before


def test_link_itself_is_removed_not_what_it_leads_to(site: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("")
    (site / "link.txt").symlink_to(tmp_path / "outside.txt")
    dist(site, RECORD="link.txt,,\n")
    remove(only(site), prefix_of(site))
    assert list(site.iterdir()) == []
    assert (tmp_path / "outside.txt").exists()


def test_damaged_record_is_said(site: Path) -> None:
    dist(site, RECORD='"a"b,,\n')
    with pytest.raises(InstallError, match="RECORD cannot be read"):
        remove(only(site), prefix_of(site))


def test_without_record_the_folder_goes(site: Path) -> None:
    dist(site, RECORD="-")
    write(site, {"demo.py": ""})
    remove(only(site), prefix_of(site))
    assert [path.name for path in site.iterdir()] == ["demo.py"]


def test_prefix_behind_a_link(site: Path, tmp_path: Path) -> None:
    dist(site)
    link = tmp_path / "link"
    link.symlink_to(prefix_of(site))
    journal = take(only(link / site.relative_to(prefix_of(site))), link)
    assert list(site.iterdir()) == []
    journal.undo()
    assert only(site).damaged is None


@pytest.mark.parametrize("kind", WHEELS)
def test_removes_what_pip_installed(kind: str, tmp_path: Path) -> None:
    env = make_env(tmp_path / "env")
    before = tree_of(env)
    install_with_pip(env, make_wheel(tmp_path, WHEELS[kind]))
    for path in env.purelib.rglob("*.py"):
        py_compile.compile(str(path))
    installed = tree_of(env)
    found = scan([env.purelib])[DEMO]

    journal = take(found, env.prefix)
    assert scan([env.purelib]) == {}
    journal.undo()
    assert tree_of(env) == installed

    remove(found, env.prefix)
    assert tree_of(env) == before


def tree_of(env: Env) -> set[str]:
    return {str(path.relative_to(env.prefix)) for path in env.prefix.rglob("*")}


def test_what_two_have_goes_with_the_last(tmp_path: Path) -> None:
    env = Env(tmp_path / "env")
    store = Store(tmp_path / "store")
    shared = {"space/__init__.py": "x = 1\n", f"{DATA}/data/share/x": "", "a, b/__init__.py": ""}
    one = make_wheel(tmp_path, {**shared, "space/one.py": ""})
    shared["two-1.0.data/data/share/x"] = shared.pop(f"{DATA}/data/share/x")
    two = make_wheel(tmp_path, {**shared, "space/two.py": ""}, name="Two")
    trees = {DEMO: store.add(one, "demo"), TWO: store.add(two, "two")}
    skip = losing_paths(find_shared(trees, env))
    for name, tree in trees.items():
        install(tree, env, skip=skip.get(name, ()))
    found = scan([env.purelib])
    everything = find_uninstall_paths(found, [], env.prefix, {}).files
    assert len(set(everything[DEMO]) | set(everything[TWO])) == len(everything[DEMO]) + len(
        everything[TWO]
    )

    take(found[DEMO], env.prefix, [found[TWO]]).commit()
    for path in ("space/__init__.py", "a, b/__init__.py"):
        assert (env.purelib / path).is_file()
    assert (env.prefix / "share/x").is_file()
    assert not (env.purelib / "space/one.py").exists()
    remove(found[TWO], env.prefix)
    assert list(env.purelib.iterdir()) == []
    assert not (env.prefix / "share").exists()


def test_hints_name_the_file(site: Path) -> None:
    dist(site, RECORD="../../../../x,,\n")
    with pytest.raises(InstallError) as caught:
        files_of(only(site), prefix_of(site))
    assert re.search(r"remove the line from .*RECORD", caught.value.hint or "")
