"""Shared records: what is written, and what is believed of what is read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from pipshim.model.build_record import Record, Used
from pipshim.model.build_tools import Tool
from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.shared_record import (
    MOST_BYTES,
    InvalidRecordError,
    RecordName,
    SharedRecord,
    SharedWheel,
    parse,
    target_of,
    why_private,
    without_paths,
)

SOURCE = "ab" * 32
RECORD = Record(
    name="natten",
    version="0.17.5",
    source=SOURCE,
    mode="matched",
    python="cpython 3.11",
    platform="linux x86_64",
    requirements=("cmake", "torch>=2"),
    variables={"CC": None, "TORCH_CUDA_ARCH_LIST": "0123456789abcdef"},
    compiled=True,
    tools={"cc": Tool("gcc (Debian 12.2.0-14) 12.2.0"), "nvcc": None},
    against={"torch": Used("2.9.0", f"sha256:{'cd' * 32}")},
)
WHEEL = SharedWheel("ef" * 32, 5, "natten-0.17.5-cp311-cp311-linux_x86_64.whl", ("torch>=2",))
NEEDS = MachineNeeds({"libc.so.6": ("GLIBC_2.34",)}, processor=frozenset({"avx2"}))
TARGET, KEY = target_of("cpython 3.11", "linux x86_64"), "0123456789abcdef"
SHARED = SharedRecord("wheel", RECORD, WHEEL, 2460.5, NEEDS, KEY, "ed25519:abc")
METADATA = "Metadata-Version: 2.2\nName: natten\nVersion: 0.17.5\nRequires-Dist: torch>=2\n"


def named(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()[:32]
    return f"{TARGET}-wheel-natten-{KEY}-{digest}.json"


def changed(**changes: Any) -> bytes:
    """Return the file with other fields; those of the record are named ``record.x``."""
    data = json.loads(SHARED.to_bytes())
    for name, value in changes.items():
        part, _, key = name.rpartition("__")
        (data[part] if part else data)[key] = value
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "shared",
    [
        SHARED,
        replace(SHARED, needs=None, signature=None),
        SharedRecord("requires", RECORD, ("cython>=3",), 0.25),
        SharedRecord("metadata", RECORD, METADATA, 0.0),
    ],
    ids=lambda shared: shared.kind,
)
def test_what_is_written_can_be_read(shared: SharedRecord) -> None:
    read = parse(shared.to_bytes(), SOURCE, shared.name)
    assert read == shared
    assert read is not None
    assert (read.content, read.signature) == (shared.content, shared.signature)
    assert RecordName.parse(shared.name) == (TARGET, shared.kind, "natten", shared.key)
    assert len(shared.name) < 90


def test_the_signature_covers_all_but_itself() -> None:
    assert replace(SHARED, signature="other").content == SHARED.content
    assert replace(SHARED, seconds=1.0).content != SHARED.content
    assert replace(SHARED, needs=None).content != SHARED.content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Please log in</html>",
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe",
        b"{" + b'"a":1,' * MOST_BYTES + b'"b":1}',
        changed(kind="egg"),
        changed(seconds=float("inf")),
        changed(seconds=-1.0),
        changed(seconds=True),
        changed(signature=5),
        changed(key="../../x"),
        changed(key=5),
        changed(key="ff" * 8),
        changed(needs=[]),
        changed(surprise=1),
        changed(result=None),
        changed(result__surprise=1),
        changed(result__sha256="../../etc/passwd"),
        changed(result__filename="../natten-0.17.5-py3-none-any.whl"),
        changed(result__filename="/natten-0.17.5-py3-none-any.whl"),
        changed(result__filename="natten-0.17.5-py3-none-any.whl\0"),
        changed(result__filename="C:\\natten-0.17.5-py3-none-any.whl"),
        changed(result__filename="natten-0.17.5-1\\..\\x-py3-none-any.whl"),
        changed(result__filename="natten-0.17.5-py3-none-any.whl/../x"),
        changed(result__filename="natten-0.17.5-py3-none-any.whl:stream"),
        changed(result__filename="natten-0.17.5-py3-none-any.whl\n"),
        changed(result__filename="other-0.17.5-py3-none-any.whl"),
        changed(result__filename="natten-1.0-py3-none-any.whl"),
        changed(result__size=-5),
        changed(result__size=True),
        changed(result__size=10**30),
        changed(result__requires=["x @ file:///etc/passwd"]),
        changed(result__requires="torch"),
        changed(record__mode="magic"),
        changed(record__name="../natten"),
        changed(record__python="cpython\x1b[2J 3.11"),
        changed(record__requirements=["./here"]),
        changed(record__requirements=[1]),
        changed(record__config_settings={"a": "/opt/x"}),
        changed(record__config_settings=[]),
        changed(record__tools={"cc": {"version": "gcc 12.2", "path": "/usr/bin/cc"}}),
        changed(record__tools={"cc": {"version": "\x1b]0;x\x07 12.2", "path": ""}}),
        changed(record__variables={"CC": "a value, not a digest"}),
        changed(record__against={"torch": {"version": "2", "identity": "/x", "counts": True}}),
        changed(record__against={"torch": {"version": 2, "identity": "sha256:" + "0" * 64}}),
        changed(record__compiled="yes"),
        changed(record__source="cd" * 32),
        SHARED.to_bytes() + b"\n",
        json.dumps(json.loads(SHARED.to_bytes()), indent=1).encode(),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_anything_else_is_invalid(content: bytes) -> None:
    with pytest.raises(InvalidRecordError):
        parse(content, SOURCE, named(content))


def test_a_record_is_believed_only_in_its_own_place() -> None:
    content = SHARED.to_bytes()
    for source, name in (
        ("cd" * 32, SHARED.name),
        (SOURCE, SHARED.name.replace(TARGET, "0" * 8)),
        (SOURCE, SHARED.name.replace(KEY, "0" * 16)),
        (SOURCE, SHARED.name.replace("-wheel-", "-metadata-")),
        (SOURCE, SHARED.name.replace("-natten-", "-torch-")),
        (SOURCE, f"{TARGET}-wheel-natten-{KEY}-{'0' * 32}.json"),
    ):
        with pytest.raises(InvalidRecordError):
            parse(content, source, name)


@pytest.mark.parametrize("content", [changed(schema=2), changed(record__schema=99)])
def test_records_of_other_versions_are_left_alone(content: bytes) -> None:
    assert parse(content, SOURCE, named(content)) is None


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (replace(RECORD, source=""), "a folder"),
        (replace(RECORD, requirements=("x @ https://internal.example/x.whl",)), "URL"),
        (replace(RECORD, constraints=("-r constraints.txt",)), "URL or path"),
        (replace(RECORD, against={"torch": Used("2", "../torch")}), "built against torch"),
        (
            replace(RECORD, against={"lib": Used("2", "https://git.example/lib@abc#")}),
            "built against lib",
        ),
        (replace(RECORD, config_settings={"prefix": "/home/ann"}), "config setting"),
        (replace(RECORD, config_settings={"args": ["-L/opt/x"]}), "config setting"),
        (replace(RECORD, tools={"cc": Tool("gcc 12.2 in /opt/gcc")}), "the version of cc"),
        (replace(RECORD, tools={"cc": Tool("gcc 12.2 by ann@host")}), "the version of cc"),
        (replace(RECORD, variables={"API_TOKEN": "0123456789abcdef"}), "API_TOKEN"),
        (replace(RECORD, variables={"API_TOKEN": None}), None),
        (RECORD, None),
    ],
)
def test_what_tells_of_this_machine_is_private(record: Record, said: str | None) -> None:
    why = why_private(record)
    assert why is None if said is None else said in str(why)


def test_the_places_of_tools_are_not_shared() -> None:
    record = replace(RECORD, tools={"cc": Tool("gcc 12.2.0", "/home/ann/bin/cc"), "nvcc": None})
    assert "ann" not in json.dumps(without_paths(record).to_json())
    assert without_paths(record).tools == record.tools


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (f"{TARGET}-wheel-wheel-inspect-{KEY}-", (TARGET, "wheel", "wheel-inspect", KEY)),
        (f"{TARGET}-metadata-wheel-{KEY}-", (TARGET, "metadata", "wheel", KEY)),
        (f"{TARGET}-wheel-x-{KEY}-{KEY}-", (TARGET, "wheel", f"x-{KEY}", KEY)),
        (f"../{TARGET}-wheel-x-{KEY}-", None),
        (f"{TARGET}-egg-x-{KEY}-", None),
        (f"-wheel-x-{KEY}-", None),
        (f"{TARGET}-wheel-x-", None),
        (".tmp-5", None),
    ],
)
def test_a_file_s_name_tells_what_it_is_for(name: str, parts: tuple[str, ...] | None) -> None:
    assert RecordName.parse(f"{name}{'0' * 32}.json") == parts
