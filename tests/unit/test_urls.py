from __future__ import annotations

import pytest

from pipshim.base.urls import without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pass@host/x", "https://host/x"),
        ("https://token@host/x", "https://host/x"),
        ("https://us@er:p@ss@host:8080/a@b", "https://host:8080/a@b"),
        ("git+https://x:y@host/r.git@main", "git+https://host/r.git@main"),
        ("git+ssh://git@host/r.git@main", "git+ssh://git@host/r.git@main"),
        ("ssh://git:pass@host/r.git", "ssh://git@host/r.git"),
        ("https://host/a@b?c@d#e@f", "https://host/a@b?c@d#e@f"),
        ("foo[x] @ http://u:p@h/f.whl ; python_version>'3'", None),
        ("-r https://u:p@h/r.txt", "-r https://h/r.txt"),
        ("file:///home/me@work/x", "file:///home/me@work/x"),
        ("foo==1.0", "foo==1.0"),
    ],
)
def test_credentials_are_dropped_and_nothing_else(text: str, expected: str | None) -> None:
    masked = without_credentials(text)
    assert masked == (expected or text.replace("u:p@", ""))
    assert without_credentials(masked) == masked
