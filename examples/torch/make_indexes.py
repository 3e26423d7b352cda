"""Write stand-ins for PyTorch's indexes to the folder ``indexes``: ``python make_indexes.py``.

The wheels have PyTorch's file names and metadata, and next to nothing in them. On the index for
processors, macOS has ``2.9.0`` and all others have ``2.9.0+cpu``, as on PyTorch's. ``flash-attn``
is a source that imports torch while it is built, without declaring it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import quote

VERSION = "2.9.0"
PYTHONS = ("310", "311", "312", "313", "314")
LINUX, WINDOWS, MACOS = "manylinux_2_28_{machine}", "win_amd64", "macosx_11_0_arm64"
INDEXES = {
    "cpu": {
        "+cpu": (LINUX.format(machine="x86_64"), LINUX.format(machine="aarch64"), WINDOWS),
        "": (MACOS,),
    },
    "cu128": {"+cu128": (LINUX.format(machine="x86_64"), WINDOWS)},
}
ANYWHERE = ["filelock", "typing-extensions>=4.10.0"]
CUDA = [
    "nvidia-cublas-cu12==12.8.4.1; platform_system == 'Linux' and platform_machine == 'x86_64'",
    "triton==3.5.0; platform_system == 'Linux' and platform_machine == 'x86_64'",
]
OTHERS = {
    "einops": "0.8.1",
    "filelock": "3.20.0",
    "nvidia-cublas-cu12": "12.8.4.1",
    "triton": "3.5.0",
    "typing-extensions": "4.15.0",
}
BACKEND = '''
"""Builds flash-attn as its setup.py does: it imports torch, and needs it at run time."""

import sys
import sysconfig
import zipfile

import torch

INFO = "flash_attn-2.8.3.dist-info"
METADATA = """Metadata-Version: 2.1
Name: flash-attn
Version: 2.8.3
Requires-Dist: torch
Requires-Dist: einops
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = f"{python}-{python}-{platform}"
    name = f"flash_attn-2.8.3-{tag}.whl"
    wheel = f"Wheel-Version: 1.0\\nGenerator: example\\nRoot-Is-Purelib: false\\nTag: {tag}\\n"
    files = {
        "flash_attn/__init__.py": f"BUILT_AGAINST = {torch.__version__!r}\\n",
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/WHEEL": wheel,
    }
    record = "".join(f"{path},,\\n" for path in (*files, f"{INFO}/RECORD"))
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as archive:
        for path, text in {**files, f"{INFO}/RECORD": record}.items():
            archive.writestr(path, text)
    return name
'''
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def write_wheel(
    folder: Path, name: str, version: str, tag: str, requires: list[str], text: str
) -> Path:
    """Write a wheel of one module."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    pure = "true" if tag.endswith("any") else "false"
    wheel = f"Wheel-Version: 1.0\nGenerator: example\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    files = {f"{module}.py": text, f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    record = "".join(f"{path},{_digest(one)},{len(one)}\n" for path, one in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def write_torch(folder: Path, name: str) -> None:
    """Write one of PyTorch's indexes: a page of torch, whose links are encoded as PyTorch's are."""
    links = []
    for local, platforms in INDEXES[name].items():
        requires = [*ANYWHERE, *(CUDA if name == "cu128" else [])]
        version = f"{VERSION}{local}"
        for python in PYTHONS:
            for platform in platforms:
                tag = f"cp{python}-cp{python}-{platform}"
                text = f"__version__ = {version!r}\n"
                path = write_wheel(folder / "torch", "torch", version, tag, requires, text)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                links.append(f'<a href="{quote(path.name)}#sha256={digest}">{path.name}</a><br>')
    page = "<!DOCTYPE html><html><body>\n" + "\n".join(links) + "\n</body></html>\n"
    (folder / "torch" / "index.html").write_text(page, encoding="utf-8")


def write_others(folder: Path) -> None:
    """Write a folder of what torch and flash-attn require, and the source of flash-attn."""
    for name, version in OTHERS.items():
        write_wheel(folder, name, version, "py3-none-any", [], f"__version__ = {version!r}\n")
    metadata = "Metadata-Version: 2.1\nName: flash-attn\nVersion: 2.8.3\n"
    files = {"pyproject.toml": PYPROJECT, "backend.py": BACKEND, "PKG-INFO": metadata}
    with tarfile.open(folder / "flash_attn-2.8.3.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"flash_attn-2.8.3/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


if __name__ == "__main__":
    INDEXES_FOLDER = Path(__file__).parent / "indexes"
    for one in INDEXES:
        write_torch(INDEXES_FOLDER / one, one)
    write_others(INDEXES_FOLDER / "others")
    print(f"wrote {INDEXES_FOLDER}")
