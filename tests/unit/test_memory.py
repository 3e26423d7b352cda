"""How much memory there is, what sizes mean, and which builds may use it together."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pipshim.base.cores import available_cores
from pipshim.base.memory import Memory, kills_for_memory, memory
from pipshim.base.sizes import read_size, size
from pipshim.base.tasks import in_order, paused, sharing
from pipshim.builds.jobserver import Jobserver
from pipshim.builds.machine_shares import MachineShares, MemoryBudget, Share
from pipshim.builds.resource_usage import Usage, describe_memory, ran_out
from pipshim.model.past_build import MemoryNeed, PastBuild, memory_need
from tests.support.pipshim import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipshim.model.past_build import Outcome

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")

MEMINFO = "MemTotal:       16000 kB\nMemFree:  100 kB\nMemAvailable:    8000 kB\n"
V1 = "33 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def told(cgroup: str, mounts: str, files: Mapping[str, str]) -> dict[str, str]:
    return {
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": cgroup,
        "/proc/self/mountinfo": mounts,
        **files,
    }


@needs_linux
def test_without_limits_it_is_what_the_machine_has() -> None:
    assert memory(told("", "", {}).get) == Memory(8000 * 1024, 16000 * 1024)
    assert memory(told("", "", {"/proc/meminfo": ""}).get) is None
    here = memory()
    assert here is not None
    assert 0 < here.available <= here.total


@needs_linux
def test_the_tightest_limit_along_the_path_counts_without_pages_of_files() -> None:
    at = "/sys/fs/cgroup"
    files = {
        f"{at}/a/b/memory.max": "max\n",
        f"{at}/a/b/memory.current": "5000\n",
        f"{at}/a/memory.max": "9000\n",
        f"{at}/a/memory.current": "6000\n",
        f"{at}/a/memory.stat": "anon 3000\ninactive_file 1000\nactive_file 500\n",
    }
    expected = Memory(4500, 9000, f"{at}/a/memory.max")
    assert memory(told("0::/a/b\n", V2, files).get) == expected
    assert not expected.is_scarce


@needs_linux
def test_version_1_has_other_files_and_its_largest_number_is_no_limit() -> None:
    at = "/sys/fs/cgroup/memory"
    files = {
        f"{at}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{at}/memory.usage_in_bytes": "7000\n",
        f"{at}/job/memory.limit_in_bytes": "10000\n",
        f"{at}/job/memory.usage_in_bytes": "9900\n",
        f"{at}/job/memory.stat": "inactive_file 1\ntotal_inactive_file 300\ntotal_active_file 0\n",
    }
    found = memory(told("9:memory:/job\n", V1, files).get)
    assert found == Memory(400, 10000, f"{at}/job/memory.limit_in_bytes")
    assert found.is_scarce


@needs_linux
def test_kills_are_counted_in_the_cgroup_and_on_the_machine() -> None:
    files = {
        "/sys/fs/cgroup/memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n",
        "/proc/vmstat": "nr_free_pages 1\noom_kill 5\n",
    }
    assert kills_for_memory(told("0::/\n", V2, files).get) == (2, 5)
    files = {"/sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 3\n"}
    assert kills_for_memory(told("9:memory:/\n", V1, files).get) == (3, 0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8 GB", 8_000_000_000),
        ("500MB", 500_000_000),
        ("1.5 GiB", 1_610_612_736),
        (" 64 kB", 64_000),
        ("2 tb", 2_000_000_000_000),
    ],
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert read_size(text) == count


@pytest.mark.parametrize(
    "text", ["", "8", "GB", "8 G", "8 XB", "-1 GB", "nan GB", "1e400 GB", "0 GB"]
)
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|float"):
        read_size(text)


def test_a_size_that_is_shown_can_be_read() -> None:
    assert read_size(size(8_000_000_000)) == 8_000_000_000


# Admission


class Machine:
    """A machine with 1000 bytes of memory, and builds that use some."""

    def __init__(self) -> None:
        self.usages: list[Usage] = []
        self.budget = MemoryBudget(self.memory)
        self.waiting = threading.Event()

    def memory(self) -> Memory:
        used = sum(usage.memory for usage in self.usages)
        return Memory(1000 - used, 1000)

    def enter(self, need: int | None, used: int = 0) -> tuple[threading.Thread, threading.Event]:
        """Run a build until the event is set."""
        usage, end = Usage(), threading.Event()
        self.usages.append(usage)
        self.waiting.clear()
        begun = threading.Event()

        def build() -> None:
            with self.budget.admitted(
                need, usage, waiting=self.waiting.set, is_stopped=lambda: False
            ):
                usage.memory = used
                begun.set()
                end.wait(PATIENCE)
                usage.memory = 0

        thread = threading.Thread(target=build, daemon=True)
        thread.start()
        while not begun.wait(0.01) and not self.waiting.is_set():
            pass
        return thread, end


def test_builds_wait_until_what_they_need_is_there() -> None:
    machine = Machine()
    first, end_first = machine.enter(600, used=100)  # it will use 500 more
    assert not machine.waiting.is_set()
    second, end_second = machine.enter(400)
    assert not machine.waiting.is_set()
    third, end_third = machine.enter(100)
    assert machine.waiting.is_set()
    end_second.set()
    second.join(PATIENCE)
    end_third.set()
    third.join(PATIENCE)
    assert not third.is_alive()
    end_first.set()
    first.join(PATIENCE)


def test_what_waits_is_overtaken_only_by_builds_that_fit_beside_it() -> None:
    machine = Machine()
    first, end_first = machine.enter(600, used=600)
    large, end_large = machine.enter(700)
    assert machine.waiting.is_set()
    small, end_small = machine.enter(200)
    assert not machine.waiting.is_set()
    other, end_other = machine.enter(200)  # it fits now, but not beside the large one
    assert machine.waiting.is_set()
    end_first.set()
    first.join(PATIENCE)
    end_large.set()
    large.join(PATIENCE)
    assert not large.is_alive()
    assert small.is_alive()
    for thread, end in ((small, end_small), (other, end_other)):
        end.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_build_that_waits_for_memory_lets_another_begin() -> None:
    budget = MemoryBudget(lambda: Memory(1000, 1000))
    needs = {"long": 600, "large": 700, "small": 200, "last": 0}
    small_ended, running, most = threading.Event(), set[str](), list[int]()

    def build(name: str) -> bool:
        with budget.admitted(needs[name], Usage(), waiting=lambda: None, is_stopped=lambda: False):
            running.add(name)
            most.append(len(running))
            is_in_time = name != "long" or small_ended.wait(PATIENCE)
            running.remove(name)
        if name == "small":
            small_ended.set()
        return is_in_time

    done = in_order(build, dict.fromkeys(needs, ()), at_once=2)
    assert done == dict.fromkeys(needs, True)
    assert max(most) == 2


def test_the_cores_are_shared_by_what_runs_and_comes_next_but_not_by_what_waits() -> None:
    counts: dict[str, int] = {}
    last_waits, others_ended = threading.Event(), threading.Event()

    def work(name: str) -> None:
        if name == "waiting":
            with paused():
                last_waits.set()
                assert others_ended.wait(PATIENCE)
            return
        assert last_waits.wait(PATIENCE)
        until(lambda: sharing.get().count == (2 if name == "first" else 1))
        counts[name] = sharing.get().count
        if name == "last":
            others_ended.set()

    waits_for: dict[str, tuple[str, ...]] = {"waiting": (), "first": (), "second": (), "last": ()}
    waits_for["last"] = ("first", "second")
    in_order(work, waits_for, at_once=2)
    assert counts == {"first": 2, "second": 1, "last": 1}


@pytest.mark.parametrize("allowed", [0, 1])
def test_work_is_done_by_the_threads_that_can_be_started(
    monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def limited(thread: threading.Thread) -> None:
        if len(started) >= allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    if allowed:
        assert in_order(str, dict.fromkeys(range(5), ()), at_once=4) == {
            n: str(n) for n in range(5)
        }
    else:
        with pytest.raises(RuntimeError, match="can't start"):
            in_order(str, dict.fromkeys(range(5), ()), at_once=4)


def test_builds_that_are_alike_end_in_any_order() -> None:
    machine = Machine()
    (first, end_first), (second, end_second) = machine.enter(None), machine.enter(None)
    end_second.set()
    second.join(PATIENCE)
    machine.usages[0].cpu = 1.0
    end_first.set()
    first.join(PATIENCE)
    third, end_third = machine.enter(1000)
    assert not machine.waiting.is_set()
    end_third.set()
    third.join(PATIENCE)


def test_what_other_programs_use_counts_and_what_is_not_known_does_not() -> None:
    machine = Machine()
    machine.usages.append(Usage(memory=900))
    first, end_first = machine.enter(None)
    assert not machine.waiting.is_set()
    second, end_second = machine.enter(200)
    assert machine.waiting.is_set()
    machine.usages[0].memory = 0
    end_second.set()
    second.join(PATIENCE)
    assert not second.is_alive()
    end_first.set()
    first.join(PATIENCE)


def test_one_build_runs_though_it_does_not_fit_with_as_many_jobs_as_do(tmp_path: Path) -> None:
    budget = MemoryBudget(lambda: Memory(1000, 2000))
    shares = MachineShares(4, Jobserver(tmp_path, 4), budget)

    def share(peak: int, per_process: int) -> Share:
        need = MemoryNeed(peak, per_process)
        with shares.of_build(
            need, Usage(), waiting=lambda: None, is_stopped=lambda: False
        ) as found:
            return found

    assert share(1000, 1000) == Share(None)
    assert share(4000, 1000) == Share(1, 1000)
    assert share(4000, 4000) == Share(1, 1000)


def test_nothing_is_waited_for_when_all_is_stopped() -> None:
    budget = MemoryBudget(lambda: Memory(0, 1000))

    def admitted() -> AbstractContextManager[int | None]:
        return budget.admitted(10, Usage(), waiting=lambda: None, is_stopped=lambda: True)

    with admitted(), admitted() as available:
        assert available == 0


# What was measured


def past(outcome: Outcome, peak: int | None, processes: int, name: str = "lib") -> PastBuild:
    return PastBuild(
        name, "1", "wheel", "isolated", "p", outcome, 1.0, 1.0, peak=peak, processes=processes
    )


def test_what_a_build_needs_is_what_the_newest_one_used() -> None:
    builds = [past("built", 900, 3), past("failed", 5, 1), past("built", 7, 1, "other")]
    assert memory_need(builds, "lib") == MemoryNeed(900, 300)
    assert memory_need(builds, "new") is None
    assert memory_need([*builds, past("built", None, 1)], "lib") == MemoryNeed(900, 300)
    # It had 4 processes and not enough: it gets two next time.
    assert memory_need([*builds, past("out of memory", 1000, 4)], "lib") == MemoryNeed(2000, 500)


def test_a_build_ran_out_if_something_was_killed_and_the_kernel_or_what_was_left_says_so() -> None:
    own, machine = kills_for_memory()
    scarce, plenty = Memory(10, 1000, "/limit"), Memory(500, 1000)
    assert ran_out((own, machine), Usage(least=scarce), was_killed=True)
    assert not ran_out((own, machine), Usage(least=scarce), was_killed=False)
    assert not ran_out((own, machine), Usage(least=plenty), was_killed=True)
    assert ran_out((own, machine - 1), Usage(least=plenty), was_killed=True)
    assert ran_out((own - 1, machine), Usage(), was_killed=False)


def test_memory_is_described_with_the_limit_and_a_setting() -> None:
    least = Memory(10_000_000, 8_000_000_000, "/limit")
    story = describe_memory(Usage(peak=7_900_000_000, processes=available_cores(), least=least))
    assert story is not None
    assert story.text == (
        "Its processes used 7.9 GB together, and this cgroup may use 8.0 GB (/limit), of which "
        "10.0 MB were left at the lowest point."
    )
    assert story.setting == "16 GB"
    few = describe_memory(Usage(peak=7_900_000_000, least=least))
    assert few is not None
    assert few.setting == f"{16 * available_cores()} GB"
    assert describe_memory(Usage()) is None


@needs_linux
def test_what_a_process_was_refused_is_described_with_the_limit_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource  # noqa: PLC0415 not on Windows

    usage, kills = Usage(peak=300_000_000, least=Memory(500, 1000)), kills_for_memory()
    refused = describe_memory(usage, was_refused=True)
    assert refused == describe_memory(usage)
    assert not ran_out(kills, usage, was_killed=True, was_refused=True)
    monkeypatch.setattr(resource, "getrlimit", {resource.RLIMIT_AS: (1_000_000_000, -1)}.get)
    assert ran_out(kills, usage, was_killed=True, was_refused=True)
    assert not ran_out(kills, usage, was_killed=True)
    refused = describe_memory(usage, was_refused=True)
    assert refused is not None
    assert refused.text == (
        "Its processes used 300.0 MB together, and each of them may use 1.0 GB of address space "
        "(ulimit -v)."
    )
    assert refused.setting is None
