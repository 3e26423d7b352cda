"""What Python processes note of what they import, read and start, however they end."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from pipshim.builds import hook_runner, process_trace
from pipshim.model.build_variables import value_digest

HOW = {
    "itself": "import wanted",
    "exit": "import wanted, os; os._exit(0)",
    "killed": "import wanted, os; os.kill(os.getpid(), 9)",
    "fork": """
        if os.fork() == 0:
            import wanted
            os._exit(0)
        os.wait()
    """,
    "multiprocessing": """
        import multiprocessing
        def work():
            import wanted
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
    """,
    "pool": """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        def work(_):
            import wanted
        context = multiprocessing.get_context("fork")
        list(ProcessPoolExecutor(2, mp_context=context).map(work, range(2)))
    """,
    "closed files": """
        os.closerange(3, 64)
        import wanted
        os._exit(0)
    """,
    "another folder": """
        os.chdir("/")
        import wanted
        os._exit(0)
    """,
}


def environment_that_traces(folder: Path) -> str:
    """Make an environment as builds have; return its Python."""
    venv.create(folder / "env", symlinks=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "trace.pth").write_text(f"{process_trace.import_line()}\n", "utf-8")
    return str(folder / "env/bin/python")


def traced(
    folder: Path, code: str, *options: str, python: str = sys.executable, **variables: str
) -> list[str]:
    """Run code as a hook that is traced; return the lines that were noted."""
    lines = code.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    script = folder / "hook.py"
    script.write_text("\n".join(["import os", *(line[indent:] for line in lines)]), "utf-8")
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    command = [python, *options, hook_runner.__file__, f"mvp:{notes}", str(script)]
    environ = {**os.environ, "PYTHONPATH": str(folder), **variables}
    subprocess.run(command, check=False, timeout=60, env=environ)
    found = b"".join(path.read_bytes() for path in notes.iterdir())
    return [os.fsdecode(line) for line in found.splitlines()]


def run(folder: Path, code: str, *options: str) -> set[str]:
    """Run code as a hook that is traced; return the modules' files, by their names."""
    return {Path(line[1:]).name for line in traced(folder, code, *options) if line[0] == "m"}


def reads(
    folder: Path, code: str, *options: str, python: str = sys.executable, **variables: str
) -> dict[str, str | None]:
    """Run code as a hook that is traced; return the variables that it read, with digests."""
    lines = traced(folder, code, *options, python=python, **variables)
    found = (line[1:].rpartition(" ") for line in lines if line[0] == "v")
    return {name: None if digest == "-" else digest for name, _, digest in found}


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    (tmp_path / "wanted.py").write_text("", encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.parametrize("how", HOW)
def test_an_import_is_noted_however_its_process_ends(wanted: Path, how: str) -> None:
    assert "wanted.py" in run(wanted, HOW[how])


def test_extension_modules_and_what_was_imported_before_are_noted(wanted: Path) -> None:
    noted = run(wanted, "import json, wanted, os; os._exit(0)")
    assert "wanted.py" in noted
    assert "hook.py" in noted
    assert not {"json", "decoder.py"} & noted  # the standard library belongs to the Python


def test_a_compiled_module_without_its_source_is_noted(wanted: Path) -> None:
    code = """
        import py_compile
        py_compile.compile("{0}/wanted.py", cfile="{0}/compiled.pyc")
        import compiled
    """
    assert "compiled.pyc" in run(wanted, code.format(wanted))


def test_tracing_changes_nothing_that_a_program_can_see(wanted: Path) -> None:
    look = (
        "import builtins, sys; print(len(sys.meta_path), len(sys.path_hooks), sys.gettrace(), "
        "sys.getprofile(), builtins.__import__, sys.argv[0], sys.path[0], __name__)"
    )
    unmeasured = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    script = wanted / "look.py"
    script.write_text(look, encoding="utf-8")
    (wanted / "notes").mkdir()
    command = [sys.executable, hook_runner.__file__, f"mvp:{wanted}/notes", str(script)]
    plain = [sys.executable, str(script)]
    outputs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=unmeasured).stdout
        for command in (command, plain)
    ]
    assert outputs[0] == outputs[1]


def test_a_process_that_outlives_its_hook_goes_on(wanted: Path) -> None:
    code = """
        import shutil
        shutil.rmtree("{0}/notes")
        import wanted
        os.mkdir("{0}/notes")
        open("{0}/notes/end", "w").write("mit went on")
        os._exit(0)
    """
    assert run(wanted, code.format(wanted)) == {"it went on"}


@pytest.mark.parametrize("option", ["-I", "-E", "-s"])
def test_isolated_processes_are_traced_too(wanted: Path, option: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(wanted)!r}); import wanted; os._exit(0)"
    assert "wanted.py" in run(wanted, code, option)


READS = {
    "item": "os.environ['WANTED']",
    "get": "os.environ.get('WANTED')",
    "getenv": "os.getenv('WANTED')",
    "bytes": "os.environb[b'WANTED']",
    "getenvb": "os.getenvb(b'WANTED')",
    "in": "'WANTED' in os.environ",
    "pop": "os.environ.pop('WANTED')",
    "default": "os.environ.setdefault('WANTED', 'x')",
    "expandvars": "os.path.expandvars('$WANTED')",
    "after a copy": "dict(os.environ); os.environ['WANTED']",
    "selected": "[os.environ[name] for name in os.environ if name == 'WANTED']",
    "exit": "os.getenv('WANTED'); os._exit(0)",
    "killed": "os.getenv('WANTED'); os.kill(os.getpid(), 9)",
    "thread": """
        import threading
        thread = threading.Thread(target=os.getenv, args=("WANTED",))
        thread.start()
        thread.join()
    """,
    "fork": """
        if os.fork() == 0:
            os.getenv("WANTED")
            os._exit(0)
        os.wait()
    """,
    "multiprocessing": """
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=os.getenv, args=("WANTED",))
        process.start()
        process.join()
    """,
}
COPIES = [
    "dict(os.environ)",
    "os.environ.copy()",
    "{**os.environ}",
    "os.environ | {'A': 'b'}",
    "list(os.environ.items())",
    "list(os.environ.values())",
    "dict(os.environb)",
    "import subprocess; subprocess.run(['true'], env={**os.environ, 'A': 'b'})",
    "import subprocess; subprocess.run(['true'])",
    "import copy; copy.copy(os.environ)",
    "repr(os.environ), len(os.environ), list(os.environ)",
]


@pytest.mark.parametrize("how", READS)
def test_a_variable_is_noted_however_it_is_read(tmp_path: Path, how: str) -> None:
    assert reads(tmp_path, READS[how], WANTED="a b")["WANTED"] == value_digest("a b")


@pytest.mark.parametrize("code", COPIES)
def test_a_copy_of_the_environment_reads_nothing(tmp_path: Path, code: str) -> None:
    assert "WANTED" not in reads(tmp_path, code, WANTED="yes")


def test_a_variable_that_is_not_set_is_noted_and_one_that_was_set_shows(tmp_path: Path) -> None:
    code = """
        os.environ.get("WANTED")
        os.environ["OTHER"] = "mine"
        os.environ["OTHER"]
    """
    found = reads(tmp_path, code, OTHER="theirs")
    assert found["WANTED"] is None
    assert found["OTHER"] == value_digest("mine")


@pytest.mark.parametrize("options", [(), ("-I",), ("-E",)])
def test_reads_are_noted_in_isolated_processes(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert "WANTED" in reads(tmp_path, "os.getenv('WANTED')", *options)


CHILD = """import os, sys
os.getenv('WANTED')
print(sys.argv, __name__, sys.flags, sys._xoptions, sys.warnoptions, sys.path)
"""
OPTIONS = [
    ["-S"],
    ["-IS"],
    ["-E", "-S"],
    ["-S", "-X", "utf8"],
    ["-bSX", "utf8", "-Wignore"],
    ["-SWignore", "--check-hash-based-pycs", "always"],
    ["-S", "-Xdev", "-W", "ignore::UserWarning"],
]
HOW_CHILDREN_RUN = {
    "code": ["-c", CHILD, "x"],
    "attached code": [f"-c{CHILD}", "x", "-S"],
    "combined with code": [f"-uc{CHILD}", "x"],
    "script": ["child.py", "x"],
    "script after dashes": ["--", "child.py", "-c"],
    "module": ["-m", "cProfile", "-o", os.devnull, "child.py", "x"],
    "attached module": ["-mcProfile", "-o", os.devnull, "child.py", "x"],
    "combined with module": ["-um", "cProfile", "-o", os.devnull, "child.py", "x"],
}


def assert_child_is_traced(folder: Path, words: list[str], start: str) -> None:
    """Check that a child process is traced, and prints what it prints without this."""
    (folder / "child.py").write_text(CHILD, "utf-8")
    code = f"""
        import pathlib, shlex, subprocess
        os.chdir({str(folder)!r})
        words = {words}
        done = subprocess.run({start}, capture_output=True, text=True)
        open("said", "w").write(done.stdout + done.stderr)
    """
    environ = {"PIPSHIM_TRACE": f"mvp:{folder}/notes", "PYTHONPATH": ""}
    assert "WANTED" in reads(folder, code, **environ)
    plain = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert (folder / "said").read_text("utf-8") == plain.stdout + plain.stderr


@pytest.mark.parametrize(
    ("options", "how"),
    [
        *(([*one], how) for one in OPTIONS for how in ("code", "script")),
        *((["-IS"], how) for how in HOW_CHILDREN_RUN if how not in ("code", "script")),
    ],
)
def test_reads_of_child_processes_are_noted_whatever_their_options(
    tmp_path: Path, options: list[str], how: str
) -> None:
    words = [sys.executable, *options, *HOW_CHILDREN_RUN[how]]
    assert_child_is_traced(tmp_path, words, "words")


@pytest.mark.parametrize(
    "start",
    [
        "shlex.join(words), shell=True",
        "['/bin/sh', '-c', ' '.join(words)]",
        "[os.fsencode(word) for word in words]",
        "[*words[:-2], pathlib.Path('child.py'), 'x']",
    ],
)
def test_reads_of_child_processes_are_noted_however_their_words_are_given(
    tmp_path: Path, start: str
) -> None:
    assert_child_is_traced(tmp_path, [sys.executable, "-S", "child.py", "x"], start)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-Sc", "from __future__ import annotations; print(1)"], "1\n"),
        (["-Sx", "skipping.py"], "skipped\n"),
        (["-S", "-c", "import sys; print(sys.argv)", "-S"], "['-c', '-S']\n"),
        (["-c", "print(2)"], "2\n"),
        (["-S", "-V"], f"Python {platform.python_version()}\n"),
    ],
)
def test_child_processes_that_cannot_be_traced_run_as_always(
    tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "skipping.py").write_text("not Python\nprint('skipped')\n", "utf-8")
    code = f"""
        import subprocess, sys
        os.chdir({str(tmp_path)!r})
        done = subprocess.run([sys.executable, *{words}], capture_output=True, text=True)
        open("said", "w").write(done.stdout + done.stderr)
    """
    reads(tmp_path, code, PIPSHIM_TRACE=f"mvp:{tmp_path}/notes")
    assert (tmp_path / "said").read_text("utf-8") == said


def test_another_python_is_started_as_it_was_asked_for(tmp_path: Path) -> None:
    other = tmp_path / "python2"
    other.write_text('#!/bin/sh\necho "$@"\n', "utf-8")
    other.chmod(0o755)
    code = f"""
        import subprocess
        ways = (["{other}", "-S", "a.py"], ["sh", "-c", "{other} -S a.py"])
        said = [subprocess.check_output(way, text=True) for way in ways]
        open({str(tmp_path / "said")!r}, "w").write("".join(said))
    """
    traced(tmp_path, code, PIPSHIM_TRACE=f"mvp:{tmp_path}/notes")
    assert (tmp_path / "said").read_text("utf-8") == "-S a.py\n" * 2


def test_reads_of_many_threads_are_noted(tmp_path: Path) -> None:
    code = """
        import sys, threading
        sys.setswitchinterval(1e-6)
        def read(number):
            for name in range(200):
                os.environ.get(f"WANTED_{number}_{name}")
        threads = [threading.Thread(target=read, args=[number]) for number in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        os._exit(0)
    """
    found = [name for name in reads(tmp_path, code) if name.startswith("WANTED_")]
    assert len(found) == 1600


WORKERS = """
import multiprocessing, os, subprocess, sys

def work(words):
    os.getenv("WANTED")
    if words:
        subprocess.run([sys.executable, "-S", *words], check=True)

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        pool.apply(work, [sys.argv[2:]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="multiprocessing starts workers in another way")
@pytest.mark.parametrize("options", [["-S"], ["-I"], ["-E"], ["-I", "-S"]])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_multiprocessing_are_traced_whatever_their_options(
    tmp_path: Path, options: list[str], method: str
) -> None:
    (tmp_path / "pth").mkdir()
    (tmp_path / "workers.py").write_text(WORKERS, "utf-8")
    grandchild = tmp_path / "grandchild.py"
    grandchild.write_text("import os; os.getenv('ALSO_WANTED')", "utf-8")
    words = [*options, str(tmp_path / "workers.py"), method, str(grandchild)]
    code = f"import subprocess, sys; subprocess.run([sys.executable, *{words}], check=True)"
    notes = f"mvp:{tmp_path}/notes"
    found = reads(tmp_path, code, PIPSHIM_TRACE=notes, python=environment_that_traces(tmp_path))
    assert {"WANTED", "ALSO_WANTED"} <= found.keys()


def test_the_environment_looks_as_always(tmp_path: Path) -> None:
    code = """
        import copy, pickle
        cls = type(os.environ)
        facts = [cls is os._Environ, cls.__module__, cls.__getitem__.__qualname__]
        facts += [cls.__getitem__.__module__, type(iter(os.environ)).__name__]
        copied = pickle.loads(pickle.dumps(dict(os.environ)))
        facts += [type(os.environ.copy()).__name__, copied["A"]]
        try:
            os.environ["NOT SET"]
        except KeyError as error:
            facts += [error.args, error.__cause__, error.__suppress_context__]
        try:
            os.environ[3]
        except TypeError as error:
            facts += [str(error)]
        print(facts)
    """
    lines = code.strip("\n").splitlines()
    (tmp_path / "hook.py").write_text(
        "\n".join(["import os", *(line[8:] for line in lines)]), "utf-8"
    )
    (tmp_path / "notes").mkdir()
    environ = {**os.environ, "A": "b"}
    commands = (
        [sys.executable, hook_runner.__file__, f"mvp:{tmp_path}/notes", "hook.py"],
        [sys.executable, "hook.py"],
    )
    ways = [
        subprocess.run(
            one, check=True, capture_output=True, text=True, env=environ, cwd=tmp_path
        ).stdout
        for one in commands
    ]
    assert ways[0] == ways[1]


def test_programs_are_noted_by_their_files(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    tool.chmod(0o755)
    code = """
        import subprocess, sys
        subprocess.run(["tool"], check=True)
        subprocess.run("tool x", shell=True, check=True)
        subprocess.run(["./gone"], check=False) if os.path.exists("gone") else None
        subprocess.run([sys.executable, "-c", "tool = 1"], check=True)
    """
    noted = traced(tmp_path, code, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert f"p{tool}" in noted
    assert sum(line.startswith("p") for line in noted) == 3  # and the shell, and Python


def test_options_for_the_processor_of_this_machine_are_noted(tmp_path: Path) -> None:
    code = """
        import subprocess
        subprocess.run(["true", "-O2", "-march=native"], check=True)
        subprocess.run("true -O3 -mcpu=native a.c", shell=True, check=True)
    """
    noted = [line for line in traced(tmp_path, code) if line[0] == "o"]
    assert noted == ["o-march=native", "o-mcpu=native"]
