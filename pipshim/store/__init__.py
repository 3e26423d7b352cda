"""Wheels, unpacked once, and how their files get into environments."""
