"""Prefixes that name the origin of a requirement of a build environment."""

from __future__ import annotations

BUILD = "the build of "
EXTRA = "extra-build-dependencies of "
