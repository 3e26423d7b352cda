"""Extras and groups that exclude each other: each combination is locked alone, in one lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from packaging.markers import default_environment
from packaging.pylock import Pylock
from packaging.tags import parse_tag

from pipshim.model.targets import TargetName, target_of_markers
from tests.support.dists import Backend, sdist, wheel
from tests.support.files import distributions
from tests.support.index import Index
from tests.support.pipshim import PATIENCE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

ROOT = Path(__file__).parents[1]
EXTRAS = {"cpu": ["torch"], "cu128": ["torch"]}
CONFLICT = 'conflicts = [[{ extra = "cpu" }, { extra = "cu128" }]]\n'


@pytest.fixture
def cpu() -> Iterator[Index]:
    """Give PyTorch's index for processors."""
    with Index() as running:
        yield running


@pytest.fixture
def cu128() -> Iterator[Index]:
    """Give PyTorch's index for CUDA."""
    with Index() as running:
        yield running


@pytest.fixture
def torches(index: Index, cpu: Index, cu128: Index, tmp_path: Path) -> str:
    """Fill three indexes, each with decoys; return the settings that tell them apart."""
    index.add(
        wheel(tmp_path / "main", "torch", "9.0"),
        wheel(tmp_path / "main", "model", "1.0", requires=["torch"]),
        wheel(tmp_path / "main", "filelock", "3.0"),
        wheel(tmp_path / "main", "cublas", "12.0"),
    )
    cpu.add(
        wheel(tmp_path / "cpu", "torch", "2.9.1+cpu", requires=["filelock"]),
        wheel(tmp_path / "cpu", "filelock", "99"),
        wheel(tmp_path / "cpu", "model", "99"),
    )
    cu128.add(
        wheel(tmp_path / "cu128", "torch", "2.9.0+cu128", requires=["filelock", "cublas"]),
        wheel(tmp_path / "cu128", "filelock", "99"),
    )
    return settings(cpu, cu128)


def settings(cpu: Index, cu128: Index) -> str:
    """Say which index torch comes from with each extra, and that they exclude each other."""
    return (
        f'[[tool.pipshim.index]]\nname = "pytorch-cpu"\nurl = "{cpu.url}"\nexplicit = true\n'
        f'[[tool.pipshim.index]]\nname = "pytorch-cu128"\nurl = "{cu128.url}"\nexplicit = true\n'
        "[tool.pipshim.sources]\ntorch = [\n"
        '    { index = "pytorch-cpu", extra = "cpu" },\n'
        '    { index = "pytorch-cu128", extra = "cu128" },\n]\n'
        f"[tool.pipshim]\n{CONFLICT}"
    )


def chosen(project: Path, *extras: str, target: str | None = None) -> dict[str, str]:
    """Select from the lock as PEP 751 says, with packaging's own reader."""
    lock = Pylock.from_dict(tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8")))
    environment: Mapping[str, str] = {k: str(v) for k, v in default_environment().items()}
    tags = None
    if target is not None:
        python = TargetName.parse(target).python
        environment = python.markers
        tags = [tag for text in python.tags for tag in parse_tag(text)]
    found = lock.select(environment=environment, tags=tags, extras=extras)  # type: ignore[arg-type]
    return {package.name: str(package.version) for package, _ in found}


def installed(project: Path) -> set[str]:
    return {one for one in distributions(project / ".venv") if not one.startswith("pip-")}


def test_each_combination_is_locked_alone_and_chosen_by_its_extra(
    cli: Cli, index: Index, cu128: Index, make_project: MakeProject, torches: str
) -> None:
    project = make_project(torches, dependencies=["model"], extras=EXTRAS)
    done = cli("lock")
    assert done.status == 0, done
    assert "for 3 combinations" in done.err, done
    base = {"model": "1.0", "torch": "9.0"}
    cuda = {"cublas": "12.0", "filelock": "3.0", "model": "1.0", "torch": "2.9.0+cu128"}
    assert chosen(project) == base
    assert chosen(project, "cpu") == {"filelock": "3.0", "model": "1.0", "torch": "2.9.1+cpu"}
    assert chosen(project, "cu128") == cuda
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    indexes = {one["version"]: one["index"].rstrip("/") for one in lock["packages"]}
    assert indexes["2.9.0+cu128"] == cu128.url.rstrip("/")
    assert indexes["9.0"] == index.url.rstrip("/")
    assert [one["version"] for one in lock["packages"] if one["name"] == "filelock"] == ["3.0"]

    before = (project / "pylock.toml").read_bytes()
    assert cli("lock", "--check").status == 0
    cli.ok("lock", "-P", "torch")
    assert (project / "pylock.toml").read_bytes() == before

    cli.ok("sync", "--extra", "cu128")
    assert installed(project) == {"cublas-12.0", "filelock-3.0", "model-1.0", "torch-2.9.0+cu128"}
    cli.ok("run", "--extra", "cpu", "python", "-c", "import torch")
    assert installed(project) == {"cublas-12.0", "filelock-3.0", "model-1.0", "torch-2.9.1+cpu"}
    cli.ok("sync")
    assert installed(project) == {"model-1.0", "torch-9.0"}
    assert (project / "pylock.toml").read_bytes() == before

    for command in (["sync"], ["run"], ["export"], ["sync", "--frozen"], ["tree"]):
        ending = ["python", "-c", ""] if command == ["run"] else []
        done = cli(*command, "--extra", "cpu", "--extra", "cu128", *ending)
        assert done.status == 2, done
        assert "extra 'cpu' and extra 'cu128' conflict" in done.err
    assert installed(project) == {"model-1.0", "torch-9.0"}


def test_conflicting_extras_are_a_usage_error_in_an_environment_that_is_no_target_too(
    cli: Cli, make_project: MakeProject
) -> None:
    targets = 'target-environments = ["windows-x86_64-cp312"]\n'
    make_project(f"[tool.pipshim]\n{CONFLICT}{targets}", extras={"cpu": [], "cu128": []})
    both = ("--extra", "cpu", "--extra", "cu128")
    for _ in range(2):  # without a lock, and with one
        for command in (["sync"], ["export"], ["run"]):
            ending = ["python", "-c", ""] if command == ["run"] else []
            done = cli(*command, *both, *ending)
            assert done.status == 2, done
            assert "extra 'cpu' and extra 'cu128' conflict" in done.err
        cli.ok("lock")
    assert cli("sync", "--frozen", *both).status == 2


def test_a_source_is_built_against_the_torch_of_each_combination_and_both_wheels_are_kept(
    cli: Cli, index: Index, cpu: Index, cu128: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    """The two torches have one version, so only the index, and the file, tells them apart."""
    for name, other in (("cpu", cpu), ("cu128", cu128)):
        files = {"torch.py": f"__version__ = '2.9.0'\nKIND = '{name}'\n"}
        other.add(wheel(tmp_path / name, "torch", "2.9.0", files=files, tag="native"))
    index.add(wheel(tmp_path / "main", "torch", "9.0", tag="native"))
    backend = Backend(imports=["torch"], tag="native")
    index.add(
        sdist(tmp_path / "main", "attention", "1.0", build_requires=["torch"], backend=backend)
    )
    project = make_project(
        settings(cpu, cu128),
        extras={"cpu": ["torch", "attention"], "cu128": ["torch", "attention"]},
    )
    cli.ok("lock")
    lock = tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8"))
    torches = {
        one["index"].rstrip("/"): one["marker"]
        for one in lock["packages"]
        if one["name"] == "torch"
    }
    assert torches == {
        cpu.url.rstrip("/"): '"cpu" in extras',
        cu128.url.rstrip("/"): '"cu128" in extras',
    }
    kinds = "import torch, attention; print(torch.KIND)"
    for name in ("cpu", "cu128"):
        page = tmp_path / f"{name}.html"
        done = cli("sync", "--extra", name, "--timings", page)
        assert done.status == 0, done
        assert f"attention 1.0 (extra {name})  matched" in done.err
        assert f"1.0 (extra {name})" in page.read_text(encoding="utf-8")
        assert cli.ok("run", "--extra", name, "python", "-c", kinds).out.strip() == name
    again = cli.ok("sync", "--extra", "cpu")
    assert "cached   attention 1.0 (extra cpu)" in again.err
    assert "building" not in again.err
    assert cli.ok("run", "--extra", "cpu", "python", "-c", kinds).out.strip() == "cpu"
    assert [line for line in index.requests if "/torch-" in line] == []
    shown = cli.ok("builds", "show", "attention").out
    assert "has it for extra 'cpu' and extra 'cu128': pass --extra or --group" in shown
    assert "reused" in cli.ok("builds", "show", "attention", "--extra", "cpu").out


def test_combinations_are_resolved_at_the_same_time(
    cli: Cli, cpu: Index, cu128: Index, make_project: MakeProject, torches: str
) -> None:
    """Neither index answers before the other one is asked, too."""
    cpu.meetings["/simple/torch/"] = cu128.meetings["/simple/torch/"] = Barrier(2, timeout=PATIENCE)
    make_project(torches, extras=EXTRAS)
    assert "for 3 combinations" in cli.ok("lock").err


def test_backends_of_two_combinations_are_asked_at_the_same_time(
    cli: Cli, index: Index, cpu: Index, cu128: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    """Each backend waits until that of the other combination has been started."""
    started = tmp_path / "started"
    started.mkdir()
    source = f"""
import pathlib, time, engine, torch
from engine import build_wheel

def prepare_metadata_for_build_wheel(folder, *more):
    (pathlib.Path({str(started)!r}) / torch.KIND).touch()
    end = time.monotonic() + {PATIENCE}
    while len(list(pathlib.Path({str(started)!r}).iterdir())) < 2:
        assert time.monotonic() < end, "the other one was not started"
        time.sleep(0.01)
    return engine.prepare_metadata_for_build_wheel(folder, *more)
"""
    for name, other in (("cpu", cpu), ("cu128", cu128)):
        files = {"torch.py": f"KIND = '{name}'\n"}
        other.add(wheel(tmp_path / name, "torch", "2.9.0", files=files, tag="native"))
    file = sdist(
        tmp_path,
        "attention",
        "1.0",
        build_requires=["torch"],
        backend_source=source,
        backend=Backend(),
        static_metadata=False,
    )
    index.add(file)
    requires = ["torch", "attention"]
    make_project(settings(cpu, cu128), extras={"cpu": requires, "cu128": requires})
    assert "for 3 combinations" in cli.ok("lock").err


def test_the_example_is_locked_for_three_targets_and_built_for_both_extras(
    cli: Cli, index: Index, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "torch", cli.cwd, dirs_exist_ok=True)
    subprocess.run([sys.executable, "make_indexes.py"], cwd=cli.cwd, check=True)
    # Decoys: a newer torch on pip's index, and other packages on PyTorch's.
    index.add(wheel(tmp_path, "torch", "99.0"), wheel(tmp_path, "flash-attn", "1.0"))
    decoy = wheel(cli.cwd / "indexes" / "cpu" / "filelock", "filelock", "99.0")
    (decoy.parent / "index.html").write_text(f'<a href="{decoy.name}">{decoy.name}</a>')

    here = str(target_of_markers({key: str(value) for key, value in default_environment().items()}))
    also = ["--target-environment", here]
    done = cli.ok("lock", *also)
    assert "targets and 3 combinations" in done.err
    # Its backend answers once for each combination, with that combination's torch, for all targets.
    asked = [line.split() for line in done.err.splitlines() if line.startswith("built ")]
    assert [line[5:7] for line in asked] == [["matched", "match-runtime"]] * 2, done.err
    linux, macos, windows = (
        f"{one}-cp312" for one in ("linux-x86_64", "macos-arm64", "windows-x86_64")
    )
    torches = {
        (target, extra): chosen(cli.cwd, extra, target=target)["torch"]
        for target in (linux, macos, windows)
        for extra in ("cpu", "cu128")
    }
    assert torches == {
        (linux, "cpu"): "2.9.0+cpu",
        (linux, "cu128"): "2.9.0+cu128",
        (macos, "cpu"): "2.9.0",
        (macos, "cu128"): "2.9.0",
        (windows, "cpu"): "2.9.0+cpu",
        (windows, "cu128"): "2.9.0+cu128",
    }
    assert set(chosen(cli.cwd, "cu128", target=linux)) == {
        *("einops", "filelock", "flash-attn", "nvidia-cublas-cu12", "torch", "triton"),
        "typing-extensions",
    }
    assert chosen(cli.cwd, "cpu", target=windows)["filelock"] == "3.20.0"
    assert chosen(cli.cwd, target=macos) == {}
    assert "99.0" not in (cli.cwd / "pylock.toml").read_text(encoding="utf-8")

    for extra in ("cpu", "cu128", "cpu"):
        printed = cli.ok("run", "--locked", "--extra", extra, "python", "main.py").out
        torch = f"2.9.0+{extra}"
        assert printed == f"torch {torch}, flash-attn built against {torch}\n"
    assert "GET /simple/torch/" not in index.requests
    shutil.rmtree(cli.cwd / ".venv")
    again = cli.ok("sync", "--offline", "--extra", "cu128")
    assert "building" not in again.err


@pytest.mark.usefixtures("torches")
def test_tree_why_and_export_keep_combinations_apart_and_edits_lock_all_of_them(
    cli: Cli, cpu: Index, cu128: Index, make_project: MakeProject
) -> None:
    requires = {"cpu": ["model", "torch"], "cu128": ["model", "torch"]}
    project = make_project(settings(cpu, cu128), extras=requires)
    cli.ok("lock")
    assert cli.ok("why", "torch").out.splitlines() == [
        "torch 2.9.0+cu128",
        "  demo 0.1 → torch 2.9.0+cu128 (extra cu128)",
        "  demo 0.1 → model 1.0 (extra cu128) → torch 2.9.0+cu128",
        "",
        "torch 2.9.1+cpu",
        "  demo 0.1 → torch 2.9.1+cpu (extra cpu)",
        "  demo 0.1 → model 1.0 (extra cpu) → torch 2.9.1+cpu",
    ]
    tree = cli.ok("tree").out
    assert tree.count("torch 2.9.1+cpu") == tree.count("torch 2.9.0+cu128") == 2
    assert "2.9.0+cu128" not in cli.ok("tree", "--extra", "cpu").out
    exported = cli.ok("export", "--extra", "cu128", "--no-hashes", "--no-header").out
    assert [line for line in exported.splitlines() if "#" not in line] == [
        *("cublas==12.0", "filelock==3.0", "model==1.0", "torch==2.9.0+cu128")
    ]

    cli.ok("add", "filelock", "model")
    assert chosen(project) == {"filelock": "3.0", "model": "1.0", "torch": "9.0"}
    torches = [line for line in cli.ok("tree", "model").out.splitlines() if "torch" in line]
    assert sorted(line[4:] for line in torches) == [
        "torch 2.9.0+cu128 (with extra cu128)",
        "torch 2.9.1+cpu (with extra cpu)",
        "torch 9.0 (without extra cpu or extra cu128)",
    ]
    chain = "  demo 0.1 → model 1.0 (>=1.0) → torch 2.9.1+cpu (with extra cpu)"
    assert chain in cli.ok("why", "torch").out
    cli.ok("remove", "model")
    assert chosen(project, "cpu")["torch"] == "2.9.1+cpu"
    cli.ok("remove", "--optional", "cpu", "torch", "model")
    assert chosen(project, "cpu") == {"filelock": "3.0"}
    assert chosen(project, "cu128")["torch"] == "2.9.0+cu128"
    assert cli("lock", "--check").status == 0


@pytest.mark.usefixtures("torches")
def test_what_cannot_be_combined_is_refused_with_the_line_that_mends_it(
    cli: Cli, cpu: Index, cu128: Index, make_project: MakeProject
) -> None:
    text = settings(cpu, cu128)
    groups = {"old": ["filelock<3"], "new": ["filelock"]}
    other = '[{ group = "old" }, { group = "new" }]'
    cases = {
        text.replace(CONFLICT, ""): (
            "sources.torch: two entries apply to linux",
            'conflicts = [[{ extra = "cpu" }, { extra = "cu128" }]]',
        ),
        text.replace(CONFLICT, f"conflicts = [{other}]\n"): (
            "sources.torch: two entries apply to linux",
            f'conflicts = [{other}, [{{ extra = "cpu" }}, {{ extra = "cu128" }}]]',
        ),
        text.replace('extra = "cu128" }]]', 'extra = "cu129" }]]'): (
            "conflicts[0][1] names the extra 'cu129'",
            "did you mean 'cu128'?",
        ),
        text.replace('extra = "cpu" },\n', 'group = "nwe" },\n'): (
            "sources.torch names the group 'nwe'",
            "did you mean 'new'?",
        ),
        text.replace(CONFLICT, 'conflicts = [[{ extra = "cpu" }]]\n'): (
            "conflicts[0] must have two extras or groups, or more",
            "",
        ),
        text.replace('{ extra = "cu128" }]]', '{ extra = "cpu", group = "old" }]]'): (
            "conflicts[0][1] must have one of 'extra' and 'group'",
            'for example: { extra = "cpu" }',
        ),
    }
    two = CONFLICT.replace("]]\n", '], [{ group = "old" }, { group = "new" }]]\n')
    defaults = text.replace(CONFLICT, two)
    cases[defaults + 'default-groups = ["old"]\n'] = (
        "conflicts[1] names group 'old': it is a default group",
        "default-groups = []",
    )
    for pyproject, (problem, mending) in cases.items():
        make_project(pyproject, extras=EXTRAS, groups=groups)
        done = cli("lock")
        assert (done.status, "Traceback" in done.err) == (1, False), done
        assert problem in done.err
        assert mending in done.err


@pytest.mark.usefixtures("torches")
def test_conflicts_of_a_workspace_are_those_of_all_members_and_reach_across_them(
    cli: Cli, index: Index, cpu: Index, cu128: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path / "main", "filelock", "2.0"))
    across = '[{ extra = "old" }, { package = "kernels", extra = "cu128" }]'
    project = make_project(
        f'[tool.pipshim]\nconflicts = [{across}]\nworkspace = {{ members = ["kernels"] }}\n',
        extras={"old": ["filelock<3"]},
    )
    extras = {"cpu": ["torch"], "cu128": ["torch", "filelock>=3"], "gpu": ["kernels[cu128]"]}
    member = settings(cpu, cu128)
    make_project(member, folder="project/kernels", name="kernels", extras=extras)
    assert "for 5 combinations" in cli.ok("lock").err
    lock = ["export", "--no-hashes", "--no-header", "--no-annotate", "--all-packages"]
    for asked, wanted in {
        ("--extra", "old", "--extra", "cpu"): ["filelock==2.0", "torch==2.9.1+cpu"],
        ("--extra", "gpu"): ["cublas==12.0", "filelock==3.0", "torch==2.9.0+cu128"],
        (): [],
    }.items():
        assert cli.ok(*lock, *asked).out.splitlines() == wanted
    for asked in (("--extra", "cpu", "--extra", "gpu"), ("--extra", "old", "--extra", "cu128")):
        done = cli("sync", "--all-packages", *asked)
        assert done.status == 2, done
        assert "conflict" in done.err
    wrong = member.replace('extra = "cpu" }, {', 'extra = "cpv" }, {')
    make_project(wrong, folder="project/kernels", name="kernels", extras=extras)
    assert "did you mean 'cpu'?" in cli.fails("lock").err
    make_project(member, folder="project/kernels", name="kernels", extras=extras)
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("cu128", "cuda"))
    assert "the workspace has no extra 'cuda' of kernels" in cli.fails("lock").err


def test_a_default_group_of_uv_may_conflict_with_what_is_for_those_who_leave_it_out(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(*(wheel(tmp_path / "main", "filelock", version) for version in ("2.0", "3.0")))
    project = make_project(
        '[tool.uv]\nconflicts = [[{ extra = "old" }, { group = "dev" }]]\n',
        extras={"old": ["filelock<3"]},
        groups={"dev": ["filelock>=3"]},
    )
    cli.ok("sync")
    assert installed(project) == {"filelock-3.0"}
    failed = cli.fails("sync", "--extra", "old", status=2)
    assert "extra 'old' and group 'dev' conflict" in failed.err
    cli.ok("sync", "--extra", "old", "--no-default-groups")
    assert installed(project) == {"filelock-2.0"}


def test_members_of_a_workspace_may_exclude_each_other(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(*(wheel(tmp_path / "main", "filelock", version) for version in ("2.0", "3.0")))
    conflict = 'conflicts = [[{ package = "aa" }, { package = "bb" }]]\n'
    workspace = 'workspace = { members = ["aa", "bb", "cc"] }\n'
    root = make_project()
    (root / "pyproject.toml").write_text(f"[tool.pipshim]\n{conflict}{workspace}")
    backend = Backend()
    make_project(
        folder="project/aa",
        name="aa",
        dependencies=["filelock<3"],
        extras={"more": []},
        backend=backend,
    )
    make_project(folder="project/bb", name="bb", dependencies=["filelock>=3"], backend=backend)
    make_project(folder="project/cc", name="cc", extras={"old": ["aa[more]"]}, backend=backend)
    assert "for 3 combinations" in cli.ok("lock").err
    for member, version in {"aa": "2.0", "bb": "3.0"}.items():
        cli.ok("sync", "--package", member)
        assert f"filelock-{version}" in installed(root)
    for asked in (["--all-packages"], ["--package", "bb", "--package", "cc", "--extra", "old"]):
        failed = cli.fails("sync", *asked, status=2)
        assert "member 'aa'" in failed.err
        assert "(name the others with --package)" in failed.err
    cli.ok("sync", "--package", "cc", "--extra", "old")
    assert "filelock-2.0" in installed(root)

    # Extras of members that are not installed themselves count as their members, too.
    for name, wanted in {"aa": "<3", "bb": ">=3"}.items():
        extras = {"more": [f"filelock{wanted}"]}
        make_project(folder=f"project/{name}", name=name, extras=extras)
    make_project(folder="project/cc", name="cc")
    cli.ok("sync", "--package", "aa", "--extra", "more")
    assert "filelock-2.0" in installed(root)
    entry = '{ package = "bb", extra = "more" }'
    mixed = conflict.replace('{ package = "bb" }', entry)
    (root / "pyproject.toml").write_text(f"[tool.pipshim]\n{mixed}{workspace}")
    cli.ok("sync", "--package", "bb", "--extra", "more")
    assert "filelock-3.0" in installed(root)
    failed = cli.fails("sync", "--all-packages", "--extra", "more", status=2)
    assert "member 'aa' and extra 'more' of bb conflict" in failed.err
    cli.ok("sync", "--all-packages")

    (root / "pyproject.toml").write_text(f"[tool.pipshim]\n{conflict}{workspace}")
    for name in ("aa", "bb"):
        make_project(folder=f"project/{name}", name=name, backend=backend)
    make_project(folder="project/cc", name="cc", dependencies=["aa", "bb"], backend=backend)
    assert "member 'cc' includes both" in cli.fails("lock").err
    make_project(f"[tool.pipshim]\n{conflict}{workspace}", name="app", dependencies=["aa"])
    assert "requires member 'aa', which is in a conflict: it is always on" in cli.fails("lock").err
    own = conflict.replace('"bb"', '"app"')
    make_project(f"[tool.pipshim]\n{own}{workspace}", name="app")
    assert "names the project itself: what it requires is always on" in cli.fails("lock").err


@pytest.mark.usefixtures("torches")
def test_pips_commands_take_the_index_of_the_extra_that_is_asked_for(
    cli: Cli, index: Index, cpu: Index, cu128: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(imports=["torch"])
    needs_torch = ["torch"]
    index.add(sdist(tmp_path / "more", "attn", "1.0", build_requires=needs_torch, backend=backend))
    extras = {"cpu": ["model", "attn"], "cu128": ["model"]}
    groups = {"small": [{"include-group": "cpu"}], "cpu": ["model"]}
    both = settings(cpu, cu128).replace(
        'extra = "cpu" },\n', 'group = "cpu" },\n    { index = "pytorch-cpu", extra = "cpu" },\n'
    )
    conflict = '[[{ extra = "cpu" }, { extra = "cu128" }, { group = "cpu" }]]'
    both = both.replace(CONFLICT, f"conflicts = {conflict}\n")
    project = make_project(both, extras=extras, groups=groups, backend=Backend())
    (project / "needs.txt").write_text("-e .[cu128]\n")
    for number, (command, asked, torch) in enumerate(
        (
            ("wheel", [".[cpu]"], "2.9.1+cpu"),
            ("download", ["--group", "small"], "2.9.1+cpu"),
            ("download", ["-r", "needs.txt"], "2.9.0+cu128"),
        )
    ):
        folder = tmp_path / f"out-{number}"
        done = cli(command, "-d" if command == "download" else "-w", folder, *asked)
        assert done.status == 0, done
        found = {file.name.partition("-py3")[0] for file in folder.iterdir()}
        assert f"torch-{torch}" in found
        assert not {"filelock-99", "model-99"} & found
    cli.ok("install", "--target", tmp_path / "target", ".[cu128]")
    assert (tmp_path / "target" / "torch-2.9.0+cu128.dist-info").is_dir()
    failed = cli.fails("install", "--target", tmp_path / "both", ".[cpu,cu128]", status=2)
    assert "extra 'cpu' and extra 'cu128' conflict" in failed.err


@pytest.mark.usefixtures("torches")
def test_offline_and_on_several_targets_no_decoy_is_used_either(
    cli: Cli, index: Index, cpu: Index, cu128: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(imports=["torch"])
    index.add(sdist(tmp_path / "more", "attn", "1.0", build_requires=["torch"], backend=backend))
    here = str(target_of_markers({key: str(value) for key, value in default_environment().items()}))
    targets = f'target-environments = ["{here}", "macos-arm64-cp312"]\n'
    cli.env["PIP_TRUSTED_HOST"] = "127.0.0.1"  # pip caches nothing of others without TLS
    for one in (index, cpu, cu128):
        one.cache_control = "max-age=0"
    extras = {name: ["model", "attn"] for name in EXTRAS}
    project = make_project(settings(cpu, cu128) + targets, extras=extras)
    cli.ok("lock")
    decoys = {"filelock-99", "model-99", "torch-9.0"}
    for extra, torch in (("cpu", "2.9.1+cpu"), ("cu128", "2.9.0+cu128")):
        for target in (here, "macos-arm64-cp312"):
            assert chosen(project, extra, target=target)["torch"] == torch
            assert chosen(project, extra, target=target)["filelock"] == "3.0"
        cli.ok("sync", "--extra", extra)
        shutil.rmtree(project / ".venv")
        cli.ok("sync", "--offline", "--extra", extra)
        assert not decoys & installed(project)
    (project / "pylock.toml").unlink()
    cli.ok("lock", "--offline")
    assert chosen(project, "cpu", target=here)["torch"] == "2.9.1+cpu"
    assert not [line for line in index.requests if "/torch-" in line]
    for other in (cpu, cu128):
        assert {line for line in other.requests if "/simple/" in line} == {"GET /simple/torch/"}


@pytest.mark.usefixtures("torches")
def test_an_extra_that_only_a_source_names_is_locked_with_it_and_without_and_includers_count(
    cli: Cli, cpu: Index, cu128: Index, make_project: MakeProject
) -> None:
    text = settings(cpu, cu128).replace(CONFLICT, "")
    text = text.replace('    { index = "pytorch-cu128", extra = "cu128" },\n', "")
    extras = {"cpu": ["torch"], "small": ["demo[cpu]"], "other": ["filelock"]}
    project = make_project(text, dependencies=["model"], extras=extras)
    assert "for 2 combinations" in cli.ok("lock").err
    with_cpu = {"filelock": "3.0", "model": "1.0", "torch": "2.9.1+cpu"}
    assert chosen(project) == {"model": "1.0", "torch": "9.0"}
    assert chosen(project, "other") == {"filelock": "3.0", "model": "1.0", "torch": "9.0"}
    assert chosen(project, "cpu") == chosen(project, "small") == with_cpu
    cli.ok("sync", "--extra", "small")
    assert installed(project) == {"filelock-3.0", "model-1.0", "torch-2.9.1+cpu"}
    # What an extra includes decides which combination it is of, though it requires the same.
    make_project(text, dependencies=["model"], extras={**extras, "small": ["torch"]})
    assert cli("lock", "--check").status == 1
    cli.ok("lock")
    assert chosen(project, "small") == {"model": "1.0", "torch": "9.0"}


INI = """
[testenv]
runner = pipshim-lock
package = editable
commands = python -c "import torch; print('has', torch.__version__)"
[testenv:{cpu,cu128}]
extras = {env_name}
[testenv:both]
extras = cpu, cu128
"""


@pytest.mark.slow
@pytest.mark.usefixtures("torches")
def test_tox_environments_have_a_combination_each(
    cli: Cli, cpu: Index, cu128: Index, make_project: MakeProject
) -> None:
    root = make_project(settings(cpu, cu128), extras=EXTRAS, backend=Backend())
    toxfile = "from pipshim.tox_plugin import tox_register_tox_env\n"
    (root / "toxfile.py").write_text(toxfile, encoding="utf-8")
    (root / "tox.ini").write_text(INI, encoding="utf-8")
    cli.ok("lock")
    done = cli("run", "-e", "cpu,cu128", module="tox")
    assert done.status == 0, done
    assert "has 2.9.1+cpu" in done.out
    assert "has 2.9.0+cu128" in done.out
    done = cli("run", "-e", "both", module="tox")
    assert done.status != 0
    assert "extra 'cpu' and extra 'cu128' conflict" in done.out + done.err
