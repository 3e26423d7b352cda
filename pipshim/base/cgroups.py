"""Find this process's cgroups and their controller files (cgroups(7))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadText = Callable[[str], "str | None"]


def read_text(path: str) -> str | None:
    """Return the text of a file; None if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def folders(controller: str, read: ReadText = read_text) -> Iterator[tuple[int, str]]:
    """Yield the folders of this process's cgroups and their parents, each with its version.

    Those of the process itself come first.

    Args:
        controller: ``cpu`` or ``memory``.
        read: returns the text of a file, or None if it cannot be read.

    """
    groups = dict(_groups(read("/proc/self/cgroup") or "", controller))
    for version, root, mount_point in _mounts(read("/proc/self/mountinfo") or "", controller):
        for folder in _with_parents(groups.get(version, "/"), root, mount_point):
            yield version, folder


def _groups(text: str, controller: str) -> Iterator[tuple[int, str]]:
    """Read /proc/self/cgroup: for each version, the cgroup that has the controller."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _mounts(text: str, controller: str) -> Iterator[tuple[int, str, str]]:
    """Read /proc/self/mountinfo: version, root and mount point of the controller's hierarchies."""
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        fields, described = mount.split(" "), filesystem.split(" ")
        if len(fields) < 5 or len(described) < 3:  # noqa: PLR2004 see proc_pid_mountinfo(5)
            continue
        kind, options = described[0], described[2].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and controller in options):
            yield 2 if kind == "cgroup2" else 1, _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _with_parents(path: str, root: str, mount_point: str) -> Iterator[str]:
    """Yield the folder of a cgroup, then those of its parents up to the mount point.

    In a container the path may be one of the host that is not visible here; then the mount point
    itself is the container's cgroup.
    """
    prefix = root.rstrip("/")
    below = path[len(prefix) :] if f"{path}/".startswith(f"{prefix}/") else ""
    parts = [part for part in below.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield "/".join([mount_point, *parts[:length]])
