"""``builds keygen`` and ``builds trust``: the keys of those who share wheels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.pipshim import Cli

pytest.importorskip("cryptography")

KEY = "ed25519:VKuLfbxJfAri37+Ex3UuxYzFz3IbB0QAMnnw/KyoWLA="


def test_keygen_creates_a_key_once_and_shows_its_public_part(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "mine"
    out = cli.ok("builds", "keygen", env={"PIPSHIM_SIGNING_KEY": str(path)}).out
    private = path.read_text().strip()
    (public,) = set(re.findall(r"ed25519:[A-Za-z0-9+/=]{44}", out))
    assert f'[tool.pipshim.remote]\n    trust = ["{public}"]' in out
    assert private not in out
    again = cli.fails("builds", "keygen", env={"PIPSHIM_SIGNING_KEY": str(path)}).err
    assert f"a signing key exists already: {path}; its public key is {public}" in again
    assert path.read_text().strip() == private
    error = cli.fails("builds", "keygen", env={"PIPSHIM_SIGNING_KEY": private}, status=1).err
    assert "PIPSHIM_SIGNING_KEY has the key itself" in error
    assert private not in error


def test_trust_adds_public_keys_to_the_project(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "p"\nversion = "1"\n\n[tool.pipshim]  # ours\n')
    project = ("--project", str(tmp_path))
    cli.fails("builds", "trust", *project, status=2)
    error = cli.fails("builds", "trust", KEY[:-2], *project, status=2).err
    assert f"{KEY[:-2]!r} is not valid Base64" in error
    private = KEY.replace("ed25519", "ed25519-private")
    error = cli.fails("builds", "trust", private, *project, status=2).err
    assert "is a private key" in error
    assert private not in error
    error = cli.fails("builds", "trust", f" {private} ", *project, status=2).err
    assert private not in error
    assert f"Trusted: {KEY}" in cli.ok("builds", "trust", f" {KEY}\n", *project).out
    assert path.read_text().endswith(
        f'[tool.pipshim]  # ours\n\n[tool.pipshim.remote]\ntrust = ["{KEY}"]\n'
    )
    path.write_text(path.read_text().replace(KEY, "ed25519:x"))
    error = cli.fails("sync", *project).err
    assert "tool.pipshim.remote.trust[0] is not valid Base64" in error
