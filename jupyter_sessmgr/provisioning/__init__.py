"""The first door: kernels."""
