"""Fast-importing replacements for parts of the standard library.

`typing`, `json` or `signal` import modules that take longer than making an environment. The modules
here use only what Python has loaded at its start, or has in C; if a Python lacks that, they use the
standard library.
"""
