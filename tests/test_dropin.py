"""pipshim in pip's place: the same commands for both, in environments that are alike.

Exit status, standard output, standard error and all files of environment, working directory, home
and cache have to be the same. What differs by design is in `BY_DESIGN`, with the reason.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pip._internal.commands import commands_dict

from tests.support import dists
from tests.support.index import Index
from tests.support.repositories import git_repository
from tests.support.sides import Call, Outcome, Side
from tests.support.transcript import Scenario, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN = ("lock", "sync", "run", "tree", "why", "add", "remove", "export", "builds")
"""Commands of pipshim's own; ``lock`` is pip's too, and is pipshim's here."""

PIPS = [name for name in commands_dict if name not in OWN]


class Deviation(NamedTuple):
    """What pipshim says otherwise than pip.

    Attributes:
        reason: why.
        line: the commands that it is about.
        shown: what pipshim shows; gone from what both show, or replaced to be what pip shows.
        pips: what pip shows in that place.

    """

    reason: str
    line: str
    shown: str
    pips: str = ""


BY_DESIGN = (
    Deviation(
        "the version names both",
        r".*",
        r"^pipshim \S+ \(pip (\S+) from (.+), python (.+)\)$",
        r"pip \1 from \2 (python \3)",
    ),
    Deviation(
        "it is said by its own name that it is called with",
        r".*",
        r"(?<=/env/bin/python -m )pipshim\b",
        "pip",
    ),
    Deviation(
        "so does debug",
        r"debug",
        r"^pipshim version: .*\n",
    ),
    Deviation(
        "so does the help, which lists pipshim's commands and the option that all of those have",
        r"(--help|-h|help|)$|.*(--help|-h) ",
        rf"^  ({'|'.join(OWN)}) .*\n(?:^\S.*\n)?|^  --project <dir>.*\n(?:^   .*\n)*"
        r"|^\npipshim \S+, pip \S+\n",
    ),
    Deviation(
        "so does what completes in shells",
        r"completion",
        r"(?<=completion start): pipshim \S+, pip \S+$",
    ),
    Deviation(
        "pip's script for zsh completes no options: compadd takes them for its own",
        r"completion .*(-z|--zsh)",
        r"(?<=compadd )-- ",
    ),
    Deviation(
        "pipshim's part of the cache is a command of its own below this one",
        r"cache .*--help|help cache|cache -h",
        r"^ .*(cache store --help|- store: .*)\n",
    ),
    Deviation(
        "what is completed has pipshim's commands, and one option, too",
        r"",
        rf"\b({'|'.join(OWN)}) |(?<= )--project | --project$|^(?:store|prune|verify)\n",
    ),
)


SCENARIOS = {
    **read(Path(__file__).with_name("dropin.txt").read_text(encoding="utf-8")),
    **{
        f"help of {name}": Scenario((Call(f"help {name}"), Call(f"{name} --help")))
        for name in PIPS
        if name not in ("install", "download", "wheel")
    },
}


def told(text: str, call: Call) -> str:
    for deviation in BY_DESIGN:
        if re.match(deviation.line, call.line) and (deviation.line or "COMP_WORDS" in call.env):
            text = re.sub(deviation.shown, deviation.pips, text, flags=re.MULTILINE)
    return text


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Fill indexes and folders; give what stands in braces in the commands."""
    shared = tmp_path_factory.mktemp("shared")
    made = [
        dists.wheel(shared, "alpha", "1.0", requires=["beta"], extras={"extra": ["gamma"]}),
        dists.wheel(
            shared,
            "alpha",
            "1.1",
            requires=["beta"],
            extras={"extra": ["gamma"]},
            entry_points={"console_scripts": {"alpha": "alpha:main"}},
        ),
        dists.wheel(shared, "alpha", "2.0a1"),
        dists.wheel(shared, "beta", "1.0"),
        dists.wheel(shared, "beta", "2.0"),
        dists.wheel(shared, "gamma", "1.0"),
        dists.wheel(
            shared,
            "delta",
            "1.0",
            extras={"more": ["gamma"]},
            files={
                "delta.py": "x = 1\n",
                "delta-1.0.data/scripts/delta": "#!python\n",
                "delta-1.0.data/data/share/delta.txt": "text",
            },
        ),
        dists.wheel(shared, "old-pythons", "1.0", requires_python="<3"),
        dists.wheel(shared, "wants-beta-1", "1.0", requires=["beta<2"]),
        dists.wheel(shared, "wants-beta-2", "1.0", requires=["beta>=2"]),
        dists.wheel(shared, "needs-bogus", "1.0", requires=["bogus>3"]),
        dists.sdist(shared, "source", "1.0", requires=["gamma"]),
        dists.sdist(shared, "failing", "1.0", backend=dists.Backend(fail_in="build_wheel")),
    ]
    pip = dists.wheel(shared, "pip", "99.0")
    project = dists.source_tree(dists.sdist(shared / "sources", "tree", "1.0"), shared)
    git = dists.source_tree(dists.sdist(shared / "sources", "tree", "2.0"), shared)
    if shutil.which("git") is not None:
        git_repository(git)
    simple = shared / "simple" / "gamma"
    simple.mkdir(parents=True)
    (simple / "index.html").write_text(
        '<a href="../../gamma-1.0-py3-none-any.whl">gamma-1.0-py3-none-any.whl</a>'
    )
    with Index() as index, Index(credentials=("user", "word")) as locked:
        index.add(*made, pip)
        index.add_bytes("damaged-1.0-py3-none-any.whl", b"nothing of the kind")
        locked.add(*made)
        yield {
            "index": index.url,
            "locked": locked.url,
            "locked-in": locked.url_with_credentials,
            "locked-wrong": locked.url_with_credentials.replace("word", "other"),
            "shared": str(shared),
            "pip": str(dists.repack("pip", shared / "pip").parent),
            "simple": str(simple.parent),
            "project": str(project),
            "git": str(git),
            "gamma-sha256": index.sha256("gamma-1.0-py3-none-any.whl"),
            "source-sha256": index.sha256("source-1.0.tar.gz"),
            "delta-sha256": index.sha256("delta-1.0-py3-none-any.whl"),
        }


@pytest.fixture(scope="session")
def sides(
    tmp_path_factory: pytest.TempPathFactory, names: Mapping[str, str]
) -> Iterator[tuple[Side, Side]]:
    """Give both environments, at paths of the same length: what is shown is wrapped alike."""
    root = tmp_path_factory.mktemp("sides")
    pip, shim = (Side(root / name[-3:], name, names["index"]) for name in ("pip", "pipshim"))
    yield pip, shim
    pip.close()
    shim.close()


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_pipshim_does_what_pip_does(
    name: str, sides: tuple[Side, Side], names: Mapping[str, str]
) -> None:
    scenario = SCENARIOS[name]
    for side in sides:
        side.clear()
        side.write(scenario.files, names)
    differences = []
    for call in scenario.calls:
        pip, shim = (side.run(call, names) for side in sides)
        differences += difference(call, pip, shim)
    if scenario.whole:
        for side in sides:
            side.clear(whole=True)
    assert not differences, "\n\n".join(differences)


def difference(call: Call, pip: Outcome, shim: Outcome) -> list[str]:
    assert "forking.py" not in pip.err, (
        pip.err
    )  # else both may have failed for the test's own fault
    parts: dict[str, tuple[object, object]] = {"status": (pip.status, shim.status)}
    if call.builds:
        parts["files"] = (changed(pip), changed(shim))
    else:
        parts["files"] = (pip.effect, shim.effect)
        parts["stdout"] = (told(pip.out, call), told(shim.out, call))
        parts["stderr"] = (told(pip.err, call), told(shim.err, call))
    return [
        f"{call}: {part}\n--- pip\n{theirs}\n--- pipshim\n{ours}"
        for part, (theirs, ours) in parts.items()
        if theirs != ours
    ]


def changed(outcome: Outcome) -> set[str]:
    """Tell which files have changed; a wheel names where it was built, and the cache is own."""
    return {path for path in outcome.effect if path.startswith(("env/", "work/"))}


def test_a_pip_on_path_that_is_pipshim_starts_no_other(
    sides: tuple[Side, Side], names: Mapping[str, str]
) -> None:
    _, shim = sides
    shim.clear()
    project = '[project]\nname = "demo"\nversion = "1.0"\ndependencies = ["source"]\n'
    shim.write({"pyproject.toml": project}, names)
    for line in ("lock", "sync", "install source", "run python -c 'import source, gamma'"):
        done = shim.run(Call(line), names)
        assert done.status == 0, done
    # The project's environment has no pip, so this is the one that started it.
    assert shim.run(Call("run pip --version"), names).out.startswith("pipshim ")
    aliased = "bash -c \"shopt -s expand_aliases\nalias pip='pipshim'\npip run pip freeze\""
    assert "source==1.0" in shim.run(Call(f"run --no-sync {aliased}"), names).out


def test_the_working_directory_is_not_on_the_path(
    sides: tuple[Side, Side], names: Mapping[str, str]
) -> None:
    """As with pip, what is first is not the folder that ``-m`` would look in."""
    shown = []
    for side in sides:
        side.clear()
        code = "import sys\nsys.stderr.write(f'{sys.path}\\n')\nsys.exit(7)\n"
        side.write({"elsewhere/locale.py": code}, names)
        done = side.run(Call("list", {"PYTHONPATH": "{work}/elsewhere"}, program="-m"), names)
        shown.append(done)
        assert done.status == 7
        assert "<side>/work'" not in done.err
    assert shown[0] == shown[1]


def test_enough_is_compared() -> None:
    lines = [call.line for scenario in SCENARIOS.values() for call in scenario.calls]
    assert len(lines) >= 150
    commands = {line.split()[0] for line in lines if line}
    assert {*PIPS} <= commands
