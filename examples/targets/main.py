"""Say what the lock has for this environment."""

import sys
from importlib.metadata import distributions

installed = sorted(f"{one.metadata['Name']} {one.version}" for one in distributions())
print(f"Python 3.{sys.version_info[1]} on {sys.platform}: {', '.join(installed)}")
