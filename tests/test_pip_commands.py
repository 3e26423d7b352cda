"""``pipshim install``, ``wheel`` and ``download``: pip's own, with the builds of pipshim.

They serve an environment without pip by ``--python``, so they are what runs in a drop-in's place.
"""

from __future__ import annotations

import json
import signal
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dists import Backend, project, sdist, source_tree, wheel
from tests.support.facts import Call, built, calls
from tests.support.files import distributions, listing
from tests.support.pipshim import PATIENCE, make_venv, site_packages, until
from tests.support.recording import check_order, read
from tests.test_modes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

    Run = Callable[..., Result]

BARE = ("--no-build-isolation-package", "needy")


@pytest.fixture
def run(cli: Cli, env: Path) -> Run:
    """Run a command of pip's in that environment."""

    def run(*args: str | Path, status: int = 0) -> Result:
        result = cli("--python", env, *args)
        assert result.status == status, str(result)
        assert "Traceback" not in result.out + result.err.replace("| Traceback", ""), str(result)
        return result

    return run


def needy(index: Index, dists: Path, log: Path | None = None) -> None:
    """Publish what imports fakelib while it is built, and tells its requirements by it."""
    for version in ("1.0", "2.0"):
        index.add(wheel(dists, "fakelib", version, tag="native"), wheel(dists, "low", version))
    backend = Backend(
        imports=["fakelib"],
        dynamic_requires=["low=={fakelib}"],
        log=None if log is None else str(log),
    )
    index.add(sdist(dists, "needy", "1.0", backend=backend))


def hooks(log: Path, hook: str = "build_wheel") -> list[str]:
    return [one.name for one in calls(log) if one.event == "start" and one.hook == hook]


@pytest.mark.slow
def test_one_command_fills_an_empty_environment(
    run: Run, cli: Cli, env: Path, index: Index, dists: Path, log: Path, tmp_path: Path
) -> None:
    needy(index, dists, log)
    page = tmp_path / "timings.html"
    done = run("install", *BARE, "--timings", page, "needy", "fakelib<2")
    assert distributions(env) == ["fakelib-1.0", "low-1.0", "needy-1.0"]
    assert built(site_packages(env), "needy")["against"] == {"fakelib": "1.0"}
    assert "built    needy 1.0  no-isolation  command line" in done.err
    lines = [line for line in done.out.splitlines() if line[:1].strip()]
    assert lines == [
        f"Looking in indexes: {index.url_with_credentials}",
        "Collecting needy",
        "Collecting fakelib<2",
        "Collecting low==1.0 (from needy)",
        "Downloading low-1.0-py3-none-any.whl (844 bytes)",
        "Building wheels for collected packages: needy",
        "Successfully built needy",
        "Installing collected packages: low, fakelib, needy",
        "Successfully installed fakelib-1.0 low-1.0 needy-1.0",
    ]
    assert "needy" in page.read_text()
    other = cli.cwd.parent / "other"
    make_venv(other)
    again = cli.ok("--python", other, "install", *BARE, "needy", "fakelib==1")
    assert "cached   needy 1.0  no-isolation" in again.err
    assert built(site_packages(other), "needy")["against"] == {"fakelib": "1.0"}
    # What is installed from a wheel is what that wheel was.
    there = cli.ok("--python", other, "install", "--force-reinstall", "--no-deps", *BARE, "needy")
    assert "cached   needy 1.0  no-isolation" in there.err
    newer = cli.ok("--python", other, "install", "--force-reinstall", *BARE, "needy", "fakelib==2")
    assert "built    needy 1.0" in newer.err
    assert distributions(other) == ["fakelib-2.0", "low-2.0", "needy-1.0"]
    assert len(hooks(log)) == 2


@pytest.mark.parametrize("where", ["--target", "--prefix", "--root", "--user"])
def test_what_goes_elsewhere_is_built_with_what_goes_there_too(
    where: str, cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    needy(index, dists)
    env, there = tmp_path / "some", tmp_path / "there"
    make_venv(env, system_site=where == "--user")  # else pip refuses it
    cli.env["PYTHONUSERBASE"] = str(there)
    option = [where] if where == "--user" else [where, there]
    cli.ok("--python", env, "install", *option, *BARE, "needy", "fakelib<2")
    (site,) = {path.parent for path in there.rglob("needy")}
    assert built(site, "needy")["against"] == {"fakelib": "1.0"}
    assert (site / "low-1.0.dist-info").is_dir()
    assert distributions(env) == []
    if where == "--user":  # what is there already is seen by later builds
        again = cli.ok("--python", env, "install", *option, *BARE, "--force-reinstall", "needy")
        assert "needy 1.0  no-isolation" in again.err
        assert built(site, "needy")["against"] == {"fakelib": "1.0"}


def test_lines_of_a_requirements_file(
    run: Run, cli: Cli, env: Path, index: Index, dists: Path
) -> None:
    needy(index, dists)
    index.add(
        sdist(dists, "other", "1.0", backend=Backend(imports=["low"])), sdist(dists, "third", "1.0")
    )
    file = dists / "requirements.txt"
    file.write_text(
        "--no-build-isolation-package needy\n"
        "--extra-build-dependency other=low<2\n"
        "--config-settings-package third:level=3 --config-settings-package third:flag=x\n"
        "needy\nother\nthird\nfakelib\n"
    )
    done = run("install", "-r", file)
    assert "built    needy 1.0  no-isolation  requirements.txt" in done.err
    site = site_packages(env)
    assert built(site, "other")["against"] == {"low": "1.0"}
    assert built(site, "third")["config_settings"] == {"level": "3", "flag": "x"}
    file.write_text("fakelib\nneedy --no-build-isolation-package needy\n")
    beside = run("install", "-r", file, status=1)
    assert "(line 2): --no-build-isolation-package must be on a line of its own" in beside.err
    assert "own" in cli.fails("lock", "-r", file).err
    file.write_text("--no-build-isolation-package\n")
    assert "--no-build-isolation-package" in run("install", "-r", file, status=1).err


def test_an_isolated_build_matches_what_is_installed_or_will_be(
    run: Run, env: Path, index: Index, dists: Path
) -> None:
    for version in ("1.0", "2.0"):
        index.add(wheel(dists, "fakelib", version, tag="native"))
    for name in ("one", "two"):
        index.add(
            sdist(
                dists, name, "1.0", build_requires=["fakelib"], backend=Backend(imports=["fakelib"])
            )
        )
    done = run("install", "one", "fakelib<2")
    assert "built    one 1.0  matched       match-runtime" in done.err
    assert built(site_packages(env), "one")["against"] == {"fakelib": "1.0"}
    run("install", "two")  # fakelib is there, and nobody asks for it
    assert built(site_packages(env), "two")["against"] == {"fakelib": "1.0"}
    elsewhere = dists / "wheels"
    run("wheel", "--no-deps", "-w", elsewhere, "two")
    assert built(elsewhere / "two-1.0-py3-none-any.whl", "two")["against"] == {"fakelib": "2.0"}


def test_settings_of_a_project_and_of_variables(
    run: Run, cli: Cli, env: Path, index: Index, dists: Path, make_project: MakeProject
) -> None:
    needy(index, dists)
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["needy"]\n'
        '[tool.pipshim.extra-build-variables]\nneedy = { LEVEL = "3" }\n'
    )
    done = run("install", "needy", "fakelib")
    assert "built    needy 1.0  no-isolation  pyproject.toml" in done.err
    assert built(site_packages(env), "needy")["variables"]["LEVEL"] == "3"
    failed = run("install", "--force-reinstall", "--build-isolation", "needy", status=1)
    assert "needy 1.0: the backend failed" in failed.err
    make_project("[tool.pipshim]\nno-such-key = 1\n")
    assert "no-such-key" in run("install", "--force-reinstall", "needy", status=1).err
    run("install", "--force-reinstall", "low")  # nothing is built, nothing of it is read
    (cli.cwd / "pyproject.toml").write_text("[[[ not TOML")
    variable = {"PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "needy"}
    found = cli.ok("--python", env, "install", "--force-reinstall", "needy", env=variable)
    assert "no-isolation  PIPSHIM_NO_BUILD_ISOLATION_PACKAGE" in found.err


def test_builds_come_after_what_they_need(
    run: Run, env: Path, index: Index, dists: Path, log: Path
) -> None:
    names = ("last", "middle", "first")
    needs = {"last": "middle", "middle": "first", "first": ""}
    for name in names:
        backend = Backend(imports=[needs[name]] if needs[name] else [], log=str(log))
        requires = [needs[name]] if needs[name] else []
        index.add(sdist(dists, name, "1.0", requires=requires, backend=backend))
    run("install", "--no-build-isolation", "-j", "2", "last")
    assert hooks(log) == ["first", "middle", "last"]
    assert built(site_packages(env), "last")["against"] == {"middle": "1.0"}
    refused = run("install", "--no-build-isolation", "--build-constraint", "x", "last", status=1)
    assert "--build-constraint cannot be used with --no-build-isolation" in refused.err


def test_wheels_of_a_cached_build_are_whole(
    run: Run, env: Path, index: Index, dists: Path, log: Path
) -> None:
    needy(index, dists, log)
    paths = []
    for number in range(2):
        folder = dists / str(number)
        run("wheel", "-w", folder, *BARE, "needy", "fakelib")
        (path,) = folder.glob("needy-*")
        assert (folder / "low-2.0-py3-none-any.whl").exists()
        paths.append(path)
    assert len(hooks(log)) == 1
    contents = []
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    record = "needy-1.0.dist-info/RECORD"
    rows = [set(one.pop(record).decode().split()) for one in contents]
    assert rows[0] == rows[1]
    assert contents[0] == contents[1]
    assert distributions(env) == []


def test_download_asks_for_metadata_where_the_package_has_what_it_imports(
    run: Run, env: Path, index: Index, dists: Path, log: Path
) -> None:
    needy(index, dists, log)
    run("download", "-d", dists / "files", *BARE, "needy", "fakelib<2")
    found = sorted(path.name.partition("-cp")[0] for path in (dists / "files").iterdir())
    assert found == ["fakelib-1.0", "low-1.0-py3-none-any.whl", "needy-1.0.tar.gz"]
    assert hooks(log) == []
    assert distributions(env) == []


def test_a_dry_run_and_a_report_have_the_true_metadata(
    run: Run, env: Path, index: Index, dists: Path
) -> None:
    needy(index, dists)
    report = dists / "report.json"
    done = run("install", "--dry-run", "--report", report, *BARE, "needy", "fakelib")
    assert "Would install fakelib-2.0 low-2.0 needy-1.0" in done.out
    items = {one["metadata"]["name"]: one for one in json.loads(report.read_text())["install"]}
    assert items["needy"]["metadata"]["requires_dist"] == ["low==2.0"]
    assert items["needy"]["requested"] is True
    assert distributions(env) == []


def test_a_failed_build_changes_nothing_and_says_what_failed(
    run: Run, env: Path, index: Index, dists: Path
) -> None:
    index.add(
        sdist(dists, "bad", "1.0", backend=Backend(fail_in="build_wheel")),
        sdist(dists, "good", "1.0"),
        wheel(dists, "fakelib", "1.0"),
    )
    failed = run("install", "bad", "fakelib", "--progress", "plain", status=1)
    assert "error: bad 1.0: the backend failed" in failed.err
    assert "this build fails on purpose" in failed.err
    assert "Failed to build bad" in failed.out
    assert distributions(env) == []
    failed = run("wheel", "-w", dists / "wheels", "-j", "1", "good", "bad", status=1)
    assert "ERROR: Failed to build one or more wheels" in failed.err


def test_events_are_all_that_is_on_standard_error(
    run: Run, index: Index, dists: Path, log: Path
) -> None:
    needy(index, dists, log)
    index.add(wheel(dists, "plain", "1.0"))
    for source in ("built", "cached"):
        options = ("--progress", "json", "--force-reinstall", *BARE)
        done = run("install", *options, "needy", "fakelib<2")
        assert "Successfully installed" in done.out
        seen = read(done.err)
        check_order(seen)
        assert [one["event"] for one in seen].count("start") == 1  # there are two rounds
        assert (seen[0]["event"], seen[0]["command"]) == ("start", "install")
        assert (seen[-1]["event"], seen[-1]["changes"]) == ("result", None)
        (ready,) = [one for one in seen if one["event"] == "prepared"]
        assert (ready["name"], ready["source"]) == ("needy", source)
    # where nothing is built, too
    seen = read(run("install", "--progress", "json", "plain").err)
    assert [one["event"] for one in seen] == ["start", "result"]


def test_failures_are_events_too(run: Run, index: Index, dists: Path) -> None:
    index.add(
        *(
            sdist(dists, name, "1.0", backend=Backend(fail_in="build_wheel", exit_code=1))
            for name in ("a", "b")
        )
    )
    seen = read(run("wheel", "--progress", "json", "-w", dists / "w", "a", "b", status=1).err)
    check_order(seen)
    errors = [one for one in seen if one["event"] == "error"]
    assert [one.get("package") for one in errors] == ["a 1.0", "b 1.0", None]
    assert seen[-len(errors) :] == errors
    seen = read(run("install", "--progress", "json", "nothing-of-this-name", status=1).err)
    assert [one["event"] for one in seen] == ["start", "message", "error"]
    assert "nothing-of-this-name" in seen[-1]["message"]


@pytest.fixture
def filled(run: Run, env: Path, index: Index, dists: Path) -> Mapping[str, object]:
    """Fill the environment with what is to be replaced; tell all that it has then."""
    for version in ("1.0", "2.0"):
        index.add(
            wheel(dists, "low", version, entry_points={"console_scripts": {"low": "low:main"}}),
            wheel(dists, "fakelib", version),
        )
    run("install", "low==1.0", "fakelib==1.0")
    return contents(env)


def contents(env: Path) -> Mapping[str, object]:
    found = listing(env, without=("__pycache__",))
    return {path: one if one[0] == "link" else (one[0], one[2]) for path, one in found.items()}


@pytest.fixture
def given(dists: Path, tmp_path: Path, log: Path) -> Mapping[str, list[str | Path]]:
    """Give requirements the last build of which fails, or takes too long, by how it is built."""

    def folder(name: str, **acts: Any) -> Path:
        return project(tmp_path / name, name=name, backend=Backend(log=str(log), **acts))

    good = folder("linked")
    fails = Backend(log=str(log), fail_in="build_wheel")
    slow = Backend(log=str(log), sleep_seconds=600, child_seconds=600)
    return {
        "sdist": ["-e", good, sdist(dists, "bad", "1.0", backend=fails)],
        "editable": ["-e", good, "-e", folder("other", fail_in="build_editable")],
        "slow sdist": ["-e", good, sdist(dists, "slow", "1.0", backend=slow)],
        "slow editable": ["-e", good, "-e", folder("another", sleep_seconds=600)],
    }


@pytest.mark.parametrize("isolation", [(), ("--no-build-isolation",)])
@pytest.mark.parametrize("last", ["sdist", "editable"])
def test_nothing_is_changed_if_the_last_of_several_builds_fails(
    last: str,
    isolation: tuple[str, ...],
    run: Run,
    env: Path,
    filled: object,
    given: Mapping[str, list[str | Path]],
) -> None:
    # An editable without isolation is built when all else is installed, which is taken back then.
    failed = run("install", *isolation, "low==2.0", "fakelib>1", *given[last], status=1)
    assert "this build fails on purpose" in failed.err
    in_place = bool(isolation) and last == "editable"
    assert ("Rolling back the installation" in failed.out) is in_place
    assert contents(env) == filled
    assert run("install", "-q", "low==2.0", "fakelib>1").err == ""


def test_an_editable_without_isolation_is_built_while_pip_lets_nothing_be_imported(
    run: Run, env: Path, tmp_path: Path, tool_wheels: Mapping[str, Path]
) -> None:
    run("install", "-q", tool_wheels["setuptools"])
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "setup.py").write_text("from setuptools import setup\nsetup(name='linked')\n")
    run("install", "--no-build-isolation", "-e", folder)
    assert "linked-0.0.0" in distributions(env)


@pytest.mark.parametrize("isolation", [(), ("--no-build-isolation",)])
@pytest.mark.parametrize("last", ["slow sdist", "slow editable"])
def test_nothing_is_left_of_what_a_signal_ends(
    last: str,
    isolation: tuple[str, ...],
    cli: Cli,
    env: Path,
    filled: object,
    given: Mapping[str, list[str | Path]],
    log: Path,
) -> None:
    def building() -> list[Call]:
        ends = {(call.name, call.hook) for call in calls(log) if call.event == "end"}
        slow = [call for call in calls(log) if call.name in ("slow", "another")]
        return [c for c in slow if c.hook.startswith("build") and (c.name, c.hook) not in ends]

    number, status = (signal.SIGINT, 130) if last == "slow editable" else (signal.SIGTERM, 143)
    command = ("install", *isolation, "low==2.0", "fakelib>1", *given[last])
    with cli.start("--python", env, *command) as process:
        until(building)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, said
    assert "Traceback" not in said
    until(lambda: not [c for c in calls(log) for one in (c.pid, c.child) if one and is_alive(one)])
    assert contents(env) == filled
    until(lambda: [*cli.temporary.iterdir()] == [])


def test_config_settings_are_for_what_is_named_on_the_command_line(
    run: Run, env: Path, index: Index, dists: Path
) -> None:
    index.add(sdist(dists, "low", "1.0"), sdist(dists, "third", "1.0"))
    index.add(sdist(dists, "top", "1.0", requires=["low"]))
    (dists / "requirements.txt").write_text("third\n")
    run("install", "-C", "a=b", "-r", dists / "requirements.txt", "top")
    settings = {name: built(site_packages(env), name)["config_settings"] for name in ("top", "low")}
    assert settings == {"top": {"a": "b"}, "low": {}}
    assert built(site_packages(env), "third")["config_settings"] == {}


def test_hashes_folders_and_editables(
    run: Run, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    needy(index, dists)
    file = dists / "requirements.txt"
    names = ("needy-1.0.tar.gz", "low-2.0-py3-none-any.whl")
    (native,) = (path.name for path in dists.glob("fakelib-2.0-*"))
    pins = dict(zip(("needy==1.0", "low==2.0", "fakelib==2.0"), (*names, native), strict=True))
    lines = [f"{pin} --hash=sha256:{index.sha256(name)}" for pin, name in pins.items()]
    file.write_text("\n".join([" ".join(BARE), *lines, ""]))
    run("install", "--require-hashes", "-r", file)
    assert distributions(env) == ["fakelib-2.0", "low-2.0", "needy-1.0"]
    wrong = file.read_text().replace(index.sha256("needy-1.0.tar.gz"), "0" * 64)
    file.write_text(wrong)
    assert "DO NOT MATCH THE HASHES" in run("install", "-I", "-r", file, status=1).err
    for name in ("folder", "linked"):
        tree = sdist(dists, name, "1.0", backend=Backend(imports=["fakelib"]))
        source_tree(tree, tmp_path)
    isolated = run("install", tmp_path / "folder-1.0", status=1)
    assert "folder 1.0: the backend failed" in isolated.err
    both = ("--no-build-isolation-package", "folder", "--no-build-isolation-package", "linked")
    done = run("install", *both, tmp_path / "folder-1.0", "-e", tmp_path / "linked-1.0")
    assert "built    linked 1.0  no-isolation" in done.err
    listed = json.loads(run("list", "--format", "json").out)
    assert {one["name"]: one.get("editable_project_location") for one in listed}["linked"]
    facts = built(site_packages(env), "linked")
    assert facts["hook"] == "build_editable"
    assert facts["python"] == str(env)


def test_without_sources_all_is_as_pip_has_it(
    cli: Cli, env: Path, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"), wheel(dists, "high", "1.0", requires=["low"]))
    other = env.with_name("other")
    make_venv(other)
    before = set(cli.shim_cache.rglob("*.json"))
    ours = cli("--python", env, "install", "high")
    pips = cli.pip("--python", other, "install", "high")
    assert (ours.status, ours.out, ours.err) == (pips.status, pips.out, pips.err)
    assert set(cli.shim_cache.rglob("*.json")) == before


def test_the_old_resolver_builds_as_pip_does(run: Run, index: Index, dists: Path) -> None:
    index.add(wheel(dists, "low", "1.0"))
    old = ("install", "--use-deprecated", "legacy-resolver", "low")
    run(*old)
    refused = run(*old, *BARE, status=2)
    assert "--no-build-isolation-package cannot be used with --use-deprecated" in refused.err


def test_a_folder_that_only_its_backend_can_name(
    run: Run, env: Path, index: Index, dists: Path, tool_wheels: Mapping[str, Path], tmp_path: Path
) -> None:
    index.add(tool_wheels["setuptools"], wheel(dists, "fakelib", "1.0"), wheel(dists, "low", "1.0"))
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "setup.py").write_text(
        "import sys\nimport fakelib\nfrom setuptools import setup\n"
        f"open({str(tmp_path / 'where')!r}, 'a').write(sys.prefix + chr(10))\n"
        "setup(name='called-so', version='1.5', install_requires=['low'], py_modules=[])\n"
    )
    given = ("--no-build-isolation", "setuptools", "fakelib")
    run("install", *given, folder)
    assert {"called_so-1.5", "low-1.0", "fakelib-1.0"} <= set(distributions(env))
    other = env.with_name("other")
    make_venv(other)
    run("--python", other, "install", *given, "-e", folder)
    # The metadata was told in a staging environment; the editable is built in the one it is for.
    prefixes = (tmp_path / "where").read_text().split()
    assert prefixes[-1] == str(other)
    assert str(other) not in prefixes[:-1]
    assert "called_so-1.5" in distributions(other)


def test_a_hint_says_what_to_type(run: Run, index: Index, dists: Path) -> None:
    index.add(sdist(dists, "needy", "1.0", backend=Backend(imports=["absent"])))
    failed = run("install", "needy", status=1)
    assert "--extra-build-dependency needy=absent" in failed.err
    assert "--no-build-isolation-package needy" in failed.err
    assert "in pyproject.toml" not in failed.err
    failed = run("install", *BARE, "needy", status=1)
    words = " ".join(failed.err.split())
    assert "Name all that the build requires in the same command:" in words
    assert words.partition("same command:")[2].split()[0] == "absent"


@pytest.mark.parametrize("command", ["install", "wheel", "download"])
def test_options_that_name_what_nothing_requires_are_warned_of(
    command: str, cli: Cli, env: Path, index: Index, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "natten", "1.0", requires=["scipy"]),
        wheel(tmp_path, "tool", "1.0"),
        sdist(tmp_path, "scipy", "1.0", build_requires=["tool"]),
    )
    typed = ("--no-build-isolation-package", "nattten", "--only-binary", "naten,tool,other")
    more = ("--config-settings-package", "tool:a=b", "--extra-build-dependency", "torch=tool")
    variables = {"PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "scypy scipy"}
    done = cli.ok("--python", env, command, *typed, *more, "natten", env=variables)
    said = [line for line in done.err.splitlines() if " names " in line]
    end = ", which nothing here requires"
    assert said == [
        f"WARNING: --extra-build-dependency names torch{end}",
        f"WARNING: --no-build-isolation-package names nattten{end}; did you mean natten?",
        f"WARNING: PIPSHIM_NO_BUILD_ISOLATION_PACKAGE names scypy{end}; did you mean scipy?",
    ]
