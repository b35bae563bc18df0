"""The third door: service ports."""
