"""What a source tree says of its build system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.project.static_metadata import editable_may_require_more

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("backend", "text", "may"),
    [
        ("setuptools.build_meta:__legacy__", "", False),
        ("flit_core.buildapi", "", False),
        ("mesonpy", "", False),
        ("hatchling.build", "[tool.hatch.build]\ndev-mode-dirs = ['src']\n", False),
        ("hatchling.build", "[tool.hatch.build]\ndev-mode-exact = false\n", False),
        ("hatchling.build", "[tool.hatch.build]\ndev-mode-exact = true\n", True),
        ("pdm.backend", "[tool.pdm.build]\neditable-backend = 'path'\n", False),
        ("pdm.backend", "[tool.pdm.build]\neditable-backend = 'editables'\n", True),
        ("a_backend_of_ones_own", "", True),
    ],
)
def test_which_editables_may_require_more_than_their_wheels(
    backend: str, text: str, may: bool, tmp_path: Path
) -> None:
    system = f"[build-system]\nrequires = []\nbuild-backend = '{backend}'\n"
    file = tmp_path / "pyproject.toml"
    file.write_text(f"{system}{text}")
    assert editable_may_require_more(tmp_path) is may
    file.write_text(f"{system}backend-path = ['.']\n{text}")
    assert editable_may_require_more(tmp_path)
