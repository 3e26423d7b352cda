"""``[[tool.pipshim.index]]``: packages come from the index that they are sent to, and no other."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.files import distributions
from tests.support.index import Index
from tests.support.pipshim import make_venv

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

TORCH_INDEX = """
[[tool.pipshim.index]]
name = "torch-cpu"
url = "{url}"
explicit = true

[tool.pipshim.sources]
torch = {{ index = "torch-cpu" }}
"""


@pytest.fixture
def other() -> Iterator[Index]:
    """Give a second index, as PyTorch has one."""
    with Index() as running:
        yield running


@pytest.fixture
def decoys(index: Index, other: Index, tmp_path: Path) -> None:
    """Fill both indexes with what each is to serve, and with what it is not to serve."""
    index.add(
        wheel(tmp_path / "main", "torch", "9.0"),  # newer than the one that is wanted
        wheel(tmp_path / "main", "model", "1.0", requires=["torch", "helper"]),
        wheel(tmp_path / "main", "helper", "1.0"),
        sdist(tmp_path / "main", "attention", "1.0", build_requires=["torch"], backend=Backend()),
    )
    other.add(
        wheel(tmp_path / "other", "torch", "2.9.0+cpu"),
        wheel(tmp_path / "other", "helper", "9.0"),
    )


def locked(project: Path) -> dict[str, str]:
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    return {one["name"]: one["version"] for one in lock["packages"] if "version" in one}


@pytest.mark.usefixtures("decoys")
def test_a_package_comes_from_its_index_whoever_requires_it(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    project = make_project(TORCH_INDEX.format(url=other.url), dependencies=["model", "attention"])
    cli.ok("sync")
    assert locked(project) == {
        "attention": "1.0",
        "helper": "1.0",
        "model": "1.0",
        "torch": "2.9.0+cpu",
    }
    assert "torch-2.9.0+cpu" in distributions(project / ".venv")
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    (torch,) = (one for one in lock["packages"] if one["name"] == "torch")
    assert torch["index"].rstrip("/") == other.url.rstrip("/")


@pytest.mark.usefixtures("decoys")
def test_an_index_is_not_asked_for_what_it_is_not_to_serve(
    cli: Cli, index: Index, other: Index, make_project: MakeProject
) -> None:
    make_project(TORCH_INDEX.format(url=other.url), dependencies=["model", "attention"])
    cli.ok("sync")
    assert "GET /simple/torch/" not in index.requests
    assert {line for line in other.requests if "/simple/" in line} == {"GET /simple/torch/"}


@pytest.mark.usefixtures("decoys")
def test_build_environments_follow_the_indexes_too(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    backend = Backend(log=str(log), imports=["torch"])
    index.add(sdist(tmp_path / "more", "dynamic", "1.0", build_requires=["torch"], backend=backend))
    make_project(TORCH_INDEX.format(url=other.url), dependencies=["dynamic"])
    cli.ok("sync")
    assert "GET /simple/torch/" not in index.requests
    assert "GET /files/torch-9.0-py3-none-any.whl" not in index.requests


@pytest.mark.usefixtures("decoys")
def test_several_targets_have_indexes_of_their_own(
    cli: Cli, index: Index, other: Index, make_project: MakeProject
) -> None:
    text = TORCH_INDEX.replace(
        'torch = {{ index = "torch-cpu" }}',
        'torch = {{ index = "torch-cpu", marker = "sys_platform == \'linux\'" }}',
    )
    project = make_project(
        text.format(url=other.url)
        + '[tool.pipshim]\ntarget-environments = ["linux-x86_64-cp311", "macos-arm64-cp311"]\n',
        dependencies=["model"],
    )
    cli.ok("lock")
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    torches = {one["version"]: one["index"] for one in lock["packages"] if one["name"] == "torch"}
    assert set(torches) == {"2.9.0+cpu", "9.0"}
    assert torches["9.0"].rstrip("/") == index.url.rstrip("/")


@pytest.mark.usefixtures("decoys")
def test_a_flat_index_is_a_folder_beside_pyproject(
    cli: Cli, index: Index, make_project: MakeProject
) -> None:
    project = make_project(
        TORCH_INDEX.format(url="wheels").replace("explicit", 'format = "flat"\nexplicit'),
        dependencies=["model"],
    )
    wheel(project / "wheels", "torch", "2.8")
    wheel(project / "wheels", "helper", "5.0")
    cli.ok("lock")
    assert locked(project) == {"helper": "1.0", "model": "1.0", "torch": "2.8"}
    assert "GET /simple/torch/" not in index.requests


@pytest.mark.usefixtures("decoys")
def test_credentials_of_an_index_are_used_and_written_nowhere(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    other.credentials = ("me", "secret-word")
    project = make_project(TORCH_INDEX.format(url=other.url), dependencies=["torch"])
    variables = {
        "PIPSHIM_INDEX_TORCH_CPU_USERNAME": "me",
        "PIPSHIM_INDEX_TORCH_CPU_PASSWORD": "secret-word",
    }
    done = cli("sync", "-v", env=variables)
    assert done.status == 0, done
    assert "secret-word" not in done.out + done.err
    assert "secret-word" not in (project / "pylock.toml").read_text(encoding="utf-8")

    # No page of the index is read by those who have the lock.
    for settings, env in ((other.url, variables), (other.url_with_credentials, {})):
        make_project(TORCH_INDEX.format(url=settings), dependencies=["torch"])
        shutil.rmtree(project / ".venv")
        shutil.rmtree(cli.shim_cache)
        done = cli.ok("sync", "--frozen", "-v", env=env)
        assert "secret-word" not in done.out + done.err


@pytest.mark.usefixtures("decoys")
def test_without_variables_pip_looks_for_credentials_where_it_does(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    other.credentials = ("me", "secret-word")
    project = make_project(TORCH_INDEX.format(url=other.url), dependencies=["torch"])
    done = cli.fails("lock", "--no-input")
    assert "401" in done.err
    assert "hint: set PIPSHIM_INDEX_TORCH_CPU_USERNAME and PIPSHIM_INDEX_TORCH_CPU_PASS" in done.err
    netrc = cli.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret-word\n")
    netrc.chmod(0o600)
    cli.ok("lock")
    assert locked(project) == {"torch": "2.9.0+cpu"}
    netrc.unlink()
    (project / "pylock.toml").unlink()
    make_project(TORCH_INDEX.format(url=other.url_with_credentials), dependencies=["torch"])
    done = cli.ok("lock")
    assert "secret-word" not in done.err
    assert "secret-word" not in (project / "pylock.toml").read_text(encoding="utf-8")


@pytest.mark.usefixtures("decoys")
def test_a_flat_index_may_be_a_page_of_links(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    other.html_only = True
    index.cache_control = other.cache_control = "max-age=0"
    cli.env["PIP_TRUSTED_HOST"] = "127.0.0.1"  # pip caches nothing of others without TLS
    other.add(wheel(tmp_path / "page", "torch", "2.8.0+cpu"))
    config = TORCH_INDEX.format(url=f"{other.url}torch/")
    config = config.replace("explicit", 'format = "flat"\nexplicit')
    project = make_project(config, dependencies=["model"])
    cli.ok("sync")
    assert locked(project)["torch"] == "2.9.0+cpu"
    assert "GET /simple/torch/" not in index.requests
    (project / "pylock.toml").unlink()
    cli.ok("lock", "--offline")
    assert locked(project)["torch"] == "2.9.0+cpu"
    make_project(config.replace("torch =", "model ="), dependencies=["model"])
    assert "torch-cpu has torch" in cli.fails("lock").err


@pytest.mark.usefixtures("decoys")
def test_an_index_that_lacks_its_package_is_named(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    make_project(
        TORCH_INDEX.format(url=other.url).replace("torch =", "model ="), dependencies=["model"]
    )
    done = cli("lock")
    assert done.status == 1
    assert "the index torch-cpu, the source of model, has no model" in done.err
    assert f"{other.url}model/" in done.err
    assert "torch-cpu has helper, torch" in done.err
    other.html_only = True
    assert "torch-cpu has helper, torch" in cli.fails("lock").err
    config = TORCH_INDEX.format(url="wheels").replace("explicit", 'format = "flat"\nexplicit')
    project = make_project(config, dependencies=["torch>=99"])
    wheel(project / "wheels", "other", "1")
    failed = cli.fails("lock")
    assert "the index torch-cpu, the source of torch, has no torch" in failed.err
    assert "torch-cpu has other" in failed.err
    wheel(project / "wheels", "torch", "2.8")
    failed = cli.fails("lock")
    assert "torch has 2.8 in the index torch-cpu, its source" in failed.err


def test_a_package_whose_index_cannot_be_asked_is_an_error_though_older_versions_do_without_it(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "model", "0.1"),
        *(wheel(tmp_path, "model", f"{number}.0", requires=["torch"]) for number in (1, 2)),
        wheel(tmp_path, "torch", "9.0"),
    )
    other.fail["/simple/torch/"] = 503
    other.add(wheel(tmp_path, "torch", "2.9.0+cpu"))
    project = make_project(TORCH_INDEX.format(url=other.url), dependencies=["model"])
    failed = cli.fails("lock")
    assert "torch cannot be looked up in the index" in failed.err
    assert f"{other.url}torch/: the server answers 503" in failed.err
    assert "model 2.0 requires torch" in failed.err
    other.fail.clear()
    cli.ok("lock")
    assert locked(project) == {"model": "2.0", "torch": "2.9.0+cpu"}


@pytest.mark.usefixtures("decoys")
def test_another_index_makes_the_lock_out_of_date(
    cli: Cli, index: Index, other: Index, make_project: MakeProject
) -> None:
    project = make_project(TORCH_INDEX.format(url=other.url), dependencies=["torch"])
    cli.ok("lock")
    make_project(TORCH_INDEX.format(url=index.url), dependencies=["torch"])
    assert cli("lock", "--check").status == 1
    cli.ok("lock")
    assert locked(project) == {"torch": "9.0"}


@pytest.mark.usefixtures("decoys")
def test_pips_commands_in_a_project_follow_its_indexes(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project(TORCH_INDEX.format(url=other.url))
    make_venv(tmp_path / "env")
    backend = Backend(imports=["torch"])
    index.add(sdist(tmp_path / "more", "dynamic", "1.0", build_requires=["torch"], backend=backend))

    assert cli("--python", tmp_path / "env", "install", "model", "dynamic").status == 0
    assert {"torch-2.9.0+cpu", "helper-1.0"} <= {*distributions(tmp_path / "env")}
    for command, folder in (("wheel", "-w"), ("download", "-d")):
        assert cli(command, folder, project / command, "model").status == 0
        assert {file.name.partition("-py3")[0] for file in (project / command).iterdir()} == {
            "model-1.0",
            "helper-1.0",
            "torch-2.9.0+cpu",
        }
    assert "GET /simple/torch/" not in index.requests
    assert {line for line in other.requests if "/simple/" in line} == {"GET /simple/torch/"}

    elsewhere = cli("download", "-d", project / "elsewhere", "torch", cwd=tmp_path)
    assert elsewhere.status == 0
    assert (project / "elsewhere" / "torch-9.0-py3-none-any.whl").is_file()


@pytest.mark.usefixtures("decoys")
def test_pips_old_resolver_is_refused_where_it_would_not_follow_the_indexes(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    make_project(TORCH_INDEX.format(url=other.url))
    done = cli("download", "torch", "--use-deprecated=legacy-resolver")
    assert done.status == 2
    assert "legacy-resolver cannot be used" in done.err


@pytest.mark.usefixtures("decoys")
def test_pips_commands_stop_at_a_project_whose_indexes_cannot_be_read(
    cli: Cli, other: Index, make_project: MakeProject
) -> None:
    make_project(TORCH_INDEX.format(url=other.url) + "damaged\n")
    assert "pyproject.toml:" in cli.fails("download", "torch").err


def fake_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("decoys")
def test_add_writes_an_index_and_a_source(
    cli: Cli, index: Index, other: Index, make_project: MakeProject
) -> None:
    project = make_project("", dependencies=["helper"])
    done = cli("add", "torch", "--index", f"torch-cpu={other.url}")
    assert done.status == 0, done
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert '"torch>=2.9.0"' in text
    assert text.endswith(
        f'[[tool.pipshim.index]]\nname = "torch-cpu"\nurl = "{other.url}"\nexplicit = true\n\n'
        '[tool.pipshim.sources]\ntorch = { index = "torch-cpu" }'
    )
    assert 'torch = { index = "torch-cpu" } to tool.pipshim.sources' in done.err
    assert locked(project) == {"helper": "1.0", "torch": "2.9.0+cpu"}
    assert "GET /simple/torch/" not in index.requests

    cli.ok("add", "model", "--index", "torch-cpu", "-m", "sys_platform == 'win32'")
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    entry = """model = { index = "torch-cpu", marker = "sys_platform == 'win32'" }"""
    assert text.endswith(entry)

    before = text
    for words, problem in (
        (("six", "--index", "torch-cpx"), "did you mean 'torch-cpu'?"),
        (("six", "--index", "x=https://me:word@host/simple"), "PIPSHIM_INDEX_X_USERNAME"),
        (("six", "--index", "x=nowhere"), "neither a URL nor a folder"),
        (("six", "--index", "https://host/simple"), "neither the name of an index nor NAME=URL"),
        (("x @ https://host/x.whl", "--index", "torch-cpu"), "comes from a path or URL"),
        (("six", "--index", "torch-cpu", "--torch-backend", "cpu"), "cannot be used together"),
        (("torch", "--torch-backend", "cu12"), "PyTorch has no index 'cu12'; did you mean"),
    ):
        done = cli("add", *words)
        assert done.status == 2, done
        assert problem in done.err
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == before


def test_add_takes_torch_from_the_index_of_a_backend(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project("")
    cli.ok("add", "torch", "--torch-backend", "cu126", "--frozen")
    added = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    url = "https://download.pytorch.org/whl/"
    assert added["pipshim"]["index"] == [
        {"name": "pytorch-cu126", "url": f"{url}cu126", "explicit": True}
    ]
    assert added["pipshim"]["sources"]["torch"] == {
        "index": "pytorch-cu126",
        "marker": "sys_platform == 'linux' or sys_platform == 'win32'",
    }

    fake_program(tmp_path / "bin", "nvidia-smi", "570.86.10, 9.0")
    path = {"PATH": f"{tmp_path / 'bin'}:{cli.env['PATH']}"}
    done = cli("add", "torch", "--torch-backend", "auto", "--frozen", env=path)
    assert "NVIDIA driver 570.86.10, compute capability 9.0: using PyTorch for cu128" in done.err
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    sources = tomllib.loads(text)["tool"]["pipshim"]["sources"]
    assert {source["index"] for source in sources.values()} == {"pytorch-cu128"}
    cli.ok("add", "torch", "--torch-backend", "auto", "--frozen", env=path)
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == text


@pytest.mark.usefixtures("decoys")
def test_a_default_index_on_the_command_line_replaces_the_one_that_is_configured(
    cli: Cli, index: Index, other: Index, make_project: MakeProject
) -> None:
    config = f'[[tool.pipshim.index]]\nname = "main"\nurl = "{other.url}"\ndefault = true\n'
    project = make_project(config, dependencies=["helper"])
    cli.ok("lock")
    assert locked(project) == {"helper": "9.0"}
    assert not index.requests
    for option in ("--default-index", "--index-url"):
        (project / "pylock.toml").unlink()
        cli.ok("lock", option, index.url)
        assert locked(project) == {"helper": "1.0"}


def test_an_index_or_a_package_may_have_files_that_are_newer(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    for name in ("aa", "bb"):
        index.add(wheel(tmp_path, name, "1"), upload_time="2024-01-01T00:00:00Z")
        index.add(wheel(tmp_path, name, "2"), upload_time="2025-01-01T00:00:00Z")
        index.add(wheel(tmp_path, name, "3"), upload_time="2026-01-01T00:00:00Z")
    other.html_only = True  # it tells no upload times
    other.add(wheel(tmp_path, "torch", "2.9.0+cpu"))
    config = TORCH_INDEX.format(url=other.url) + '[tool.pipshim]\nexclude-newer = "2024-06-01"\n'
    dependencies = ["aa", "bb", "torch"]

    make_project(config, dependencies=dependencies)
    failed = cli.fails("lock")
    assert "torch/ does not say when files were uploaded" in failed.err
    assert "exclude-newer = false in its [[tool.pipshim.index]]" in failed.err

    of_index = config.replace("explicit = true", "explicit = true\nexclude-newer = false")
    project = make_project(of_index, dependencies=dependencies)
    cli.ok("lock")
    assert locked(project) == {"aa": "1", "bb": "1", "torch": "2.9.0+cpu"}

    packages = "exclude-newer-package = { torch = false, aa = false, bb = 2025-06-01 }\n"
    project = make_project(config + packages, dependencies=dependencies)
    assert cli("lock", "--check").status == 1
    cli.ok("lock", "-U")
    assert locked(project) == {"aa": "3", "bb": "2", "torch": "2.9.0+cpu"}
    cli.ok("lock", "--check")

    never = packages.replace("2025-06-01", "2020-06-01")
    make_project(config + never, dependencies=dependencies)
    assert "no version of bb was uploaded before 2020-06-02" in cli.fails("lock", "-U").err

    make_project(config.replace("explicit", "exclude-newer = true\nexplicit"))
    assert "must be a date, a time, a duration or false" in cli.fails("lock").err


def test_local_versions_stand_beside_those_without(
    cli: Cli, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    linux, macos = "cp311-cp311-manylinux_2_28_x86_64", "cp311-none-macosx_11_0_arm64"
    other.add(
        wheel(tmp_path, "torch", "2.8.0", tag=macos),
        wheel(tmp_path, "torch", "2.8.0+cpu", tag=linux),
        wheel(tmp_path, "torch", "2.9.0", tag=macos),
        wheel(tmp_path, "torch", "2.9.0+cpu", tag=linux),
        wheel(tmp_path, "torch", "2.9.0", tag="cp311-cp311-manylinux_2_28_aarch64"),
        wheel(tmp_path, "vision", "0.1+cpu", tag=linux, requires=["torch==2.8.0"]),
        wheel(tmp_path, "vision", "0.1", tag=macos, requires=["torch==2.8.0"]),
    )
    targets = '["linux-x86_64-cp311", "macos-arm64-cp311"]'
    config = TORCH_INDEX.format(url=other.url) + 'vision = { index = "torch-cpu" }\n'
    config += f"[tool.pipshim]\ntarget-environments = {targets}\n"
    for dependencies, torch in ((["torch>=2.9.0"], "2.9.0"), (["torch", "vision"], "2.8.0")):
        project = make_project(config, dependencies=dependencies)
        cli.ok("lock")
        lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
        found = {
            one["version"]: one["marker"] for one in lock["packages"] if one["name"] == "torch"
        }
        assert set(found) == {torch, f"{torch}+cpu"}
        assert "linux" in found[f"{torch}+cpu"]
        assert "darwin" in found[torch]
        cli.ok("lock", "--check")
    cli.ok("lock", "-P", "torch")


def test_each_platform_may_have_an_index_of_its_own(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    linux, macos = "cp311-cp311-manylinux_2_28_x86_64", "cp311-none-macosx_11_0_arm64"
    index.add(wheel(tmp_path / "decoy", "torch", "9.0"))
    other.add(wheel(tmp_path / "linux", "torch", "2.9.0+cu128", tag=linux))
    folder = tmp_path / "mac"
    wheel(folder, "torch", "2.9.0", tag=macos)
    config = f"""
        [[tool.pipshim.index]]
        name = "linux"
        url = "{other.url}"
        explicit = true
        [[tool.pipshim.index]]
        name = "mac"
        url = "{folder}"
        format = "flat"
        explicit = true
        [tool.pipshim.sources]
        torch = [
            {{ index = "linux", marker = "sys_platform == 'linux'" }},
            {{ index = "mac", marker = "sys_platform == 'darwin'" }},
        ]
        [tool.pipshim]
        target-environments = ["linux-x86_64-cp311", "macos-arm64-cp311"]
        """
    project = make_project(config, dependencies=["torch"])
    cli.ok("lock")
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    files = {one["version"]: one["wheels"][0] for one in lock["packages"]}
    assert set(files) == {"2.9.0", "2.9.0+cu128"}
    assert files["2.9.0+cu128"]["url"].startswith(other.url.rpartition("/simple")[0])
    assert "GET /simple/torch/" not in index.requests
    tree = cli.ok("tree").out
    assert "torch 2.9.0 [macos-arm64-cp311]" in tree
    assert "torch 2.9.0+cu128 [linux-x86_64-cp311]" in tree

    make_project(config.replace("'darwin'", "'linux'"), dependencies=["torch"])
    failed = cli.fails("lock")
    assert "sources.torch: two entries apply to linux x86_64 with Python 3.11" in failed.err


@pytest.mark.usefixtures("decoys")
def test_add_makes_extras_with_an_index_each_exclude_each_other(
    cli: Cli, index: Index, other: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project("", dependencies=["helper"])
    folder = tmp_path / "gpu"
    wheel(folder, "torch", "2.9.0+cu128")
    cli.ok("add", "--optional", "cpu", "torch", "--index", f"torch-cpu={other.url}")
    done = cli.ok("add", "--optional", "gpu", "torch", "--index", f"torch-gpu={folder}")
    assert 'conflicts: [{ extra = "cpu" }, { extra = "gpu" }] to tool.pipshim' in done.err
    for extra, version in (("cpu", "2.9.0+cpu"), ("gpu", "2.9.0+cu128")):
        cli.ok("sync", "--locked", "--extra", extra)
        assert f"torch-{version}" in distributions(project / ".venv")
    failed = cli.fails("sync", "--extra", "cpu", "--extra", "gpu", status=2)
    assert "extra 'cpu' and extra 'gpu' conflict" in failed.err
    assert "GET /simple/torch/" not in index.requests


@pytest.mark.parametrize("kind", [wheel, partial(sdist, static_metadata=False)])
def test_what_comes_from_pypi_may_not_require_a_url(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, kind: Callable[..., Path]
) -> None:
    secret = wheel(tmp_path, "elsewhere", "1.0")
    index.add(kind(tmp_path, "sly", "1.0", requires=[f"elsewhere @ {secret.as_uri()}"]))
    host, port = urlsplit(index.url).hostname, urlsplit(index.url).port
    (tmp_path / "sitecustomize.py").write_text(
        "from pip._internal.models.index import PyPI, TestPyPI\n"
        f"PyPI.file_storage_domain, TestPyPI.file_storage_domain = '{host}', '{host}:{port}'\n"
    )
    cli.env["PYTHONPATH"] = str(tmp_path)
    make_project(dependencies=["sly"])
    for command in ("lock", f"install --target {tmp_path / 'target'} sly"):
        refused = cli(*command.split(), python=Path(sys.executable))
        assert refused.status == 1
        assert "PyPI cannot" in refused.err
        assert "elsewhere" in refused.err
        assert "bug" not in refused.err
