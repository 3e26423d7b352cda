"""How many cores may be used: affinity and the quotas of cgroups, versions 1 and 2."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipshim.base.cores import available_cores, cgroup_quota, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

V2 = "30 23 0:26 {root} {point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 {root} /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)


def quota(cgroup: str, mounts: str, files: Mapping[str, str]) -> float | None:
    everything = {"/proc/self/cgroup": cgroup, "/proc/self/mountinfo": mounts, **files}
    return cgroup_quota(everything.get)


def v2(path: str, files: Mapping[str, str], *, root: str = "/") -> float | None:
    at = "/sys/fs/cgroup"
    return quota(
        f"0::{path}\n",
        V2.format(root=root, point=at),
        {f"{at}{folder}/cpu.max": text for folder, text in files.items()},
    )


def v1(path: str, files: Mapping[str, tuple[str, str]], *, root: str = "/") -> float | None:
    at = "/sys/fs/cgroup/cpu,cpuacct"
    found = {}
    for folder, (used, period) in files.items():
        found[f"{at}{folder}/cpu.cfs_quota_us"] = f"{used}\n"
        found[f"{at}{folder}/cpu.cfs_period_us"] = f"{period}\n"
    cgroup = f"12:cpuset:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:{path}\n"
    return quota(cgroup, V1.format(root=root), found)


def test_a_container_with_version_2_has_its_quota_at_the_mount_point() -> None:
    assert v2("/", {"": "200000 100000\n"}) == 2.0


def test_without_a_limit_version_2_says_max() -> None:
    assert v2("/", {"": "max 100000\n"}) is None
    assert v2("/user.slice", {}) is None


def test_the_smallest_quota_along_the_path_counts_in_version_2() -> None:
    files = {"/batch": "400000 100000\n", "/batch/job": "150000 100000\n", "": "max 100000\n"}
    assert v2("/batch/job", files) == 1.5
    assert v2("/batch/job", {**files, "/batch": "50000 100000\n"}) == 0.5
    assert v2("/batch", files) == 4.0


def test_version_1_has_two_files() -> None:
    assert v1("/docker/abc", {"/docker/abc": ("300000", "100000")}) == 3.0
    assert v1("/docker/abc", {"/docker/abc": ("-1", "100000")}) is None
    nested = {"/slurm": ("800000", "100000"), "/slurm/job/step": ("-1", "100000")}
    assert v1("/slurm/job/step", nested) == 8.0


@pytest.mark.parametrize("path", ["/docker/abc", "/docker/abc/inner", "/elsewhere"])
def test_a_container_that_sees_the_hosts_path_has_its_quota_at_the_mount_point(path: str) -> None:
    assert v1(path, {"": ("200000", "100000")}, root="/docker/abc") == 2.0
    assert v2(path, {"": "200000 100000"}, root="/docker/abc") == 2.0


def test_a_path_outside_of_the_cgroup_namespace_means_the_mount_point() -> None:
    assert v2("/../other", {"": "200000 100000"}) == 2.0


def test_both_versions_may_be_mounted() -> None:
    mounts = V1.format(root="/") + V2.format(root="/", point="/sys/fs/cgroup/unified")
    files = {
        "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "600000",
        "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/unified/job/cpu.max": "500000 100000",
    }
    assert quota("4:cpu,cpuacct:/job\n0::/job\n", mounts, files) == 5.0


def test_a_mount_point_with_a_space_is_read() -> None:
    mounts = V2.format(root="/", point="/my\\040cgroups")
    assert quota("0::/\n", mounts, {"/my cgroups/cpu.max": "100000 100000"}) == 1.0


@pytest.mark.parametrize("damaged", ["", "\n", "nonsense", "100000", "100000 0", "0 100000", "- -"])
def test_what_cannot_be_read_limits_nothing(damaged: str) -> None:
    assert v2("/", {"": damaged}) is None
    assert quota(damaged, damaged, {}) is None


def test_a_part_of_a_core_counts_as_one() -> None:
    assert [rounded(one) for one in (0.1, 1.0, 1.5, 2.0)] == [1, 1, 2, 2]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_the_affinity_of_the_process_limits_the_cores() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}});"
        "from pipshim.base.cores import available_cores; print(available_cores())"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "1\n"
    assert 1 <= available_cores() <= len(os.sched_getaffinity(0))
