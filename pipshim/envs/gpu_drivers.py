"""Find the machine's GPUs through the NVIDIA and AMD drivers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipshim.base.program_output import output_of
from pipshim.model.torch_backends import Gpus

_PROC = Path("/proc/driver/nvidia/version")
_PATIENCE = 20
"""Seconds: where many GPUs are asleep, nvidia-smi takes several."""

_DRIVER = re.compile(r"Kernel Module\s(?:.*?\s)?(\d+(?:\.\d+)+)\s")
_ROW = re.compile(r"(\d+(?:\.\d+)+)(?:, *(\d+)\.(\d+))?")
_ARCHITECTURE = re.compile(r"gfx[0-9a-f]+")
_NO_GPU = "gfx000"
"""What stands for the processor."""


def find_gpus(proc: Path = _PROC) -> Gpus:
    """Ask the drivers of this machine.

    Args:
        proc: the file with the version of NVIDIA's driver for Linux.

    """
    rows = _nvidia_rows()
    driver = rows[0][1] if rows else _driver_in(proc)
    listed = _ARCHITECTURE.findall(output_of(["rocm_agent_enumerator"], _PATIENCE))
    return Gpus(
        platform=sys.platform,
        nvidia_driver=tuple(map(int, driver.split("."))) if driver else (),
        capabilities=tuple((int(row[2]), int(row[3])) for row in rows if row[2]),
        amd=tuple(name for name in listed if name != _NO_GPU),
    )


def _nvidia_rows() -> list[re.Match[str]]:
    """Ask nvidia-smi for the driver, and each GPU's compute capability if it knows that."""
    for fields in ("driver_version,compute_cap", "driver_version"):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        text = output_of(command, _PATIENCE)
        rows = [row for row in map(_ROW.fullmatch, map(str.strip, text.splitlines())) if row]
        if rows:
            return rows
    return []


def _driver_in(proc: Path) -> str | None:
    try:
        match = _DRIVER.search(proc.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return match[1] if match else None
