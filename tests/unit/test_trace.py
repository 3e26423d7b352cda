"""What Python processes note of their imports, however they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipshim.builds import import_trace

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


def run(folder: Path, code: str, *options: str, **variables: str) -> set[str]:
    """Run code as a hook that is traced; return the files that were noted, by their names."""
    lines = code.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    script = folder / "hook.py"
    script.write_text("\n".join(["import os", *(line[indent:] for line in lines)]), "utf-8")
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    command = [sys.executable, *options, import_trace.__file__, str(notes), str(script)]
    subprocess.run(command, check=False, timeout=60, env={**os.environ, **variables})
    found = b"".join(path.read_bytes() for path in notes.iterdir())
    return {Path(os.fsdecode(line)).name for line in found.splitlines()}


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
    traced = [sys.executable, import_trace.__file__, str(wanted / "notes"), str(script)]
    plain = [sys.executable, str(script)]
    outputs = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=unmeasured).stdout
        for command in (traced, plain)
    ]
    assert outputs[0] == outputs[1]


def test_a_process_that_outlives_its_hook_goes_on(wanted: Path) -> None:
    code = """
        import shutil
        shutil.rmtree("{0}/notes")
        import wanted
        os.mkdir("{0}/notes")
        open("{0}/notes/end", "w").write("it went on")
        os._exit(0)
    """
    assert run(wanted, code.format(wanted)) == {"it went on"}


@pytest.mark.parametrize("option", ["-I", "-E", "-s"])
def test_isolated_processes_are_traced_too(wanted: Path, option: str) -> None:
    assert "wanted.py" in run(wanted, "import wanted, os; os._exit(0)", option)
