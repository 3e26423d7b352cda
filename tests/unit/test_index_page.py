"""Long pages are looked at in part, and lead to what pip finds on the whole of them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._internal.index.collector import IndexContent, LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.format_control import FormatControl
from pip._internal.models.release_control import ReleaseControl
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.models.target_python import TargetPython
from pip._internal.network.session import PipSession
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.tags import parse_tag

from pipshim._pip.index import REFUSALS, Finder, listing_of
from pipshim.model.conflict import Refusal
from pipshim.model.index_files import AT_FIRST, Listing
from pipshim.model.version_order import Order

if TYPE_CHECKING:
    from pip._internal.index.package_finder import BestCandidateResult
    from pip._internal.models.candidate import InstallationCandidate
    from pip._internal.models.link import Link

JSON = "application/vnd.pypi.simple.v1+json"
INDEXES = ["http://127.0.0.1:1/one", "http://127.0.0.1:1/two"]
HERE = ("py3-none-any", "py2.py3-none-any", "cp311-cp311-here_64", "cp311-abi3-here_64")
ELSEWHERE = ("cp310-cp310-here_64", "cp311-cp311-there_64", "pp311-pypy311_pp73-here_64")
NAME = canonicalize_name("some-pkg")


class Collector(LinkCollector):
    """Has its pages at hand, and counts how often one of them was asked for."""

    def __init__(self, pages: dict[str, IndexContent]) -> None:
        scope = SearchScope.create(find_links=[], index_urls=INDEXES, no_index=False)
        super().__init__(PipSession(), scope)
        self._pages = pages

    def fetch_response(self, location: Link, *_: Any, **__: Any) -> IndexContent | None:
        return self._pages.get(location.url)


def page(url: str, files: list[dict[str, Any]], kind: str = JSON) -> IndexContent:
    if kind == JSON:
        content = json.dumps({"files": files})
    else:
        content = "".join(
            f'<a href="{one["url"]}"{" data-yanked" if one.get("yanked") else ""}>x</a>'
            for one in files
            if "url" in one
        )
    return IndexContent(content.encode(), kind, None, url, cache_link_parsing=True)


def file(filename: str, **more: Any) -> dict[str, Any]:
    url = f"../../files/{filename}"
    return {"filename": filename, "url": url, "hashes": {"sha256": "0" * 64}, **more}


def some_files(chance: random.Random) -> list[dict[str, Any]]:
    """Make up the files of a page, some of which are named as nobody should."""
    versions = [f"{major}.{minor}" for major in range(chance.randint(0, 6)) for minor in range(4)]
    versions += chance.sample(
        [
            "2.0rc1",
            "3.0.dev1",
            "7.0a1",
            "7.0a2",
            "1.0.post1",
            "1!0.1",
            "2.0+local",
            "0.1-1",
            "what",
        ],
        k=chance.randint(0, 6),
    )
    found = []
    for version in versions:
        name = chance.choice(["some_pkg", "some-pkg", "Some.Pkg", "some_pkg"])
        more: dict[str, Any] = {"yanked": chance.random() < 0.2}
        if chance.random() < 0.2:
            more["requires-python"] = chance.choice([">=3.12", ">=3.8", "<3", "no such thing"])
        if chance.random() < 0.8:
            found.append(file(f"{name}-{version}{chance.choice(['.tar.gz', '.zip'])}", **more))
        for tag in chance.sample(HERE + ELSEWHERE, k=chance.randint(0, 4)):
            build = chance.choice(["", "", "-1", "-2x"])
            wheel = f"some_pkg-{version.replace('-', '_')}{build}-{tag}.whl"
            found.append(file(wheel, **more))
    found += chance.sample(
        [
            file("some-pkg-9.9.win32.exe"),
            file("some_pkg-9.9-py3.11.egg"),
            file("other_pkg-9.9-py3-none-any.whl"),
            file("other-pkg-9.9.tar.gz"),
            file("some_pkg-9.9-bad.whl"),
            file("some_pkg-9.8--none-any.whl"),
            file("some%5Fpkg-0.7-py3-none-any.whl"),
            file("some_pkg-0.8-py3-none-any.whl?where=here"),
            file("some_pkg-0.9-py3-none-any.whl#sha256=" + "1" * 64),
            {"filename": "some_pkg-9.9.tar.gz"},
        ],
        k=chance.randint(0, 5),
    )
    chance.shuffle(found)
    return found


def finders(pages: dict[str, IndexContent], **preferences: Any) -> tuple[PackageFinder, Finder]:
    """Make pip's finder and pipshim's, which see the same."""
    target = TargetPython(py_version_info=(3, 11, 7))
    target._valid_tags = [tag for text in HERE for tag in sorted(parse_tag(text), key=str)]
    target._valid_tags_set = set(target._valid_tags)
    prefs = SelectionPreferences(allow_yanked=True, **preferences)
    made = [
        kind.create(link_collector=Collector(pages), selection_prefs=prefs, target_python=target)
        for kind in (PackageFinder, Finder)
    ]
    assert isinstance(made[1], Finder)
    return made[0], made[1]


def some_pages(chance: random.Random) -> dict[str, IndexContent]:
    return {
        f"{index}/some-pkg/": page(
            # pip, and pipshim with it, reads a page of one address once.
            f"{index}/{chance.random()}/some-pkg/",
            some_files(chance),
            chance.choice([JSON, JSON, "text/html"]),
        )
        for index in chance.sample(INDEXES, k=chance.randint(1, 2))
    }


@pytest.mark.parametrize("seed", range(60))
def test_candidates_come_as_from_pip(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 no secret
    pages = some_pages(chance)
    control = FormatControl()
    if chance.random() < 0.2:
        chance.choice([control.no_binary, control.only_binary]).add(NAME)
    pips, ours = finders(pages, format_control=control, prefer_binary=chance.random() < 0.2)
    texts = ["", ">=1", "<2", "==0.1", "==2.0rc1", ">=7.0a1", "!=4.3", "==3.*", ">=99", "<3,>=2.1"]
    for text in chance.sample(texts, k=len(texts)):
        expected = pips.find_best_candidate("some-pkg", SpecifierSet(text))
        found = ours.find_best_candidate("some-pkg", SpecifierSet(text))
        # Of files that are as good as each other, pip's resolver takes the last one.
        best = next(reversed(expected.applicable_candidates), None)
        assert found.best_candidate == best
        assert all(one.link.is_yanked for one in found.applicable_candidates) == all(
            one.link.is_yanked for one in expected.applicable_candidates
        )
        assert list(reversed(found.applicable_candidates)) == list(
            reversed(expected.applicable_candidates)
        )
    assert ours.find_all_candidates("some-pkg") == pips.find_all_candidates("some-pkg")


@pytest.mark.parametrize("seed", range(60))
def test_wanted_versions_come_as_if_all_had_been_looked_at(seed: int) -> None:
    chance = random.Random(2000 + seed)  # noqa: S311 no secret
    pages = some_pages(chance)
    _, ours = finders(pages)
    _, all_seen = finders(pages)
    known = {Version(str(one.version)) for one in all_seen.find_all_candidates("some-pkg")}
    versions = [*sorted(known), Version("12"), Version("13")]
    preferred = {NAME: tuple(chance.sample(versions, k=chance.randint(0, 2)))}
    offered = {NAME: tuple(chance.sample(versions, k=2))} if chance.random() < 0.5 else {}
    order = Order(preferred, offered=offered)
    texts = ["", ">=1", "<2", ">=7.0a1", "!=4.3", "==3.*", ">=99", "<3,>=2.1"]
    with ours.ordered(order):
        for text in chance.sample(texts, k=len(texts)):
            expected = all_seen.find_best_candidate("some-pkg", SpecifierSet(text))
            found = ours.find_best_candidate("some-pkg", SpecifierSet(text))
            assert taken(found) == taken(expected)


def taken(result: BestCandidateResult) -> list[InstallationCandidate]:
    """Tell what pip's resolver may take, the first one first: yanked files if there is no other."""
    found = list(reversed(result.applicable_candidates))
    return [one for one in found if not one.link.is_yanked] or found


@pytest.mark.parametrize("seed", range(20))
def test_what_is_refused_and_why_is_pips_word(seed: int) -> None:
    chance = random.Random(1000 + seed)  # noqa: S311 no secret
    pages = some_pages(chance)
    _, ours = finders(pages)
    reasons = set()
    evaluator = ours.make_link_evaluator("some-pkg")
    for one in pages.values():
        listing = listing_of(one, NAME)
        for link in listing.links(listing.all()):
            word = evaluator.evaluate_link(link)[0]
            reasons.add((link.filename, REFUSALS.get(word, Refusal.OTHER)))
    refused = {(one.filename, one.why) for one in ours.refused(NAME)}
    assert refused
    assert refused <= reasons


def test_prereleases_that_are_admitted_later_are_found() -> None:
    files = [file(f"some_pkg-{one}-py3-none-any.whl") for one in ("1.0", "2.0a1")]
    _, ours = finders({f"{INDEXES[0]}/some-pkg/": page(f"{INDEXES[0]}/pre/some-pkg/", files)})
    assert chosen(ours) == "1.0"
    ours.set_release_control(ReleaseControl(all_releases={":all:"}))
    assert chosen(ours) == "2.0a1"
    ours.set_release_control(ReleaseControl(only_final={":all:"}))
    assert chosen(ours) == "1.0"


@pytest.mark.parametrize("specifier", ["", ">=1", "<3"])
def test_requirements_that_turn_out_to_be_direct_get_the_lowest_version(specifier: str) -> None:
    files = [file(f"some_pkg-{one}-py3-none-any.whl") for one in ("1.0", "2.0")]
    _, ours = finders({f"{INDEXES[0]}/some-pkg/": page(f"{INDEXES[0]}/low/some-pkg/", files)})
    order = Order(strategy="lowest-direct")
    with ours.ordered(order):
        assert chosen(ours, specifier) == "2.0"
        order.direct.add(NAME)  # once the metadata of a project is known
        assert chosen(ours, specifier) == "1.0"


def chosen(finder: Finder, specifier: str = "") -> str:
    best = finder.find_best_candidate("some-pkg", SpecifierSet(specifier)).best_candidate
    assert best is not None
    return str(best.version)


def test_of_a_long_page_few_links_are_made() -> None:
    files = [file(f"some_pkg-{n}.0-{tag}.whl") for n in range(50) for tag in HERE + ELSEWHERE]
    pages = {f"{INDEXES[0]}/some-pkg/": page(f"{INDEXES[0]}/long/some-pkg/", files)}
    _, ours = finders(pages)
    best = ours.find_best_candidate("some-pkg", SpecifierSet())
    assert best.best_candidate is not None
    assert str(best.best_candidate.version) == "49.0"
    assert len(best.all_candidates) == AT_FIRST * len(HERE)
    chosen = best.best_candidate.link
    assert {one.filename for one in ours.files(NAME, Version("49"), chosen)} == {
        f"some_pkg-49.0-{tag}.whl" for tag in HERE + ELSEWHERE
    }
    assert len(best.all_candidates) == AT_FIRST * len(HERE)
    older = ours.find_best_candidate("some-pkg", SpecifierSet("<20"))
    assert len(older.all_candidates) == AT_FIRST * len(HERE)


def test_files_of_older_versions_are_read_again_only_if_they_are_asked_for() -> None:
    reads = []

    def read() -> list[dict[str, Any]]:
        reads.append([file(f"some_pkg-{number}.0-py3-none-any.whl") for number in range(50)])
        return reads[-1]

    listing = Listing(read, NAME, lambda found: str(found["url"]), Version)
    newest = listing.versions[-AT_FIRST:]
    assert listing.links(listing.of(newest)) == [one["url"] for one in reads[0][-AT_FIRST:]]
    assert len(reads) == 1
    assert listing.links(listing.all()) == [one["url"] for one in reads[0]]
    assert listing.links(listing.of([Version("7.0")])) == [reads[0][7]["url"]]
    assert len(reads) == 2
