"""What is asked: the project, its configuration, the options, as values."""
