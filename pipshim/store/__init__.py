"""Unpack wheels once, and install them by linking."""
