"""The second door: REST."""
