"""No credential that pipshim knows is shown or logged, whoever prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.dists import sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

WORD = "s3cret-word"

# A backend that finds the credentials by itself, in the file that the variable names.
TELLTALE = """
import base64, os, sys
from engine import *

with open(os.environ["TOLD"]) as file:
    text = file.read()
print("read:", text)
print("header:", base64.b64encode(b"user:s3cret-word").decode(), file=sys.stderr)
if os.environ.get("FAILS"):
    raise SystemExit("failed with " + text)
"""


@pytest.fixture
def index(index: Index) -> Index:
    index.credentials = ("user", WORD)
    return index


@pytest.fixture
def configured(cli: Cli, index: Index, tmp_path: Path) -> Cli:
    """Give the command with the credentials in pip.conf, and nowhere else."""
    path = tmp_path / "pip.conf"
    path.write_text(f"[global]\nindex-url = {index.url_with_credentials}\n")
    del cli.env["PIP_INDEX_URL"]
    cli.env |= {"PIP_CONFIG_FILE": str(path), "TOLD": str(path)}
    return cli


def shown(result: Result) -> str:
    return f"{result.out}{result.err}"


def logs(cli: Cli) -> str:
    """Read all build logs, of which there has to be one."""
    files = [*(cli.shim_cache / "logs").iterdir()]
    assert files
    return "".join(path.read_text() for path in files)


def assert_masked(text: str) -> None:
    assert WORD not in text
    assert "dXNlcjpzM2NyZXQtd29yZA" not in text
    assert "****" in text


@pytest.fixture
def telltale(index: Index, make_project: MakeProject, tmp_path: Path) -> None:
    index.add(sdist(tmp_path, "telltale", "1.0", backend_source=TELLTALE, static_metadata=False))
    make_project(dependencies=["telltale"])


@pytest.mark.usefixtures("telltale")
def test_what_a_backend_prints_is_masked_on_the_terminal_and_in_its_log(
    configured: Cli, index: Index
) -> None:
    text = shown(configured.ok("sync", "-v"))
    assert "read: [global]" in text
    assert index.url.replace("//", "//user:****@", 1) in text
    assert_masked(text)
    assert_masked(logs(configured))
    assert "header: ****" in logs(configured)


@pytest.mark.usefixtures("telltale")
def test_the_output_of_a_failed_build_is_masked(configured: Cli) -> None:
    result = configured.fails("sync", env={"FAILS": "1"})
    assert "failed with [global]" in result.err
    assert_masked(result.err)
    assert_masked(logs(configured))


@pytest.mark.usefixtures("telltale")
def test_passwords_of_netrc_are_masked(cli: Cli, index: Index) -> None:
    netrc = cli.home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {WORD}\n")
    netrc.chmod(0o600)
    env = {"PIP_INDEX_URL": index.url, "TOLD": str(netrc)}
    text = shown(cli.ok("sync", "-v", env=env))
    assert "machine 127.0.0.1 login user password ****" in text
    assert_masked(text)
    assert_masked(logs(cli))


@pytest.mark.usefixtures("telltale")
def test_credentials_in_a_requirements_file_are_masked_once_pip_uses_them(
    cli: Cli, index: Index, tmp_path: Path
) -> None:
    path = tmp_path / "r.txt"
    path.write_text(f"--index-url {index.url_with_credentials}\ntelltale\n")
    env = {"PIP_INDEX_URL": index.url, "TOLD": str(path)}
    assert_masked(shown(cli.ok("lock", "-v", "-r", path, env=env)))
    assert_masked(logs(cli))


@pytest.mark.parametrize("option", ["--index-url", "--extra-index-url"])
@pytest.mark.parametrize("loud", [(), ("-vv", "--debug")])
def test_a_refused_login_names_no_password(
    option: str, loud: tuple[str, ...], cli: Cli, index: Index
) -> None:
    url = f"{index.root}/simple/".replace("//", "//user:wr0ng-word@", 1)
    del cli.env["PIP_INDEX_URL"]
    nowhere = () if option == "--index-url" else ("--index-url", f"{index.root}/nowhere/")
    result = cli("lock", *loud, *nowhere, option, url, "fakelib")
    assert result.status == 1, str(result)
    assert "401" in result.err
    assert "wr0ng-word" not in shown(result)


def test_a_missing_file_names_no_password(
    configured: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    configured.ok("lock")
    index.fail["/files/fakelib-1.0-py3-none-any.whl"] = 404
    result = configured("sync", "--debug")
    assert result.status == 1
    assert "fakelib-1.0-py3-none-any.whl cannot be fetched" in result.err
    assert WORD not in shown(result)


def test_pips_own_messages_and_log_file_are_masked(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    log = tmp_path / "pip.log"
    result = cli.ok("sync", "-vvv", "--log", log)
    assert index.url in result.err.replace("user:****@", "")
    assert WORD not in shown(result)
    assert log.stat().st_size
    assert WORD not in log.read_text()


def test_the_proxys_password_is_masked(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=["fakelib"])
    proxy = f"http://user:{WORD}@127.0.0.1:9"
    env = {"PIP_INDEX_URL": "http://far.invalid/simple/"}
    result = cli.fails("lock", "-vv", "--proxy", proxy, env=env)
    assert WORD not in shown(result)
    result = cli.fails("lock", "-vv", env=env | {"http_proxy": proxy})
    assert WORD not in shown(result)


def test_a_url_in_a_requirement_is_masked(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=[f"far @ http://user:{WORD}@127.0.0.1:9/far-1.0.tar.gz"])
    result = cli.fails("lock", "-v")
    assert "127.0.0.1:9/far-1.0.tar.gz" in result.err
    assert WORD not in shown(result)


@pytest.mark.usefixtures("telltale")
def test_what_is_kept_has_no_password(configured: Cli, project_dir: Path) -> None:
    configured.ok("sync")
    for folder in (configured.shim_cache, project_dir):
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert not [path for path in files if WORD.encode() in path.read_bytes()]
