"""Indexes that not everybody may read, or reach: what tells pip how tells pipshim too."""

from __future__ import annotations

import ssl
import sys
import time
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
import trustme
from packaging.version import Version

from tests.support.dists import sdist, wheel
from tests.support.index import Index
from tests.support.pipshim import make_venv, site_packages
from tests.support.proxy import Proxy
from tests.support.terminal import Typist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

USER = ("user", "s3cret-word")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """Give the file that makes a client trust the TLS indexes of the tests."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_side(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA, cli: Cli) -> Iterator[Index]:
    """Give the index of `cli`, over TLS, with a certificate that no system trusts."""
    with Index(tls=server_side(authority)) as running:
        cli.env["PIP_INDEX_URL"] = running.url
        yield running


def fill(index: Index, folder: Path) -> None:
    """Serve a source that is built with one package and requires another."""
    index.add(
        wheel(folder, "needed", "1.0"),
        wheel(folder, "tool", "1.0"),
        sdist(folder, "made", "1.0", build_requires=["tool"], requires=["needed"]),
    )


def use(cli: Cli) -> None:
    """Lock, sync and run, each by itself; then let pip take from the index too."""
    for arguments in (
        ["lock"],
        ["sync", "--locked"],
        ["run", "--locked", "python", "-c", "import made"],
    ):
        cli.ok(*arguments)
    assert (site_packages(cli.cwd / ".venv") / "needed").is_dir()
    (cli.cwd / "pylock.toml").unlink()
    cli.ok("run", "python", "-c", "import needed")
    for command in ("download", "install", "wheel"):
        cli.ok(command, "--no-deps", "needed", *(["--dry-run"] if command == "install" else []))
    cli.ok("index", "versions", "needed")


# --- TLS


def test_a_private_certificate_serves_lock_sync_run_and_pip(
    cli: Cli, tls: Index, certificate: Path, make_project: MakeProject, tmp_path: Path
) -> None:
    fill(tls, tmp_path / "dists")
    make_project(dependencies=["made"])
    (tmp_path / "pip.conf").write_text(f"[global]\ncert = {certificate}\n")
    cli.env["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    use(cli)


@pytest.mark.parametrize("how", ["--cert", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_is_named_in_any_of_pips_ways(
    how: str, cli: Cli, tls: Index, certificate: Path, tmp_path: Path
) -> None:
    tls.add(wheel(tmp_path, "needed", "1.0"))
    if how.startswith("-"):
        cli.ok("lock", "needed", how, certificate)
    else:
        cli.ok("lock", "needed", env={how: str(certificate)})


def test_a_certificate_that_nobody_vouches_for_is_said_so(
    cli: Cli, tls: Index, tmp_path: Path
) -> None:
    tls.add(wheel(tmp_path, "needed", "1.0"))
    result = cli.fails("lock", "needed")
    assert "needed cannot be looked up" in result.err
    assert "CERTIFICATE_VERIFY_FAILED" in result.err
    assert "--cert FILE" in result.err
    cli.ok("lock", "needed", "--trusted-host", "127.0.0.1")
    cli.ok("lock", "needed", "-U", env={"PIP_TRUSTED_HOST": tls.root.removeprefix("https://")})


def test_a_certificate_of_the_clients_own_is_shown(
    cli: Cli, authority: trustme.CA, certificate: Path, make_project: MakeProject, tmp_path: Path
) -> None:
    context = server_side(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    own = tmp_path / "own.pem"
    authority.issue_cert("me@127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    make_project(dependencies=["made"])
    with Index(tls=context) as index:
        fill(index, tmp_path / "dists")
        cli.env |= {"PIP_INDEX_URL": index.url, "PIP_CERT": str(certificate)}
        assert "made cannot be looked up" in cli.fails("lock").err
        cli.ok("lock", "--client-cert", own)
        cli.env["PIP_CLIENT_CERT"] = str(own)
        use(cli)


# --- passwords


KEYRING = f"""
import sys
from types import SimpleNamespace

def get_credential(service, name):
    sys.stderr.write(f"asked for {{service}}\\n")
    return SimpleNamespace(username={USER[0]!r}, password={USER[1]!r})
"""


@pytest.fixture
def locked_up(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Index:
    """Give the index of `cli`, which asks for a password that is not in its URL."""
    index.credentials = USER
    cli.env["PIP_INDEX_URL"] = index.url
    fill(index, tmp_path / "dists")
    make_project(dependencies=["made"])
    return index


@pytest.mark.slow
@pytest.mark.usefixtures("locked_up")
def test_keyrings_module_is_asked_as_pip_asks_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/keyring.py").write_text(KEYRING)
    cli.env["PYTHONPATH"] = f"{tmp_path / 'modules'}:{cli.env.get('PYTHONPATH', '')}"
    assert "401" in cli.fails("lock", "--no-input").err  # pip's "auto" is silent then, and so is it
    cli.ok("lock", "--no-input", "--keyring-provider", "import")
    assert "401" in cli.fails("lock", "-U", "--keyring-provider", "disabled").err
    use(cli)


def test_keyrings_command_is_asked_as_pip_asks_it(
    cli: Cli, locked_up: Index, tmp_path: Path
) -> None:
    script = tmp_path / "bin" / "keyring"
    script.parent.mkdir()
    answer = f'{{"username": "{USER[0]}", "password": "{USER[1]}"}}'
    script.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"print('''{answer}''' if '--mode=creds' in sys.argv else {USER[1]!r})\n"
    )
    script.chmod(0o755)
    if Version(metadata.version("pip")) < Version("26.2"):  # asks for passwords of users it knows
        cli.env["PIP_INDEX_URL"] = locked_up.url.replace("//", f"//{USER[0]}@")
    cli.env |= {
        "PATH": f"{script.parent}:{cli.env['PATH']}",
        "PIP_KEYRING_PROVIDER": "subprocess",
        "PIP_NO_INPUT": "1",
    }
    use(cli)


def test_netrc_serves_lock_sync_run_and_pip(cli: Cli, locked_up: Index) -> None:
    netrc = cli.home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER[0]} password {USER[1]}\n")
    netrc.chmod(0o600)
    use(cli)
    assert "GET /files/tool-1.0-py3-none-any.whl" in locked_up.requests


@pytest.mark.parametrize("command", ["install --no-deps needed", "lock", "sync", "run true"])
def test_a_password_is_asked_for_on_a_terminal(
    command: str, cli: Cli, locked_up: Index, tmp_path: Path
) -> None:
    if command.startswith("install"):
        make_venv(tmp_path / "env")
        command = f"--python {tmp_path / 'env'} {command}"
    words = [sys.executable, "-m", "pipshim", *command.split()]
    with Typist(words, cli.env, cli.cwd) as typist:
        typist.wait_for("User for 127.0.0.1")
        typist.type(f"{USER[0]}\n")
        typist.wait_for("Password: ")
        typist.type(f"{USER[1]}\n")
        status, shown = typist.wait()
    assert status == 0, shown
    assert USER[1] not in shown
    assert locked_up.downloads if "lock" not in command else locked_up.requests


@pytest.mark.usefixtures("locked_up")
@pytest.mark.parametrize("command", ["install needed", "lock"])
def test_a_wrong_password_is_said_so(command: str, cli: Cli) -> None:
    words = [sys.executable, "-m", "pipshim", *command.split()]
    with Typist(words, cli.env, cli.cwd) as typist:
        typist.wait_for("User for 127.0.0.1")
        typist.type(f"{USER[0]}\n")
        typist.wait_for("Password: ")
        typist.type("wr0ng-word\n")
        status, shown = typist.wait()
    assert status == 1, shown
    assert "401" in shown
    assert "wr0ng-word" not in shown
    assert "Traceback" not in shown


def test_nothing_is_drawn_over_a_question(
    cli: Cli, locked_up: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["made", "other"])
    with Index(credentials=USER) as second:
        second.add(wheel(tmp_path, "other", "1.0"))
        cli.env["PIP_EXTRA_INDEX_URL"] = second.url
        with Typist([sys.executable, "-m", "pipshim", "lock"], cli.env, cli.cwd) as typist:
            for _ in (locked_up, second):
                typist.wait_for("User for 127.0.0.1")
                time.sleep(1.5)  # the region would be drawn each second
                typist.type(f"{USER[0]}\n")
                assert "resolving" not in typist.wait_for("Password: ")
                typist.type(f"{USER[1]}\n")
            status, shown = typist.wait()
    assert status == 0, shown
    assert "locked 3 packages" in shown


@pytest.mark.usefixtures("locked_up")
def test_a_question_can_be_interrupted(cli: Cli) -> None:
    with Typist([sys.executable, "-m", "pipshim", "lock"], cli.env, cli.cwd) as typist:
        typist.wait_for("User for 127.0.0.1")
        typist.interrupt()
        status, shown = typist.wait()
    assert status == 130, shown
    assert "Traceback" not in shown
    assert not (cli.cwd / "pylock.toml").exists()


def test_each_index_has_its_own_password(
    cli: Cli, locked_up: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["made", "other"])
    with Index(credentials=("someone", "else")) as second:
        second.add(wheel(tmp_path, "other", "1.0"))
        (tmp_path / "pip.conf").write_text(
            f"[global]\nindex-url = {locked_up.url_with_credentials}\n"
            f"extra-index-url = {second.url_with_credentials}\n"
        )
        del cli.env["PIP_INDEX_URL"]
        cli.env["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
        use(cli)
        assert second.downloads.count("other-1.0-py3-none-any.whl") == 1


def test_constraints_are_read_from_where_a_password_is_needed(cli: Cli, locked_up: Index) -> None:
    locked_up.add_bytes("limits.txt", b"made<1\n", project="limits")
    url = locked_up.url_with_credentials
    env = {
        "PIP_INDEX_URL": url,
        "PIP_CONSTRAINT": locked_up.file_url("limits.txt").replace(
            locked_up.root, url.removesuffix("/simple/")
        ),
    }
    for command in (("lock",), ("sync",), ("run", "true"), ("install", "made")):
        result = cli(*command, env=env)
        assert result.status == 1
        assert "made<1" in result.err.replace(" ", "") + result.out


# --- ways to an index


@pytest.mark.parametrize("how", ["--proxy", "http_proxy"])
def test_a_proxy_is_the_way_to_the_index(
    how: str, cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.address = "http://far.invalid"
    index.proxy_credentials = USER
    fill(index, tmp_path / "dists")
    make_project(dependencies=["made"])
    cli.env["PIP_INDEX_URL"] = "http://far.invalid/simple/"
    cli.env["PIP_TRUSTED_HOST"] = "far.invalid"
    assert "made cannot be looked up" in cli.fails("lock").err
    proxy = index.root.replace("//", f"//{':'.join(USER)}@")
    cli.env["PIP_PROXY" if how == "--proxy" else how] = proxy
    use(cli)
    assert "far.invalid" in (cli.cwd / "pylock.toml").read_text()
    assert index.downloads.count("needed-1.0-py3-none-any.whl")


@pytest.mark.parametrize("way", ["tunnel", "tunnel over TLS", "TLS"])
def test_a_proxy_is_spoken_to_and_through_with_tls(
    way: str,
    cli: Cli,
    authority: trustme.CA,
    certificate: Path,
    make_project: MakeProject,
    tmp_path: Path,
) -> None:
    make_project(dependencies=["made"])
    inner, outer = server_side(authority, "far.invalid"), server_side(authority)
    cli.env |= {"PIP_CERT": str(certificate), "PIP_TRUSTED_HOST": ""}
    if way == "TLS":
        with Index(tls=outer) as index:
            index.address, index.proxy_credentials = "http://far.invalid", USER
            fill(index, tmp_path / "dists")
            cli.env |= {
                "PIP_INDEX_URL": "http://far.invalid/simple/",
                "PIP_TRUSTED_HOST": "far.invalid",
                "http_proxy": index.root.replace("//", f"//{':'.join(USER)}@"),
            }
            use(cli)
        return
    with Index(tls=inner) as index:
        fill(index, tmp_path / "dists")
        port = int(index.root.rpartition(":")[2])
        index.address = "https://far.invalid"
        cli.env["PIP_INDEX_URL"] = "https://far.invalid/simple/"
        with Proxy(port, tls=outer if way != "tunnel" else None, credentials=USER) as proxy:
            failed = cli.fails("lock", env={"PIP_PROXY": proxy.url()})
            assert "made cannot be looked up" in failed.err
            assert "407" in failed.err
            wrong = cli.fails("lock", env={"https_proxy": proxy.url((USER[0], "wr0ng-word"))})
            assert "wr0ng-word" not in wrong.err
            cli.env["https_proxy"] = proxy.url(USER)
            use(cli)
            assert {*proxy.asked} == {"far.invalid:443"}
    lock = (cli.cwd / "pylock.toml").read_text()
    assert "https://far.invalid/" in lock
    assert USER[1] not in lock


def test_a_folder_serves_as_an_index(cli: Cli, make_project: MakeProject, tmp_path: Path) -> None:
    make_project(dependencies=["made"])
    with Index(without_metadata=True) as model:
        fill(model, tmp_path / "files")
        for name in ("made", "needed", "tool"):
            page = tmp_path / "simple" / name / "index.html"
            page.parent.mkdir(parents=True)
            found = model.answer(f"/simple/{name}/", "text/html")
            assert found is not None
            page.write_text(found[1].decode().replace(model.root, tmp_path.as_uri()))
    cli.env["PIP_INDEX_URL"] = (tmp_path / "simple").as_uri()
    use(cli)


def test_only_what_find_links_names_is_taken(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    with Index() as model:
        fill(model, tmp_path / "files")
    make_project(dependencies=["made"])
    cli.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "files")}
    for command in ("lock", "sync"):
        cli.ok(command)
    cli.ok("install", "--dry-run", "needed")
    assert not index.requests
