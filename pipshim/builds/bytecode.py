"""Copy bytecode between build environments that have the same packages.

A backend is imported in every environment that is made for it; Python compiles it once.
"""
# Paths are strings here: a build environment has a thousand files.
# ruff: noqa: PTH103, PTH208

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipshim.model.interpreter import Target
    from pipshim.store.unpacked_wheel import UnpackedWheel

FOLDER = "__pycache__"
"""Where Python keeps what it has compiled (PEP 3147)."""


def bring(trees: Iterable[UnpackedWheel], source: Target, destination: Target) -> None:
    """Link the bytecode of these packages; what cannot be linked is compiled again.

    A ``.pyc`` is valid for the time and size of its source, which linking has kept, and Python
    replaces one, rather than write to it.

    Args:
        trees: packages that both environments have.
        source: the environment with bytecode; a build may be running in it.
        destination: where nothing runs yet.

    """
    for tree in trees:
        for scheme, folder, names, _ in tree.bundle.groups:
            if scheme not in {"purelib", "platlib"}:
                continue
            compiled = f"{getattr(source, scheme)}/{folder}{FOLDER}"
            with suppress(OSError):
                found = [name for name in os.listdir(compiled) if _module(name) in names]
                into = f"{getattr(destination, scheme)}/{folder}{FOLDER}"
                if found:
                    os.makedirs(into, exist_ok=True)
                for name in found:
                    with suppress(FileExistsError):
                        os.link(f"{compiled}/{name}", f"{into}/{name}")


def _module(name: str) -> str:
    """Return the source of bytecode: ``a.py`` of ``a.cpython-311.pyc``.

    Bytecode that is being written has a longer name.
    """
    return f"{name.partition('.')[0]}.py" if name.endswith(".pyc") else ""
