"""Makers of what the tests need: distributions, an index, the command."""
