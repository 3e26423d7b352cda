"""PyTorch's public indexes, and which of them suits a GPU's driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUDA = ("cu132", "cu130", "cu129", "cu128", "cu126", "cu124", "cu121", "cu118")
_ROCM = ("7.2", "7.1", "7.0", "6.4", "6.3", "6.2.4", "6.2", "6.1", "6.0")
BACKENDS = ("cpu", *_CUDA, *(f"rocm{version}" for version in _ROCM), "xpu")
TORCH_BACKENDS = (*BACKENDS, "auto")
"""What ``--torch-backend`` takes."""

_PACKAGES = ("torch", "torchaudio", "torchvision")
"""What is built for a backend, and so often required by others that it always gets a source."""

_MORE_PACKAGES = frozenset(
    {"fbgemm-gpu", "torch-tensorrt", "torchao", "torchcodec", "torchrec", "torchtext", "xformers"}
)
"""What is built for a backend too."""

_TRITON = {
    "rocm": ("pytorch-triton-rocm", "triton-rocm"),
    "xpu": ("pytorch-triton-xpu", "triton-xpu"),
}
"""What torch requires there, and only PyTorch's index has."""

_OLDEST_DRIVERS = {
    "linux": (("cu130", (580,)), ("cu126", (525, 60, 13)), ("cu118", (450, 80, 2))),
    "win32": (("cu130", (580,)), ("cu126", (528, 33)), ("cu118", (452, 39))),
}
"""The first driver of each CUDA release (NVIDIA's table of minor version compatibility)."""

_FIRST_DRIVER_OF_12_8 = (570,)
_OLDEST_GPU_OF_12_8 = (7, 5)
"""The compute capability; torch for CUDA 12.8 and later has no code for older GPUs."""

_AMD = frozenset(
    {"gfx900", "gfx906", "gfx908", "gfx90a", "gfx942", "gfx950", "gfx1030", "gfx1100", "gfx1101"}
    | {"gfx1102", "gfx1150", "gfx1151", "gfx1200", "gfx1201"}
)
"""The GPUs that torch for the newest ROCm has code for."""


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine, as their drivers describe them.

    Attributes:
        platform: ``sys.platform``.
        nvidia_driver: the version of NVIDIA's driver; empty if there is none.
        capabilities: the compute capabilities of NVIDIA's GPUs, if they are known.
        amd: the architectures of AMD's GPUs (``gfx1100``).

    """

    platform: str
    nvidia_driver: tuple[int, ...] = ()
    capabilities: tuple[tuple[int, int], ...] = ()
    amd: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackendChoice:
    """A backend, and the reason for choosing it."""

    backend: str
    reason: str


def choose(gpus: Gpus) -> BackendChoice:
    """Return the newest backend that suits a machine's GPUs; the CPU's if there are none."""
    if gpus.nvidia_driver:
        return _cuda(gpus)
    if gpus.amd and gpus.platform == "linux":
        return _rocm(gpus.amd)
    return BackendChoice("cpu", "no NVIDIA or AMD driver was found")


def _cuda(gpus: Gpus) -> BackendChoice:
    driver = gpus.nvidia_driver
    found = f"NVIDIA driver {'.'.join(f'{part:02}' for part in driver)}"
    if gpus.capabilities:
        shown = ", ".join(f"{major}.{minor}" for major, minor in sorted(set(gpus.capabilities)))
        found += f", compute capability {shown}"
    oldest = _OLDEST_DRIVERS.get(gpus.platform, ())
    backend = next((name for name, first in oldest if driver >= first), None)
    if backend is None:
        return BackendChoice("cpu", f"{found}, which is too old for PyTorch")
    if backend == "cu126" and driver >= _FIRST_DRIVER_OF_12_8:
        backend = "cu128"
    if backend in ("cu128", "cu130") and min(gpus.capabilities, default=(99, 0)) < (
        _OLDEST_GPU_OF_12_8
    ):
        backend = "cu126"
    return BackendChoice(backend, found)


def _rocm(architectures: Iterable[str]) -> BackendChoice:
    names = sorted(set(architectures))
    found = f"AMD GPU {', '.join(names)}"
    if not _AMD.issuperset(names):
        return BackendChoice("cpu", f"{found}, which PyTorch does not support")
    return BackendChoice(f"rocm{_ROCM[0]}", found)


def index_name(backend: str) -> str:
    return f"pytorch-{backend}"


def index_url(backend: str) -> str:
    return f"https://download.pytorch.org/whl/{backend}"


def marker(backend: str) -> str | None:
    """Return where a backend exists; None for everywhere."""
    if backend.startswith("rocm"):
        return "sys_platform == 'linux'"
    if backend == "cpu":
        return None
    return "sys_platform == 'linux' or sys_platform == 'win32'"


def packages(backend: str, added: Iterable[str]) -> list[str]:
    """Return the packages that come from a backend's index, if `added` packages are added."""
    kind = "rocm" if backend.startswith("rocm") else backend
    return sorted({*_PACKAGES, *_TRITON.get(kind, ()), *_MORE_PACKAGES.intersection(added)})
