"""Find the unpacked wheels that compiled code can be built against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.envs import installed
from pipshim.envs.abi_providers import has_native_files, is_platform_specific

if TYPE_CHECKING:
    from pipshim.store.unpacked_wheel import UnpackedWheel


def is_native_tree(tree: UnpackedWheel) -> bool:
    """Return whether compiled code can be built against a wheel of the store."""
    if is_platform_specific(installed.read_text(f"{tree.lib}/{tree.dist_info}/WHEEL")):
        return True
    return any(
        group.scheme == "headers" or has_native_files(group.names) for group in tree.bundle.groups
    )
