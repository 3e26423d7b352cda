"""Change an environment: plan, carry out, roll back."""
