"""The names of pipshim's commands, and pip's general options, which may stand before them."""

from __future__ import annotations

STORE_ACTIONS = ("prune", "verify")
"""Actions of ``cache store`` that pip's ``cache`` does not have; ``store`` may be left out."""

OWN_COMMANDS = ("lock", "sync", "run", "add", "remove", "export", "tree", "why")
BUILDING = ("install", "wheel", "download")
"""Commands of pip that may build, which have options of pipshim."""

PLAIN_COMMANDS = ("tree", "why")
INDEX_COMMANDS = ("lock", "sync", "run", "add", "remove")
"""Those that ask an index, more often than not."""

# pip's general options, which may stand before the command; a test compares them with pip's.
SWITCHES = frozenset(
    {
        "--debug",
        "--disable-pip-version-check",
        "--help",
        "--isolated",
        "--no-cache-dir",
        "--no-color",
        "--no-input",
        "--no-proxy-env",
        "--no-python-version-warning",
        "--quiet",
        "--require-venv",
        "--require-virtualenv",
        "--verbose",
        "--version",
    }
)
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
SHORT_SWITCHES = frozenset("hqvV")
