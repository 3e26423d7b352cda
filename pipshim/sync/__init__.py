"""Changing an environment: the plan, what carries it out, and what takes it back."""
