"""Install Debian's Slurm, if it is missing and root runs this: ``tox run -e engines``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")


def main() -> int:
    """Return 0 also if Slurm cannot be installed: its tests are skipped then, and say so."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which("slurmctld", path=path) or os.geteuid() != 0 or not shutil.which("apt-get"):
        return 0
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=environ)
    command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES]
    return subprocess.run(command, check=True, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
