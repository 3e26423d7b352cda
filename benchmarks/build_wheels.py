"""The least that building wheels can take: each is one call of setuptools in a fork.

``python build_wheels.py OUT SOURCE...``, with a Python that has setuptools: it is imported once,
and nothing is made, fetched or installed.
"""

from __future__ import annotations

import os
import sys

import setuptools.build_meta


def main(out: str, *sources: str) -> None:
    """Build one after the other."""
    for source in sources:
        if (child := os.fork()) == 0:
            os.chdir(source)
            sys.path.insert(0, source)
            sys.argv = ["setup.py"]
            setuptools.build_meta.__legacy__.build_wheel(out)
            os._exit(0)
        if status := os.waitpid(child, 0)[1]:
            sys.exit(f"{source}: status {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
