"""The commands: parse the command line, assemble what other folders need, report the result."""
