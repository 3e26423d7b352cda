"""A command line in, an exit status out; assembles what the other folders need."""
