"""The tests' own tools, checked with the real pip."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.backend import Backend
from tests.support.dists import (
    flit_sdist,
    native_tag,
    sdist,
    setuptools_sdist,
    source_tree,
    wheel,
)
from tests.support.facts import built, calls
from tests.support.index import JSON, Index
from tests.support.pipshim import PATIENCE, Cli, make_venv, site_packages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.pipshim import Result


def get(url: str, accept: str = JSON, **headers: str) -> tuple[str, bytes]:
    request = urllib.request.Request(url, headers={"Accept": accept, **headers})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE) as answer:
        return answer.headers["Content-Type"], answer.read()


def status(url: str, **headers: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(url, **headers)
    with caught.value:
        return caught.value.code


def pip_ok(cli: Cli, *args: str | Path) -> Result:
    result = cli.pip(*args)
    assert result.status == 0, str(result)
    return result


def build(cli: Cli, tmp_path: Path, *args: str | Path) -> dict[str, Any]:
    """Build one wheel with pip, and give what its backend noted."""
    pip_ok(cli, "wheel", "--no-deps", "-w", tmp_path / "built", *args)
    (made,) = (tmp_path / "built").iterdir()
    return built(made, made.name.split("-")[0])


# --- index


def test_json_page_has_what_pip_selects_by(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "Fake.Lib", "1.0", requires_python=">=3.8"))
    index.add(sdist(tmp_path, "fake-lib", "0.9", requires_python=">=3.7"))
    index.yank("fake_lib-0.9.tar.gz", "broken")
    kind, body = get(f"{index.url}fake-lib/")
    page = json.loads(body)
    assert kind == JSON
    assert page["versions"] == ["0.9", "1.0"]
    first, second = page["files"]
    assert first["hashes"]["sha256"] == index.sha256("fake_lib-1.0-py3-none-any.whl")
    assert first["size"] == (tmp_path / "fake_lib-1.0-py3-none-any.whl").stat().st_size
    assert (first["requires-python"], first["yanked"]) == (">=3.8", False)
    assert (second["requires-python"], second["yanked"]) == (">=3.7", "broken")
    assert "core-metadata" in first
    assert "core-metadata" not in second
    assert b"Name: Fake.Lib" in get(first["url"] + ".metadata")[1]
    assert index.requests == [
        "GET /simple/fake-lib/",
        "GET /files/fake_lib-1.0-py3-none-any.whl.metadata",
    ]


def test_html_page_is_for_those_who_do_not_ask_for_json(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0", requires_python=">=3.8"))
    kind, body = get(f"{index.url}fakelib/", "text/html")
    assert kind == "text/html"
    assert b'data-requires-python="&gt;=3.8"' in body
    assert b"data-core-metadata" in body


def test_pages_follow_what_is_added_and_removed(index: Index, tmp_path: Path) -> None:
    assert status(f"{index.url}fakelib/") == 404
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    assert json.loads(get(index.url)[1])["projects"] == [{"name": "fakelib"}]
    index.remove("fakelib-1.0-py3-none-any.whl")
    assert status(f"{index.url}fakelib/") == 404


def test_etag_answers_not_modified(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    with urllib.request.urlopen(f"{index.url}fakelib/", timeout=PATIENCE) as answer:
        tag = answer.headers["ETag"]
    assert status(f"{index.url}fakelib/", **{"Accept": "text/html", "If-None-Match": tag}) == 304


def test_failures_are_served_as_told(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    index.fail["/simple/fakelib/"] = 503
    assert status(f"{index.url}fakelib/") == 503
    index.fail.clear()
    index.truncate["/simple/fakelib/"] = 10
    with pytest.raises(http.client.IncompleteRead):
        get(f"{index.url}fakelib/")


def test_a_stopped_index_refuses_connections() -> None:
    with Index() as index:
        url = index.url
    index.stop()
    with pytest.raises(urllib.error.URLError):
        get(url)


@pytest.mark.parametrize("html_only", [True, False])
@pytest.mark.parametrize("without_metadata", [True, False])
def test_pip_installs_from_the_index(
    index: Index, cli: Cli, tmp_path: Path, html_only: bool, without_metadata: bool
) -> None:
    index.html_only, index.without_metadata = html_only, without_metadata
    index.add(
        wheel(tmp_path, "app", "1.0", requires=["fakelib<2"], extras={"more": ["other"]}),
        wheel(tmp_path, "fakelib", "1.5", tag="native"),
        wheel(tmp_path, "fakelib", "2.0"),
        wheel(tmp_path, "fakelib", "1.9", requires_python=">=4"),
        wheel(tmp_path, "other", "1.0"),
    )
    pip_ok(cli, "install", "--target", tmp_path / "target", "app[more]")
    found = {path.name for path in (tmp_path / "target").glob("*.dist-info")}
    assert found == {"app-1.0.dist-info", "fakelib-1.5.dist-info", "other-1.0.dist-info"}
    offered = any(name.endswith(".metadata") for name in index.downloads)
    assert offered is not without_metadata
    assert f"fakelib-1.5-{native_tag()}.whl" in index.downloads


def test_credentials(index: Index, cli: Cli, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    index.credentials = ("me", "p@ss:word")
    assert status(f"{index.url}fakelib/") == 401
    refused = cli.pip("download", "--no-input", "fakelib", "-d", tmp_path / "out")
    assert refused.status == 1
    pip_ok(cli, "download", "-i", index.url_with_credentials, "fakelib", "-d", tmp_path / "out")


def test_pip_refuses_a_tampered_file(index: Index, cli: Cli, tmp_path: Path) -> None:
    index.add(sdist(tmp_path, "fakelib", "1.0"))
    index.tamper("fakelib-1.0.tar.gz", b"something else")
    result = cli.pip("download", "fakelib", "-d", tmp_path / "out")
    assert result.status == 1
    assert "DO NOT MATCH THE HASHES" in result.err


# --- distributions


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    for make in (wheel, sdist):
        one = make(tmp_path / "one", "fakelib", "1.0", requires=["x"])
        two = make(tmp_path / "two", "fakelib", "1.0", requires=["x"])
        assert one.read_bytes() == two.read_bytes()


def test_pkg_info_says_whether_it_can_be_trusted(tmp_path: Path) -> None:
    def pkg_info(archive: Path) -> str:
        return (source_tree(archive, tmp_path / "out") / "PKG-INFO").read_text()

    static = pkg_info(sdist(tmp_path, "a", "1", requires=["x"], extras={"e": ['y; os_name == ""']}))
    assert "Requires-Dist: x\n" in static
    assert 'Requires-Dist: y ; (os_name == "") and extra == "e"\n' in static
    dynamic = pkg_info(sdist(tmp_path, "b", "1", requires=["x"], static_metadata=False))
    assert "Dynamic: Requires-Dist\n" in dynamic
    assert "Requires-Dist: x" not in dynamic


def test_isolated_build_notes_what_it_was_built_with(
    index: Index, cli: Cli, tmp_path: Path
) -> None:
    tool = wheel(
        tmp_path,
        "tool",
        "3",
        files={"tool.py": "def main(): print('tool here')\n"},
        entry_points={"console_scripts": {"tool": "tool:main"}},
    )
    index.add(wheel(tmp_path, "fakelib", "1.5"), wheel(tmp_path, "dynamic", "1"), tool)
    backend = Backend(
        imports=["fakelib"],
        tries=["dynamic", "absent"],
        imports_at=["build_wheel"],
        get_requires=["dynamic"],
        runs=[["tool"]],
        read_stdin=True,
        log=str(tmp_path / "log"),
    )
    archive = sdist(
        tmp_path, "native-thing", "2.0", build_requires=["fakelib", "tool"], backend=backend
    )
    facts = build(cli, tmp_path, "-C", "key=value", archive)
    assert facts["hook"] == "build_wheel"
    assert facts["against"] == {"fakelib": "1.5", "dynamic": "1", "absent": None}
    assert facts["installed"] == {"fakelib": "1.5", "dynamic": "1", "tool": "3"}
    assert facts["outputs"] == ["tool here\n"]
    assert facts["config_settings"] == {"key": "value"}
    assert facts["variables"]["TMPDIR"] == str(cli.temporary)
    assert facts["stdin"] == ""
    assert [(call.event, call.hook) for call in calls(tmp_path / "log")] == [
        (event, hook)
        for hook in (
            "get_requires_for_build_wheel",
            "prepare_metadata_for_build_wheel",
            "build_wheel",
        )
        for event in ("start", "end")
    ]


def test_an_undeclared_import_needs_no_isolation(index: Index, cli: Cli, tmp_path: Path) -> None:
    backend = Backend(
        imports=["fakelib"], dynamic_requires=["fakelib=={fakelib}"], metadata_hook=False
    )
    index.add(sdist(tmp_path, "thing", "1.0", backend=backend))
    python = make_venv(tmp_path / "venv")
    isolated = cli.pip("--python", python, "install", "thing")
    assert isolated.status == 1
    assert "No module named 'fakelib'" in isolated.err + isolated.out
    pip_ok(cli, "--python", python, "install", wheel(tmp_path, "fakelib", "1.5"))
    pip_ok(cli, "--python", python, "install", "--no-build-isolation", "thing")
    packages = site_packages(tmp_path / "venv")
    assert built(packages, "thing")["against"] == {"fakelib": "1.5"}
    assert built(packages, "thing")["python"] == str(tmp_path / "venv")
    info = packages / "thing-1.0.dist-info" / "METADATA"
    assert "Requires-Dist: fakelib==1.5" in info.read_text()


@pytest.mark.parametrize(
    "backend",
    [
        Backend(fail_in="get_requires"),
        Backend(fail_in="metadata", exit_code=3),
        Backend(fail_in="build_wheel", exit_code=-9, output="before\n"),
    ],
)
def test_builds_fail_where_they_are_told_to(cli: Cli, tmp_path: Path, backend: Backend) -> None:
    result = cli.pip("wheel", "-w", tmp_path / "out", sdist(tmp_path, "bad", "1", backend=backend))
    assert result.status == 1
    assert (backend.output or backend.message) in result.out + result.err


def test_noise_and_a_child_that_stays(cli: Cli, tmp_path: Path) -> None:
    backend = Backend(
        output="\x1b[31mred\x1b[0m \udcff\r", megabytes=0.5, child_seconds=0.5, sleep_seconds=0.1
    )
    archive = sdist(tmp_path, "noisy", "1", backend=backend)
    result = pip_ok(cli, "wheel", "-v", "--no-deps", "-w", tmp_path / "out", archive)
    assert len(result.out + result.err) > 500_000


def test_backend_source_replaces_the_backend(cli: Cli, tmp_path: Path) -> None:
    source = "from engine import build_wheel\nprint('my own')\n"
    archive = sdist(tmp_path, "own", "1", backend_source=source)
    assert build(cli, tmp_path, archive)["hook"] == "build_wheel"


def test_real_backends_build_offline(
    index: Index, cli: Cli, tmp_path: Path, tool_wheels: Mapping[str, Path]
) -> None:
    index.add(*tool_wheels.values())
    index.add(
        setuptools_sdist(tmp_path, "with-setuptools", "1", requires=["legacy"]),
        setuptools_sdist(tmp_path, "legacy", "1", legacy=True, requires=["with-flit"]),
        flit_sdist(tmp_path, "with-flit", "1"),
    )
    pip_ok(cli, "wheel", "-w", tmp_path / "out", "with-setuptools")
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "out").iterdir()) == [
        "legacy",
        "with_flit",
        "with_setuptools",
    ]


# --- projects and the command


def test_a_project_installs_editable(
    cli: Cli, tmp_path: Path, project_dir: Path, make_project: MakeProject
) -> None:
    make_project(
        '[tool.other]\nkey = "value"\n',
        extras={"more": ["fakelib>=1"]},
        groups={"dev": ["pytest", {"include-group": "docs"}], "docs": []},
        scripts={"demo": "demo:main"},
        requires_python=">=3.8",
        backend=Backend(),
        files={"demo/__init__.py": "def main(): print('demo here')\n"},
    )
    python = make_venv(tmp_path / "venv")
    pip_ok(cli, "--python", python, "install", "-e", project_dir)
    packages = site_packages(tmp_path / "venv")
    assert built(packages, "demo")["hook"] == "build_editable"
    assert (packages / "__editable__.demo-0.1.pth").read_text() == f"{project_dir}\n"
    metadata = (packages / "demo-0.1.dist-info" / "METADATA").read_text()
    assert 'Requires-Dist: fakelib>=1 ; extra == "more"' in metadata
    assert "Requires-Python: >=3.8" in metadata
    assert (tmp_path / "venv" / "bin" / "demo").exists()


def test_a_backend_may_lack_the_editable_hooks(
    cli: Cli, tmp_path: Path, make_project: MakeProject
) -> None:
    make_project(backend=Backend(editable=False))
    result = cli.pip("--python", make_venv(tmp_path / "venv"), "install", "-e", cli.cwd)
    assert result.status == 1
    assert "build_editable" in result.err


def test_the_command_has_a_clean_environment(
    cli: Cli, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_FIND_LINKS", "UV_INDEX", "VIRTUAL_ENV", "NO_COLOR", "https_proxy"):
        monkeypatch.setenv(name, "x")
    fresh = Cli(tmp_path / "fresh", cwd=tmp_path, index_url=index.url)
    (tmp_path / "show.py").write_text("import json, os; print(json.dumps(dict(os.environ)))\n")
    seen = json.loads(fresh(module="show").out)
    assert not {"PIP_FIND_LINKS", "UV_INDEX", "VIRTUAL_ENV", "NO_COLOR", "https_proxy"} & set(seen)
    assert seen["PIP_INDEX_URL"] == index.url
    assert seen["HOME"] == str(fresh.home)
    assert seen["COLUMNS"] == "100"
    assert "pip" in pip_ok(cli, "--version").out


def test_tool_wheels_are_whole(tool_wheels: Mapping[str, Path]) -> None:
    for path in tool_wheels.values():
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert [name for name in archive.namelist() if name.endswith("/METADATA")]


@pytest.mark.network
def test_network_tests_reach_a_registry(network_cli: Cli, tmp_path: Path) -> None:
    pip_ok(network_cli, "download", "--no-deps", "iniconfig", "-d", tmp_path / "out")
