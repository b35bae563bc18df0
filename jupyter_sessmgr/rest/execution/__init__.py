"""Runs code in sessions' kernels for clients that have no connection of their own to them."""
