"""Targets by name: what they are to a resolver, and the markers that tell them apart."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from packaging.markers import Marker, default_environment
from packaging.tags import sys_tags
from pip._internal.utils.compatibility_tags import get_supported

from pipshim.model.targets import KNOWN, TargetName, marker_for, target_of_markers, target_of_python

LINUX = TargetName.parse("linux-x86_64-cp312")
ARM = TargetName.parse("linux-arm64-cp312")
MAC = TargetName.parse("macos-arm64-cp312")
WINDOWS = TargetName.parse("windows-x86_64-cp312")
OLDER = TargetName.parse("linux-x86_64-cp310")
OLDEST_MAC = TargetName.parse("macos-arm64-cp310")


def test_a_name_is_read_and_said_again() -> None:
    assert [str(TargetName.parse(text)) for text in KNOWN] == list(KNOWN)
    assert len(set(KNOWN)) == 3 * 2 * 5
    assert target_of_markers(WINDOWS.python.markers) == WINDOWS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "linux-x86_64",
        "linux-aarch64-cp312",
        "darwin-arm64-cp312",
        "linux-x86_64-cp39",
        "linux-x86_64-cp315",
        "linux-x86_64-cp313t",
        "linux-x86_64-pp310",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a target"):
        TargetName.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("musllinux-x86_64-cp312", "no marker tells musl from glibc"),
        ("alpine-arm64-cp310", "no marker tells musl from glibc"),
        ("linux-x86_64-cp313t", "no marker tells free-threaded Pythons from others"),
        ("linux-x86_64-pp310", "PyPy has no names; lock for it with PyPy itself"),
        ("macos-arm64-pypy3.11", "PyPy has no names; lock for it with PyPy itself"),
    ],
)
def test_why_some_have_no_names_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"is not a target: {re.escape(why)}"):
        TargetName.parse(text)


def test_what_only_tags_tell_apart_has_no_name_either() -> None:
    for text in KNOWN:
        name = TargetName.parse(text)
        assert target_of_python(name.python) == name
    python = LINUX.python
    musl = [tag.replace("manylinux_2_17", "musllinux_1_2") for tag in python.tags]
    musl = [tag for tag in musl if "manylinux" not in tag]
    free = [tag.replace("-cp312-", "-cp312t-") for tag in python.tags]
    old = [tag for tag in python.tags if "manylinux_2_2" not in tag]
    assert target_of_python(replace(python, tags=tuple(musl))) is None
    assert target_of_python(replace(python, tags=tuple(free))) is None
    assert target_of_python(replace(python, tags=tuple(old))) == LINUX
    pypy = {**python.markers, "implementation_name": "pypy"}
    assert target_of_python(replace(python, markers=pypy)) is None


def test_the_name_of_the_running_python_says_the_markers_that_it_has() -> None:
    here = {name: str(value) for name, value in default_environment().items()}
    name = target_of_markers(here)
    assert name is not None
    assert name.minor == sys.version_info[1]
    told = name.python.markers
    assert set(told) == set(here)
    version = {"python_full_version", "implementation_version"}
    system = {"platform_release", "platform_version"}
    assert {key: told[key] for key in set(told) - version - system} == {
        key: here[key] for key in set(told) - version - system
    }
    assert target_of_markers({**here, "implementation_name": "pypy"}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="compares with the tags of a Linux")
def test_the_tags_are_those_of_a_system_of_that_age_in_its_order() -> None:
    here = [str(tag) for tag in sys_tags()]
    name = target_of_markers({key: str(value) for key, value in default_environment().items()})
    assert name is not None
    tags = list(name.python.tags)
    known = [tag for tag in here if tag in set(tags)]
    assert known == [tag for tag in tags if tag in set(here)]
    newer = ("manylinux_2_29", "manylinux_2_3", "manylinux_2_4", "manylinux_3")
    left_out = [tag for tag in here if tag not in set(tags)]
    assert all(any(word in tag for word in (*newer, "musllinux")) for tag in left_out)


@pytest.mark.parametrize(
    ("name", "platforms"),
    [
        (MAC, ["macosx_14_0_arm64"]),
        (TargetName.parse("macos-x86_64-cp310"), ["macosx_14_0_x86_64"]),
        (WINDOWS, ["win_amd64"]),
        (TargetName.parse("windows-arm64-cp314"), ["win_arm64"]),
    ],
)
def test_the_tags_are_those_of_pips_platform_option(name: TargetName, platforms: list[str]) -> None:
    version = f"3{name.minor}"
    wanted = get_supported(version=version, platforms=platforms, impl="cp", abis=[f"cp{version}"])
    # packaging 26.2, which pip 26.1 has, and 26.3 name a format of old Macs differently.
    ours, pips = (
        [str(tag).replace("_fat32", "_fat3") for tag in tags] for tags in (name.python.tags, wanted)
    )
    assert ours == pips


@pytest.mark.parametrize(
    ("some", "of", "said"),
    [
        ([LINUX, MAC], [LINUX, MAC], None),
        ([OLDER], [LINUX, MAC, OLDER], 'python_version == "3.10"'),
        (
            [OLDER, LINUX],
            [OLDER, LINUX, TargetName.parse("linux-x86_64-cp313")],
            'python_version == "3.10" or python_version == "3.12"',
        ),
        ([MAC], [LINUX, MAC, WINDOWS], 'sys_platform == "darwin"'),
        ([LINUX], [LINUX, ARM], 'platform_machine == "x86_64"'),
        (
            [OLDEST_MAC],
            [LINUX, MAC, OLDER, OLDEST_MAC],
            'sys_platform == "darwin" and python_version == "3.10"',
        ),
    ],
)
def test_markers_tell_some_targets_from_the_others(
    some: list[TargetName], of: list[TargetName], said: str | None
) -> None:
    marker = marker_for(some, of)
    assert (str(marker) if marker else None) == said
    holds = [one for one in of if marker is None or marker.evaluate(dict(one.python.markers))]
    assert set(holds) == set(some)


def test_every_subset_of_targets_has_a_marker_that_holds_on_it_alone() -> None:
    everything = [TargetName.parse(text) for text in KNOWN]
    for step in range(2, 9):
        some = everything[::step]
        marker = marker_for(some, everything)
        assert isinstance(marker, Marker)
        holds = [one for one in everything if marker.evaluate(dict(one.python.markers))]
        assert holds == some
