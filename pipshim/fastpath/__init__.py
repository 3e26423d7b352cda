"""Recognise commands that have nothing to do, without importing pip."""
