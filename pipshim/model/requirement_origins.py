"""Prefixes that name what a requirement of a build environment comes from."""

from __future__ import annotations

BUILD = "the build of "
EXTRA = "extra-build-dependencies of "
