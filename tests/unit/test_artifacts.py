"""What identifies the sources of a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.pylock import PackageVcs

from pipshim.model.artifacts import checkout_digest, digest_of_source

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c" * 40


def digest(url: str, commit: str = COMMIT, subdirectory: str | None = None) -> str | None:
    return checkout_digest("git", url, commit, subdirectory)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://user:word@example.org/group/name", "https://example.org/group/name"),
        ("https://token@example.org/group/name.git", "https://example.org/group/name/"),
        ("ssh://git:word@example.org/name", "ssh://git@example.org/name"),
    ],
)
def test_a_repository_is_the_same_with_other_credentials(one: str, other: str) -> None:
    assert digest(one) == digest(other) is not None


def test_repositories_commits_and_subdirectories_are_kept_apart() -> None:
    digests = [
        digest("https://example.org/name"),
        digest("https://example.org/fork"),
        digest("ssh://git@example.org/name"),
        digest("https://example.org/name", "d" * 40),
        digest("https://example.org/name", subdirectory="part"),
    ]
    assert len({*digests}) == len(digests)


def test_only_the_commits_of_git_identify_their_content() -> None:
    assert checkout_digest("svn", "https://example.org/name", "12", None) is None


def test_a_repository_in_a_folder_beside_the_lock_is_known_by_its_url(tmp_path: Path) -> None:
    vcs = PackageVcs(type="git", path="../name", commit_id=COMMIT)
    assert digest_of_source(vcs, tmp_path / "project") == digest((tmp_path / "name").as_uri())
