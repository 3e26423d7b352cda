from __future__ import annotations

import pytest

from pipshim.base.errors import BuildError
from pipshim.model.build_dependency_check import check
from pipshim.model.build_record import Used

AVAILABLE = {"setuptools": Used("80.1", "x"), "torch": Used("2.13.0+cpu", "y")}
MARKERS = {"python_version": "3.11", "sys_platform": "linux"}


@pytest.mark.parametrize(
    "requirement",
    [
        "setuptools",
        "Setuptools>=61",
        "torch==2.13.0",
        "wheel; python_version < '3'",
        "torch; extra == 'gpu'",
    ],
)
def test_what_is_there_passes(requirement: str) -> None:
    check("natten 0.17.5", [requirement], AVAILABLE, MARKERS)


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("ninja", "ninja is not installed"),
        ("setuptools<70", "setuptools<70, but setuptools 80.1 is installed"),
        ("wheel; sys_platform == 'linux'", 'wheel; sys_platform == "linux" is not installed'),
    ],
)
def test_what_is_missing_is_said_with_the_package(requirement: str, said: str) -> None:
    with pytest.raises(BuildError) as caught:
        check("natten 0.17.5", ["setuptools", requirement], AVAILABLE, MARKERS)
    assert "natten 0.17.5" in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint is not None
    assert "pyproject.toml" in caught.value.hint
