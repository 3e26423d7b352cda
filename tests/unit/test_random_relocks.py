"""Requirements made up at random: a lock made again is what a complete resolve makes of its pins.

The complete one prefers the same pins, but reads every page. Both come to the same entries, and a
lock whose pins all fit asks for no page at all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from hashlib import sha256
from io import BytesIO
from itertools import chain
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._internal.network import session as pip_session
from pip._internal.network.session import PipSession
from pip._vendor.requests.adapters import HTTPAdapter
from pip._vendor.urllib3 import HTTPResponse

from pipshim._pip.session import Pip
from pipshim.base.errors import ResolveError
from pipshim.cli.pip_main import project_command
from pipshim.envs.interpreter import query
from pipshim.lock.resolver_runner import ResolverRunner
from pipshim.model.pylock import requires_of
from pipshim.model.stable_packages import StablePackages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packaging.utils import NormalizedName

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.solution import Solution

NAMES = tuple(f"p{number}" for number in range(8))
VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0", "5.0", "6.0a1")
BOUNDS = ("", "", "<3", ">=2", "!=4.0", "==2.*", "<5", ">=3")
JSON = "application/vnd.pypi.simple.v1+json"
GRAPHS = range(0, 500, 50)
AT_ONCE = GRAPHS.step


@dataclass
class Index(HTTPAdapter):
    """An index in memory, asked by pip's session.

    Attributes:
        answers: by path.
        pages: the packages whose page was asked for.
    """

    answers: dict[str, bytes]
    pages: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def send(self, request: Any, *_: Any, **__: Any) -> Any:
        path = urlsplit(request.url).path
        if path.startswith("/simple/"):
            self.pages.add(path.split("/")[2])
        body = self.answers.get(path)
        found = HTTPResponse(
            body=BytesIO(body or b""),
            status=404 if body is None else 200,
            headers={"Content-Type": JSON},
            preload_content=False,
        )
        return self.build_response(request, found)


def requirement(chance: Random, name: str) -> str:
    extra = chance.choice(("", "", "", "[x]"))
    return f"{name}{extra}{chance.choice(BOUNDS)}"


def some(chance: Random, most: int) -> list[str]:
    return [requirement(chance, one) for one in chance.sample(NAMES, chance.randint(0, most))]


def published(chance: Random) -> dict[str, bytes]:
    """Make up packages, some versions of which require others than the rest do."""
    answers: dict[str, bytes] = {}
    for name in NAMES:
        files = []
        usual, extra = some(chance, 2), some(chance, 1)
        for version in sorted(chance.sample(VERSIONS, chance.randint(1, len(VERSIONS)))):
            wheel = f"{name}-{version}-py3-none-any.whl"
            lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
            required = usual if chance.random() < 0.4 else some(chance, 2)
            lines += [f"Requires-Dist: {one}" for one in required]
            lines += [
                "Provides-Extra: x",
                *(f'Requires-Dist: {one}; extra == "x"' for one in extra),
            ]
            metadata = ("\n".join(lines) + "\n").encode()
            answers[f"/files/{wheel}.metadata"] = metadata
            digest = {"sha256": sha256(metadata).hexdigest()}
            files.append(
                {
                    "filename": wheel,
                    "url": f"/files/{wheel}",
                    "hashes": {"sha256": sha256(wheel.encode()).hexdigest()},
                    "core-metadata": digest,
                    "yanked": chance.random() < 0.05,
                }
            )
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
        answers[f"/simple/{name}/"] = json.dumps(page).encode()
    return answers


class Agent:
    """Makes sessions that ask an index in memory."""

    def __init__(self) -> None:
        self.index: Index | None = None

    def session(self, _: Callable[[], PipSession]) -> PipSession:
        made = PipSession()
        assert self.index is not None
        made.mount("https://", self.index)
        return made


def resolved(
    command: PipCommand,
    cache: Path,
    index: Index,
    requirements: Sequence[str],
    old: Solution | None = None,
    *,
    complete: bool = False,
) -> Solution | None:
    """Resolve with the pins of an earlier solution; None if that is impossible."""
    cast("Any", command.command).agent.index = index
    target = replace(query(Path(sys.executable), cache), tags=("py3-none-any",))
    pip = Pip(command.command, command.options, target, cache=cache)
    pins: dict[NormalizedName, tuple[Version, ...]] = {}
    stable = StablePackages()
    if old is not None:
        pins = {name: (pin.version,) for name, pin in old.pins.items()}
        if not complete:
            packages = [pin.package for pin in old.pins.values()]
            pip.keep(packages)
            stable = StablePackages.of(packages, chain(*old.roots.values()), target)
    roots = [pip.root(one, origins=["project"], comes_from="the project") for one in requirements]
    runner = ResolverRunner(pip, lambda _: ResolveError("impossible"), stable=stable)
    try:
        return runner.resolve(roots, preferred=pins, metadata_of=lambda _: b"")
    except ResolveError:
        return None
    finally:
        pip.ahead.rest()


class Relock(NamedTuple):
    """The outcomes of a lock that was made again.

    Attributes:
        old: the first lock; None: there is none.
        again: made with its files; None: impossible, as with the next one.
        complete: made from all pages.
        pages: the packages whose page was asked for to make it again.
    """

    old: Solution | None
    again: Solution | None
    complete: Solution | None
    pages: set[str]

    @property
    def outcome(self) -> str:
        if self.old is None or self.again is None:
            return "impossible"
        return "kept" if self.again.pins.items() <= self.old.pins.items() else "changed"

    @property
    def has_prereleases(self) -> bool:
        return self.old is not None and any(
            pin.version.is_prerelease for pin in self.old.pins.values()
        )


def relock(number: int, command: PipCommand, cache: Path) -> Relock:
    chance = Random(number)  # noqa: S311 the same graphs everywhere
    command.options.index_url = f"https://graph{number}.example/simple"
    answers = published(chance)
    requirements = some(chance, 4) or ["p0"]
    old = resolved(command, cache, Index(answers), requirements)
    if old is None:
        return Relock(None, None, None, set())
    changed = [one for one in requirements if chance.random() < 0.8] + some(chance, 1)
    index = Index(answers)
    again = resolved(command, cache, index, changed, old)
    complete = resolved(command, cache, Index(answers), changed, old, complete=True)
    return Relock(old, again, complete, index.pages)


def relocks(numbers: Iterable[int], cache: Path) -> dict[int, Relock]:
    found: dict[int, Relock] = {}

    def action(_: object, command: PipCommand) -> int:
        cast("Any", command.command).agent = Agent()
        for number in numbers:
            found[number] = relock(number, command, cache / str(number))
        return 0

    assert project_command("lock", ["--no-cache-dir"], isolated=True, action=action) == 0
    return found


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_session, "user_agent", lambda: "test")


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in GRAPHS[1:])]
)
def test_a_lock_made_again_is_a_complete_one(first: int, tmp_path: Path) -> None:
    made = relocks(range(first, first + AT_ONCE), tmp_path)
    for number, found in made.items():
        assert found.again == found.complete, f"graph {number}"
        # Whether a prerelease is admitted depends on what else its page has.
        if found.outcome == "kept" and not found.has_prereleases:
            assert not found.pages, f"graph {number}"
    assert {one.outcome for one in made.values()} == {"kept", "changed", "impossible"}


def test_what_a_package_requires_is_not_lost_with_an_extra_that_is_given_up(
    tmp_path: Path,
) -> None:
    """resolvelib takes the package for the one with the extra, which nothing requires."""
    (found,) = relocks([436], tmp_path).values()
    assert found.old is not None
    assert requires_of(found.old.pins[canonicalize_name("p0")].package) == ("p7[x]>=2",)
    assert found.old.versions[canonicalize_name("p7")] == Version("3.0")
