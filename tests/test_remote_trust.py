"""Who signed what comes from a remote, and what machines lack to use it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.shared_record import parse
from pipshim.remote.signatures import new_key, public_of, sign
from tests.support.dists import Backend, sdist
from tests.support.hostile import replace_record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

pytest.importorskip("cryptography")


@pytest.fixture
def private() -> str:
    return new_key()


@pytest.fixture(autouse=True)
def project(
    index: Index, make_project: MakeProject, tmp_path: Path, remote: Path, private: str
) -> None:
    """Make a project that trusts a key, and a native package without dependencies."""
    index.add(sdist(tmp_path, "native", "1.0", backend=Backend(tag="native")))
    trust = json.dumps([public_of(private)])
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\ntrust = {trust}\n'
    make_project(settings, dependencies=["native"])


def warnings(cli: Cli, *args: str, env: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """Sync; return how the wheel was come by, and the lines about the remote."""
    result = cli.ok("sync", *args, env=env or {})
    origin = "remote" if "1 from the remote" in result.err else "built"
    return origin, [line for line in result.err.splitlines() if line.startswith("warning")]


def test_what_a_trusted_key_signed_is_used(cli: Cli, other: Cli, private: str) -> None:
    assert warnings(cli, "--push", env={"PIPSHIM_SIGNING_KEY": private}) == ("built", [])
    assert warnings(other) == ("remote", [])


def test_what_is_not_signed_is_built_here(cli: Cli, other: Cli) -> None:
    origin, (line,) = warnings(cli, "--push")
    assert "this user has no signing key: pipshim builds keygen" in line
    origin, (line,) = warnings(other)
    assert origin == "built"
    assert line.endswith("results whose record is not signed are not used")


def test_a_key_that_is_no_longer_trusted_is_revoked(
    cli: Cli, other: Cli, private: str, remote: Path
) -> None:
    cli.ok("sync", "--push", env={"PIPSHIM_SIGNING_KEY": private})
    path, new = other.cwd / "pyproject.toml", new_key()
    path.write_text(path.read_text().replace(public_of(private), public_of(new)))
    origin, (line,) = warnings(other, "--push", env={"PIPSHIM_SIGNING_KEY": new})
    assert origin == "built"
    said = f"is signed with {public_of(private)}, which is not trusted, are not used"
    assert line.endswith(said)
    # What the new key signed is there beside it.
    assert len([*remote.glob("v1/records/*/*-wheel-*.json")]) == 2
    shutil.rmtree(other.shim_cache / "builds-v1")
    shutil.rmtree(other.cwd / ".venv")
    assert warnings(other)[0] == "remote"


def test_a_revoked_key_ends_the_use_of_what_was_taken_before(
    cli: Cli, other: Cli, private: str
) -> None:
    cli.ok("sync", "--push", env={"PIPSHIM_SIGNING_KEY": private})
    assert warnings(other) == ("remote", [])
    (shown,) = json.loads(other.ok("builds", "show", "native", "--output-format", "json").out)[
        "packages"
    ]
    assert shown["builds"][0]["signer"] == public_of(private)
    (listed,) = json.loads(other.ok("builds", "list", "--output-format", "json").out)
    assert (listed["remote"], listed["signer"]) == (True, public_of(private))
    path = other.cwd / "pyproject.toml"
    path.write_text(path.read_text().replace(public_of(private), public_of(new_key())))
    result = other.ok("sync", "--no-remote", "-v")
    assert "1 built" in result.err
    assert f"it is signed with {public_of(private)}, which is not trusted" in result.err
    shutil.rmtree(other.cwd / ".venv")
    assert "1 built earlier" in other.ok("sync", "--no-remote").err


def test_a_record_that_was_changed_is_not_used(
    cli: Cli, other: Cli, private: str, remote: Path
) -> None:
    cli.ok("sync", "--push", env={"PIPSHIM_SIGNING_KEY": private})
    replace_record(remote, seconds=1.5)
    origin, (line,) = warnings(other)
    assert origin == "built"
    assert line.endswith("results whose record has an invalid signature are not used")


def test_a_key_that_cannot_be_read_ends_the_use_of_the_remote(cli: Cli, remote: Path) -> None:
    origin, (line,) = warnings(cli, "--push", env={"PIPSHIM_SIGNING_KEY": "/none/key"})
    assert origin == "built"
    assert "PIPSHIM_SIGNING_KEY is neither a signing key" in line
    assert "/none/key" not in line  # it may be a part of a key
    assert not [*remote.glob("v1/records/*/*")]


def test_what_several_wheels_need_is_said_once(
    cli: Cli, other: Cli, remote: Path, index: Index, private: str, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "second", "1.0", backend=Backend(tag="native")))
    for machine in (cli, other):
        path = machine.cwd / "pyproject.toml"
        path.write_text(path.read_text().replace('["native"]', '["native", "second"]'))
    cli.ok("sync", "--push", env={"PIPSHIM_SIGNING_KEY": private})
    needs = MachineNeeds({"libother.so.7": ()})
    for path in [*remote.glob("v1/records/*/*-wheel-*.json")]:
        known = parse(path.read_bytes(), path.parent.name, path.name)
        assert known is not None
        made = replace(known, needs=needs)
        made = replace(made, signature=sign(made.content, private))
        path.unlink()
        (path.parent / made.name).write_bytes(made.to_bytes())
    result = other.ok("sync")
    assert "2 built" in result.err
    assert result.err.count("needs libother.so.7, which was not found here") == 1


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (
            MachineNeeds({"libc.so.6": ("GLIBC_9.9",), "libother.so.7": ()}),
            "needs GLIBC_9.9, this machine has ",
        ),
        (MachineNeeds({"libother.so.7": ()}), "needs libother.so.7, which was not found here"),
        (
            MachineNeeds(processor=frozenset({"avx999"})),
            "was compiled for the processor that built it, this machine's ",
        ),
        (None, "its record does not say what it needs of a machine"),
    ],
)
def test_what_this_machine_lacks_is_said(
    cli: Cli, other: Cli, private: str, remote: Path, needs: MachineNeeds | None, said: str
) -> None:
    cli.ok("sync", "--push", env={"PIPSHIM_SIGNING_KEY": private})
    replace_record(remote, private, needs=needs)
    origin, (line,) = warnings(other)
    assert origin == "built"
    assert said in line
