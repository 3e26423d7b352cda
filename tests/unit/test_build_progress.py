"""How far a build is, from what real tools print."""

from __future__ import annotations

import pytest

from pipshim.model.build_progress import Progress, ProgressReader, seconds_left

NINJA = """\
-- Build files have been written to: /tmp/build
[1/5] Building C object CMakeFiles/two.dir/main.c.o
[2/5] Building C object CMakeFiles/one.dir/a.c.o
[3/5] Building CXX object CMakeFiles/one.dir/b.cpp.o
"""
MAKE = """\
[ 20%] Building C object CMakeFiles/one.dir/a.c.o
/usr/bin/cc   -MD -MT a.c.o -MF a.c.o.d -o a.c.o -c /tmp/a.c
[ 60%] Linking CXX static library libone.a
[ 60%] Built target one
"""
MESON = """\
Found ninja-1.13.0 at /usr/bin/ninja
+ /usr/bin/ninja
[1/9] Compiling C object _multiarray.p/a.c.o
[4/9] Generating 'numpy/core/x' with a custom command
"""
CARGO = """\
    Updating crates.io index
   Compiling proc-macro2 v1.0.86
   Compiling unicode-ident v1.0.13
   Compiling rs v0.1.0 (/tmp/rs)
    Finished `release` profile [optimized] target(s) in 29.41s
"""
CARGO_BAR = "    Building [=======>                    ] 12/73: serde_derive\n"
SETUPTOOLS = """\
running build_ext
building 'bottleneck.reduce' extension
gcc -pthread -Wsign-compare -DNDEBUG -fwrapv -O3 -Wall -fPIC -I/tmp/include -c a.c -o build/a.o
gcc -pthread -shared build/a.o -o build/reduce.so
building 'bottleneck.move' extension
gcc -pthread -Wsign-compare -DNDEBUG -fwrapv -O3 -Wall -fPIC -c b.c -o build/b.o -O2
x86_64-linux-gnu-g++-12 -pthread -fPIC -c c.cpp -o build/c.o
"""
TORCH = """\
building 'natten.libnatten' extension
Emitting ninja build file /tmp/build/build.ninja...
Allowing ninja to set a default number of workers... (overridable by setting MAX_JOBS=N)
[1/73] c++ -MMD -MF /tmp/na1d.o.d -pthread -O3 -fPIC -c /tmp/na1d.cpp -o /tmp/na1d.o -std=c++17
[2/73] /usr/local/cuda/bin/nvcc --generate-dependencies-with-compile -c -c /tmp/na2d.cu -o /tmp/o
"""
AUTOTOOLS = """\
make[2]: Entering directory '/tmp/build'
  CC       src/libffi_la-closures.lo
  CXX      src/b.lo
  CCLD     libffi.la
"""
CYTHON = "[2/3] Cythonizing pyemd/emd.pyx\n"


def read(text: str, expected: int | None = None) -> ProgressReader:
    reader = ProgressReader(expected)
    for line in text.splitlines():
        reader.read(line)
    return reader


@pytest.mark.parametrize(
    ("text", "progress", "shown", "steps"),
    [
        (NINJA, Progress(3, 5, "steps"), "3/5", 3),
        (MAKE, Progress(60, 100, "%"), "60 %", 60),
        (MESON, Progress(4, 9, "steps"), "4/9", 4),
        (CARGO, Progress(3, None, "crates"), "3 crates", 3),
        (CARGO_BAR, Progress(12, 73, "crates"), "12/73", 12),
        (SETUPTOOLS, Progress(3, None, "files", 2), "extension 2, 3 files", 3),
        (TORCH, Progress(2, 73, "steps", 1), "2/73", 2),
        (AUTOTOOLS, Progress(2, None, "files"), "2 files", 2),
        (CYTHON, Progress(2, 3, "steps"), "2/3", 2),
    ],
)
def test_the_output_of_build_tools_tells_the_progress(
    text: str, progress: Progress, shown: str, steps: int
) -> None:
    reader = read(text)
    assert reader.progress == progress
    assert str(reader.progress) == shown
    assert reader.steps == steps


@pytest.mark.parametrize(
    "line",
    [
        "running build_ext",
        "[notice] A new release of pip is available",
        "[1/0] no such step",
        "[5/3] neither",
        "gcc -pthread -shared a.o b.o -o c.so",
        "copying src/cc -c here",
        "      Compiling in C++",
        "see [1/2]",
        "",
    ],
)
def test_other_lines_tell_nothing(line: str) -> None:
    assert read(line).progress is None


def test_tools_that_run_one_after_the_other_add_up() -> None:
    reader = read(CYTHON + "[3/3] Cythonizing c.pyx\n" + NINJA)
    assert (reader.progress, reader.steps) == (Progress(3, 5, "steps"), 6)
    assert read(CYTHON + "[3/3] c\n" + NINJA, expected=12).fraction == 0.5
    # Twice the same target of another project within one build
    assert read(MAKE + "[100%] Built target two\n" + MAKE).steps == 160


def test_the_only_crate_is_not_done_when_it_begins() -> None:
    reader = read("   Compiling orjson v3.11.0 (/tmp/orjson)", expected=1)
    assert str(reader.progress) == "1/1"
    assert reader.fraction == 0.0
    assert seconds_left(1.0, reader.fraction, 30.0) == 29.0


def test_an_earlier_build_tells_the_total_of_what_is_counted() -> None:
    reader = read(SETUPTOOLS, expected=6)
    assert reader.progress == Progress(3, 6, "files", 2)
    assert reader.fraction == 2 / 6  # the third one has only begun
    more = read(SETUPTOOLS, expected=2)  # it has grown since
    assert (more.progress, more.fraction) == (Progress(3, None, "files", 2), None)


def test_repeated_lines_are_no_news() -> None:
    reader = ProgressReader()
    assert reader.read("[ 20%] Building C object a.o")
    assert not reader.read("[ 20%] Building C object b.o")


@pytest.mark.parametrize(
    ("elapsed", "fraction", "expected", "left"),
    [
        (30, None, None, None),
        (30, 0.05, None, None),  # too early
        (30, 0.25, None, 90),
        (30, None, 100, 70),
        (120, None, 100, None),  # it takes longer than last time, who knows how long
        (0, 0.0, 100, 100),
        (50, 0.5, 100, 50),
        (50, 0.5, 200, 100),  # half of 150 by history, half of 50 by speed
        (90, 1.0, 100, 0),
        (150, 0.5, 100, 75),
    ],
)
def test_time_left_is_estimated_from_history_and_speed(
    elapsed: float, fraction: float | None, expected: float | None, left: float | None
) -> None:
    assert seconds_left(elapsed, fraction, expected) == left
