"""pipshim: run, lock and sync for pip. Importing this imports nothing else."""

__version__ = "0.1.0"
