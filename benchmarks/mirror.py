"""What the benchmarks install, and the folders of files that they are served from.

The files of real packages come from the registry, once, by ``pip download`` with the machine's own
configuration; the others are made here, the same bytes everywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.serve import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

PROJECT_46 = (
    "alembic",
    "black",
    "fastapi",
    "httpx",
    "jinja2",
    "mypy",
    "pydantic-settings",
    "pytest",
    "redis",
    "requests",
    "rich",
    "sqlalchemy",
    "typer",
    "uvicorn",
)
"""The requirements of the project whose lock has 46 packages: a web service and its tools."""

PROJECT_41 = tuple(one for one in PROJECT_46 if one not in {"mypy", "pydantic-settings"})
"""The same without two of them and what only those need: 41 packages."""

CHANGED = ("rich", "rich<15")
"""The requirement that is changed between two locks, and what it becomes."""

WHEELS = (
    "alembic==1.20.1",
    "annotated-doc==0.0.7",
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "ast-serialize==0.13.1",
    "black==26.10.1",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "fastapi==0.165.0",
    "h11==0.16.0",
    "httpcore==1.0.9",
    "httpx==0.28.1",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jinja2==3.1.6",
    "librt==0.16.0",
    "mako==1.4.3",
    "markdown-it-py==4.3.0",
    "markupsafe==3.0.4",
    "mdurl==0.1.2",
    "mypy==2.4.1",
    "mypy-extensions==1.2.0",
    "opentelemetry-api==1.45.2",
    "packaging==26.3",
    "pathspec==1.1.1",
    "platformdirs==4.14.7",
    "pluggy==1.7.0",
    "pydantic==2.14.3",
    "pydantic-core==2.50.4",
    "pydantic-settings==2.16.3",
    "pygments==2.21.0",
    "pytest==9.2.0",
    "python-dotenv==1.2.4",
    "pytokens==0.4.1",
    "redis==8.1.0",
    "requests==2.34.2",
    "rich==15.0.0",
    "shellingham==1.5.4",
    "sqlalchemy==2.1.9",
    "starlette==1.10.0",
    "typer==0.29.2",
    "typing-extensions==4.16.0",
    "typing-inspection==0.4.5",
    "urllib3==2.8.0",
    "uvicorn==0.54.0",
    "rich==14.0.0",
    "async-timeout==5.0.1",
    "colorama==0.4.6",
    "setuptools==84.2.1",
    "setuptools-scm==10.3.4",
    "vcs-versioning==2.6.0",
    "wheel==0.48.0",
)
"""The 46; the older version that the change asks for; what the 46 need on other platforms, for some
tools lock for all; and what the sdists are built with."""

BACKPORTS = ("backports-asyncio-runner", "exceptiongroup", "greenlet", "tomli")
"""What they need on Python 3.10 besides."""

SDISTS = (
    "cachetools==6.2.2",
    "decorator==5.1.1",
    "docopt==0.6.2",
    "gitdb==4.0.11",
    "inflection==0.5.1",
    "isodate==0.6.1",
    "itsdangerous==2.1.2",
    "mccabe==0.7.0",
    "parse==1.20.2",
    "ply==3.11",
    "pyasn1==0.5.1",
    "pycparser==2.21",
    "retrying==1.3.4",
    "six==1.17.0",
    "smmap==5.0.1",
    "sortedcontainers==2.4.0",
    "tabulate==0.9.0",
    "termcolor==1.1.0",
    "toml==0.10.2",
    "xmltodict==1.0.2",
)
"""Twenty that the mirror has no wheels of. Most have a setup.py and nothing else, as most small
ones do; cachetools and xmltodict have static metadata, tabulate asks for setuptools-scm."""

REAL = f"real-{sys.version_info.major}.{sys.version_info.minor}"
"""The folder of the files of real packages, for this Python."""

PAGES = "pages"
"""The folder of the registry's own pages of these packages: they list all files there ever were."""

SIZES = (50, 200, 800, 3000)
BIG = 900 * 2**20

CHANGED_ROOT = ("made-0", "made-0<2")
"""The requirement of a generated project that is changed between two locks."""


def build(folder: Path, python: Path, names: Collection[str]) -> None:
    """Fill some of the mirror's folders; what is there already stays.

    Attributes:
        python: an interpreter that has pip and setuptools.

    """
    pip = [str(python), "-m", "pip", "download", "-q", "--no-deps"]
    fill: dict[str, Callable[[Path], None]] = {
        REAL: lambda to: _download(pip, to),
        PAGES: lambda to: _pages(_index(python), to),
        **{f"generated-{size}": partial(_generated, size=size) for size in SIZES},
        "big": _big,
        "large": _large,
    }
    for name in names:
        _whole(folder / name, fill[name])


def _whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder, or leave none."""
    if folder.exists():
        return
    making = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    fill(making)
    making.rename(folder)


def _download(pip: list[str], to: Path) -> None:
    wheels = [*pip, "--only-binary", ":all:", "-d", str(to)]
    for requirement in WHEELS if sys.version_info >= (3, 11) else (*WHEELS, *BACKPORTS):
        if subprocess.run([*wheels, requirement], check=False).returncode:
            # The newest ones are not for every Python.
            subprocess.run([*wheels, requirement.replace("==", "<=")], check=True)
    for requirement in SDISTS:
        # pip asks for the metadata of what it downloads. Without isolation that takes moments.
        options = ["--no-build-isolation", "--no-binary", ":all:"]
        subprocess.run([*pip, *options, "-d", str(to), requirement], check=True)


def _index(python: Path) -> str:
    """Tell the index that pip asks: its help says so, whatever variables and files make of it."""
    command = [str(python), "-m", "pip", "download", "--help"]
    environ = {**os.environ, "COLUMNS": "1000"}  # one option, one line
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    found = re.search(r"--index-url .*\(default (\S+)\)", said)
    assert found is not None
    return found[1].rstrip("/")


def _pages(index: str, to: Path) -> None:
    """Keep what the index's pages (PEP 691) say of files, but for where they are."""
    kept = ("filename", "hashes", "requires-python", "size", "upload-time", "yanked")
    for name in sorted({canonicalize_name(Requirement(one).name) for one in WHEELS}):
        request = Request(f"{index}/{name}/", headers={"Accept": JSON})  # noqa: S310 an index
        with urlopen(request) as answer:  # noqa: S310 likewise
            files = json.load(answer)["files"]
        found = [{key: file.get(key) for key in kept} for file in files]
        (to / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


def roots(size: int) -> tuple[str, ...]:
    """Tell the requirements of a generated project: a twentieth of its packages."""
    return tuple(f"made-{number}" for number in range(_root_count(size)))


def _root_count(size: int) -> int:
    return max(10, size // 20)


def _generated(folder: Path, size: int) -> None:
    """Make wheels that require each other like those of a public index.

    Each is required by an earlier one, so that chains are as long as the logarithm of the number of
    packages, and most require a few popular ones too. One in forty has a newer version that a
    package which is found late forbids.
    """
    chance = random.Random(size)  # noqa: S311 the same graph everywhere
    required: list[list[str]] = [[] for _ in range(size)]
    for number in range(_root_count(size), size):
        limit = "<2" if number % 40 == 0 else chance.choice(("", ">=0.1", ">=0.1,<2", "~=1.0"))
        required[chance.randrange(number // 8, number // 2)].append(f"made-{number}{limit}")
    for number in range(size - 1):
        for _ in range(chance.choice((0, 0, 1, 2, 3, 4, 8))):
            popular = size - 1 - int((size - 1 - number) * chance.random() ** 4)
            required[number].append(f"made-{popular}")
    for number in range(size):
        optional = [f"made-{(number * 7 + at) % size}; extra == 'dev'" for at in range(number % 12)]
        files = _generated_files(number, round(chance.lognormvariate(1.8, 0.8)))
        for version in ("1.0", "2.0") if number % 40 == 0 else ("1.0",):
            _wheel(folder, f"made-{number}", files, [*required[number], *optional], version)


def _generated_files(number: int, count: int) -> dict[str, bytes]:
    module = f"made_{number}"
    names = ["__init__", *(f"part_{at}" for at in range(count))]
    text = f'"""Package {number}."""\n\n' + "".join(f"VALUE_{at} = {at}\n" for at in range(150))
    return {f"{module}/{name}.py": text.encode() for name in names}


def _wheel(
    folder: Path,
    name: str,
    files: dict[str, bytes],
    requires: Iterable[str],
    version: str = "1.0",
) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    lines += ["Requires-Python: >=3.8", "Provides-Extra: dev"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    lines += ["", *("A line of the description, as long as lines are.\n" for _ in range(60))]
    files = files | {
        f"{stem}.dist-info/METADATA": ("\n".join(lines) + "\n").encode(),
        f"{stem}.dist-info/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: benchmarks\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(f"{path},{_hash(data)},{len(data)}\n" for path, data in files.items())
    record += f"{stem}.dist-info/RECORD,,\n"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for where, data in files.items():
            archive.writestr(zipfile.ZipInfo(where), data, zipfile.ZIP_DEFLATED)
        where = f"{stem}.dist-info/RECORD"
        archive.writestr(zipfile.ZipInfo(where), record, zipfile.ZIP_DEFLATED)


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def _big(folder: Path) -> None:
    """Make a wheel like torch's: three libraries of 300 MB that hardly compress."""
    block = random.Random(4).randbytes(2**20)  # noqa: S311 the same bytes everywhere
    data = block * (BIG // 3 // len(block))
    files = {f"big/lib{number}.so": data for number in range(3)}
    files["big/__init__.py"] = b""
    _wheel(folder, "big", files, [])


def _large(folder: Path) -> None:
    """Make a wheel like torch's: 700 MB in 12,000 files, compressed to a quarter."""
    fourths = bytes(number % 4 for number in range(256))
    data = random.Random(4).randbytes(2**20).translate(fourths)  # noqa: S311 the same everywhere
    files = {f"large/lib{number}.so": data * size for number, size in enumerate((420, 60, 30, 20))}
    files["large/__init__.py"] = b""
    for number in range(12_000):
        start = number * 80
        text = data[start : start + 14_000]
        files[f"large/include/{number % 200}/{number}.h"] = text
    _wheel(folder, "large", files, [])
