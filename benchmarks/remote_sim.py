"""Simulate a day of a remote that 10,000 developers share.

Run it from the repository's root: ``python -m benchmarks.remote_sim``. What the client asks of a
remote is measured first: the real `RemoteCache` and `Claims` look up, miss, take, claim, wait and
push against files in memory that count every request and byte. A day is then simulated in virtual
time with these numbers. All other numbers are assumptions, which are printed.
"""

from __future__ import annotations

import argparse
import bisect
import heapq
import itertools
import math
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipshim.model.build_record import Record, Used
from pipshim.model.build_tools import Tool
from pipshim.model.claim import MACHINE_DIGITS, selection_key
from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.shared_record import SharedRecord, SharedWheel
from pipshim.remote.claims import BEAT_SECONDS, CLAIMS, Claims
from pipshim.remote.file_store import Entry, FileMissingError
from pipshim.remote.remote_cache import WHEELS, RemoteCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DAY, HOUR = 86_400.0, 3600.0
PYTHON, PLATFORM = "cpython 3.11", "linux x86_64"


@dataclass(frozen=True)
class Assumptions:
    """What is assumed of the team; prices are S3's list prices in us-east-1.

    Attributes:
        developers: how many there are; each works ten hours, in one of three time zones.
        builds: how many distinct builds a day needs, if all machines were alike.
        new_an_hour: the share of them that new versions replace within an hour.
        of_each: how many of the builds a developer needs (popular ones more often).
        jobs: how many CI jobs a developer starts a day; they have no cache.
        minutes: how long a build takes: the median, and sigma of the logarithm.
        megabytes: how large a wheel is, likewise.
        variables: how many variables a record names; natten's against torch has 110.
        listing, get, put: the price of 1000 requests, in dollars.
        traffic: the price of a gigabyte that leaves the region, in dollars.

    """

    developers: int = 10_000
    builds: int = 500
    new_an_hour: float = 0.01
    of_each: int = 10
    jobs: int = 3
    minutes: tuple[float, float] = (6.0, 1.2)
    megabytes: tuple[float, float] = (4.0, 1.5)
    variables: int = 110
    listing: float = 0.005
    get: float = 0.0004
    put: float = 0.005
    traffic: float = 0.09


class Requests(NamedTuple):
    """Requests to a remote, by what they cost, and bytes from it."""

    lists: int = 0
    gets: int = 0
    puts: int = 0
    deletes: int = 0
    bytes: int = 0

    def plus(self, other: Requests, times: float = 1) -> Requests:
        """Add other requests, several times."""
        return Requests(*(one + round(two * times) for one, two in zip(self, other, strict=True)))

    @property
    def total(self) -> int:
        return self.lists + self.gets + self.puts + self.deletes

    def cost(self, prices: Assumptions) -> float:
        """Return their price in dollars, without traffic; deleting is free."""
        puts = self.puts * prices.put + self.lists * prices.listing
        return (puts + self.gets * prices.get) / 1000


@dataclass
class CountingStore:
    """A remote in memory that counts as S3 does: 1000 names in one list, a HEAD costs a GET."""

    files: dict[str, bytes] = field(default_factory=dict)
    seen: Requests = field(default_factory=Requests)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    is_writable = True

    def _count(self, **kinds: int) -> None:
        with self._guard:
            self.seen = self.seen.plus(Requests(**kinds))

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:  # noqa: ARG002
        start = f"{folder}/{prefix}"
        found = [one for one in list(self.files) if one.startswith(start)]
        self._count(lists=max(1, math.ceil(len(found) / 1000)))
        return [Entry(one.removeprefix(f"{folder}/"), len(self.files[one]), 0.0) for one in found]

    def walk(self, folder: str) -> list[Entry]:
        return self.names(folder, "", 0)

    def read(self, path: str, most: int, seconds: float) -> bytes:  # noqa: ARG002
        content = self.files.get(path)
        self._count(gets=1, bytes=len(content or b""))
        if content is None:
            raise FileMissingError(path)
        return content[: most + 1]

    def fetch(self, path: str, into: Path, most: int, stop: threading.Event) -> None:  # noqa: ARG002
        into.write_bytes(self.read(path, most, 0))

    def create(self, path: str, content: bytes, seconds: float) -> bool:  # noqa: ARG002
        self._count(puts=1)
        with self._guard:
            return self.files.setdefault(path, content) is content

    def upload(self, path: str, file: Path, seconds: float) -> bool:
        self._count(gets=1)
        return path not in self.files and self.create(path, file.read_bytes(), seconds)

    def remove(self, path: str) -> None:
        self._count(deletes=1)
        self.files.pop(path, None)


@dataclass
class Client:
    """The real client, on a store that counts."""

    store: CountingStore
    folder: Path

    def cache(self) -> RemoteCache:
        """Return the remote as a new command sees it."""
        numbers = itertools.count()

        def fresh() -> Path:
            made = self.folder / f"{next(numbers)}"
            made.mkdir(exist_ok=True)
            return made

        return RemoteCache("memory", lambda: self.store, True, lambda _: None, fresh)

    def counted(self, work: Callable[[], object]) -> Requests:
        """Return what some work asks of the store."""
        self.store.seen = Requests()
        work()
        return self.store.seen


def record(assumed: Assumptions, variant: int, wheel: bytes) -> SharedRecord:
    """Return the record of a build on a kind of machine."""
    import hashlib  # noqa: PLC0415 only here

    variables = {f"TORCH_VARIABLE_NUMBER_{one}": None for one in range(assumed.variables)}
    against = {
        name: Used("2.13.0", "sha256:" + hashlib.sha256(name.encode()).hexdigest())
        for name in ("torch", "numpy", "setuptools", "ninja", "packaging", "typing-extensions")
    }
    built_from = Record(
        name="native",
        version="1.0",
        source="ab" * 32,
        mode="matched",
        python=PYTHON,
        platform=PLATFORM,
        requirements=("ninja", "setuptools", "torch"),
        variables=variables,
        compiled=True,
        tools={"c++": Tool(f"gcc (Debian 12.2.0-14) 12.2.{variant}")},
        against=against,
    )
    name = "native-1.0-cp311-cp311-linux_x86_64.whl"
    made = SharedWheel(hashlib.sha256(wheel).hexdigest(), len(wheel), name, ("torch",))
    libraries = {"libc.so.6": ("GLIBC_2.34",), "libstdc++.so.6": ("GLIBCXX_3.4.30",)}
    needs = MachineNeeds(libraries)
    return SharedRecord("wheel", built_from, made, 400.0, needs, key=key(variant))


def key(variant: int) -> str:
    """Return what the name of a record says of the build on a kind of machine."""
    return selection_key(f"{variant:08x}", "0" * 32)


@dataclass
class Pattern:
    """What the client asks of a remote, as measured.

    Attributes:
        looks: by the number of records that a source has, and whether one of them is for the kind
            of machine that asks, what looking them up takes.
        hit: what taking a wheel takes, without the wheel's bytes.
        build: what claiming, pushing and releasing a build takes.
        beat: what renewing a claim takes.
        polls: by seconds of waiting, what a wait takes.

    """

    looks: dict[tuple[int, bool], Requests]
    hit: Requests
    build: Requests
    beat: Requests
    polls: dict[int, Requests]

    def look(self, records: int, *, is_there: bool) -> Requests:
        """Return what looking up a source with so many records takes.

        Args:
            records: how many there are.
            is_there: whether one of them is for this kind of machine.

        """
        known = sorted({count for count, _ in self.looks if count or not is_there})
        at = min(bisect.bisect_left(known, records), len(known) - 1)
        return self.looks[known[at], is_there]  # of as many records, or of a few more

    def wait(self, seconds: float) -> Requests:
        """Return what waiting takes."""
        *_, before, last = sorted(self.polls)
        if seconds <= last:
            return self.polls[min(self.polls, key=lambda one: abs(one - seconds))]
        slope = self.polls[last].plus(self.polls[before], -1)
        return self.polls[last].plus(slope, (seconds - last) / (last - before))


def measure(assumed: Assumptions, folder: Path) -> Pattern:
    """Run the real client against a store that counts."""
    wheel, path = b"a wheel", folder / "wheel"
    path.write_bytes(wheel)
    looks = {}
    for count in (0, 1, 2, 4, 8, 16, 32, 48, 64, 128, 256, 512, 1024, 2048):
        client = Client(CountingStore(), folder)
        with client.cache() as pushing:
            for variant in range(count):
                pushing.push(record(assumed, variant, wheel), path)
        for is_there in (False, True)[: 1 + bool(count)]:
            wanted = key(0 if is_there else count)
            looks[count, is_there] = client.counted(partial(_look_up, client.cache(), wanted))
    client = Client(CountingStore(), folder)
    shared = record(assumed, 0, wheel)
    push = client.counted(lambda: client.cache().push(shared, path))
    hit = client.counted(lambda: client.cache().wheel(shared))
    hit = hit._replace(bytes=hit.bytes - len(wheel))
    assert f"{WHEELS}/{shared.wheel.sha256}.whl" in client.store.files
    return Pattern(looks, hit, *_claims(client, push))


def _look_up(cache: RemoteCache, wanted: str) -> None:
    """Look for a record, as a command does: what fits ends the search."""
    asked = ("ab" * 32, PYTHON, PLATFORM)
    cache.look_ahead(asked[:1], ["wheel"], *asked[1:], wanted[:MACHINE_DIGITS])
    for batch in cache.batches("wheel", *asked, wanted):
        if any(one.key == wanted for one in batch):
            break


def _claims(client: Client, push: Requests) -> tuple[Requests, Requests, dict[int, Requests]]:
    """Measure claims in real time: some seconds."""
    ours = Claims(client.store, "ours", beat_seconds=HOUR)
    held = None

    def claim() -> None:
        nonlocal held
        assert not ours.wait("key", HOUR, lambda _: None)
        held = ours.take("key")

    build = client.counted(claim).plus(push)
    assert held is not None
    polls = {}
    for seconds in (0, 3, 9, 15, 30):  # after 15 seconds it polls at the same pace
        theirs = Claims(client.store, expiry_seconds=HOUR)
        polls[seconds] = client.counted(
            lambda seconds=seconds, one=theirs: one.wait("key", seconds, lambda _: None)  # type: ignore[misc]
        )
    build = build.plus(client.counted(held.release))
    assert not [one for one in client.store.files if one.startswith(CLAIMS)]
    beating = Claims(client.store, beat_seconds=0.1).take("other")
    assert beating is not None
    seen = client.counted(lambda: time.sleep(1.05))
    beating.release()
    return build, Requests(*(round(one / seen.puts) for one in seen)), polls


class Build(NamedTuple):
    """How heavy a build is."""

    seconds: float
    size: float


@dataclass
class Outcome:
    """What happened in a day."""

    lookups: int = 0
    hits: int = 0
    builds: int = 0
    waits: int = 0
    waited: float = 0.0
    without_claims: int = 0
    requests: Requests = field(default_factory=Requests)
    wheels: float = 0.0
    built_hours: float = 0.0
    saved_hours: float = 0.0
    lists: Counter[int] = field(default_factory=Counter)
    """By second, how many lookups there are."""


def arrivals(
    assumed: Assumptions, chance: random.Random, since: float, share: float
) -> list[float]:
    """Return when developers and CI jobs need a build, from the moment when it exists.

    Args:
        assumed: the team.
        chance: decides.
        since: when the build begins to be needed.
        share: the share of all developers who need it.

    """
    people = _poisson(chance, assumed.developers * share)
    found = []
    for _ in range(people):
        start = chance.choice((0, 8, 16)) * HOUR
        day = [start + chance.random() * 10 * HOUR for _ in range(1 + assumed.jobs)]
        moments = [one % DAY for one in day]
        # The own cache serves all but the first need; a CI job has none.
        found += [one for one in (min(moments[:1], default=0), *moments[1:]) if one >= since]
    return sorted(found)


def _poisson(chance: random.Random, mean: float) -> int:
    """Return a random count; for large means as the normal distribution has it."""
    if mean > 50:  # noqa: PLR2004 good enough from there on
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def zipf(count: int) -> list[float]:
    """Return shares of popularity that add up to one."""
    weights = [1 / rank for rank in range(1, count + 1)]
    total = sum(weights)
    return [one / total for one in weights]


def simulate(assumed: Assumptions, pattern: Pattern, kinds: int, seed: int) -> Outcome:
    """Simulate a day.

    Args:
        assumed: the team.
        pattern: what the client asks.
        kinds: of machines, of which none can use another's wheels; common and rare ones.
        seed: of the random numbers.

    """
    chance, outcome = random.Random(seed), Outcome()  # noqa: S311 no secrets
    machines = zipf(kinds)
    for popularity in zipf(assumed.builds):
        share = min(1.0, popularity * assumed.of_each)
        for since in _generations(assumed, chance):
            seconds = 60 * chance.lognormvariate(math.log(assumed.minutes[0]), assumed.minutes[1])
            size = 1e6 * chance.lognormvariate(math.log(assumed.megabytes[0]), assumed.megabytes[1])
            needed = [
                (moment, kind)
                for kind, weight in enumerate(machines)
                for moment in arrivals(assumed, chance, since, share * weight)
            ]
            _day_of(Build(seconds, size), sorted(needed), outcome, pattern)
    return outcome


def _generations(assumed: Assumptions, chance: random.Random) -> Iterator[float]:
    """Yield when the versions of a build appear in a day; the first was there at its start."""
    moment = 0.0
    while moment < DAY:
        yield moment
        moment += chance.expovariate(assumed.new_an_hour / HOUR)


@dataclass
class Source:
    """The records of a source, and who builds it now.

    Attributes:
        pushed: the kinds of machines that the records are for, the oldest first.
        running: when builds will have been pushed, and for which kind; the first to end first.

    """

    pushed: list[int] = field(default_factory=list)
    running: list[tuple[float, int]] = field(default_factory=list)

    def advance(self, moment: float) -> None:
        """Let builds end until a moment."""
        while self.running and self.running[0][0] <= moment:
            self.pushed.append(heapq.heappop(self.running)[1])

    def ready(self, kind: int) -> float | None:
        """Return when a running build for a kind will be pushed; None if there is none."""
        return next((at for at, one in self.running if one == kind), None)


def _day_of(
    build: Build, needed: Sequence[tuple[float, int]], outcome: Outcome, pattern: Pattern
) -> None:
    """Let everybody who needs a build have it."""
    source = Source()
    for moment, kind in needed:
        source.advance(moment)
        outcome.lookups += 1
        outcome.lists[int(moment)] += 1
        is_there = kind in source.pushed
        look = pattern.look(len(source.pushed), is_there=is_there)
        outcome.requests = outcome.requests.plus(look)
        ready = source.ready(kind)
        if is_there or ready is not None:
            outcome.hits += 1
            outcome.saved_hours += build.seconds / HOUR
            outcome.requests = outcome.requests.plus(pattern.hit)
            outcome.wheels += build.size
        if is_there:
            continue
        outcome.without_claims += 1
        if ready is not None:
            outcome.waits += 1
            outcome.waited += ready - moment
            look = pattern.look(len(source.pushed) + 1, is_there=True)
            outcome.requests = outcome.requests.plus(pattern.wait(ready - moment)).plus(look)
            continue
        outcome.builds += 1
        outcome.built_hours += build.seconds / HOUR
        outcome.requests = outcome.requests.plus(pattern.build)
        outcome.requests = outcome.requests.plus(pattern.beat, build.seconds // BEAT_SECONDS)
        heapq.heappush(source.running, (moment + build.seconds, kind))


def report(assumed: Assumptions, pattern: Pattern, outcomes: dict[int, Outcome]) -> Iterator[str]:
    """Yield the lines of a report in Markdown."""
    yield "Assumed:\n"
    for name, value in vars(assumed).items():
        yield f"- {name.replace('_', ' ')}: {value}"
    yield "\nMeasured with the client:\n"
    yield "| step | lists | gets | puts | deletes | bytes |"
    yield "|---|---:|---:|---:|---:|---:|"
    steps = {
        f"look up a source with {count} records, {'one' if is_there else 'none'} of this kind": one
        for (count, is_there), one in pattern.looks.items()
    }
    steps |= {"take a wheel": pattern.hit, "claim, push and release": pattern.build}
    steps |= {"renew a claim": pattern.beat}
    steps |= {f"wait for {one} s": pattern.wait(one) for one in (6, 60, 600)}
    for name, one in steps.items():
        yield f"| {name} | {one.lists} | {one.gets} | {one.puts} | {one.deletes} | {one.bytes:,} |"
    yield "\nSimulated, for a day:\n"
    yield (
        "| kinds of machines | lookups | hits | builds | without claims | waits | mean wait | "
        "requests | a second, at most | records read | wheels read | requests' cost | "
        "a hit costs | building saved |"
    )
    yield "|" + "---:|" * 14
    for kinds, outcome in outcomes.items():
        yield _row(assumed, kinds, outcome)


def _row(assumed: Assumptions, kinds: int, one: Outcome) -> str:
    cost = one.requests.cost(assumed)
    peak = max(one.lists.values(), default=0)
    cells = [
        f"{kinds}",
        f"{one.lookups:,}",
        f"{one.hits / one.lookups:.2%}",
        f"{one.builds:,}",
        f"{one.without_claims:,}",
        f"{one.waits:,}",
        f"{one.waited / max(one.waits, 1) / 60:.1f} min",
        f"{one.requests.total:,}",
        f"{peak * one.requests.total / one.lookups:,.0f}",
        f"{one.requests.bytes / 1e9:.1f} GB",
        f"{one.wheels / 1e12:.2f} TB",
        f"${cost:,.2f}",
        f"${cost / max(one.hits, 1):.7f}",
        f"{one.saved_hours / 24 / 365:,.0f} years",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, simulate, and print a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="1,2,5,10,20,50,100,200,500")
    parser.add_argument("--developers", type=int, default=Assumptions.developers)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    assumed = Assumptions(developers=given.developers)
    with tempfile.TemporaryDirectory() as folder:
        pattern = measure(assumed, Path(folder))
    outcomes = {
        kinds: simulate(assumed, pattern, kinds, given.seed)
        for kinds in map(int, given.kinds.split(","))
    }
    for line in report(assumed, pattern, outcomes):
        print(line)


if __name__ == "__main__":
    main()
