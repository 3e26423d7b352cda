"""Which lines of a failed build's output are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipshim.base.errors import BuildError
from pipshim.builds.error_excerpt import OMITTED, excerpt, shortened
from pipshim.builds.hints import FailedBuild, hint_for
from pipshim.progress.error_text import render

TRACEBACK = """\
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/setuptools/command/build_ext.py", line 108, in run
    _build_ext.run(self)
    ^^^^^^^^^^^^^^^^^^^^
  File "/env/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 2910, in _ninja
    raise RuntimeError(message) from e
  File "<string>", line 40, in build
RuntimeError: Error compiling objects for extension
"""
NOISE = "".join(f"copying module_{number}.py\n" for number in range(300))

GCC = "src/a.cpp:524:63: error: no matching function for call to 'f(int)'"
NVCC = 'src/a.cu(12): error: identifier "x" is undefined'
LINKER = "/usr/bin/ld: cannot find -lcublas: No such file or directory"
REFERENCE = "/usr/bin/ld: a.o: in function `main': undefined reference to `deflate'"
CMAKE = "CMake Error at CMakeLists.txt:7 (find_package):"
RUST = "error[E0432]: unresolved import `std::foo`"
CARGO = "error: could not parse\n  --> Cargo.toml:3:1"
MSVC = r"src\a.cpp(5): error C2065: 'x': undeclared identifier"


@pytest.mark.parametrize("error", [GCC, NVCC, LINKER, REFERENCE, CMAKE, RUST, CARGO, MSVC])
def test_the_first_error_of_a_tool_stands_before_the_end(error: str) -> None:
    shown = excerpt(f"building\n{error}\n{NOISE}{TRACEBACK}")
    assert list(shown[: len(error.splitlines())]) == error.splitlines()
    assert shown[len(error.splitlines())] == OMITTED
    assert shown[-1] == "RuntimeError: Error compiling objects for extension"
    assert len(shown) <= 20


def test_each_error_is_shown_once_with_its_excerpt_of_the_source() -> None:
    context = "  524 |   f(1);\n      |    ^~~~\n"
    again = GCC.replace("a.cpp:524", "b.cpp:1")
    shown = excerpt(f"{GCC}\n{context}{again}\n{NVCC}\n{NOISE}{TRACEBACK}")
    assert shown[:5] == (GCC, *context.splitlines(), NVCC, OMITTED)


def test_frames_of_setuptools_and_torch_are_left_out() -> None:
    assert excerpt(TRACEBACK) == (
        "Traceback (most recent call last):",
        '  File "<string>", line 40, in build',
        "RuntimeError: Error compiling objects for extension",
    )


def test_what_is_short_is_shown_as_it_is() -> None:
    text = f"{GCC}\nerror: command 'gcc' failed with exit code 1"
    assert excerpt(text) == tuple(text.splitlines())


def test_of_several_builds_the_first_error_of_each_is_kept() -> None:
    shown = shortened(excerpt(f"{GCC}\n{NOISE}{TRACEBACK}"), 6)
    assert shown[:2] == [GCC, OMITTED]
    assert len(shown) == 6
    assert shown[-1] == "RuntimeError: Error compiling objects for extension"


# natten 0.14.6 built against torch 2.13.0+cpu with gcc 12: 155 of the 15,180 lines that it printed,
# in their order, and the longest of them cut.
NATTEN = Path(__file__).with_name("natten_build.txt").read_text(encoding="utf-8")
PANEL = Path(__file__).with_name("natten_panel.txt").read_text(encoding="utf-8")


def test_what_a_real_build_printed_is_shown_by_its_first_errors_its_end_and_a_hint() -> None:
    build = FailedBuild("natten 0.14.6", "matched", torch="2.13.0+cpu")
    error = BuildError(
        "the backend failed",
        package="natten 0.14.6",
        mode="matched",
        step="wheel",
        output=excerpt(NATTEN),
        hint=hint_for(NATTEN, build),
    )
    text = render(error, width=100, color=False)
    assert text == PANEL
