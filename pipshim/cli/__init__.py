"""The command line: what was asked, and one file a command that does it."""
