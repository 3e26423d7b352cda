"""Unpack wheels once, and install their files into environments."""
