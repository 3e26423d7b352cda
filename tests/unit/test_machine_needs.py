"""What wheels need of a machine, and what is said of a machine that lacks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.model.machine_needs import (
    MOST,
    MachineNeeds,
    features,
    is_native,
    lacking,
    level,
    newest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

V2 = "fpu pni ssse3 sse4_1 sse4_2 popcnt cx16 lahf_lm"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@dataclass
class FakeMachine:
    """A machine that has these libraries."""

    libraries: Mapping[str, set[str]] = field(default_factory=dict)
    libc: str = "glibc"
    processor: frozenset[str] = frozenset()
    gpus: tuple[tuple[int, int], ...] = ()

    def has_library(self, name: str) -> bool:
        return name in self.libraries

    def versions(self, name: str, like: Iterable[str]) -> set[str]:  # noqa: ARG002 all are alike
        return self.libraries[name]


DEBIAN = FakeMachine(
    {
        "libc.so.6": {"GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.36"},
        "libm.so.6": {"GLIBC_2.2.5", "GLIBC_2.35"},
        "libstdc++.so.6": {"GLIBCXX_3.4.9", "GLIBCXX_3.4.30", "CXXABI_1.3.13"},
        "libssl.so.3": {"OPENSSL_3.0.0"},
    }
)


@pytest.mark.parametrize(
    ("libraries", "said"),
    [
        ({"libc.so.6": ("GLIBC_2.36",), "libstdc++.so.6": ("GLIBCXX_3.4.30",)}, []),
        ({"libc.so.6": ("GLIBC_2.38",)}, ["needs GLIBC_2.38, this machine has 2.36"]),
        (
            {"libc.so.6": ("GLIBC_2.38",), "libm.so.6": ("GLIBC_2.38",)},
            ["needs GLIBC_2.38, this machine has 2.36"],
        ),
        (
            {"libstdc++.so.6": ("CXXABI_1.3.15", "GLIBCXX_3.4.32")},
            [
                "needs CXXABI_1.3.15, this machine has 1.3.13",
                "needs GLIBCXX_3.4.32, this machine has 3.4.30",
            ],
        ),
        ({"libcudart.so.12": ()}, ["needs libcudart.so.12, which was not found here"]),
        (
            {"libssl.so.3": ("EVP_SPECIAL",)},
            ["needs EVP_SPECIAL of libssl.so.3, which the one found here does not have"],
        ),
        ({"libc.musl-x86_64.so.1": ()}, ["needs musl, this machine has glibc"]),
    ],
)
def test_what_a_machine_lacks_is_said(
    libraries: dict[str, tuple[str, ...]], said: list[str]
) -> None:
    assert lacking(MachineNeeds(libraries), DEBIAN) == said


def test_what_a_wheel_finds_by_itself_is_not_lacking() -> None:
    assert not lacking(MachineNeeds({"libx.so.1": ()}), DEBIAN, elsewhere={"libx.so.1"})


@pytest.mark.parametrize(
    ("built_on", "here", "said"),
    [
        (V3, V4, []),
        (
            f"{V4} avx512_vnni",
            V3,
            [
                (
                    "was compiled for the processor that built it (x86-64-v4), this machine's "
                    "(x86-64-v3) has no avx512_vnni, avx512bw, avx512cd and 3 more"
                )
            ],
        ),
        (
            f"{V3} sse4a",
            V3,
            [
                (
                    "was compiled for the processor that built it (x86-64-v3), this machine's "
                    "(x86-64-v3) has no sse4a"
                )
            ],
        ),
        (
            V2,
            "",
            [
                (
                    "was compiled for the processor that built it (x86-64-v2), and what this "
                    "machine's processor can do is unknown"
                )
            ],
        ),
    ],
)
def test_a_wheel_for_one_processor_needs_all_that_it_can_do(
    built_on: str, here: str, said: list[str]
) -> None:
    needs = MachineNeeds(processor=features(f"flags\t\t: {built_on}\n"))
    assert lacking(needs, FakeMachine(processor=features(f"flags\t\t: {here}\n"))) == said


def test_the_features_of_processors_are_what_all_of_them_can_do() -> None:
    both = f"flags : {V4} hypervisor constant_tsc\n\nflags : {V3} nopl\n"
    assert level(features(both)) == "x86-64-v3"
    assert not features(both) & {"hypervisor", "constant_tsc", "nopl", "fpu"}
    arm = "Features\t: fp asimd evtstrm aes sha2 atomics cpuid sve\n"
    assert features(arm) == {"fp", "asimd", "aes", "sha2", "atomics", "sve"}
    assert level(features(arm)) == ""
    assert features("cpu : POWER9\n") == frozenset()


@pytest.mark.parametrize(
    ("options", "native"),
    [
        ("gcc -O3 -march=native -c a.c", True),
        ("-mcpu=native", True),
        ("CFLAGS='-march=native'", True),
        ("rustc -Ctarget-cpu=native", True),
        ("icx -xHost", True),
        ("gcc -O3 -mtune=native -march=x86-64-v3", False),
        ("checking whether -march=nativeish", False),
        ("no-march=native", False),
    ],
)
def test_compiler_options_for_this_processor_are_recognised(options: str, native: bool) -> None:
    assert is_native(options) is native


@pytest.mark.parametrize(
    ("codes", "gpu", "runs"),
    [
        ({"sm_80"}, (8, 0), True),
        ({"sm_80"}, (8, 6), True),
        ({"sm_86"}, (8, 0), False),
        ({"sm_80"}, (9, 0), False),
        ({"sm_80", "compute_80"}, (9, 0), True),
        ({"compute_90"}, (8, 0), False),
        ({"sm_90a"}, (9, 0), True),
        ({"sm_100a"}, (10, 3), False),
        ({"sm_120"}, (12, 0), True),
        ({"sm_75"}, None, True),
    ],
)
def test_code_for_other_gpus_does_not_run(
    codes: set[str], gpu: tuple[int, int] | None, runs: bool
) -> None:
    machine = FakeMachine(gpus=(gpu,) if gpu is not None else ())
    said = lacking(MachineNeeds(gpus=frozenset(codes)), machine)
    assert (not said) is runs
    if said and gpu is not None:
        code, here = ", ".join(sorted(codes)), f"sm_{gpu[0]}{gpu[1]}"
        assert said == [f"was compiled for the GPUs {code}, this machine has {here}"]


def test_older_symbol_versions_of_one_library_are_implied() -> None:
    found = newest(["GLIBC_2.9", "GLIBC_2.17", "GLIBC_PRIVATE", "OPENSSL_3.0.0", "OPENSSL_3.2.0"])
    assert found == ("GLIBC_2.17", "GLIBC_PRIVATE", "OPENSSL_3.0.0", "OPENSSL_3.2.0")


def test_needs_are_read_as_they_were_written() -> None:
    needs = MachineNeeds(
        {"libc.so.6": ("GLIBC_2.34",), "libx.so": ()},
        frozenset({"libx.so"}),
        frozenset({"avx2"}),
        frozenset({"sm_90"}),
    )
    assert MachineNeeds.from_json(needs.to_json()) == needs
    assert MachineNeeds.from_json({"libraries": {}}) == MachineNeeds()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"libraries": []},
        {"libraries": {}, "more": 1},
        {"libraries": {"../x.so": []}},
        {"libraries": {"/lib/x.so": []}},
        {"libraries": {"x" * 300: []}},
        {"libraries": {"x.so": "GLIBC_2.4"}},
        {"libraries": {"x.so": [4]}},
        {"libraries": {"x.so": ["GLIBC_2.4\n"]}},
        {"libraries": {f"lib{at}.so": [] for at in range(MOST + 1)}},
        {"libraries": {}, "processor": "avx"},
        {"libraries": {}, "processor": [f"f{at}" for at in range(MOST + 1)]},
    ],
)
def test_other_data_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"invalid|not a"):
        MachineNeeds.from_json(data)
