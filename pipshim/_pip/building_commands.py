"""pip's ``install``, ``wheel`` and ``download``."""

from pip._internal.commands.download import DownloadCommand
from pip._internal.commands.install import InstallCommand
from pip._internal.commands.wheel import WheelCommand

__all__ = ["DownloadCommand", "InstallCommand", "WheelCommand"]
