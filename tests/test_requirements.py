"""Requirements files and other tools' locks: `sync -r`, `export`, and pip on what it wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import project, sdist, wheel
from tests.support.facts import built
from tests.support.files import distributions
from tests.support.locks import parse_lock, read_lock
from tests.support.pipshim import make_venv, site_packages

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


@pytest.fixture
def library(index: Index, tmp_path: Path) -> None:
    """Put aa (needs bb), bb 1 and 2, and src (needs bb, built with tool) into the index."""
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "aa", "1.0", requires=["bb"]),
        wheel(dists, "bb", "1.0"),
        wheel(dists, "bb", "2.0"),
        wheel(dists, "tool", "1.0"),
        wheel(dists, "tester", "1.0"),
        sdist(
            dists,
            "src",
            "1.0",
            requires=["bb"],
            build_requires=["tool"],
            backend=Backend(imports=("tool",)),
        ),
    )


def packages(environment: Path) -> list[str]:
    return [one for one in distributions(environment) if not one.startswith(("pip-", "setuptools"))]


# --- requirements files, in a folder without pyproject.toml


@pytest.mark.usefixtures("library")
def test_from_requirements_to_an_environment_and_back(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    (project_dir / "requirements.in").write_text("aa\nsrc\n")
    cli.ok("lock", "-r", "requirements.in")
    cli.ok("sync")
    everything = ["aa-1.0", "bb-2.0", "src-1.0"]
    assert packages(project_dir / ".venv") == everything, (
        "the lock is all there is, and is followed"
    )

    told = cli.ok("export", "-o", "requirements.txt")
    assert told.err == "exported 3 requirements to requirements.txt\n"
    text = (project_dir / "requirements.txt").read_text()
    assert text == cli.ok("export", "-r", "pylock.toml").out
    assert "# via aa, src" in text
    assert index.sha256("src-1.0.tar.gz") in text
    python = make_venv(tmp_path / "pip")
    done = cli.pip("--python", python, "install", "--require-hashes", "-r", "requirements.txt")
    assert done.status == 0, str(done)
    assert packages(tmp_path / "pip") == everything

    shutil.rmtree(project_dir / ".venv")
    cli.ok("sync", "-r", "requirements.txt")
    assert packages(project_dir / ".venv") == everything
    index.requests.clear()
    assert cli.ok("sync", "-r", "requirements.txt").err == "up to date (3 packages)\n"
    assert not index.requests, "what is unchanged costs a look"
    lines = text.splitlines(keepends=True)
    (project_dir / "requirements.txt").write_text("".join(lines[: lines.index("src==1.0 \\\n")]))
    cli.ok("sync", "-r", "requirements.txt")
    assert packages(project_dir / ".venv") == ["aa-1.0", "bb-2.0"]
    assert sorted(path.name for path in project_dir.iterdir()) == [
        ".venv",
        "pylock.toml",
        "requirements.in",
        "requirements.txt",
    ]


@pytest.mark.usefixtures("library")
def test_pins_without_hashes_from_several_files(cli: Cli, project_dir: Path) -> None:
    (project_dir / "base.txt").write_text("aa==1.0\nbb==1.0\n")
    (project_dir / "dev.txt").write_text("-r base.txt\ntester==1.0 # x\n")
    (project_dir / "more.txt").write_text(
        "src==1.0 ; os_name != 'nt'\ntool==1.0\nmissing==1; os_name == 'nt'"
    )
    cli.ok("sync", "-r", "dev.txt", "-r", "more.txt", "--no-build-isolation-package", "src")
    assert packages(project_dir / ".venv") == [
        "aa-1.0",
        "bb-1.0",
        "src-1.0",
        "tester-1.0",
        "tool-1.0",
    ]
    (project_dir / "base.txt").write_text("aa==1.0\nbb==2.0\n")
    result = cli.ok("sync", "-r", "dev.txt", "--output-format", "json")
    told = json.loads(result.out)
    assert sorted(one["name"] for one in told["changes"]) == ["bb", "src", "tool"]
    assert (told["lock"], told["lock_changed"]) == (None, False)


@pytest.mark.parametrize("way", ["lock", "sync"])
def test_what_files_say_about_builds(
    way: str, cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "lib", "1.0"),
        wheel(dists, "lib", "2.0"),
        sdist(dists, "bare", "1.0", backend=Backend(imports=["lib"])),
        sdist(dists, "extra", "1.0", backend=Backend(imports=["lib"])),
        *(sdist(dists, name, "1.0") for name in ("one", "two", "three")),
    )
    folder = project(tmp_path / "three", name="three", backend=Backend())
    (project_dir / "requirements.txt").write_text(
        "-r more.txt\n--extra-build-dependency extra=lib<2\n"
        "lib==2.0\nbare==1.0\nextra==1.0\n"
        "one==1.0 --config-settings level=3\n"
        "two==1.0 --config-settings level=3 --config-settings flag=x\n"
        f"-e {folder} --config-settings level=5\n"
    )
    (project_dir / "more.txt").write_text(
        "--no-build-isolation-package bare\n--config-settings-package two:level=4\n"
    )
    if way == "lock":
        cli.ok("lock", "-r", "requirements.txt")
        # Where the lock goes by itself, it is all that says so.
        for name in ("requirements.txt", "more.txt"):
            (project_dir / name).unlink()
        done = cli.ok("sync", "--config-settings-package", "two:flag=y")
    else:
        done = cli.ok("sync", "-r", "requirements.txt", "--config-settings-package", "two:flag=y")
    assert "built bare 1.0 no-isolation more.txt" in " ".join(done.err.split())
    site = site_packages(project_dir / ".venv")
    assert built(site, "bare")["against"] == {"lib": "2.0"}
    assert built(site, "extra")["against"] == {"lib": "1.0"}
    settings = {name: built(site, name)["config_settings"] for name in ("one", "two", "three")}
    assert settings == {
        "one": {"level": "3"},
        "two": {"level": "4", "flag": "y"},
        "three": {"level": "5"},
    }
    again = (*(("-r", "requirements.txt") if way == "sync" else ()), "--config-settings-package")
    assert cli.ok("sync", *again, "two:flag=y").err == "up to date (6 packages)\n"


@pytest.mark.usefixtures("library")
def test_only_pins_are_installed(cli: Cli, project_dir: Path) -> None:
    file = project_dir / "requirements.txt"
    for text, said in {
        "bb==2.0\naa>=1\n": "requirements.txt:2: aa>=1 is not pinned",
        "bb==2.*\n": "requirements.txt:1: bb==2.* is not pinned",
        "aa==1.0\n": "requirements.txt: aa needs bb, which is not pinned there",
    }.items():
        file.write_text(text)
        assert said in cli.fails("sync", "-r", file.name).err
        assert not (project_dir / ".venv").exists()
    cli.ok("sync", "-r", file.name, "--no-deps")
    assert packages(project_dir / ".venv") == ["aa-1.0"]


@pytest.mark.usefixtures("library")
def test_a_file_without_the_hash_is_not_taken(cli: Cli, index: Index, project_dir: Path) -> None:
    file = project_dir / "requirements.txt"
    file.write_text(f"bb==2.0 --hash=sha256:{'0' * 64}\n")
    assert "does not have the expected hash" in cli.fails("sync", "-r", file.name).err
    file.write_text(f"src==1.0 --hash=sha256:{index.sha256('src-1.0.tar.gz')}\nbb==2.0\n")
    assert "hash" in cli.fails("sync", "-r", file.name).err, "all of them, or none"
    # A lock of what has hashes lists the files that have them, and builds are not asked for any.
    file.write_text(
        f"src==1.0 --hash=sha256:{index.sha256('src-1.0.tar.gz')}\n"
        f"bb==2.0 --hash=sha256:{index.sha256('bb-2.0-py3-none-any.whl')}\n"
    )
    assert "is not a valid name for a lock" in cli.ok("lock", "bb", "-o", "locked.toml").err
    assert "not a valid name" not in cli.ok("lock", "-r", file.name).err
    assert read_lock(project_dir).environment("src") == ["tool==1.0"]
    cli.ok("sync", "-r", file.name)


@pytest.mark.usefixtures("library")
def test_a_lock_lists_no_file_that_a_hash_rules_out(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path / "dists", "bb", "2.0"))
    sha256 = index.sha256("bb-2.0-py3-none-any.whl")
    (project_dir / "requirements.txt").write_text(f"bb==2.0 --hash=sha256:{sha256}\n")
    cli.ok("lock", "-r", "requirements.txt")
    assert list(read_lock(project_dir).files("bb")) == ["bb-2.0-py3-none-any.whl"]


# --- locks that are named, and other tools' locks


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("tool", ["pip", "uv", "pipshim"])
def test_a_lock_is_followed_whoever_made_it(cli: Cli, project_dir: Path, tool: str) -> None:
    (project_dir / "requirements.in").write_text("aa\nsrc\n")
    name = f"pylock.{tool}.toml"
    if tool == "uv":
        assert UV is not None, "uv is in the group of the tests"
        command = [
            UV,
            "pip",
            "compile",
            "-q",
            "--no-cache",
            "--default-index",
            cli.env["PIP_INDEX_URL"],
        ]
        command += ["--python", sys.executable, "--format", "pylock.toml"]
        command += ["requirements.in", "-o", name]
        subprocess.run(command, cwd=project_dir, env=cli.env, check=True, stdout=subprocess.DEVNULL)
    else:
        done = cli("lock", "-r", "requirements.in", "-o", name, module=tool)
        assert done.status == 0, str(done)
    before = (project_dir / name).read_bytes()
    result = cli.ok("sync", "-r", name)
    assert "src 1.0  isolated" in result.err
    assert packages(project_dir / ".venv") == ["aa-1.0", "bb-2.0", "src-1.0"]
    assert cli.ok("sync", "-r", name).err == "up to date (3 packages)\n"
    assert (project_dir / name).read_bytes() == before
    exported = cli.ok("export", "-r", name, "--no-hashes", "--no-header", "--no-annotate").out
    assert exported == "aa==1.0\nbb==2.0\nsrc==1.0\n"


@pytest.mark.usefixtures("library")
def test_another_tools_lock_of_an_editable_project(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    root = make_project(dependencies=["bb"], backend=Backend(), build_requires=["tool"])
    done = cli.pip("lock", "-e", ".", "-o", "pylock.pip.toml")
    assert done.status == 0, str(done)
    cli.ok("sync", "-r", "pylock.pip.toml", cwd=root)
    assert packages(root / ".venv") == ["bb-2.0", "demo-0.1"]
    shutil.copy(root / "pylock.pip.toml", root / "pylock.toml")
    # Unasked, the project's own lock is one that pipshim makes.
    assert "not made by pipshim" in cli.fails("lock", "--check").err
    cli.ok("sync", "--frozen")
    assert 'created-by = "pip"' in (root / "pylock.toml").read_text()
    # From elsewhere, what is a folder is still that folder.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cli.ok("sync", "-r", root / "pylock.pip.toml", cwd=elsewhere)
    assert packages(elsewhere / ".venv") == ["bb-2.0", "demo-0.1"]


@pytest.mark.usefixtures("library")
def test_the_projects_lock_is_exported_as_it_is_selected(
    cli: Cli, make_project: MakeProject, index: Index
) -> None:
    index.credentials = ("me", "s3cr3t-Pa55")
    cli.env["PIP_INDEX_URL"] = index.url_with_credentials
    root = make_project(dependencies=["aa"], extras={"more": ["src"]}, groups={"dev": ["tester"]})
    plain = ("--no-hashes", "--no-header", "--no-annotate")
    assert cli.ok("export", *plain).out == "aa==1.0\nbb==2.0\ntester==1.0\n"
    assert (root / "pylock.toml").exists(), "it was missing, so it was made"
    assert cli.ok("export", *plain, "--only-group", "dev").out == "tester==1.0\n"
    everything = cli.ok("export", "--extra", "more", "--no-group", "dev", "-o", "out.txt")
    text = (root / "out.txt").read_text()
    assert [line.partition(" ")[0] for line in text.splitlines() if "==" in line] == [
        "#",
        "aa==1.0",
        "bb==2.0",
        "src==1.0",
    ]
    assert "s3cr3t" not in text + everything.err
    make_project(dependencies=["bb"])
    assert "out of date" in cli.fails("export", "--locked").err
    assert cli.ok("export", *plain, "--frozen", "--no-default-groups").out == "aa==1.0\nbb==2.0\n"


@pytest.mark.usefixtures("library")
def test_an_export_without_hashes_takes_folders_too(cli: Cli, project_dir: Path) -> None:
    project(project_dir / "lib", name="lib", dependencies=["bb"], backend=Backend())
    cli.ok("lock", "-e", "./lib")
    assert "lib has no hash to export" in cli.fails("export").err
    assert (
        cli.ok("export", "--no-hashes", "--no-header", "--no-annotate").out == "-e ./lib\nbb==2.0\n"
    )
    cli.ok("sync", "-r", "pylock.toml")
    assert packages(project_dir / ".venv") == ["bb-2.0", "lib-0.1"]


def test_what_cannot_be_is_refused(cli: Cli, project_dir: Path) -> None:
    (project_dir / "requirements.txt").write_text("")
    (project_dir / "pylock.a.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "x"\npackages = []'
    )
    for args, status, said in [
        (["sync", "-r", "pylock.b.toml"], 1, "there is no lock file"),
        (["sync", "-r", "pylock.a.toml", "--extra", "x"], 2, "no extra 'x' in pylock.a.toml"),
        (["sync", "-r", "requirements.txt", "--group", "x"], 2, "no group 'x' in requirements.txt"),
        (["export", "-r", "pylock.a.toml", "-o", "no/where.txt"], 1, "cannot be written"),
    ]:
        assert said in " ".join(cli.fails(*args, status=status).err.split())
    assert not (project_dir / ".venv").exists()


# --- pip lock's options

PIPS = {
    "specifiers": "aa bb<2",
    "-r": "-r requirements.in",
    "-c": "-c limits.txt aa",
    "--no-deps": "--no-deps aa",
    "--only-deps": "--only-deps aa",
    "--only-deps of a source": "--only-deps asks",
    "--group": "--group dev --group other/pyproject.toml:test",
    "--requirements-from-script": "--requirements-from-script script.py",
    "--pre": "--pre bb",
    "--all-releases": "--all-releases bb bb",
    "--only-final": "--pre --only-final bb bb",
    "--no-binary": "--no-binary cc cc",
    "--only-binary": "--only-binary :all: cc",
    "--prefer-binary": "--prefer-binary cc",
    "--uploaded-prior-to": "--uploaded-prior-to 2000-01-01T00:00:00Z --no-index -f found aa",
    "--find-links": "--no-index --find-links found aa",
    "--extra-index-url": "--index-url http://127.0.0.1:9/ --extra-index-url {index} bb",
    "--ignore-requires-python": "--ignore-requires-python old",
    "--require-hashes": "--require-hashes -r hashed.txt",
    "--no-require-hashes": "--no-require-hashes -r half.txt",
    "-e": "-e ./lib",
    "--build-constraint": "--build-constraint limits.txt src",
    "-C": "-C a=b src",
    "--check-build-dependencies": "--check-build-dependencies src",
    "--progress-bar": "--progress-bar off aa",
}


@pytest.mark.slow
@pytest.mark.usefixtures("library")
def test_all_options_of_pip_lock(cli: Cli, index: Index, project_dir: Path, tmp_path: Path) -> None:
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "bb", "3.0rc1"),
        wheel(dists, "cc", "1.0"),
        sdist(dists, "cc", "1.0"),
        sdist(dists, "cc", "2.0"),
        wheel(dists, "old", "1.0", requires_python="<3"),
        sdist(dists, "asks", "1.0", backend=Backend(dynamic_requires=("bb",))),
    )
    bb = index.sha256("bb-2.0-py3-none-any.whl")
    found = project_dir / "found"
    for name in ("aa", "bb"):
        wheel(found, name, "0.5")
    for name, text in {
        "requirements.in": "aa\n-c limits.txt\n",
        "limits.txt": "bb<2\n",
        "hashed.txt": f"bb==2.0 --hash=sha256:{bb}\n",
        "half.txt": f"bb==2.0 --hash=sha256:{bb}\naa\n",
        "script.py": "# /// script\n# dependencies = ['aa']\n# ///\n",
        "pyproject.toml": "[dependency-groups]\ndev = ['tester']\n",
        "other/pyproject.toml": "[dependency-groups]\ntest = ['bb<2']\n",
    }.items():
        (project_dir / name).parent.mkdir(exist_ok=True)
        (project_dir / name).write_text(text)
    project(project_dir / "lib", name="lib", dependencies=["bb"], backend=Backend())
    different = []
    for option, line in PIPS.items():
        words = line.replace("{index}", index.url).split()
        one, other = (
            cli("lock", *words, "-q", "-o", "-", module=tool) for tool in ("pip", "pipshim")
        )
        if one.status or other.status:
            pins = [str(one), str(other)] if (one.status == 0) != (other.status == 0) else []
        else:
            theirs, ours = parse_lock(one.out), parse_lock(other.out)
            pins = [str(each) for each in (theirs.versions, ours.versions)]
            editables = {name: "" for name in theirs.versions if name not in ours.versions}
            if theirs.versions == {**ours.versions, **editables} and set(editables) <= {"lib"}:
                pins = []
            for name in ours.versions.keys() & theirs.versions.keys():
                pins += sorted(set(theirs.files(name)) - set(ours.files(name)))
        if pins:
            different.append(f"{option}: {pins}")
    assert not different
