"""Eight C sdists on a Dask cluster with two workers, one of which is killed midway.

Run it from the repository's root: ``python -m benchmarks.cluster_builds``. Workers have homes and
caches of their own, and one thread each. It prints what ``pipshim sync`` prints, and the time.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.build_schedule import add
from tests.support.dask_cluster import DaskCluster
from tests.support.dists import project, repack
from tests.support.index import Index
from tests.support.pipshim import Cli

NAMES = [*(f"short{number}" for number in range(6)), "very_long", "zlong"]
WORKERS = ("one", "two")
KILLED_AFTER = 3
"""How many builds have ended when a worker is killed."""


def main() -> None:
    """Build with both workers, then with one that is killed."""
    with tempfile.TemporaryDirectory() as name, Index() as index:
        folder = Path(name)
        index.add(repack("setuptools", folder))
        for one in NAMES:
            add(index, folder, one, files=2 if one.startswith("short") else 8)
        made = project(folder / "project", dependencies=NAMES)
        cli = Cli(folder / "cli", cwd=made, index_url=index.url_with_credentials)
        cli.ok("lock")
        for kills in (False, True):
            shutil.rmtree(made / ".venv", ignore_errors=True)
            _sync(cli, index, folder / ("killed" if kills else "whole"), kills=kills)


def _sync(cli: Cli, index: Index, folder: Path, *, kills: bool) -> None:
    remote = str(folder / "remote")
    with DaskCluster(folder / "cluster", cli.env) as cluster:
        for name in WORKERS:
            worker = Cli(folder / name, cwd=folder, index_url=index.url_with_credentials)
            cluster.add(name, worker.env)
        words = ["--remote", remote, "--builders", cluster.address, "--rebuild", ":all:"]
        start = time.monotonic()
        with cli.start("sync", *words) as syncing:
            assert syncing.stderr is not None
            built = 0
            for line in syncing.stderr:
                print(f"{time.monotonic() - start:5.1f} s  {line}", end="", flush=True)
                built += line.startswith("built")
                if kills and built == KILLED_AFTER and len(cluster.workers) > 1:
                    threading.Thread(target=cluster.kill, args=(WORKERS[0],)).start()
                    print(f"{time.monotonic() - start:5.1f} s  (kill -9 of the worker one)")
                    kills = False
        print(f"status {syncing.returncode} in {time.monotonic() - start:.1f} s\n")


if __name__ == "__main__":
    main()
