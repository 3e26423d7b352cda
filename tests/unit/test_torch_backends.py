"""Which of PyTorch's indexes suits which GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.envs.gpu_drivers import find_gpus
from pipshim.model.torch_backends import BACKENDS, Gpus, choose, index_url, marker, packages

if TYPE_CHECKING:
    from pathlib import Path

PROC = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build  (builder)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


@pytest.mark.parametrize(
    ("driver", "capabilities", "backend"),
    [
        ((595, 10), (), "cu130"),
        ((580, 65, 6), ((9, 0),), "cu130"),
        ((575, 57, 8), ((8, 0),), "cu128"),
        ((570, 86, 10), ((8, 0), (9, 0)), "cu128"),
        ((570, 86, 10), ((6, 1), (9, 0)), "cu126"),  # a Pascal beside a Hopper
        ((580, 65, 6), ((7, 0),), "cu126"),
        ((560, 35, 3), ((9, 0),), "cu126"),
        ((525, 60, 13), (), "cu126"),
        ((525, 60, 11), (), "cu118"),
        ((450, 80, 2), (), "cu118"),
        ((390, 46), (), "cpu"),
    ],
)
def test_the_newest_cuda_that_a_driver_supports(
    driver: tuple[int, ...], capabilities: tuple[tuple[int, int], ...], backend: str
) -> None:
    assert choose(Gpus("linux", driver, capabilities)).backend == backend


@pytest.mark.parametrize(
    ("gpus", "backend", "reason"),
    [
        (Gpus("linux"), "cpu", "no NVIDIA or AMD driver was found"),
        (Gpus("darwin"), "cpu", "no NVIDIA or AMD driver was found"),
        (Gpus("win32", (528, 33)), "cu126", "NVIDIA driver 528.33"),
        (Gpus("win32", (528, 2)), "cu118", "NVIDIA driver 528.02"),
        (Gpus("linux", amd=("gfx1100", "gfx1100")), "rocm7.2", "AMD GPU gfx1100"),
        (Gpus("linux", amd=("gfx803",)), "cpu", "AMD GPU gfx803, which PyTorch does not support"),
        (Gpus("win32", amd=("gfx1100",)), "cpu", "no NVIDIA or AMD driver was found"),
        (Gpus("linux", (390, 46)), "cpu", "NVIDIA driver 390.46, which is too old for PyTorch"),
    ],
)
def test_the_choice_says_what_was_found(gpus: Gpus, backend: str, reason: str) -> None:
    assert choose(gpus).backend == backend
    assert choose(gpus).reason == reason


def test_a_backend_has_an_index_packages_and_platforms() -> None:
    assert index_url("cu128") == "https://download.pytorch.org/whl/cu128"
    assert packages("cu128", ["xformers", "numpy"]) == [
        "torch",
        "torchaudio",
        "torchvision",
        "xformers",
    ]
    assert "pytorch-triton-rocm" in packages("rocm6.4", [])
    assert "pytorch-triton-xpu" in packages("xpu", [])
    assert marker("cpu") is None
    for backend in set(BACKENDS) - {"cpu"}:
        assert "linux" in str(marker(backend))
        assert "darwin" not in str(marker(backend))


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_drivers_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, proc = tmp_path / "bin", tmp_path / "version"
    monkeypatch.setenv("PATH", str(programs))
    assert find_gpus(proc) == Gpus("linux")

    proc.write_text(PROC)
    assert find_gpus(proc).nvidia_driver == (570, 86, 10)
    proc.write_text(PROC.replace("Open Kernel Module for x86_64", "x86_64 Kernel Module"))
    assert find_gpus(proc).nvidia_driver == (570, 86, 10)

    fake(programs, "nvidia-smi", "echo '535.104.05, 7.0'; echo '535.104.05, 9.0'")
    found = find_gpus(proc)
    assert (found.nvidia_driver, found.capabilities) == ((535, 104, 5), ((7, 0), (9, 0)))

    old = 'case "$1" in *cap*) echo not a valid field; exit 2;; esac; echo 470.57.02'
    fake(programs, "nvidia-smi", old)
    found = find_gpus(proc)
    assert (found.nvidia_driver, found.capabilities) == ((470, 57, 2), ())

    fake(programs, "nvidia-smi", "echo NVIDIA-SMI has failed; exit 9")
    fake(programs, "rocm_agent_enumerator", "echo gfx000; echo gfx1100; echo gfx90a")
    found = find_gpus(tmp_path / "none")
    assert (found.nvidia_driver, found.amd) == ((), ("gfx1100", "gfx90a"))
