"""The names of pipshim's commands, and the pip options allowed before them."""

from __future__ import annotations

from typing import NamedTuple

STORE_ACTIONS = ("prune", "verify")
"""Actions of ``cache store`` that pip's ``cache`` does not have; ``store`` may be left out."""


class OwnCommand(NamedTuple):
    """A command that pip does not have.

    Attributes:
        asks_index: whether it usually asks an index.
        is_plain: whether it needs neither index nor environment.
        has_isolated: whether ``--isolated`` after its name is an option of its own.

    """

    module: str
    summary: str
    asks_index: bool = False
    is_plain: bool = False
    has_isolated: bool = False


OWN_COMMANDS = {
    "lock": OwnCommand("lock", "Lock the project, or requirements.", asks_index=True),
    "sync": OwnCommand("sync", "Make the environment match the lock.", asks_index=True),
    "run": OwnCommand(
        "run",
        "Run a command in the project's environment, brought up to date first.",
        asks_index=True,
        has_isolated=True,
    ),
    "add": OwnCommand(
        "edit_commands", "Add requirements to the project, lock and sync.", asks_index=True
    ),
    "remove": OwnCommand(
        "edit_commands", "Remove requirements from the project, lock and sync.", asks_index=True
    ),
    "tree": OwnCommand("tree", "Show the lock as a tree of requirements.", is_plain=True),
    "why": OwnCommand("why", "Show why a package is in the lock.", is_plain=True),
    "export": OwnCommand("export", "Write the lock as a requirements file."),
    "builds": OwnCommand("builds_command", "Show what was built, and from what.", is_plain=True),
}
SUBCOMMANDS = {
    "cache": {
        "store": OwnCommand("cache_store", "Inspect and clear pipshim's cache.", is_plain=True),
    },
    "builds": {
        "list": OwnCommand(
            "builds_list",
            "List the wheels that were built here, or that the remote has.",
            is_plain=True,
        ),
        "show": OwnCommand(
            "builds_show", "Show what a wheel was built from, and whether it would be reused."
        ),
        "plan": OwnCommand(
            "builds_plan",
            "Write what a sync would have to build as JSON, for any machine.",
            asks_index=True,
        ),
        "run": OwnCommand("builds_run", "Run the builds of a plan on this machine."),
        "history": OwnCommand(
            "builds_history",
            "Show past builds, with their duration and memory.",
            is_plain=True,
        ),
        "log": OwnCommand(
            "builds_history", "Show what the last build of a package printed.", is_plain=True
        ),
        "keygen": OwnCommand(
            "builds_keys",
            "Create the key that the wheels you push are signed with.",
            is_plain=True,
        ),
        "trust": OwnCommand(
            "builds_keys",
            "Use wheels from the remote only if this key, or another trusted one, signed them.",
            is_plain=True,
        ),
    },
}
"""By command, those that its first argument names."""

BUILDING = ("install", "wheel", "download")
"""Commands of pip that may build, which have options of pipshim."""

SETTINGS = frozenset(
    {
        "--cache-dir",
        "--cert",
        "--client-cert",
        "--default-timeout",
        "--exists-action",
        "--keyring-provider",
        "--local-log",
        "--log",
        "--log-file",
        "--project",
        "--proxy",
        "--python",
        "--resume-retries",
        "--retries",
        "--timeout",
        "--trusted-host",
        "--use-deprecated",
        "--use-feature",
    }
)
"""pip's general options that take a value; a test compares them with pip's."""
