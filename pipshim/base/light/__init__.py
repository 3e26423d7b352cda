"""Pieces of the standard library as a command that takes milliseconds can afford them.

`typing`, `json` or `signal` import, before they do anything, what takes longer than making an
environment. Each module here is what the one that it stands for would be if it were made of what
Python has loaded at its start, or has in C; where a Python lacks that, it is the other one.
"""
