"""Records of results as a remote stores them, and which results may be shared. Pure.

A remote is read by machines that do not know who wrote it: what is read is checked strictly, and a
record that another machine could not compare, or that tells of this one, is not written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidName,
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_mode import Mode
from pipshim.model.build_record import Record
from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.requirements import requires_dist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Kind: TypeAlias = Literal["requires", "metadata", "wheel"]
KINDS: tuple[Kind, ...] = ("requires", "metadata", "wheel")

SCHEMA = 1
NO_KEY = "0" * 16
"""The key of a result of which it is not known what was known before its build."""

MOST_BYTES = 1 << 20
"""The largest record that is read or written."""

MOST_WHEEL_BYTES = 1 << 35
_MOST_SECONDS = 30 * 86_400
_MOST_TEXT = 1000
_MOST_DIGITS = 20

_SOURCE = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(
    r"(?P<target>[0-9a-f]{8})-(?P<kind>requires|metadata|wheel)-(?P<package>[a-z0-9-]{1,100})"
    r"-(?P<key>[0-9a-f]{16})-[0-9a-f]{32}\.json"
)
_KEY = re.compile(r"[0-9a-f]{16}")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+!-]{0,250}\.whl")
_IDENTITY = re.compile(r"[a-z0-9_]+:[0-9a-f]{16,128}")
_VALUE_DIGEST = re.compile(r"[0-9a-f]{16}")
_PATH_IN_TEXT = re.compile(r"(?:^|[\s(=:,'\"])(?:/|~/|[A-Za-z]:[\\/])|\\\\|://|@")
_SECRET = re.compile(r"TOKEN|PASS|SECRET|CREDENTIAL", re.IGNORECASE)


class InvalidRecordError(ValueError):
    """What a remote has under a record's name is no valid record."""


@dataclass(frozen=True)
class SharedWheel:
    """A wheel in a remote.

    Attributes:
        sha256: its hash in hexadecimal.
        size: in bytes.
        filename: its name (PEP 427).
        requires: the ``Requires-Dist`` of its METADATA.

    """

    sha256: str
    size: int
    filename: str
    requires: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "requires": list(self.requires)}


@dataclass(frozen=True)
class SharedRecord:
    """A result of a build with its record.

    Attributes:
        kind: what was asked of the backend.
        record: what it was built from and against.
        result: the wheel, the headers of METADATA, or the additional build requirements.
        seconds: how long the backend took.
        needs: what the wheel needs of a machine; None if that is not known.
        key: what was known before the build (`pipshim.model.claim.selection_key`).
        signature: over `content`; None if it is not signed.

    """

    kind: Kind
    record: Record
    result: SharedWheel | str | tuple[str, ...]
    seconds: float
    needs: MachineNeeds | None = None
    key: str = NO_KEY
    signature: str | None = field(default=None, compare=False)

    @property
    def wheel(self) -> SharedWheel:
        """The wheel; only records of wheels have one."""
        assert isinstance(self.result, SharedWheel)
        return self.result

    @property
    def content(self) -> bytes:
        """All but the signature, as the bytes that are signed."""
        return _canonical(self._data())

    def _data(self) -> dict[str, Any]:
        result = self.result
        plain = result.to_json() if isinstance(result, SharedWheel) else result
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "key": self.key,
            "record": self.record.to_json(),
            "result": list(plain) if isinstance(plain, tuple) else plain,
            "seconds": self.seconds,
            "needs": self.needs.to_json() if self.needs is not None else None,
        }

    def to_bytes(self) -> bytes:
        """Return the content of its file."""
        return _canonical({**self._data(), "signature": self.signature})

    @property
    def name(self) -> str:
        """The name of its file: what decides whether it is read, and a digest of all of it."""
        record = self.record
        target = target_of(record.python, record.platform)
        digest = _digest(self.to_bytes())
        return f"{target}-{self.kind}-{record.name}-{self.key}-{digest}.json"


class RecordName(NamedTuple):
    """What the name of a record's file says.

    Attributes:
        target: the Python and the platform (`target_of`).
        kind: what was asked of the backend.
        package: the distribution.
        key: as of `SharedRecord`.

    """

    target: str
    kind: Kind
    package: str
    key: str

    @classmethod
    def parse(cls, name: str) -> RecordName | None:
        """Read the name of a file; None if it is not a record's."""
        match = _NAME.fullmatch(name)
        return None if match is None else cls(**match.groupdict())  # type: ignore[arg-type]


def target_of(python: str, platform: str) -> str:
    """Return how the names of records for this Python and platform begin."""
    return hashlib.sha256(f"{python} {platform}".encode()).hexdigest()[:8]


def is_source(text: str) -> bool:
    """Return whether a text is the digest of a source."""
    return _SOURCE.fullmatch(text) is not None


def _canonical(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


# Reading


def parse(content: bytes, source: str, name: str) -> SharedRecord | None:
    """Read a record's file; None for one of another version of pipshim.

    Args:
        content: the file.
        source: the folder that it is in.
        name: its name there.

    Raises:
        InvalidRecordError: it is not what it has to be; the message says in what.

    """
    if len(content) > MOST_BYTES:
        raise InvalidRecordError("it is too large")
    try:
        data = json.loads(content, parse_constant=_refuse, parse_int=_small_int)
    except (ValueError, RecursionError):
        raise InvalidRecordError("it is not valid JSON") from None
    if not isinstance(data, dict):
        raise InvalidRecordError("it is not a table")
    if data.get("schema") != SCHEMA:
        return None
    if not name.endswith(f"-{_digest(content)}.json"):
        raise InvalidRecordError("it is not the file that its name says")
    record = Record.from_json(data.get("record"))
    if record is None:
        return None
    try:
        made = _read(data, record)
        _check_record(record)
        # Whatever else there may be, or be written otherwise, is not signed.
        if made.to_bytes() != content:
            raise InvalidRecordError("it has fields that do not belong there")
    except (
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        ValueError,
    ) as error:
        if isinstance(error, InvalidRecordError):
            raise
        raise InvalidRecordError("a value is of the wrong type") from None
    if record.source != source or made.name != name:
        raise InvalidRecordError("it is in the place of another record")
    return made


def _read(data: Mapping[str, Any], record: Record) -> SharedRecord:
    kind, seconds, needs = data["kind"], data["seconds"], data["needs"]
    signature = data["signature"]
    _check(kind in KINDS, "its kind is unknown")
    is_duration = isinstance(seconds, float) and math.isfinite(seconds)
    _check(is_duration and 0 <= seconds <= _MOST_SECONDS, "its duration is not valid")
    try:
        read = MachineNeeds.from_json(needs) if needs is not None else None
    except ValueError:
        raise InvalidRecordError("what it needs of a machine is not valid") from None
    _check(signature is None or _is_text(signature), "its signature is not a text")
    _check(bool(_KEY.fullmatch(data["key"])), "its key is not valid")
    return SharedRecord(
        kind, record, _result(kind, data["result"], record), seconds, read, data["key"], signature
    )


def _result(kind: Kind, data: Any, record: Record) -> SharedWheel | str | tuple[str, ...]:
    if kind == "metadata":
        _check(isinstance(data, str), "its metadata is not a text")
        _check_metadata(data, record)
        return str(data)
    if kind == "requires":
        return _requirements(data)
    wheel = SharedWheel(**{**data, "requires": _requirements(data["requires"])})
    _check(type(wheel.size) is int and 0 < wheel.size <= MOST_WHEEL_BYTES, "its size is not valid")
    _check(is_source(wheel.sha256), "its hash is not valid")
    _check(
        bool(_FILENAME.fullmatch(str(wheel.filename))), "its file does not have the name of a wheel"
    )
    try:
        name, version, *_ = parse_wheel_filename(wheel.filename)
    except InvalidWheelFilename:
        raise InvalidRecordError("its file does not have the name of a wheel") from None
    _check_version(record, "wheel", name, str(version))
    return wheel


def _requirements(data: Any) -> tuple[str, ...]:
    _check(isinstance(data, list) and all(map(_is_text, data)), "its requirements are not texts")
    _check(not any(map(_is_place, data)), "a requirement is not of the form NAME and versions")
    return tuple(data)


def _check_metadata(text: str, record: Record) -> None:
    headers = [line.partition(":") for line in text.splitlines()]
    found = {key.lower(): value.strip() for key, _, value in headers}
    name = canonicalize_name(found.get("name", ""))
    _check_version(record, "metadata", name, found.get("version", ""))
    _requirements(requires_dist(text))


def _check_version(record: Record, what: str, name: str, version: str) -> None:
    _check(name == canonicalize_name(record.name), f"its {what} is of another package")
    try:
        is_same = record.version == "?" or Version(record.version) == Version(version)
    except InvalidVersion:
        is_same = record.version == version
    _check(is_same and bool(version), f"its {what} is of another version")


def _check_record(record: Record) -> None:
    """Check the types of a record's values, and that none of them harms a terminal."""
    texts = (record.name, record.version, record.python, record.platform, record.mode)
    _check(all(map(_is_text, texts)), "a text of its record is not valid")
    _check(record.mode in {str(mode) for mode in Mode}, "its build mode is unknown")
    _check(isinstance(record.compiled, bool), "a value is of the wrong type")
    _check(_is_name(record.name), "its package has no valid name")
    for requirements in (record.requirements, record.constraints):
        _requirements(list(requirements))
    why = why_private(record)
    _check(why is None, f"it should not have been shared: {why}")
    for tool in filter(None, record.tools.values()):
        _check(_is_text(tool.version) and tool.path == "", "a tool of its record is not valid")
    for digest in record.variables.values():
        _check(
            digest is None or bool(_VALUE_DIGEST.fullmatch(digest)),
            "the value of a variable is not a digest",
        )
    for used in record.against.values():
        _check(_is_text(used.version) and isinstance(used.counts, bool), "a version is not valid")
    named = (*record.tools, *record.variables, *record.against, *record.config_settings)
    _check(all(map(_is_text, named)), "a name in its record is not valid")


def _is_name(name: str) -> bool:
    try:
        return canonicalize_name(name, validate=True) == name
    except InvalidName:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_TEXT and value.isprintable()


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidRecordError(problem)


def _small_int(digits: str) -> int:
    """Read a number, unless it has so many digits that this takes long."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError(digits[:_MOST_DIGITS])
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# Writing


def without_paths(record: Record) -> Record:
    """Return a record that does not say where this machine has its tools."""
    tools = {
        name: replace(tool, path="") if tool is not None else None
        for name, tool in record.tools.items()
    }
    return replace(record, tools=tools)


def why_private(record: Record) -> str | None:
    """Say why a record would mean nothing elsewhere, or tell of this machine; None if neither."""
    return next(_reasons(record), None)


def _reasons(record: Record) -> Iterator[str]:
    if not is_source(record.source):
        yield "it is built from a folder"
    for text in (*record.requirements, *record.constraints):
        if _is_place(text):
            yield "it requires something by its URL or path"
    for name, used in record.against.items():
        if not _IDENTITY.fullmatch(used.identity):
            yield f"it is built against {name}, which has no hash"
    if any(re.search(r"[/\\~@]", text) for text in _texts(record.config_settings.items())):
        yield "a config setting may be a path"
    for name, tool in record.tools.items():
        if "/" in name or (tool is not None and _PATH_IN_TEXT.search(tool.version)):
            yield f"the version of {name} may contain a path"
    for name, digest in record.variables.items():
        if digest is not None and _SECRET.search(name):
            yield f"it depends on {name}, which may be a secret"


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        else:
            yield from _texts(value)


def _is_place(text: str) -> bool:
    """Return whether a requirement is anything but a name with versions."""
    try:
        return Requirement(text).url is not None
    except InvalidRequirement:
        return True


def headers_of(metadata: str) -> str:
    """Return METADATA without the description below its headers."""
    return metadata.replace("\r\n", "\n").partition("\n\n")[0] + "\n"
