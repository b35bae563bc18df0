"""Fixtures, one module per kind of real part."""
